"""Tasks stored as what differs from another's weights; and a kind of storage that somebody adds."""

import random
import shutil
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from deposit.hostile import altered
from growing import Supernet, changed, check_answers
from growing import infos as infos_of
from refusals import raises_naming
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from mdl_nas_mm.deposit import Deposit, add, extract, load_tasks, pack, remove, verify
from mdl_nas_mm.deposit.kinds import SparseDifference
from mdl_nas_mm.deposit.kinds.sparse_difference import _gaps_between, _places_of
from mdl_nas_mm.deposit.tensor_file import content_hash
from mdl_nas_mm.header.manifest import encode
from mdl_nas_mm.registry import STORED_KINDS
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.spec.owners import read_name, specific_name

SHARINGS = ['AllSpecific', 'Sequential', 'Mask']


@dataclass(frozen=True)
class OtherDifference(SparseDifference):
    """One that somebody registers."""

    prefix = 'other'


def with_differences(data, sharing, tasks='be'):
    """A supernet in which some tasks' own weights are those of ``a``, but for some elements."""
    supernet, generator = Supernet(data, sharing), torch.Generator().manual_seed(0)
    for name in [name for name in supernet.state if '.specific.a.' in name]:
        base = supernet.state[name]
        for task in tasks:
            other = specific_name(read_name(name).plain, task)
            places = torch.rand(base.shape, generator=generator) < 0.1
            supernet.state[other].copy_(base + places * 0.25)
    supernet.model.load_state_dict(supernet.state)
    return supernet


def stored(cfg, base, *tasks, kind='SparseDifference'):
    """What is kept of tasks, of which some are stored as a difference."""
    infos = infos_of(cfg)
    for task in tasks:
        infos[task]['stored'] = dict(type=kind, base=base)
    return infos


def packed(supernet, path, kind='SparseDifference'):
    """Three tasks, ``b`` as ``a`` and a difference."""
    spec = supernet.sample(random.Random(2), 'a')['a']
    joint = JointSpec(dict(a=spec, b=spec, c=supernet.sample(random.Random(3), 'c')['c']))
    cfg, model = supernet.part(*joint)
    counts = pack(path, model, joint, cfg.model.backbone, stored(cfg, 'a', 'b', kind=kind))
    assert counts == Deposit(path).counts
    return joint


@pytest.fixture(scope='module')
def whole(data, tmp_path_factory):
    """A deposit that tests do not change."""
    path = tmp_path_factory.mktemp('whole') / 'a.safetensors'
    packed(with_differences(data, 'Sequential'), path)
    return path


@pytest.mark.parametrize('sharing', SHARINGS)
def test_it_is_packed_loaded_added_to_and_removed(data, sharing, tmp_path):
    supernet = with_differences(data, sharing)
    path, before = tmp_path / 'a.safetensors', tmp_path / 'before.safetensors'
    joint = packed(supernet, path)
    check_answers(supernet, path, joint)
    assert all(verify(path).values())
    counts, own = Deposit(path).counts, Deposit(path).structure.regions['b'].own_size
    assert 0 < counts.specific['b'] < 0.3 * own
    assert counts.specific['a'] == own
    with safe_open(path, 'pt') as file:
        assert 'specific/b' not in file.keys()
    images = torch.randn(2, 3, 20, 28)
    with torch.no_grad():
        for task, model in load_tasks(path).items():
            expected = Deposit(path).load_task(task).backbone(images)
            for ours, theirs in zip(model.backbone(images), expected, strict=True):
                assert torch.equal(ours, theirs)
    # A later one, on a base that is in the file.
    shutil.copy(path, before)
    cfg, model = supernet.part('e')
    add(path, model, JointSpec(dict(e=joint['a'])), stored(cfg, 'a', 'e'))
    joint = JointSpec({**joint, 'e': joint['a']})
    assert changed(before, path) == []
    check_answers(supernet, path, joint)
    with raises_naming(ValueError, "'b'", "'a'"):
        remove(path, 'a')
    cfg, model = supernet.part('d')
    with raises_naming(ValueError, "'d'", "'b'"):
        add(path, model, JointSpec(dict(d=joint['a'])), stored(cfg, 'b', 'd'))
    for task in 'cbe':
        remove(path, task)
        joint = JointSpec({name: spec for name, spec in joint.items() if name != task})
        check_answers(supernet, path, joint)
        assert not any(name.startswith(f'difference/{task}') for name in load_file(path))


def test_an_extracted_task_is_a_plain_one(data, tmp_path):
    path = tmp_path / 'a.safetensors'
    packed(with_differences(data, 'AllSpecific'), path)
    extract(path, 'b', tmp_path / 'out', stock=False)
    weights = torch.load(tmp_path / 'out/b.pth', weights_only=False)['state_dict']
    for name, weight in Deposit(path).backbone_weights('b').items():
        assert torch.equal(weights[f'backbone.{name}'].reshape(weight.shape), weight)


