"""Damaged and malicious files: refused with what is wrong, or read as the original."""

import json
import random
import struct
from types import SimpleNamespace

import pytest
import torch
from deposit.hostile import places
from growing import Supernet
from refusals import raises_naming
from safetensors.torch import load_file, save_file

from mdl_nas_mm.deposit import Deposit, load_tasks, verify
from mdl_nas_mm.deposit.tensor_file import content_hash
from mdl_nas_mm.header.manifest import FORMAT, VERSION, encode, text_hash

TASKS = ('a', 'b', 'c')


@pytest.fixture(scope='module')
def whole(data, tmp_path_factory):
    """A deposit with a batch of two tasks and a later one; tests do not change it."""
    supernet, rng = Supernet(data, 'Mask'), random.Random(5)
    path = tmp_path_factory.mktemp('whole') / 'a.safetensors'
    supernet.pack(path, supernet.sample(rng, 'a', 'b'))
    supernet.add(path, supernet.sample(rng, 'c'))
    content, deposit = path.read_bytes(), Deposit(path)
    (length,) = struct.unpack('<Q', content[:8])
    return SimpleNamespace(
        path=path,
        content=content,
        header=json.loads(content[8 : 8 + length]),
        data=content[8 + length :],
        weights={task: everything(deposit, task) for task in TASKS},
    )


def everything(deposit, task):
    """All weights of a task, without its model."""
    heads = [name for name in deposit.names() if name.startswith(f'head/{task}/')]
    return {**deposit.backbone_weights(task), **{name: deposit.read(name) for name in heads}}


def rebuilt(header, data):
    text = json.dumps(header).encode()
    text += b' ' * (-len(text) % 8)
    return struct.pack('<Q', len(text)) + text + data


def signed(manifest):
    """Metadata with the checksum of whatever the manifest has become."""
    text = manifest if isinstance(manifest, str) else json.dumps(manifest)
    written = dict(format=FORMAT, version=VERSION)
    return dict(written, manifest=text, manifest_hash=text_hash(text))


