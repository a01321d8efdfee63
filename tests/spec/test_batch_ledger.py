"""Totals of many joint specs at once against the ledger that counts them one by one."""

import random

import numpy as np
import pytest
from roles import ROLES

from mdl_nas_mm.families.swin import SwinLayout, SwinShape
from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.families.vit import ViTLayout, ViTShape
from mdl_nas_mm.search.exact.regions import shared_regions
from mdl_nas_mm.sharing import Sharing
from mdl_nas_mm.spec import BatchLedger, JointSpec, Ledger, Owners, SearchSpace

VIT = dict(
    embed_dim=(8, 12, 16),
    depth=(1, 2, 3),
    num_heads=(1, 2, 3),
    mlp_ratio=(1, 1.5, 2.5),
    attn_share_ratio=(0, 0.3, 0.55, 1),
    ffn_share_ratio=(0, 0.25, 0.8),
)
SWIN = [
    dict(
        embed_dim=(8, 12), depth=(1, 2), num_heads=(1, 2), mlp_ratio=(1, 2), share_ratio=(0.3, 0.7)
    ),
    dict(
        embed_dim=(16, 20),
        depth=2,
        num_heads=(2, 3),
        mlp_ratio=2,
        share_ratio=(0, 1),
        per_stage=True,
    ),
]
LAYOUTS = {
    'ViT': lambda: ViTLayout(
        SearchSpace.from_config(VIT, TRANSFORMER),
        ViTShape((16, 16), 4, 3, 4, max_relative_position=2),
    ),
    'Swin': lambda: SwinLayout(
        SearchSpace.from_config(SWIN, TRANSFORMER),
        SwinShape(4, 3, 4, (3, 3), out_stages=(1,)),
    ),
}
SHARINGS = [
    'AllShared',
    'AllSpecific',
    'Sequential',
    'Mask',
    dict(type='Mask', threshold='ratio'),
    dict(norm='AllSpecific', attn='Sequential', ffn='Mask'),
    dict(norm='Mask', attn=dict(type='Mask', threshold='ratio'), ffn='AllShared'),
]


def build(layout, sharing, seed=0, owner_sets=None):
    """Some scores are equal to each other or, in single precision, to a share ratio."""
    sharing, generator = Sharing.from_config(sharing, ROLES), np.random.default_rng(seed)
    scores = {
        use.layer: generator.random(use.groups * use.max_channels).round(1).astype(np.float32)
        for use in layout.uses(layout.space.largest())
        if sharing[use.role].has_scores
    }
    heads = dict(a=100, b=7, c=1, d=3, e=9)
    return Ledger(layout, sharing, scores, heads, owner_sets)


def random_owners(layout, rng):
    """Some layers of which some tasks own weights together, each task being in one set at most."""
    sets = {}
    for use in layout.uses(layout.space.largest()):
        order = rng.sample('abcde', 5)
        cuts = sorted(rng.sample(range(1, 5), 2))
        if rng.random() < 0.7:
            sets[use.layer] = (Owners.of(*order[: cuts[0]]), Owners.of(*order[cuts[0] : cuts[1]]))
    return sets


@pytest.mark.parametrize('sharing', SHARINGS, ids=str)
@pytest.mark.parametrize('name', LAYOUTS)
@pytest.mark.parametrize('tasks', ['a', 'ab', 'abc', 'abcde'])
def test_totals_are_those_of_the_ledger(name, sharing, tasks):
    ledger, rng = build(LAYOUTS[name](), sharing), random.Random(len(tasks))
    space = ledger.layout.space
    joints = [JointSpec({task: space.sample(rng) for task in tasks}) for _ in range(30)]
    joints.append(JointSpec(dict.fromkeys(tasks, space.largest())))
    joints.append(JointSpec(dict.fromkeys(tasks, space.smallest(0))))
    whole, backbones = BatchLedger(ledger), BatchLedger(ledger, with_heads=False)
    expected = [ledger.count(j).total for j in joints]
    assert whole.totals(joints).tolist() == expected
    # Alone, too, as its tasks may have one architecture in all that is counted then.
    assert [int(whole.totals([j])[0]) for j in joints[-3:]] == expected[-3:]
    assert backbones.totals(joints).tolist() == [ledger.count(j).backbone_total for j in joints]


@pytest.mark.parametrize('sharing', SHARINGS, ids=str)
def test_specific_is_what_the_ledger_calls_a_tasks_own(sharing):
    ledger, rng = build(LAYOUTS['ViT'](), sharing), random.Random(1)
    specs, batch = [ledger.layout.space.sample(rng) for _ in range(20)], BatchLedger(ledger)
    expected = [ledger.count(JointSpec(dict(a=spec))).specific['a'] for spec in specs]
    assert batch.specific(batch.encode(specs, 'a')).tolist() == expected


@pytest.mark.parametrize('sharing', SHARINGS, ids=str)
@pytest.mark.parametrize('name', LAYOUTS)
def test_what_some_tasks_own_is_counted_once(name, sharing):
    """Sets of owners that differ by layer."""
    layout, rng = LAYOUTS[name](), random.Random(3)
    ledger = build(layout, sharing, owner_sets=random_owners(layout, rng))
    joints = [JointSpec({t: layout.space.sample(rng) for t in 'abcde'}) for _ in range(30)]
    joints += [JointSpec(dict.fromkeys('abcde', spec)) for spec in joints[0].values()]
    counts = [ledger.count(joint) for joint in joints]
    batch = BatchLedger(ledger)
    assert batch.totals(joints).tolist() == [each.total for each in counts]
    together = any('+' in label for each in counts for label in each.specific)
    assert together == Sharing.from_config(sharing, ROLES).has_specific
    # So that the exact selection counts the same.
    for joint, each in zip(joints, counts):
        sizes, shares = shared_regions(ledger, list(joint.items()))
        own = sum(batch.specific(batch.encode([spec], task))[0] for task, spec in joint.items())
        assert own + sizes[shares.any(axis=0)].sum() == each.backbone_total


def test_many_joint_specs_are_counted_in_pieces():
    """More of them than are held at a time, most of their parts met before."""
    ledger, rng = build(LAYOUTS['ViT'](), 'Sequential'), random.Random(2)
    joints = [
        JointSpec({task: ledger.layout.space.sample(rng) for task in 'abc'}) for _ in range(2500)
    ]
    totals = BatchLedger(ledger).totals(joints)
    for i in (0, 1023, 1024, 2047, 2048, 2499):
        assert totals[i] == ledger.count(joints[i]).total


def test_nothing_to_count():
    assert BatchLedger(build(LAYOUTS['ViT'](), 'AllShared')).totals([]).shape == (0,)
