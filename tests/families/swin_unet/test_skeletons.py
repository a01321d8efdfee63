"""Skeletons against literal lists."""

import random

import pytest
from refusals import raises_naming

from mdl_nas_mm.families.swin_unet.skeletons import (
    CELLS,
    SKELETONS,
    Skeleton,
    check_cells,
    level_of,
    predecessor,
    read_skeletons,
    union,
)

# Every path of Fig. 5, written out.
PATHS = {
    'e1': ('e1',),
    'e2': ('e1', 'e2'),
    'e3': ('e1', 'e2', 'e3'),
    'e4': ('e1', 'e2', 'e3', 'e4'),
    'd2.1': ('e1', 'e2', 'd2.1'),
    'd3.2': ('e1', 'e2', 'e3', 'd3.2'),
    'd3.1': ('e1', 'e2', 'e3', 'd3.2', 'd3.1'),
    'd4.3': ('e1', 'e2', 'e3', 'e4', 'd4.3'),
    'd4.2': ('e1', 'e2', 'e3', 'e4', 'd4.3', 'd4.2'),
    'd4.1': ('e1', 'e2', 'e3', 'e4', 'd4.3', 'd4.2', 'd4.1'),
}
MULTI_SCALE = {
    'e1+e2+e3+e4',
    'e2+e3+e4+d2.1',
    'e2+e3+e4+d3.1',
    'e2+e3+e4+d4.1',
    'e1+e3+e4+d3.2',
    'e3+e4+d2.1+d3.2',
    'e3+e4+d3.2+d3.1',
    'e3+e4+d3.2+d4.1',
    'e1+e3+e4+d4.2',
    'e3+e4+d2.1+d4.2',
    'e3+e4+d3.1+d4.2',
    'e3+e4+d4.2+d4.1',
    'e1+e2+e4+d4.3',
    'e2+e4+d2.1+d4.3',
    'e2+e4+d3.1+d4.3',
    'e2+e4+d4.3+d4.1',
    'e1+e4+d3.2+d4.3',
    'e4+d2.1+d3.2+d4.3',
    'e4+d3.2+d3.1+d4.3',
    'e4+d3.2+d4.3+d4.1',
    'e1+e4+d4.3+d4.2',
    'e4+d2.1+d4.3+d4.2',
    'e4+d3.1+d4.3+d4.2',
    'e4+d4.3+d4.2+d4.1',
}


def test_there_are_four_three_two_and_one_cells_of_the_levels():
    assert [[level_of(cell) for cell in CELLS].count(level) for level in (1, 2, 3, 4)] == [
        4,
        3,
        2,
        1,
    ]


def test_the_ten_single_scale_skeletons():
    skeletons = SKELETONS['single-scale']
    assert {skeleton.name: skeleton.cells for skeleton in skeletons} == PATHS
    assert tuple(skeleton.name for skeleton in skeletons) == CELLS
    for cell, path in PATHS.items():
        assert predecessor(cell) == (path[-2] if len(path) > 1 else None)


def test_the_twenty_four_multi_scale_skeletons():
    skeletons = SKELETONS['multi-scale']
    assert len(skeletons) == 24
    assert {skeleton.name for skeleton in skeletons} == MULTI_SCALE
    for skeleton in skeletons:
        passed = {cell for output in skeleton.outputs for cell in PATHS[output]}
        assert skeleton.cells == tuple(cell for cell in CELLS if cell in passed)


def test_the_union_of_random_choices():
    rng = random.Random(0)
    for _ in range(1000):
        space = SKELETONS[rng.choice(['single-scale', 'multi-scale'])]
        chosen = [rng.choice(space) for _ in range(rng.randint(1, 16))]
        passed = {cell for each in chosen for name in each.outputs for cell in PATHS[name]}
        assert union(chosen) == tuple(cell for cell in CELLS if cell in passed)


def test_skeletons_of_ones_own():
    skeletons = read_skeletons(['d3.1', 'e1+d3.2'])
    assert [skeleton.outputs for skeleton in skeletons] == [('d3.1',), ('e1', 'd3.2')]
    assert read_skeletons('single-scale') == SKELETONS['single-scale']
    assert Skeleton.parse(str(skeletons[1])) == skeletons[1]


@pytest.mark.parametrize(
    'value, named',
    [
        ('dense', ["'dense'", 'multi-scale', 'single-scale']),
        ([], ['skeletons', '[]']),
        ([('e1', 'e2')], ["('e1', 'e2')"]),
        (['e1', 'd3.3'], ["'d3.3'", 'd3.2']),
        (['e5'], ["'e5'"]),
        (['d2.1+e1'], ["'d2.1+e1'", 'order']),
        (['e1', 'e2', 'e1'], ["'e1'", 'twice']),
    ],
)
def test_no_skeletons(value, named):
    with raises_naming(ValueError, *named):
        read_skeletons(value)


def test_cells_without_their_predecessors():
    check_cells(('e1', 'e2', 'd2.1'), 'the space')
    with raises_naming(ValueError, 'the space', "'d3.1'", "'d3.2'"):
        check_cells(('e1', 'e2', 'e3', 'd3.1'), 'the space')
    with raises_naming(ValueError, 'the space', "'d1.1'"):
        check_cells(('e1', 'd1.1'), 'the space')
