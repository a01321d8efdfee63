"""What a tree of cells refuses, each with one line that names what is wrong."""

import pytest
from numerics.small_swin_unet import SPACE, build_swin_unet
from numerics.small_vit import draw_images
from refusals import raises_naming

from mdl_nas_mm.elastic import activate
from mdl_nas_mm.families.swin_unet import CELLS, restrict

# One stage a cell.
BY_CELL = [SPACE[int(cell[-1]) - 1] for cell in CELLS]


def without(*cells):
    return [dict(depth=0) if cell in cells else s for cell, s in zip(CELLS, BY_CELL)]


@pytest.mark.parametrize('count', [1, 3, 9])
def test_number_of_stages(count):
    with raises_naming(ValueError, 'search space', count, 4, 10):
        build_swin_unet(space=BY_CELL[:count])


def test_a_space_without_the_predecessor_of_a_cell():
    with raises_naming(ValueError, 'search space', "'d3.1'", "'d3.2'"):
        build_swin_unet(space=without('d3.2'))


def test_a_space_without_a_cell_that_a_skeleton_needs():
    space = without('d2.1')
    with raises_naming(ValueError, 'search space', "'d2.1'", 'skeleton'):
        build_swin_unet(space=space)
    build_swin_unet(space=space, skeletons=['e1', 'd3.1'])


def test_skeletons_that_there_are_not():
    with raises_naming(ValueError, 'skeletons', "'dense'"):
        build_swin_unet(skeletons='dense')
    with raises_naming(ValueError, "task 'b'", "'d3.3'"):
        build_swin_unet(skeletons=dict(a=['e1'], b=['d3.3']))
    with raises_naming(ValueError, 'skeletons', "'c'", ['a', 'b']):
        build_swin_unet(tasks=('a', 'b', 'c'), skeletons=dict(a=['e1'], b=['e2']))


def test_an_architecture_without_what_a_task_needs():
    backbone = build_swin_unet(skeletons=dict(a=['d3.1'], b=['e2']))
    images, spec = draw_images((20, 28)), restrict(backbone.space.largest(), ['e1', 'e2'])
    assert len(backbone.forward_subnet(images, 'b', spec)) == 1
    every = backbone.forward_subnet(images, None, backbone.space.largest())
    assert len(every) == 2
    with raises_naming(ValueError, "'e3'", "'a'"), activate('a', spec):
        backbone(images)


def test_a_part_of_an_architecture_that_is_no_tree():
    spec = build_swin_unet().space.largest()
    with raises_naming(ValueError, "'d3.1'", "'d3.2'"):
        restrict(spec, ['e1', 'e2', 'e3', 'd3.1'])
    with raises_naming(ValueError, "'d2.2'"):
        restrict(spec, ['e1', 'd2.2'])
    with raises_naming(ValueError, "'e2'", 'e1'):
        restrict(restrict(spec, ['e1']), ['e1', 'e2'])


def test_a_window_outside_of_the_choices():
    backbone = build_swin_unet()
    arch = backbone.space.largest().to_dict()
    arch['stages'][4]['window_side'] = 5
    with raises_naming(ValueError, 'stage 4', 'window_side', 5):
        build_swin_unet(arch=arch)


def test_channels_of_maps_that_are_too_few():
    with raises_naming(ValueError, 'out_channels', 4):
        build_swin_unet(out_channels=[4] * 10)
