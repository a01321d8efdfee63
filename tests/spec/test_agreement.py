"""Share ratios that follow from how far gradients agree."""

import pytest
from refusals import raises_naming
from roles import ROLES

from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.families.vit import ViTLayout, ViTShape
from mdl_nas_mm.sharing import Sharing
from mdl_nas_mm.spec import JointSpec, Ledger, SearchSpace
from mdl_nas_mm.spec.agreement import propose_ratios

SIZES = dict(embed_dim=8, depth=2, num_heads=2, mlp_ratio=2)
TWO = dict(attn_share_ratio=(0.2, 0.8), ffn_share_ratio=(0.2, 0.8))
SHAPE = ViTShape((16, 16), 4, 3, 4, max_relative_position=2)


def conflicts(cosines):
    """Layer -> the cosine of each pair."""
    layers = [
        dict(layer=name, cosine={pair: dict(mean=value) for pair, value in own.items()})
        for name, own in cosines.items()
    ]
    return dict(layers=layers)


def proposed(choices, cosines, sharing='Sequential', tasks=('a', 'b'), **others):
    space = SearchSpace.from_config({**SIZES, **choices, **others}, TRANSFORMER)
    layout = ViTLayout(space, SHAPE)
    scores = {}
    if sharing == 'Mask':
        import numpy as np

        uses = layout.uses(space.largest())
        scores = {u.layer: np.linspace(0, 1, u.groups * u.max_channels) for u in uses}
    ledger = Ledger(layout, Sharing.from_config(sharing, ROLES), scores)
    joint = JointSpec(dict.fromkeys(tasks, space.largest()))
    spaces = dict.fromkeys(tasks, space)
    found = propose_ratios(conflicts(cosines), joint, spaces, ledger)
    for task in tasks:
        space.check(found[task])
    return {
        t: [(b.attn_share_ratio, b.ffn_share_ratio) for b in s.stages[0].blocks]
        for t, s in found.items()
    }


ORDERED = {
    'blocks.0.attn': {'a, b': 0.5},
    'blocks.0.norm1': {'a, b': 0.7},
    'blocks.0.mlp': {'a, b': -0.2},
    'blocks.1.attn': {'a, b': -0.1},
    'blocks.1.mlp': {'a, b': 0.4},
    'patch_embed': {'a, b': -1.0},
}


@pytest.mark.parametrize(('sharing', 'high', 'low'), [('Sequential', 0.8, 0.2), ('Mask', 0.2, 0.8)])
def test_what_disagrees_is_shared_less(sharing, high, low):
    """A threshold of scores shares more where it is low. What all tasks share has no ratio."""
    found = proposed(TWO, ORDERED, sharing)
    assert found == dict.fromkeys('ab', [(high, low), (low, high)])


def test_one_ratio_a_block_is_of_both_kinds_of_layers():
    cosines = {'blocks.0.attn': {'a, b': 0.5}, 'blocks.0.mlp': {'a, b': -0.4}}
    cosines['blocks.1.mlp'] = {'a, b': 0.0}
    found = proposed(dict(share_ratio=(0.2, 0.8)), cosines)
    assert found == dict.fromkeys('ab', [(0.8, 0.8), (0.2, 0.2)])


def test_blocks_that_are_alike_stay_alike():
    found = proposed({**TWO, 'per_stage': True}, ORDERED)
    # Means: 0.37 of the attention, 0.1 of the feed-forward networks.
    assert found == dict.fromkeys('ab', [(0.8, 0.2)] * 2)


def test_a_task_that_agrees_with_others_shares_more():
    """Means with the others: a 0.2, b 0.1, c -0.5; and what has no cosine stays."""
    cosines = {'blocks.0.attn': {'a, b': 0.8, 'a, c': -0.4, 'b, c': -0.6}}
    choices = dict(attn_share_ratio=(0.2, 0.5, 0.8), ffn_share_ratio=(0.2, 0.8))
    found = proposed(choices, cosines, tasks='abc')
    rest = (0.8, 0.8)
    assert found == dict(a=[(0.8, 0.8), rest], b=[(0.5, 0.8), rest], c=[(0.2, 0.8), rest])


def test_without_cosines_it_says_what_to_measure():
    with raises_naming(ValueError, 'conflicts', 'measure'):
        proposed(TWO, {'patch_embed': {'a, b': -1.0}})