def test_a_kind_that_somebody_registers_goes_all_the_way(data, tmp_path):
    """Without a change of the package; who has not registered it is told."""
    supernet, path = with_differences(data, 'Sequential'), tmp_path / 'a.safetensors'
    STORED_KINDS.register_module(module=OtherDifference)
    try:
        joint = packed(supernet, path, 'OtherDifference')
        check_answers(supernet, path, joint)
        assert 'other/b/gaps' in load_file(path)
        remove(path, 'b')
        assert not any(name.startswith('other') for name in load_file(path))
        packed(supernet, path, 'OtherDifference')
    finally:
        del STORED_KINDS.module_dict['OtherDifference']
    with raises_naming(ValueError, "'b'", "'OtherDifference'"):
        Deposit(path)


def test_a_base_of_another_architecture_is_refused(data, tmp_path):
    supernet = Supernet(data, 'AllSpecific')
    a, b = (supernet.sample(random.Random(seed), task)[task] for seed, task in ((2, 'a'), (3, 'b')))
    assert a != b
    cfg, model = supernet.part('a', 'b')
    path, joint = tmp_path / 'a.safetensors', JointSpec(dict(a=a, b=b))
    with raises_naming(ValueError, "'b'", "'a'"):
        pack(path, model, joint, cfg.model.backbone, stored(cfg, 'a', 'b'))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('density', [0, 1e-3, 0.02, 0.5, 1])
def test_places_are_encoded_in_about_a_byte_each(density):
    rng = np.random.default_rng(0)
    places = np.flatnonzero(rng.random(5000) < density)
    gaps = _gaps_between(places)
    assert gaps.dtype == np.uint8 and len(gaps) <= len(places) + 5000 // 255
    assert _places_of(gaps).tolist() == places.tolist()
    for edge in ([254], [255], [256], [509, 510], [0, 765]):
        assert _places_of(_gaps_between(np.array(edge))).tolist() == edge


@pytest.mark.parametrize(
    ('value', 'names'),
    [
        (dict(type='SparseDifference', base='b'), ("'b'",)),
        (dict(type='SparseDifference', base='c'), ("'c'",)),
        (dict(type='SparseDifference', base=['a']), ("'b'",)),
        (dict(type='SparseDifference'), ("'b'",)),
        (dict(type='SparseDifference', base='a', file='x'), ("'file'",)),
        (dict(type='Masks'), ("'Masks'",)),
        (dict(type='os.system'), ("'os.system'",)),
        (dict(base='a'), ("'b'",)),
        ([], ('stored',)),
        (None, ('stored',)),
    ],
    ids=str,
)
def test_what_a_file_says_of_it_is_checked(whole, tmp_path, value, names):
    out = tmp_path / 'altered.safetensors'
    altered(whole, out, lambda manifest: manifest['tasks']['b'].update(stored=value))
    with raises_naming(ValueError, *names):
        Deposit(out).load_task('b')


@pytest.mark.parametrize(
    'change',
    [
        lambda gaps, values: (gaps + 254, values),
        lambda gaps, values: (gaps[:-1], values),
        lambda gaps, values: (gaps.int(), values),
        lambda gaps, values: (gaps, values.double()),
        lambda gaps, values: (gaps, values[:-1]),
        lambda gaps, values: (torch.full_like(gaps, 200), values),
        lambda gaps, values: (gaps.repeat(50), values.repeat(50)),
        lambda gaps, values: (gaps[None], values[None]),
    ],
)
def test_tensors_that_fit_nothing_are_refused(whole, tmp_path, change):
    path = rewritten(whole, tmp_path, change)
    for read in (lambda: Deposit(path).load_task('b'), lambda: verify(path)):
        with raises_naming(ValueError, 'difference/b'):
            read()


def rewritten(whole, folder, change):
    """A file with other gaps and values, and with all hashes right."""
    path = shutil.copy(whole, folder / 'a.safetensors')
    tensors, manifest = load_file(path), Deposit(path).copy_manifest()
    names = ['difference/b/gaps', 'difference/b/values']
    found = change(*(tensors[name] for name in names))
    tensors.update({name: t.contiguous() for name, t in zip(names, found)})
    manifest['counts']['specific']['b'] = found[1].numel()
    manifest['hashes'].update({name: content_hash(tensors[name]) for name in names})
    save_file(tensors, path, encode(manifest))
    return path


def test_the_last_place_is_that_of_the_last_element(whole, tmp_path):
    size = Deposit(whole).region('b').own_size

    def ending_at(last):
        def change(gaps, values):
            places = _places_of(gaps.numpy())
            return torch.from_numpy(_gaps_between(np.append(places[:-1], last))), values

        return rewritten(whole, tmp_path, change)

    assert all(verify(ending_at(size - 1)).values())
    with raises_naming(ValueError, 'difference/b/gaps', size):
        verify(ending_at(size))
