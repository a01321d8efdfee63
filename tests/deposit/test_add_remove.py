"""Tasks come and go; what the others have stays bit for bit."""

import random
import shutil
from dataclasses import replace
from unittest.mock import ANY

import numpy as np
import pytest
from deposits import SHARINGS
from growing import POOL, Supernet, changed, check_answers, shuffled
from helpers import differences
from refusals import raises_naming
from safetensors.torch import load_file

from mdl_nas_mm.deposit import Deposit, remove
from mdl_nas_mm.deposit.pack import _without_owner
from mdl_nas_mm.spec import JointSpec, footprint

KINDS = ('ViT', 'Swin')
SOME = ('Sequential', 'Mask by score', 'Mixed')
PAIRS = [('ViT', name) for name in SHARINGS] + [('Swin', name) for name in SOME]


def joined(*joints):
    return JointSpec({task: spec for joint in joints for task, spec in joint.items()})


def same_file(first, second):
    """Tensors bit for bit, and the manifest."""
    assert differences(load_file(first), load_file(second)) == []
    assert Deposit(first).manifest == Deposit(second).manifest


@pytest.mark.parametrize(('kind', 'sharing'), PAIRS)
def test_added_tasks_answer_and_go_again(data, kind, sharing, tmp_path):
    """One after the other on top of two; then they are removed in another order."""
    supernet, rng = Supernet(data, SHARINGS[sharing], kind), random.Random(1)
    path, before = tmp_path / 'a.safetensors', tmp_path / 'before.safetensors'
    joint = supernet.sample(rng, 'a', 'b')
    supernet.pack(path, joint)
    original = shutil.copy(path, tmp_path / 'original.safetensors')
    for task in 'cde':
        shutil.copy(path, before)
        new = supernet.sample(rng, task)
        counts = supernet.add(path, new)
        joint = joined(joint, new)
        assert changed(before, path) == []
        # What the new task shares with the others is not stored again.
        expected = supernet.model.backbone.ledger(supernet.model.head_sizes()).count(joint)
        assert counts == Deposit(path).counts
        # A Swin alone has the norms of its own maps.
        assert counts == (expected if kind == 'ViT' else replace(expected, backbones=ANY))
    check_answers(supernet, path, joint)
    for task in shuffled(rng, 'cde'):
        shutil.copy(path, before)
        remove(path, task)
        joint = JointSpec({name: spec for name, spec in joint.items() if name != task})
        assert changed(before, path) == []
        check_answers(supernet, path, joint)
    same_file(path, original)


def some_steps(supernet, path, rng, steps):
    joint = supernet.sample(rng, *rng.sample(POOL, 2))
    supernet.pack(path, joint)
    before = path.with_name('before.safetensors')
    for _ in range(steps):
        shutil.copy(path, before)
        absent = [task for task in POOL if task not in joint]
        if len(joint) == 1 or (absent and rng.random() < 0.5):
            new = supernet.sample(rng, *rng.sample(absent, rng.randint(1, min(2, len(absent)))))
            supernet.add(path, new)
            joint = joined(joint, new)
        else:
            task = rng.choice(list(joint))
            remove(path, task)
            joint = JointSpec({name: spec for name, spec in joint.items() if name != task})
        assert changed(before, path) == []
        check_answers(supernet, path, joint)
        smallest = supernet.model.backbone.ledger().count(joint)
        counts, stored = Deposit(path).counts, Deposit(path).stored()
        # A Swin has the norms of just those maps that its tasks take.
        norm = getattr(supernet.model.backbone, 'norm0', None)
        unused = 0 if norm is None else sum(p.numel() for p in norm.parameters())
        assert counts.specific == smallest.specific and counts.shared >= smallest.shared - unused
        assert counts.shared == sum(int(lengths.sum()) for lengths in stored.values())


@pytest.mark.parametrize(('kind', 'sharing'), [('ViT', 'Mixed'), ('Swin', 'Sequential')])
def test_tasks_come_and_go_at_random(data, kind, sharing, tmp_path):
    """Also the first ones go, several come at once, and under the name of a removed one."""
    supernet = Supernet(data, SHARINGS[sharing], kind)
    some_steps(supernet, tmp_path / 'a.safetensors', random.Random(0), 8)


