"""What a file claims costs no more than what it holds: in every command, within little memory."""

import json
import random
import struct

import pytest
from growing import Supernet
from helpers import ROOT, run_python
from test_hostile_files import ODD, STAGE, edit, put, rebuilt, signed

from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.elastic.known import dimensions_of
from mdl_nas_mm.header.manifest import decode

# Beyond what the process has after it has read a good file.
MEBIBYTES = 768
HEAD = ('tasks', 'a', 'model', 'head')
SIZES = dict(embed_dim=(12, 20, 24), depth=(1, 2, 3, 1000), num_heads=(1, 2, 3))
RATIOS = dict(mlp_ratio=(0.5, 1.3, 2), attn_share_ratio=(0, 0.25, 0.5, 1))
STAGE_SPACE = dict(SIZES, **RATIOS, ffn_share_ratio=(0, 0.4, 0.9))
DEEP = dict(embed_dim=24, depth=1000, num_heads=[3] * 1000, mlp_ratio=[2] * 1000)
DEEP |= dict(attn_share_ratio=[1] * 1000, ffn_share_ratio=[0] * 1000)


def many_regions(manifest):
    """Architectures as deep as any may be."""
    manifest['backbone']['space'] = STAGE_SPACE
    first = manifest['history'][0]['regions']
    for i in range(30):
        first[f'r{i}'] = dict(first['a'], spec=dict(stages=[DEEP]))


def many_batches(manifest):
    """For each of which a backbone is laid out."""
    manifest['backbone']['space'] = STAGE_SPACE
    batch = manifest['history'][1]
    for i in range(900):
        regions = {f'r{i}': batch['regions']['c']}
        manifest['history'].append(dict(regions=regions, base_segments=batch['base_segments']))


def wide(manifest):
    """Every width as large as a size may be."""
    widest = dict(embed_dim=(12, 20, 24, 65536), num_heads=(1, 2, 3, 65536), depth=(1, 2, 3))
    manifest['backbone']['space'] = dict(STAGE_SPACE, **widest)


def neck(**config):
    return put('tasks', 'a', 'model', 'neck', value=config)


def pipeline(**config):
    return put('tasks', 'a', 'val_dataloader', value=dict(dataset=dict(pipeline=[config])))


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


