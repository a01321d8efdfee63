"""The file: whole or not at all, no pickle, and what is wrong with it is named."""

import importlib
import json
import os
import pickle
import random
import struct

import pytest
import torch
from deposits import pack_joint
from helpers import TASKS, build_model, differences, joint_config, random_joint
from mmengine.config import ConfigDict
from refusals import raises_naming
from safetensors.torch import load_file, save_file

from mdl_nas_mm.deposit import Deposit, verify
from mdl_nas_mm.deposit.tensor_file import content_hash
from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.header.manifest import encode
from mdl_nas_mm.tasks import resolve_joint_config
from mdl_nas_mm.utils.jsonable import from_json, to_json

write_module = importlib.import_module('mdl_nas_mm.deposit.write')


@pytest.fixture(scope='module')
def cfg(data):
    return resolve_joint_config(joint_config(data, 'Mask'))


@pytest.fixture(scope='module')
def model(cfg):
    return build_model(cfg)


@pytest.fixture(scope='module')
def joint(model):
    return random_joint(model, random.Random(5))


@pytest.fixture(scope='module')
def path(cfg, model, joint, tmp_path_factory):
    """A whole deposit; tests do not change it."""
    path = tmp_path_factory.mktemp('deposit') / 'whole.safetensors'
    pack_joint(path, cfg, model, joint)
    return path


def header_of(content: bytes) -> tuple[dict, int]:
    """The JSON in front, and where the tensors begin."""
    (length,) = struct.unpack('<Q', content[:8])
    return json.loads(content[8 : 8 + length]), 8 + length


def test_manifest_tells_how_the_tasks_are_built(path, cfg, model, joint):
    deposit = Deposit(path)
    assert list(deposit.tasks) == list(TASKS) and deposit.joint == joint
    for task, info in deposit.tasks.items():
        assert info['scope'] == cfg.tasks[task].scope
        assert info['score'] == cfg.tasks[task].score.metric
        assert info['model'] == cfg.model.tasks[task].model
    assert deposit.manifest['backbone'] == cfg.model.backbone
    assert deposit.counts == model.backbone.ledger(model.head_sizes()).count(joint)
    assert deposit.sharing == model.backbone.sharing
    assert 'mdl_nas_mm' in deposit.manifest['provenance']


def test_tuples_in_configs_survive(path):
    """Upstream code tells them from lists."""
    backbone = Deposit(path).manifest['backbone']
    assert backbone['space']['embed_dim'] == (16, 24)
    assert type(backbone['space']['embed_dim']) is tuple
    assert type(backbone['out_indices']['seg']) is tuple
    assert type(Deposit(path).tasks['det']['model']['neck']['in_channels']) is list


@pytest.mark.parametrize(
    'value',
    [
        dict(a=(1, 2), b=[1, (2, [3, ()])], c=None, d=dict(e=1.5, f=True, g='text')),
        ConfigDict(scale=(64, 64), steps=[dict(type='A', size=(1,))]),
        {0: dict(a=1), 1: {2.5: (), None: 'b'}},
        (),
        [],
        {},
        0.1 + 0.2,
    ],
    ids=str,
)
def test_config_values_come_back_from_json(value):
    found = from_json(json.loads(json.dumps(to_json(value))))
    assert found == value and repr(found) == repr(plain_dicts(value))


