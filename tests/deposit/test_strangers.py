"""Deposits with valid hashes that try to run, read, fetch or write something: nothing happens."""

import random
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from deposit.hostile import CANARY, altered, places, watched
from extracting import WIDE, vit_config, write_deposit
from helpers import TASKS
from mmengine.config import Config
from refusals import raises_naming

from mdl_nas_mm.apis import MultiTaskInferencer, evaluate_deposit, load_task
from mdl_nas_mm.apis.incremental import validation_images
from mdl_nas_mm.deposit import load_tasks, verify
from mdl_nas_mm.deposit.export import load_model
from mdl_nas_mm.deposit.extract import extract
from mdl_nas_mm.tasks.incremental import open_base


@pytest.fixture(scope='module')
def deposit(data, tmp_path_factory):
    """Three tasks with their data; tests do not change it."""
    path = tmp_path_factory.mktemp('whole') / 'a.safetensors'
    return write_deposit(path, vit_config(data), dict.fromkeys(TASKS, WIDE))


@pytest.fixture
def bait(tmp_path, monkeypatch):
    """A folder with files of all kinds that would be seen being read."""
    folder = tmp_path / CANARY
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    for end in ('.py', '.pkl', '.pth', '.json', '.yaml', '.txt', ''):
        (folder / f'{CANARY}{end}').write_text('raise SystemExit')
        (tmp_path / f'{CANARY}{end}').write_text('raise SystemExit') if end else None
    return f'{folder}/{CANARY}'


def infer(path, task):
    inferencer = MultiTaskInferencer(path, [task], 'cpu', show_progress=False)
    return inferencer(np.zeros((48, 48, 3), np.uint8))


READERS = {
    'load_task': lambda path, task, out: load_task(path, task),
    'load_tasks': lambda path, task, out: load_tasks(path, [task]),
    'verify': lambda path, task, out: verify(path),
    'export': lambda path, task, out: load_model(path, task),
    'extract': lambda path, task, out: Config.fromfile(extract(path, task, out)),
    'infer': lambda path, task, out: infer(path, task),
    'test': lambda path, task, out: evaluate_deposit(path, [task]),
    'images': lambda path, task, out: validation_images(path),
    'base': lambda path, task, out: open_base(str(path), task)[0].backbone,
}
# Who uses a part of a deposit, and so refuses it.
USERS = dict(
    backbone=set(READERS),
    model=set(READERS) - {'base', 'images'},
    pipeline={'extract', 'infer', 'test', 'images'},
    dataset={'test', 'images'},
    evaluator={'test', 'images'},
)
PATHS = dict(
    backbone=('backbone',),
    model=('tasks', '{task}', 'model'),
    pipeline=('tasks', '{task}', 'val_dataloader', 'dataset', 'pipeline'),
    dataset=('tasks', '{task}', 'val_dataloader'),
    evaluator=('tasks', '{task}'),
)

ATTACKS = [
    ('backbone', 'cls', ('type',), 'torch.hub.load'),
    ('backbone', 'cls', ('type',), 'subprocess.Popen'),
    ('backbone', 'cls', ('arch_file',), '{bait}.json'),
    ('model', 'cls', ('type',), 'os.system'),
    ('model', 'cls', ('type',), 'mmpretrain.apis.get_model'),
    ('model', 'cls', ('type',), 'torchvision/resnet18'),
    ('model', 'cls', ('head', 'loss', 'type'), 'torch.load'),
    ('model', 'cls', ('head', '_scope_'), CANARY),
    ('model', 'cls', ('head', 'init_cfg'), dict(type='Pretrained', checkpoint='{bait}.pth')),
    ('model', 'cls', ('pretrained',), '{bait}.pth'),
    ('model', 'cls', ('head',), dict(type='ArcFaceClsHead', num_classes=10, margins='{bait}.txt')),
    ('model', 'cls', ('head',), dict(type='TimmClassifier', model_name='{bait}')),
    (
        *('model', 'det', ('test_cfg', 'cmc')),
        dict(type='CameraMotionCompensation', warp_mode="open('{bait}')"),
    ),
    ('model', 'det', ('test_cfg', 'rcnn', 'nms', 'type'), "open('{bait}')"),
    (
        *('model', 'det', ('rpn_head',)),
        dict(type='LAD', teacher_config='{bait}.py', teacher_ckpt='{bait}.pth'),
    ),
    ('model', 'seg', ('decode_head', 'loss_decode', 'class_weight'), '{bait}.pkl'),
    ('model', 'seg', ('decode_head', 'loss_decode', 'class_weight'), f'{CANARY}.pkl'),
    ('model', 'seg', ('decode_head', 'loss_decode', 'class_weight'), 'http://127.0.0.1:9/x.pkl'),
    ('model', 'seg', ('decode_head', 'loss_decode', 'class_weight'), CANARY),
    ('pipeline', 'cls', (0,), dict(type='torchvision/ConvertImageDtype', dtype="open('{bait}')")),
    ('pipeline', 'cls', (0,), dict(type='Albu', transforms=[dict(type='load', f='{bait}')])),
    ('pipeline', 'cls', (0, 'backend_args'), dict(backend='http')),
    ('pipeline', 'cls', (0, 'file_client_args'), dict(backend='petrel', conf_path='{bait}')),
    ('pipeline', 'det', (0,), dict(type='RandomSamplingNegPos', tokenizer_name='{bait}')),
    ('dataset', 'cls', ('dataset', 'metainfo'), dict(classes='{bait}.txt')),
    ('dataset', 'cls', ('dataset', 'classes'), '{bait}.txt'),
    ('dataset', 'cls', ('dataset', 'metainfo'), dict(from_file='{bait}.py')),
    ('dataset', 'cls', ('dataset', 'ann_file'), '{bait}.pkl'),
    ('dataset', 'cls', ('dataset', 'data_root'), 'http://127.0.0.1:9/'),
    ('dataset', 'cls', ('dataset', 'type'), 'MNIST'),
    ('dataset', 'cls', ('collate_fn',), dict(type='os.system')),
    ('dataset', 'cls', ('worker_init_fn',), dict(type='os.system', command='{bait}')),
    ('dataset', 'cls', ('num_workers',), 10**6),
    ('dataset', 'cls', ('sampler',), dict(type='exec')),
    ('dataset', 'det', ('dataset', 'proposal_file'), '{bait}.pkl'),
    ('evaluator', 'cls', ('val_evaluator',), dict(type='DumpResults', out_file_path='{bait}.pkl')),
    ('evaluator', 'det', ('val_evaluator', 'outfile_prefix'), '{bait}'),
    ('evaluator', 'seg', ('val_evaluator', 'output_dir'), '{bait}-out'),
    ('evaluator', 'seg', ('val_evaluator', 'collect_dir'), '{bait}-out'),
]