def flip(whole, rng):
    """Bits anywhere, or in the header, which is small."""
    changed = bytearray(whole.content)
    end = rng.choice((len(changed), len(whole.content) - len(whole.data)))
    for _ in range(rng.choice((1, 1, 4, 64))):
        changed[rng.randrange(end)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(whole, rng):
    """Something is missing, at the end or inside."""
    size = len(whole.content)
    start = rng.randrange(size)
    return whole.content[:start] + whole.content[rng.choice((size, rng.randrange(start, size))) :]


def swap(whole, rng):
    """Ranges change places, or stand twice, in a file of the same length or a longer one."""
    size, length = len(whole.content), rng.choice((1, 8, 100, 1000))
    first, second = (rng.randrange(size - length) for _ in range(2))
    changed = bytearray(whole.content)
    piece = bytes(changed[first : first + length])
    if rng.random() < 0.3:
        return bytes(changed[:second]) + piece + bytes(changed[second:])
    if rng.random() < 0.5:
        changed[first : first + length] = changed[second : second + length]
    changed[second : second + length] = piece
    return bytes(changed)


ODD = [-1, 0, 1, 2, 3, 7, 24, 10**6, 2**31, 2**63, 10**30, 0.5, -0.0, 1e308, float('nan')]
ODD += [float('inf'), None, True, [], {}, '', 'a', '../../a', '/etc/passwd', 'os.system', [[[]]]]


def edit(value, rng, odd=ODD):
    """Changes one thing in nested JSON."""
    *path, key = rng.choice(list(places(value)))
    for part in path:
        value = value[part]
    kind, old = rng.randrange(6), value[key]
    if kind == 0:
        del value[key]
    elif kind == 1 and isinstance(value, dict):
        value[rng.choice(('x', '../x', 'a', 'b+a', 'shared/a', 'type'))] = value.pop(key)
    elif kind == 2 and isinstance(value, list):
        value.insert(rng.randrange(len(value) + 1), old)
    elif kind == 3 and isinstance(old, (int, float)):
        value[key] = old + rng.choice((-1, 1, 0.1, 1000))
    elif kind == 4:
        value[key] = value[
            rng.choice(list(value) if isinstance(value, dict) else range(len(value)))
        ]
    else:
        value[key] = rng.choice(odd)


def edit_header(whole, rng):
    """Names, types, shapes and offsets of tensors, with or without the tensors' own order."""
    header = json.loads(json.dumps(whole.header))
    for _ in range(rng.choice((1, 1, 2, 5))):
        edit(header, rng)
    return rebuilt(header, whole.data)


def edit_manifest(whole, rng):
    """The manifest, with its checksum made to fit."""
    header = json.loads(json.dumps(whole.header))
    manifest = json.loads(header['__metadata__']['manifest'])
    part = rng.choice(('', 'history', 'tasks', 'hashes', 'backbone', 'counts'))
    for _ in range(rng.choice((1, 1, 1, 3))):
        edit(manifest[part] if part and manifest.get(part) else manifest, rng)
    header['__metadata__'] = signed(manifest)
    return rebuilt(header, whole.data)


MUTATIONS = (flip, cut, swap, edit_header, edit_manifest)


def check_mutated(whole, content, path):
    """Whether a file was refused; if not, it has the weights of the original."""
    path.write_bytes(content)
    deposit, refusals = None, 0
    for task in TASKS:
        try:
            deposit = deposit or Deposit(path)
            found = everything(deposit, task)
        except ValueError as error:
            assert str(path) in str(error) and '\n' not in str(error)
            refusals += 1
            continue
        expected = whole.weights[task]
        # A file may say that a head has fewer tensors; building the model refuses that.
        assert set(found) <= set(expected)
        for name, weight in found.items():
            assert weight.dtype == expected[name].dtype and torch.equal(weight, expected[name])
    return refusals > 0


@pytest.mark.parametrize('mutation', MUTATIONS, ids=lambda m: m.__name__)
def test_two_hundred_mutations_of_a_kind(whole, tmp_path, mutation):
    """A thousand in all."""
    rng, refused = random.Random(mutation.__name__), 0
    for _ in range(200):
        refused += check_mutated(whole, mutation(whole, rng), tmp_path / 'a.safetensors')
    # Some say the same in other words, or change what no weight depends on.
    assert refused > (60 if mutation is edit_manifest else 120)


@pytest.mark.slow
@pytest.mark.parametrize('mutation', MUTATIONS, ids=lambda m: m.__name__)
def test_mutations_build_no_other_models(whole, tmp_path, mutation):
    """Whole models, of which what is accepted has the weights of the original."""
    rng, path = random.Random(0), tmp_path / 'a.safetensors'
    expected = {task: model.state_dict() for task, model in load_whole(whole.path).items()}
    for _ in range(200):
        path.write_bytes(mutation(whole, rng))
        try:
            found = load_whole(path)
        except ValueError:
            continue
        for task, model in found.items():
            state = model.state_dict()
            assert state.keys() == expected[task].keys()
            assert all(torch.equal(state[key], expected[task][key]) for key in state)


def load_whole(path):
    deposit = Deposit(path)
    return {task: deposit.load_task(task) for task in deposit.tasks}


def with_manifest(whole, tmp_path, change):
    """The file with another manifest, whose checksum fits."""
    header = json.loads(json.dumps(whole.header))
    manifest = json.loads(header['__metadata__']['manifest'])
    header['__metadata__'] = signed(manifest if (changed := change(manifest)) is None else changed)
    path = tmp_path / 'hostile.safetensors'
    path.write_bytes(rebuilt(header, whole.data))
    return path


def refused(path, *named):
    """By whoever reads it."""
    for read in (lambda: Deposit(path).load_task('a'), lambda: load_tasks(path)):
        with raises_naming(ValueError, path, *named):
            read()


def put(*path, value):
    """Changes one thing of a manifest."""

    def change(manifest):
        *parts, key = path
        for part in parts:
            manifest = manifest[part]
        manifest[key] = value

    return change


REGION = ('history', 0, 'regions', 'a')
STAGE = (*REGION, 'spec', 'stages', 0)


@pytest.mark.parametrize(
    ('change', 'named'),
    [
        (put('backbone', 'type', value='os.system'), ('backbone', "'os.system'")),
        (
            put('backbone', 'type', value='mmpretrain.VisionTransformer'),
            ('backbone', 'VisionTransformer'),
        ),
        (put('backbone', 'img_size', value=10**12), ('backbone, img_size', 1000000000000)),
        (put('backbone', 'head_dim', value=float('nan')), ('manifest', 'NaN', 'JSON')),
        (put('backbone', 'head_dim', value={'__float__': 'nan'}), ('backbone, head_dim', 'nan')),
        (put('backbone', 'patch_size', value=0), ('manifest', 'patch_size', 0)),
        (put('backbone', 'space', 'embed_dim', value=[65536]), ('embed_dim', 65536)),
        (put('backbone', 'space', 'depth', value=60000), ('depth', 60000)),
        (put('backbone', 'space', value='mdl-nas-b'), ('embed_dim', 24, 576)),
        (put('backbone', 'sharing', value='Everything'), ('policy', "'Everything'")),
        (put('backbone', 'sharing', value=None), ('mask',)),
        (put(*STAGE, 'embed_dim', value=-24), ('embed_dim', -24)),
        (put(*STAGE, 'depth', value=10**12), ('depth', 1000000000000)),
        (put(*STAGE, 'mlp_ratio', value=[{'__float__': 'inf'}]), ('mlp_ratio', 'inf')),
        (put(*STAGE, 'ffn_share_ratio', value=[2]), ('ffn_share_ratio', 2, [0, 1])),
        (put(*REGION, 'settings', 'out_channels', value=10**9), ('out_channels', 1000000000)),
        (put('history', 1, 'base_segments', value=[]), ("'shared/c'",)),
        (put('history', 1, 'base_segments', value=['pose']), ("'pose'", 'segment')),
        (put('history', value=[]), ('region',)),
        (put('tasks', 'a', 'region', value='pose'), ('region', "'pose'")),
        (put('tasks', 'a', 'scope', value='subprocess'), ("scope 'subprocess'",)),
        (put('tasks', 'a', 'model', 'type', value='subprocess.Popen'), ("'subprocess.Popen'",)),
        (put('tasks', 'a', 'model', 'type', value='torch.nn.Linear'), ("'torch.nn.Linear'",)),
        (put('tasks', 'a', 'model', 'head', 'loss', value=dict(type='os.system')), ('os.system',)),
        (put('tasks', 'a', 'model', 'train_cfg', value=dict(nms=dict(type='exit()'))), ('exit()',)),
        (put('tasks', 'a', 'model', 'head', '_scope_', value='antigravity'), ('antigravity',)),
        (put('tasks', 'a', 'model', 'head', 'num_classes', value=10**12), ("task 'a'", 'larger')),
        (put('tasks', 'a', 'model', 'head', 'in_channels', value=2**14), ("task 'a'", 'fit')),
        (put('tasks', 'a', 'model', 'head', 'in_channels', value=23), ("task 'a'", 'fit')),
        (put('tasks', 'a', 'model', 'head', 'num_classes', value=-1), ("task 'a'",)),
        (put('tasks', '../a', value={}), ("task '../a'", 'name')),
        (put('counts', 'shared', value=1), ('counts', 1)),
        (put('hashes', 'shared/d', value=''), ("'shared/d'",)),
    ],
)
def test_manifests_that_lie(whole, tmp_path, change, named):
    refused(with_manifest(whole, tmp_path, change), *named)


@pytest.mark.parametrize(
    'text', ['', '[', '[]', 'null', '{"a": 1, "a": 1}', '[' * 100_000, '1e999']
)
def test_manifests_that_are_none(whole, tmp_path, text):
    refused(with_manifest(whole, tmp_path, lambda manifest: text), 'manifest')


def headers(whole):
    """Name -> a file whose header is wrong, and what is named of it."""
    entry = dict(dtype='F32', shape=[2**40], data_offsets=[0, 2**42])
    name = next(n for n in whole.header if n.startswith('shared/'))

    def with_entry(**changes):
        return rebuilt({**whole.header, name: {**whole.header[name], **changes}}, whole.data)

    return {
        'empty': (b'', ('short',)),
        'long header': (struct.pack('<Q', 2**62) + whole.content[8:], ('header',)),
        'huge tensor': (rebuilt(dict(whole.header, x=entry), whole.data), ("'x'",)),
        'huge shape': (with_entry(shape=[2**47, 2**47]), (repr(name), 'shape')),
        'negative': (with_entry(shape=[-1]), (repr(name),)),
        'text': (with_entry(shape='12'), (repr(name),)),
        'overlap': (
            rebuilt(dict(whole.header, **{'shared/z': whole.header[name]}), whole.data),
            ("'shared/z'",),
        ),
        'type': (with_entry(dtype='PICKLE'), (repr(name), "'PICKLE'")),
        'other type': (with_entry(dtype='I32'), ("'shared/", 'torch.int32')),
        'path': (rebuilt({**whole.header, '../x': entry}, whole.data), ("'../x'", 'name')),
        'absolute': (rebuilt({**whole.header, '/x': entry}, whole.data), ("'/x'", 'name')),
        'line': (rebuilt({**whole.header, 'x\ny': entry}, whole.data), (r"'x\ny'", 'name')),
        'more': (whole.content + b'\0', (f'byte {len(whole.content)}',)),
        'list': (struct.pack('<Q', 8) + b'[]      ', ('header', 'object')),
    }


@pytest.mark.parametrize(
    'name',
    headers(
        SimpleNamespace(
            header={'shared/a': dict(dtype='F32', shape=[], data_offsets=[0, 4])},
            content=b'12345678',
            data=b'',
        )
    ),
)
def test_headers_that_lie(whole, tmp_path, name):
    content, named = headers(whole)[name]
    path = tmp_path / 'hostile.safetensors'
    path.write_bytes(content)
    refused(path, *named)


def test_weights_of_another_type(whole, tmp_path):
    """With hashes that fit."""
    tensors, path = load_file(whole.path), tmp_path / 'a.safetensors'
    manifest = Deposit(whole.path).manifest
    name = next(n for n in tensors if n.startswith('shared/'))
    tensors[name] = tensors[name].half()
    manifest['hashes'][name] = content_hash(tensors[name])
    save_file(tensors, path, encode(manifest))
    with raises_naming(ValueError, path, repr(name)):
        verify(path)