def plain_dicts(value):
    if isinstance(value, dict):
        return {key: plain_dicts(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain_dicts(item) for item in value)
    return value


@pytest.mark.parametrize('value', [dict(type=dict), {1, 2}, torch.float32, b'bytes', TASKS.index])
def test_what_no_json_can_hold_is_refused(cfg, model, joint, tmp_path, value):
    with raises_naming(ValueError, type(value).__name__, 'JSON'):
        to_json(dict(model=[value]))
    changed = cfg.copy()
    tasks = cfg['tasks']
    changed['tasks'] = ConfigDict(tasks, cls=dict(tasks.cls, note=value))
    with raises_naming(ValueError, 'JSON'):
        pack_joint(tmp_path / 'a.safetensors', changed, model, joint)
    assert not list(tmp_path.iterdir())


def test_nothing_in_it_is_executed(path, monkeypatch):
    """A length, JSON, and the bytes of the tensors; no pickle is written or read."""
    content = path.read_bytes()
    header, start = header_of(content)
    assert set(header.pop('__metadata__')) == {'format', 'version', 'manifest', 'manifest_hash'}
    ends = sorted(entry['data_offsets'] for entry in header.values())
    assert ends[0][0] == 0 and len(content) == start + ends[-1][1]
    assert all(end == following for (_, end), (following, _) in zip(ends, ends[1:]))

    def refuse(*args, **kwargs):
        raise AssertionError('pickle')

    for module, name in ((pickle, 'load'), (pickle, 'loads'), (torch, 'load')):
        monkeypatch.setattr(module, name, refuse)
    monkeypatch.setattr(pickle, 'Unpickler', refuse)
    for task in TASKS:
        Deposit(path).load_task(task)


def test_a_crash_while_writing_leaves_the_old_file(cfg, model, joint, tmp_path, monkeypatch):
    target, save = tmp_path / 'folder' / 'a.safetensors', write_module.save_file
    seen = []

    def crash(tensors, filename, metadata):
        seen.append(filename)
        save(tensors, filename, metadata)
        os.truncate(filename, 1000)
        raise KeyboardInterrupt

    monkeypatch.setattr(write_module, 'save_file', crash)
    with pytest.raises(KeyboardInterrupt):
        pack_joint(target, cfg, model, joint)
    assert not list(target.parent.iterdir())
    monkeypatch.setattr(write_module, 'save_file', save)
    pack_joint(target, cfg, model, joint)
    before = target.read_bytes()
    monkeypatch.setattr(write_module, 'save_file', crash)
    with pytest.raises(KeyboardInterrupt):
        pack_joint(target, cfg, model, random_joint(model, random.Random(9)))
    assert target.read_bytes() == before
    assert [path.name for path in target.parent.iterdir()] == ['a.safetensors']
    assert target not in map(type(target), seen)


def test_same_subnets_give_the_same_file(cfg, model, joint, path, tmp_path):
    again = tmp_path / 'again.safetensors'
    pack_joint(again, cfg, model, joint)
    headers = [header_of(file.read_bytes()) for file in (again, path)]
    assert headers[0] == headers[1]
    start = headers[0][1]
    assert again.read_bytes()[start:] == path.read_bytes()[start:]


@pytest.mark.parametrize(
    ('change', 'named'),
    [
        (lambda specs: specs.pop('det'), ('joint spec', "'det'")),
        (lambda specs: specs.update(pose=specs['det']), ('joint spec', "'pose'", "'seg'")),
        (
            lambda specs: specs['seg']['stages'][0].update(embed_dim=20),
            ("'seg'", 'stage 0, embed_dim', 20, (16, 24)),
        ),
    ],
    ids=['missing task', 'unknown task', 'outside the space'],
)
def test_joint_specs_that_are_refused(cfg, model, joint, tmp_path, change, named):
    specs = joint.to_dict()
    change(specs)
    with raises_naming(ValueError, *named):
        pack_joint(tmp_path / 'a.safetensors', cfg, model, TRANSFORMER.read_joint(specs))
    assert not list(tmp_path.iterdir())


def test_absent_file_is_named(tmp_path):
    with raises_naming(FileNotFoundError, 'absent.safetensors'):
        Deposit(tmp_path / 'absent.safetensors')


@pytest.mark.parametrize('share', [0.0, 0.001, 0.2, 0.5, 0.99, 0.99999])
def test_file_that_is_cut_short_is_refused(path, tmp_path, share):
    content = path.read_bytes()
    cut = tmp_path / 'cut.safetensors'
    cut.write_bytes(content[: int(len(content) * share)])
    with raises_naming(ValueError, 'cut.safetensors'):
        Deposit(cut)


def test_a_flipped_bit_in_any_tensor_is_named(path, tmp_path):
    """By every task that needs the tensor, by no other, and when all are looked at."""
    content, deposit = path.read_bytes(), Deposit(path)
    header, start = header_of(content)
    header.pop('__metadata__')
    used = {
        task: {piece.tensor for pieces in deposit.pieces(task).values() for piece in pieces}
        for task in TASKS
    }
    altered, rng = tmp_path / 'altered.safetensors', random.Random(0)
    heads = [name for name in sorted(header) if name.startswith('head/')]
    others = [name for name in sorted(header) if name not in heads]
    for name in others + rng.sample(heads, 5):
        first, last = header[name]['data_offsets']
        changed = bytearray(content)
        changed[start + rng.randrange(first, last)] ^= 1 << rng.randrange(8)
        altered.write_bytes(changed)
        assert [each for each, is_whole in verify(altered).items() if not is_whole] == [name]
        kind, _, rest = name.partition('/')
        for task in TASKS:
            if kind == 'mask' or name in used[task] or rest.startswith(f'{task}/'):
                with raises_naming(ValueError, altered, repr(name)):
                    Deposit(altered).load_task(task)
            else:
                Deposit(altered).load_task(task)


def test_a_flipped_bit_in_front_is_found_or_harmless(path, tmp_path):
    content, expected = path.read_bytes(), Deposit(path)
    _, start = header_of(content)
    states = {task: dict(expected.load_task(task).state_dict()) for task in TASKS}
    altered, rng, refused = tmp_path / 'altered.safetensors', random.Random(0), 0
    for _ in range(40):
        changed = bytearray(content)
        changed[rng.randrange(start)] ^= 1 << rng.randrange(8)
        altered.write_bytes(changed)
        try:
            found = Deposit(altered)
            loaded = {task: dict(found.load_task(task).state_dict()) for task in TASKS}
        except ValueError as error:
            assert str(altered) in str(error)
            refused += 1
        else:
            assert found.manifest == expected.manifest
            assert differences(loaded, states) == []
    assert refused > 30


def rewritten(path, target, change):
    """The same tensors with other metadata."""
    content = path.read_bytes()
    metadata = header_of(content)[0]['__metadata__']
    save_file(load_file(path), target, change(metadata) or metadata)
    return target


def test_altered_manifest_is_refused(path, tmp_path):
    def change(metadata):
        metadata['manifest'] = metadata['manifest'].replace('"avg_featmap"', '"cls_token"')

    target = rewritten(path, tmp_path / 'a.safetensors', change)
    with raises_naming(ValueError, "'manifest'"):
        Deposit(target)


@pytest.mark.parametrize('version', ['1', '4', '10', '0', ''])
def test_another_version_is_refused(path, tmp_path, version):
    target = rewritten(path, tmp_path / 'a.safetensors', lambda m: m.update(version=version))
    with raises_naming(ValueError, 'a.safetensors', version):
        Deposit(target)


def test_what_is_no_deposit_is_refused(path, tmp_path):
    other = tmp_path / 'other.safetensors'
    save_file(dict(weight=torch.ones(2)), other)
    with raises_naming(ValueError, 'other.safetensors'):
        Deposit(other)
    save_file(dict(weight=torch.ones(2)), other, dict(format='pt'))
    with raises_naming(ValueError, 'other.safetensors'):
        Deposit(other)
    torch.save(dict(weight=torch.ones(2)), other)
    with raises_naming(ValueError, 'other.safetensors'):
        Deposit(other)
    other.write_bytes(random.Random(0).randbytes(5000))
    with raises_naming(ValueError, 'other.safetensors'):
        Deposit(other)


def test_unknown_task_is_named(path):
    with raises_naming(ValueError, "'pose'", "['cls', 'det', 'seg']"):
        Deposit(path).load_task('pose')


@pytest.mark.parametrize(
    'name',
    ['shared/cls+det+seg', 'specific/cls', 'head/cls/head.fc.bias', 'mask/cls', 'scores'],
)
@pytest.mark.parametrize('listed', [True, False])
def test_tensor_that_is_missing_is_named(path, tmp_path, name, listed):
    tensors, manifest = load_file(path), Deposit(path).manifest
    assert tensors.pop(name) is not None
    if not listed:
        manifest['hashes'].pop(name)
    save_file(tensors, tmp_path / 'a.safetensors', encode(manifest))
    with raises_naming(ValueError, f"{name.removeprefix('head/cls/')}'"):
        Deposit(tmp_path / 'a.safetensors').load_task('cls')


@pytest.mark.parametrize('name', ['shared/cls+det+seg', 'specific/cls', 'mask/cls', 'scores'])
@pytest.mark.parametrize('change', [lambda t: t[:-1], lambda t: torch.cat((t, t))])
def test_tensor_of_another_length_is_named(path, tmp_path, name, change):
    """A whole file whose parts do not belong together."""
    tensors, manifest = load_file(path), Deposit(path).manifest
    tensors[name] = change(tensors[name]).clone()
    manifest['hashes'][name] = content_hash(tensors[name])
    save_file(tensors, tmp_path / 'a.safetensors', encode(manifest))
    named = "mask of 'cls'" if name.startswith('mask/') else repr(name)
    with raises_naming(ValueError, tmp_path / 'a.safetensors', named):
        Deposit(tmp_path / 'a.safetensors').load_task('cls')


def test_tensor_that_belongs_to_nothing_is_named(path, tmp_path):
    tensors, manifest = load_file(path), Deposit(path).manifest
    for name in ('shared/cls+pose', 'head/pose/weight', 'mask/pose', 'weight'):
        extra = dict(tensors, **{name: torch.zeros(1)})
        hashes = dict(manifest['hashes'], **{name: content_hash(extra[name])})
        save_file(extra, tmp_path / 'a.safetensors', encode(dict(manifest, hashes=hashes)))
        with raises_naming(ValueError, repr(name)):
            Deposit(tmp_path / 'a.safetensors').load_task('cls')