def filled(value, bait):
    if isinstance(value, dict):
        return {key: filled(item, bait) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, bait) for item in value]
    return value.replace('{bait}', bait) if isinstance(value, str) else value


def put(manifest, path, value):
    *parts, key = path
    for part in parts:
        manifest = manifest[part]
    manifest[key] = value


@pytest.mark.parametrize(('part', 'task', 'where', 'value'), ATTACKS)
def test_who_uses_it_refuses_it_and_nothing_happens(
    deposit, bait, tmp_path, part, task, where, value
):
    place = [step.replace('{task}', task) for step in PATHS[part]] + list(where)
    path = altered(
        deposit, tmp_path / 'a.safetensors', lambda m: put(m, place, filled(value, bait))
    )
    before = sorted(map(str, Path(tmp_path).rglob('*')))
    for name in sorted(USERS[part]):
        with watched() as seen, pytest.raises(ValueError) as error:
            READERS[name](path, task, tmp_path / 'out')
        assert not seen, name
        assert '\n' not in str(error.value)
    assert sorted(map(str, Path(tmp_path).rglob('*'))) == before


def test_a_key_is_no_code(deposit, bait, tmp_path):
    """It would end one dict and begin another, which runs when the extracted config is used."""
    key = f"a': 1}}, x=dict(type='os.system', command='{bait}'), y={{'b"
    place = ('tasks', 'cls', 'val_dataloader', 'dataset', 'metainfo')
    path = altered(deposit, tmp_path / 'a.safetensors', lambda m: put(m, place, {key: 1}))
    with watched() as seen:
        text = Path(extract(path, 'cls', tmp_path / 'out')).read_text()
        assert 'os.system' not in '\n'.join(x for x in text.splitlines() if not x.startswith('#'))
        assert 'test_dataloader' not in Config.fromfile(tmp_path / 'out' / 'cls_config.py')
        with raises_naming(ValueError, "'cls'", 'os.system'):
            evaluate_deposit(path, ['cls'])
    assert not seen


@pytest.mark.parametrize(
    'name', ['{code}', 'mmpretrain.{code}', '{code} .b', 'a\n{code} #.b', '{{ $X }}.b']
)
def test_the_name_of_a_class_is_no_code(deposit, bait, tmp_path, name):
    """It stands in the comment of a config that is extracted, and in what is to be typed."""
    name = name.replace('{code}', f"import os; os.system('touch {bait}-made')")
    place = ('tasks', 'cls', 'val_evaluator')
    path = altered(
        deposit, tmp_path / '{{ $Y }}.safetensors', lambda m: put(m, place, dict(type=name))
    )
    with watched() as seen:
        extracted = extract(path, 'cls', tmp_path / 'out')
        config = Config.fromfile(extracted)
        with raises_naming(ValueError, "'cls'", 'val_evaluator') as error:
            evaluate_deposit(path, ['cls'])
    assert not seen and 'test_dataloader' not in config
    assert Path(extracted).read_text().count('{{') == 1
    assert str(error.value).isprintable() and '--trust' not in str(error.value)


