"""Weights of published Swins in the encoder of a tree of cells."""

import random

import pytest
import torch
from elastic.inheriting import LARGE, SWIN, SWIN_SPACE, assert_same, elastic_swin, pretrain_swin

from mdl_nas_mm.families import ElasticSwinUNet
from mdl_nas_mm.families.swin.window_tables import ring_order
from mdl_nas_mm.families.swin_unet import CELL_TREE, CELLS


def space(window_side):
    """Swin's sizes by level, in the decoders too."""
    return [dict(stage, window_side=window_side) for stage in SWIN_SPACE]


def build(window_side=3, skeletons=('e1+e2+e3+e4', 'd2.1', 'd4.1'), **changes):
    torch.manual_seed(3)
    tree = ElasticSwinUNet(space(window_side), skeletons=list(skeletons), head_dim=8, **changes)
    return tree.double().eval()


def evaluated(model):
    # Upstream's own gives nothing back.
    model.eval()
    return model


def encoder_maps(tree, spec=None):
    maps = tree.forward_subnet(LARGE, None, spec or tree.space.largest())
    return [x for x, cell in zip(maps, tree.output_cells(None)) if cell.startswith('e')]


@torch.no_grad()
def test_the_encoder_computes_what_mmpretrains_swin_does():
    theirs, tree = evaluated(pretrain_swin()), build()
    before = {name: value.clone() for name, value in tree.state_dict().items()}
    report = tree.inherit(theirs.state_dict())
    assert set(report.missing) == {name for name in before if name.startswith('decoders.')}
    assert not (report.resized or report.cut or report.left_out or report.without_place)
    assert_same(encoder_maps(tree), theirs(LARGE))
    for name in report.missing:
        assert torch.equal(tree.state_dict()[name], before[name])


@torch.no_grad()
@pytest.mark.parametrize('window_sides', [(3, 5), (2, 3, 4)], ids=str)
def test_the_published_window_computes_what_it_did_among_larger_ones(window_sides):
    theirs, tree = evaluated(pretrain_swin()), build(window_sides)
    report = tree.inherit(theirs.state_dict())
    assert report.resized and all(name.endswith('bias_by_ring') for name in report.resized)
    arch = tree.space.largest().to_dict()
    for stage in arch['stages']:
        stage['window_side'] = 3
    assert_same(encoder_maps(tree, CELL_TREE.read(arch)), theirs(LARGE))


@torch.no_grad()
def test_a_smaller_window_takes_the_middle_of_a_published_table():
    theirs, tree = pretrain_swin(), build(2)
    report = tree.inherit(theirs.state_dict())
    assert report.cut
    table = theirs.state_dict()['stages.0.blocks.0.attn.w_msa.relative_position_bias_table']
    middle = table.view(5, 5, -1)[1:4, 1:4].flatten(0, 1)
    ours = tree.stages[0].blocks[0].attn.bias_by_ring
    assert torch.equal(ours, middle[ring_order(2, table.device)])


def test_farther_offsets_begin_with_the_nearest():
    theirs, tree = pretrain_swin(), build(4)
    tree.inherit(theirs.state_dict())
    table = theirs.state_dict()['stages.0.blocks.0.attn.w_msa.relative_position_bias_table']
    ours = tree.stages[0].blocks[0].attn.bias_by_ring.detach()
    by_row = torch.empty_like(ours)
    by_row[ring_order(4, table.device)] = ours
    expected = torch.nn.functional.pad(
        table.view(5, 5, -1).permute(2, 0, 1), (1, 1, 1, 1), 'replicate'
    )
    assert torch.equal(by_row.view(7, 7, -1).permute(2, 0, 1), expected)


def test_its_own_weights_are_taken_as_they_are():
    first, second = build((2, 3)), build((2, 3))
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.normal_()
    report = second.inherit(first.state_dict())
    assert len(report.taken) == len(first.state_dict()) and not report.missing
    for name, value in second.state_dict().items():
        assert torch.equal(value, first.state_dict()[name])


def test_elastic_swins_weights_and_norms_that_it_has_none_of():
    swin = elastic_swin()
    tree = build(post_norm=True)
    report = tree.inherit(swin.state_dict())
    assert report.style == 'ElasticSwin'
    assert any('post_norm' in name for name in report.missing)


@torch.no_grad()
def test_channels_in_order_of_importance_change_no_output():
    tree = build((2, 3))
    for parameter in tree.parameters():
        parameter.normal_(std=0.3)
    spec = tree.space.largest()
    before = tree.forward_subnet(LARGE, None, spec)
    tree.reorder_by_importance()
    assert_same(tree.forward_subnet(LARGE, None, spec), before, rtol=1e-6, atol=1e-6)


def test_depths_of_parameters():
    tree = build()
    depth = sum(SWIN['depths'])
    names = ['patch_embed.proj.weight', 'stages.3.blocks.0.norm1.weight', 'norm3.weight']
    assert [tree.depth_of(name) for name in names] == [0, depth, None]
    # The decoder behind e4 has its three cells after the encoder; the one behind e2 begins there.
    assert tree.depth_of('decoders.d4_3.blocks.0.norm1.weight') == depth + 1
    assert tree.depth_of('decoders.d4_3.upsample.norm.weight') == depth
    assert tree.depth_of('decoders.d2_1.blocks.1.norm1.weight') == 2 + 1 + 2
    assert tree.depth_of('decoders.d4_1.norm.weight') is None
    longest = depth + 3 + 1 + 2
    assert tree.get_layer_depth('patch_embed.proj.weight') == (0, longest + 2)


def test_covering_architectures_have_every_part():
    tree = ElasticSwinUNet(
        [dict(stage, depth=(1, 2), window_side=(2, 3)) for stage in SWIN_SPACE], head_dim=8
    )
    parts = tree.family.timed_parts({}, {})
    specs = list(parts.covering_specs(tree.space, random.Random(0)))
    found = {part for spec in specs for part in parts.parts(spec)}
    assert found == set(parts.all_parts(tree.space))
    blocks = sum(part.kind == 'block' for part in parts.parts(specs[0]))
    assert blocks == specs[0].depth and len(specs) < 30
    assert {part.cell for part in found} == set(CELLS)
