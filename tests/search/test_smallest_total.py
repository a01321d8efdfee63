"""The smallest total against trying every joint spec of small spaces."""

from itertools import combinations_with_replacement, product

import pytest
from search.conftest import smallest_of

from mdl_nas_mm.families.transformer import TRANSFORMER, StageSpec
from mdl_nas_mm.spec import JointSpec, SearchSpace, SubnetSpec

SHARINGS = {
    'shared': 'AllShared',
    'specific': 'AllSpecific',
    'sequential': 'Sequential',
    'mask': 'Mask',
    'mask by ratio': dict(type='Mask', threshold='ratio'),
    'opposed': dict(norm='Sequential', attn='Mask', ffn='Sequential'),
    'opposed the other way': dict(norm='Mask', attn='Sequential', ffn='Mask'),
}
# The number of tasks is chosen for each so that there are some hundred joint specs.
SPACES = {
    'one block, one ratio': (
        dict(embed_dim=(6, 8), depth=1, num_heads=(1, 2), mlp_ratio=1, share_ratio=(0, 0.3, 1)),
        3,
    ),
    'two blocks, one ratio': (
        dict(embed_dim=(6, 7), depth=(1, 2), num_heads=2, mlp_ratio=(1, 2), share_ratio=(0.4, 0.7)),
        2,
    ),
    'per block': (
        dict(
            embed_dim=(6, 8),
            depth=(1, 2),
            num_heads=[(1, 2), 2],
            mlp_ratio=1,
            share_ratio=[(0.2, 0.6, 0.9), (0.5, 0.8)],
        ),
        2,
    ),
    'one block, two ratios': (
        dict(
            embed_dim=(6, 8),
            depth=1,
            num_heads=(1, 2),
            mlp_ratio=1,
            attn_share_ratio=(0.2, 0.5, 0.9),
            ffn_share_ratio=(0.1, 0.6, 1),
        ),
        2,
    ),
    'alike blocks': (
        dict(
            embed_dim=(6, 8),
            depth=(1, 3),
            num_heads=(1, 2),
            mlp_ratio=1,
            attn_share_ratio=(0.2, 0.5, 0.9),
            ffn_share_ratio=(0.1, 0.6),
            per_stage=True,
        ),
        2,
    ),
}


def members(space: SearchSpace) -> list[SubnetSpec]:
    """Every architecture of a space of one stage."""
    (stage,) = space.stages
    choices = []
    for block in stage.blocks:
        one = block.extreme(0, 0)
        choices.append(
            [full for size in block.with_every_size(one) for full in block.with_every_ratio(size)]
        )
    return [
        SubnetSpec((StageSpec(dim, blocks),))
        for dim in stage.named['embed_dim']
        for depth in stage.depth
        for blocks in product(*choices[:depth])
        if not stage.per_stage or len(set(blocks)) == 1
    ]


@pytest.mark.parametrize('sharing', SHARINGS.values(), ids=SHARINGS.keys())
@pytest.mark.parametrize(('config', 'tasks'), SPACES.values(), ids=SPACES.keys())
def test_equals_trying_everything(make_ledger, config, tasks, sharing):
    space = SearchSpace.from_config(config, TRANSFORMER)
    tasks = tuple('abc'[:tasks])
    ledger = make_ledger(space, sharing, heads=dict(a=11, b=5))
    # The order of the tasks is of no meaning for the total.
    every = combinations_with_replacement(members(space), len(tasks))
    totals = [ledger.count(JointSpec(dict(zip(tasks, specs, strict=True)))) for specs in every]
    for with_heads, name in ((True, 'total'), (False, 'backbone_total')):
        joint, total = smallest_of(space, ledger, tasks, with_heads)
        space.check_joint(joint, tasks)
        assert getattr(ledger.count(joint), name) == total
        assert total == min(getattr(counts, name) for counts in totals)


def test_ratios_of_alike_blocks_suit_the_fewest_blocks(make_ledger):
    """Those that suit all three best need not suit the first one.

    The higher ratio shares one more row of the projection, and under the mask none of the first
    block's norm less, but the whole norm of each other block.
    """
    sizes = dict(embed_dim=6, depth=(1, 3), num_heads=2, mlp_ratio=1, per_stage=True)
    ratios = dict(attn_share_ratio=(0.4, 0.45), ffn_share_ratio=1)
    space = SearchSpace.from_config(sizes | ratios, TRANSFORMER)
    ledger = make_ledger(space, dict(norm='Mask', attn='Sequential', ffn='AllShared'))
    for i in range(3):
        ledger.scores[f'blocks.{i}.norm1'][:] = 0.42 if i else 0.9
    one, three = (
        {
            ledger.count(JointSpec(dict.fromkeys('ab', spec))).total: spec
            for spec in members(space)
            if spec.depth == depth
        }
        for depth in (1, 3)
    )
    assert one[min(one)].stages[0].blocks[0].attn_share_ratio == 0.45
    assert three[min(three)].stages[0].blocks[0].attn_share_ratio == 0.4
    joint, total = smallest_of(space, ledger, ('a', 'b'))
    assert total == min(one) and set(joint.values()) == {one[min(one)]}


def test_no_extreme_of_the_ratios_is_always_best(make_ledger):
    """With policies that pull in opposite directions, a middle ratio can be the best one."""
    space = SearchSpace.from_config(
        dict(embed_dim=8, depth=1, num_heads=2, mlp_ratio=2, share_ratio=(0.1, 0.3, 0.5, 0.7, 0.9)),
        TRANSFORMER,
    )
    best = set()
    for seed in range(30):
        ledger = make_ledger(space, SHARINGS['opposed'], seed=seed)
        joint, total = smallest_of(space, ledger, ('a', 'b'))
        best.add(joint['a'].stages[0].blocks[0].attn_share_ratio)
        for share in (0, -1):
            extreme = space.smallest(share)
            assert total <= ledger.count(JointSpec(dict(a=extreme, b=extreme))).total
    assert best - {0.1, 0.9}