def test_what_one_task_names_does_not_keep_another_from_being_used(deposit, tmp_path):
    place = ('tasks', 'cls', 'model', 'head', 'type')
    path = altered(deposit, tmp_path / 'a.safetensors', lambda m: put(m, place, 'os.system'))
    assert load_task(path, 'det') is not None


HOSTILE = [
    *('{bait}', '{bait}.py', '{bait}.pkl', '{bait}.pth', f'{CANARY}.pkl', CANARY, f'{CANARY}.yaml'),
    *("__import__('os').system('touch {bait}-made')", "open('{bait}')", '{{ fileDirname }}'),
    *('http://127.0.0.1:9/x.pkl', 'file://{bait}.pkl', 's3://x/y.pkl', 'torch.hub.load', CANARY),
    *('os.system', 'builtins.eval', '../{bait}', '~/x', 'torchvision/Resize', '\n', '', 'a\x1b[2J'),
    dict(type='os.system', command='{bait}'),
    dict(type=f'{CANARY}.f'),
    dict(type='Pretrained', checkpoint='{bait}.pth'),
    dict(type='DumpResults', out_file_path='{bait}.pkl'),
    dict(type='CameraMotionCompensation', warp_mode="open('{bait}')"),
    dict(type='CrossEntropyLoss', class_weight='{bait}.pkl'),
    dict(type='mmseg.CrossEntropyLoss', class_weight='{bait}.pkl'),
    dict(type='OKSLoss', metainfo='{bait}.py'),
    dict(type='mmpose.OKSLoss', metainfo='{bait}.py'),
    dict(type='LAD', teacher_config='{bait}.py'),
    dict(type='mmdet.LAD', teacher_config='{bait}.py', teacher_ckpt='{bait}.pth'),
    dict(from_file='{bait}.py'),
    dict(classes='{bait}.txt'),
    {"a': 1}, type='os.system', b={'c": 1},
    {'__class__': 1, '_scope_': CANARY},
    *(None, [], {}, -1, True, [[]]),
]
KEYS = ('type', '_scope_', 'pretrained', 'init_cfg', 'from_file', 'class_weight', 'metainfo')
KEYS += ('checkpoint', 'classes', 'ann_file', 'data_root', 'out_file_path', 'backend_args', 'nms')


def mutate(manifest, task, rng, bait):
    """Puts hostile values at places of the configs."""
    info = manifest['tasks'][task]
    part = rng.choice(('model', 'model', 'val_dataloader', 'val_evaluator', 'metainfo', 'backbone'))
    config = manifest['backbone'] if part == 'backbone' else info[part]
    for _ in range(rng.choice((1, 1, 2, 4))):
        path = rng.choice(list(places(config)) or [()])
        if not path:
            continue
        target = config
        for step in path[:-1]:
            target = target[step]
        value = filled(rng.choice(HOSTILE), bait)
        if isinstance(target, dict) and rng.random() < 0.5:
            target[rng.choice(KEYS)] = value
        else:
            target[path[-1]] = value


def fuzz(deposit, tmp_path, bait, seed, count):
    """How often files were refused, of so many."""
    rng, refused = random.Random(seed), 0
    files = sorted(map(str, (tmp_path / CANARY).rglob('*')))
    for i in range(count):
        task = rng.choice(TASKS)
        change = partial(mutate, task=task, rng=rng, bait=bait)
        path = altered(deposit, tmp_path / f'{i}.safetensors', change)
        for name in rng.sample(sorted(READERS), 3):
            with watched() as seen:
                try:
                    READERS[name](path, task, tmp_path / f'out{i}{name}')
                except Exception:  # noqa: BLE001  what upstream makes of values of other kinds
                    refused += 1
            assert not seen, (seed, i, name, seen)
        path.unlink()
    assert sorted(map(str, (tmp_path / CANARY).rglob('*'))) == files
    return refused


def test_hostile_values_anywhere(deposit, bait, tmp_path):
    assert fuzz(deposit, tmp_path, bait, 0, 40) > 20


@pytest.mark.slow
@pytest.mark.parametrize('seed', range(1, 6))
def test_many_hostile_values_anywhere(deposit, bait, tmp_path, seed):
    assert fuzz(deposit, tmp_path, bait, seed, 200) > 100


def test_the_watch_sees(bait, tmp_path):
    """So that what finds nothing is known to look."""
    with watched() as seen:
        open(f'{bait}.txt').close()
        with pytest.raises(SystemExit):
            exec(compile('raise SystemExit', f'{bait}.py', 'exec'))
    assert len(seen) >= 2
    with watched() as seen, pytest.raises(OSError):
        import urllib.request

        urllib.request.urlopen('http://127.0.0.1:9/')
    assert seen