STACKED = dict(type='StackedLinearClsHead', num_classes=10, in_channels=24)
ATTACKS = dict(
    regions=many_regions,
    batches=many_batches,
    wide=wide,
    tasks=lambda m: m['tasks'].update({f't{i}': m['tasks']['a'] for i in range(1500)}),
    at_once=lambda m: m['history'][0]['regions'].update(
        {f'r{i}': m['history'][0]['regions']['a'] for i in range(40)}
    ),
    stages=put('backbone', 'space', value=[dict(embed_dim=8, depth=1000)] * 10_000),
    choices=put('backbone', 'space', 'embed_dim', value=list(range(1, 60_000))),
    images=lambda m: m['backbone'].update(img_size=65536, patch_size=1),
    distances=put('backbone', 'max_relative_position', value=65536),
    head_dim=put('backbone', 'head_dim', value=65536),
    depth=put(*STAGE, 'depth', value=10**9),
    text_depth=put(*STAGE, 'depth', value='9' * 1000),
    stage_kind=put(*STAGE, value='stage'),
    spec_kind=put('tasks', 'a', 'spec', value=None),
    info_kind=put('tasks', 'a', value=[]),
    label_kind=put('history', 0, 'regions', value=['a']),
    batch_kind=put('history', 1, value=True),
    base_kind=put('history', 1, 'base_segments', value='a'),
    hash_kind=put('hashes', 'shared/a', value={}),
    count_kind=put('counts', 'shared', value=True),
    backbone_kind=put('backbone', value=None),
    provenance_kind=put('provenance', value=3),
    settings_kind=put('history', 0, 'regions', 'a', 'settings', value='x'),
    loader_kind=put('tasks', 'a', 'val_dataloader', value='x'),
    classes_kind=put('tasks', 'a', 'classes', value={'a': 1}),
    scored_kind=put('tasks', 'a', 'scored', value='1e9'),
    scored=put('tasks', 'a', 'scored', value={'__float__': 'nan'}),
    mark=put('tasks', 'a', 'classes', value={'__tuple__': 10**9}),
    items=put('tasks', 'a', 'classes', value={'__items__': [[[], 1]]}),
    deep_list=put('tasks', 'a', 'classes', value=nested(60)),
    deeper_list=put('tasks', 'a', 'classes', value=nested(100)),
    escape=put('tasks', 'a', 'score', value='\x1b]0;title\x07'),
    bidi=put('tasks', 'a', 'score', value='accuracy\u202egpj'),
    score_name=put('tasks', 'a', 'score', value={'metric': '\x1b]0;title\x07'}),
    score_scale=put('tasks', 'a', 'score', value={'metric': 'a', 'scale': [[1]]}),
    score_key=put('tasks', 'a', 'score', value={'metric': 'a', '\x1b[2J': 1}),
    score_kind=put('tasks', 'a', 'score', value={'scale': 1}),
    line=put('tasks', 'a', 'scope', value='mmpretrain\nerror: none'),
    long=put('tasks', 'a', 'score', value='x' * 10**6),
    class_name=put('tasks', 'a', 'classes', value=['\x1b[2J']),
    size_name=put('backbone', '\x1b[31mred\n', value=10**9),
    task_name=lambda m: m['tasks'].update({'x' * 5000: m['tasks']['a']}),
    number=put(*HEAD, 'num_classes', value=10**30),
    convs=neck(type='mmdet.FPN', in_channels=[24], out_channels=1, num_outs=10**8),
    levels=neck(type='mmdet.FPN', in_channels=[24], out_channels=1, num_outs=16384),
    depths=put(*HEAD, value=dict(STACKED, mid_channels=[1] * 100_000)),
    channels=put(*HEAD, value=dict(type='LinearClsHead', num_classes=2**20, in_channels=2**14)),
    factor=neck(type='mmdet.FPN', in_channels=[24], out_channels=1e30, num_outs=1),
    resized=pipeline(type='Resize', scale=(30_000, 30_000)),
    enlarged=pipeline(type='Resize', scale_factor=1000.0),
    padded=put('tasks', 'a', 'model', 'data_preprocessor', value=dict(pad_size_divisor=16_000)),
)


@pytest.fixture(scope='module')
def files(data, tmp_path_factory):
    """A good file, and an altered one of each attack."""
    folder, rng = tmp_path_factory.mktemp('limits'), random.Random(5)
    supernet = Supernet(data, 'Sequential')
    path = folder / 'good.safetensors'
    supernet.pack(path, supernet.sample(rng, 'a', 'b'))
    supernet.add(path, supernet.sample(rng, 'c'))
    header, tensors = parts(path)
    for name, change in ATTACKS.items():
        manifest = json.loads(header['__metadata__']['manifest'])
        change(manifest)
        altered = dict(header, __metadata__=signed(manifest))
        (folder / f'{name}.safetensors').write_bytes(rebuilt(altered, tensors))
    sizes = dict(dtype='F32', shape=[0, 2**47, 2**47], data_offsets=[0, 0])
    (folder / 'strides.safetensors').write_bytes(rebuilt({**header, 'head/a/x': sizes}, tensors))
    (folder / 'values.safetensors').write_bytes(rebuilt({**header, 'x': [[]] * 600_000}, tensors))
    return folder