@pytest.mark.slow
@pytest.mark.parametrize('seed', range(1, 4))
@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('sharing', SHARINGS.values(), ids=SHARINGS)
def test_tasks_come_and_go_at_random_for_long(data, kind, sharing, seed, tmp_path):
    supernet = Supernet(data, sharing, kind, seed)
    some_steps(supernet, tmp_path / 'a.safetensors', random.Random(seed), 30)


def test_what_no_task_uses_any_more_goes(data, tmp_path):
    """The largest architecture with the smallest; then the smallest alone."""
    supernet, path = Supernet(data, 'Sequential'), tmp_path / 'a.safetensors'
    space, ledger = supernet.model.backbone.space, supernet.model.backbone.ledger()
    joint = JointSpec(dict(a=space.smallest(), b=space.largest()))
    supernet.pack(path, joint)
    remove(path, 'b')
    left = JointSpec(dict(a=space.smallest()))
    assert Deposit(path).counts.shared == ledger.count(left).shared < ledger.count(joint).shared
    names = [name for name in load_file(path) if not name.startswith('mask/')]
    assert all('a' in name.split('/')[1].split('+') for name in names)
    supernet.add(path, JointSpec(dict(b=space.largest())))
    check_answers(supernet, path, JointSpec(dict(a=space.smallest(), b=space.largest())))


def refused_unchanged(path, named, action):
    before = path.read_bytes()
    with raises_naming(ValueError, *named):
        action()
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_counts_of_what_was_shared_with_a_removed_task_are_added_up():
    heads = {'a': 1, 'b': 2, 'a+b': 4, 'b+c': 8, 'a+b+c': 16}
    assert _without_owner(heads, 'a') == {'b': 2 + 4, 'b+c': 8 + 16}
    assert _without_owner(heads, 'c') == {'a': 1, 'b': 2 + 8, 'a+b': 4 + 16}


def test_what_cannot_be_added_or_removed(data, tmp_path):
    supernet, rng, path = Supernet(data, 'Mask'), random.Random(3), tmp_path / 'a.safetensors'
    joint, new = supernet.sample(rng, 'a', 'b'), supernet.sample(rng, 'c')
    supernet.pack(path, joint)
    refused_unchanged(path, (path, "'a'"), lambda: supernet.add(path, joint))
    refused_unchanged(path, (path, "'c'", ['a', 'b']), lambda: remove(path, 'c'))
    key = 'backbone.blocks.0.attn.qkv.weight'
    whole = supernet.state[key].clone()
    stored = Deposit(path).stored()['blocks.0.attn.qkv.weight', 0]
    # The last element that both the file and the new task have.
    ledger = supernet.model.backbone.ledger()
    used = footprint(ledger, [('c', new['c'])])['blocks.0.attn.qkv.weight', 0]
    common = np.minimum(stored, used)
    row = np.flatnonzero(common)[-1]
    supernet.state[key][row, common[row] - 1] += 1
    named = ("'c'", "'blocks.0.attn.qkv.weight'")
    refused_unchanged(path, named, lambda: supernet.add(path, new))
    supernet.state[key].copy_(whole)
    other = Supernet(data, 'Sequential')
    refused_unchanged(path, ('backbone', 'sharing'), lambda: other.add(path, new))
    remove(path, 'a')
    refused_unchanged(path, (path, "'b'"), lambda: remove(path, 'b'))


def test_what_a_task_owns_goes_with_it(data, tmp_path):
    supernet, path = Supernet(data, 'AllSpecific'), tmp_path / 'a.safetensors'
    supernet.pack(path, supernet.sample(random.Random(0), 'a', 'b'))
    own = {name for name in load_file(path) if name.startswith(('head/b/', 'specific/b'))}
    assert len(own) > 2
    remove(path, 'a')
    assert {name for name in load_file(path) if not name.startswith('shared/')} == own