def parts(path):
    content = path.read_bytes()
    (length,) = struct.unpack('<Q', content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


COMMANDS = """
import json, os, resource, shutil
from pathlib import Path
from mdl_nas_mm.apis import deposits, load_task
from mdl_nas_mm.deposit import Deposit, load_tasks, remove
from mdl_nas_mm.deposit.base import DepositBase
from mdl_nas_mm.deposit.export import load_model
from mdl_nas_mm.deposit.extract import extract
from mdl_nas_mm.elastic.arch_source import read_arch, read_joint_spec
from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.header.contents import contents
from mdl_nas_mm.utils.strict_json import strict_json

folder, limit, every = Path(sys.argv[1]), int(sys.argv[2]) * 2**20, int(sys.argv[4])


def base(path):
    found = DepositBase(str(path), 'a')
    return found.backbone, found.joint, found._deposit.structure


commands = dict(
    list=lambda path: list(contents(path)),
    verify=lambda path: list(deposits.verify_lines(path)),
    extract=lambda path: extract(path, 'a', Path(sys.argv[3]).with_name(path.stem)),
    load_task=lambda path: load_task(path, 'a'),
    load_tasks=load_tasks,
    export=lambda path: load_model(path, 'a'),
    remove=lambda path: remove(path, 'c'),
    base=base,
    arch=lambda path: read_arch(path, TRANSFORMER, 'a'),
    joint_spec=lambda path: read_joint_spec(path, TRANSFORMER, f'joint_spec {path}'),
)
good = folder / 'good.safetensors'
for command in commands.values():
    copy = folder / 'copy.safetensors'
    shutil.copy(good, copy)
    command(copy)
    copy.unlink()
held = int(Path('/proc/self/statm').read_text().split()[0]) * os.sysconf('SC_PAGESIZE')
resource.setrlimit(resource.RLIMIT_AS, (held + limit, held + limit))
found = {}
for number, path in enumerate(sorted(folder.glob('*.safetensors'))):
    if path != good:
        found[path.stem] = {}
        for name, command in list(commands.items())[number % every :: every]:
            try:
                command(path)
                found[path.stem][name] = None
            except (ValueError, FileNotFoundError) as error:
                found[path.stem][name] = str(error)
Path(sys.argv[3]).write_text(json.dumps(found))
"""
# What each of these reads of a file is not what is wrong with all of them.
PARTLY = ('list', 'arch', 'joint_spec')
OF_MODELS, BUILDS_NONE = ('levels', 'depths', 'channels'), ('remove', 'base')


@pytest.mark.parametrize('every', [3, pytest.param(1, marks=pytest.mark.slow)])
def test_attacks_are_refused_within_little_memory(files, tmp_path, every):
    """One line from each command, or from every third in turn; a file that one may read has nothing
    wrong that it shows."""
    given = (files, str(MEBIBYTES), tmp_path / 'found.json', str(every))
    done = run_python(COMMANDS, *given, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads((tmp_path / 'found.json').read_text())
    assert set(found) == {*ATTACKS, 'strides', 'values'}
    for name, said in found.items():
        for command, message in said.items():
            if message is None:
                assert command in PARTLY + BUILDS_NONE * (name in OF_MODELS), (name, command)
            else:
                assert message.isprintable() and len(message) < 1000, (name, command)
                assert name in message, (name, command, message)


ODDER = ['\x1b[31m', '\u202e', 'a\nb', [0] * 50, {'__float__': 'inf'}, {'__tuple__': 1}]


def test_mutated_manifests_say_one_line(files):
    """With checksums that fit: whatever the value, a ValueError that can be printed."""
    header, _ = parts(files / 'good.safetensors')
    whole, rng, refused = header['__metadata__']['manifest'], random.Random(7), 0
    for _ in range(1500):
        manifest = json.loads(whole)
        for _ in range(rng.choice((1, 1, 2))):
            edit(manifest, rng, [*ODD, *ODDER])
        try:
            decode(signed(manifest), 'some.safetensors', dimensions_of)
        except ValueError as error:
            refused += 1
            assert str(error).isprintable() and len(str(error)) < 600
    assert refused > 500


@pytest.mark.slow
def test_mutated_models_say_one_line(files, tmp_path):
    header, tensors = parts(files / 'good.safetensors')
    whole, rng, path = header['__metadata__']['manifest'], random.Random(8), tmp_path / 'a.st'
    for _ in range(300):
        manifest = json.loads(whole)
        edit(manifest['tasks']['a'], rng)
        path.write_bytes(rebuilt(dict(header, __metadata__=signed(manifest)), tensors))
        try:
            Deposit(path).load_task('a')
        except ValueError as error:
            assert str(path) in str(error) and str(error).isprintable()
