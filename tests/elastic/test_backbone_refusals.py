"""What a backbone refuses, each with one line that names what is wrong."""

import pytest
import torch
from numerics.small_vit import SPACE, build_vit, draw_images
from refusals import raises_naming

from mdl_nas_mm.elastic import activate
from mdl_nas_mm.families import ElasticViT
from mdl_nas_mm.families.transformer import TRANSFORMER, BlockSpec, StageSpec
from mdl_nas_mm.spec import SubnetSpec

INSIDE = dict(embed_dim=8, depth=1, num_heads=1, mlp_ratio=1, share_ratio=0)


@pytest.mark.parametrize(
    ('changes', 'named'),
    [
        (dict(embed_dim=10), ('embed_dim', 10, (8, 12, 16))),
        (dict(depth=4), ('depth', 4, (1, 2, 3))),
        (dict(num_heads=4), ('block 0, num_heads', 4, (1, 2, 3))),
        (dict(mlp_ratio=2), ('block 0, mlp_ratio', 2.0, (1, 1.5, 2.5))),
        (dict(share_ratio=0.4), ('block 0, attn_share_ratio', 0.4)),
        (dict(ffn_share_ratio=0.3), ('block 0, ffn_share_ratio', 0.3)),
    ],
)
def test_architecture_outside_the_space(changes, named):
    vit, arch = build_vit(), {**INSIDE, **changes}
    vit.forward_subnet(draw_images((4, 4)), None, TRANSFORMER.read(INSIDE))
    spec = TRANSFORMER.read(arch)
    with raises_naming(ValueError, *named):
        build_vit(arch=arch)
    with raises_naming(ValueError, *named):
        vit.forward_subnet(draw_images((4, 4)), None, spec)
    with raises_naming(ValueError, *named), activate('a', spec):
        vit(draw_images((4, 4)))


def test_architecture_of_several_stages():
    stage = StageSpec(8, (BlockSpec(1, 1, 1, 1),))
    with raises_naming(ValueError, 'stages', 2, 1):
        build_vit().forward_subnet(draw_images((4, 4)), None, SubnetSpec((stage, stage)))
    with raises_naming(ValueError, 'ViT', 'stage', 2):
        build_vit(space=[SPACE, SPACE])


def test_share_ratio_outside_the_unit_interval():
    with raises_naming(ValueError, 'share ratio', 1.5, [0, 1]):
        build_vit(space={**SPACE, 'attn_share_ratio': (0.5, 1.5)})
    with raises_naming(ValueError, 'share ratio', -0.5, [0, 1]):
        build_vit(arch={**INSIDE, 'share_ratio': -0.5})
    # Written past the check of its own class, it is still outside every space.
    spec = SubnetSpec((StageSpec(8, (BlockSpec(1, 1, 1.5, 1),)),))
    with raises_naming(ValueError, 'attn_share_ratio', 1.5):
        build_vit('Sequential').forward_subnet(draw_images((4, 4)), 'a', spec)


@pytest.mark.parametrize('size', [(3, 12), (12, 3), (1, 1)])
def test_input_smaller_than_a_patch(size):
    vit = build_vit()
    with raises_naming(ValueError, f'{size[0]} x {size[1]} pixels', 'patch', '4 x 4'):
        vit(draw_images(size))


@pytest.mark.parametrize('indices', [(3,), (-4,), (0, 12), dict(a=(0,), b=(3,))], ids=str)
def test_output_beyond_the_depth(indices):
    with raises_naming(ValueError, 'out_indices', '3 blocks'):
        build_vit(out_indices=indices)


@pytest.mark.parametrize('out_type', ['raw', 'cls', dict(a='cls_token', b='raw')], ids=str)
def test_unknown_output(out_type):
    with raises_naming(ValueError, 'out_type', ('cls_token', 'avg_featmap', 'featmap')):
        build_vit(out_type=out_type)


def test_class_token_that_is_not_there():
    with raises_naming(ValueError, "out_type 'cls_token'", 'class_token=True'):
        build_vit(class_token=False)


def test_outputs_narrower_than_the_backbone():
    with raises_naming(ValueError, 'out_channels', 12, 16):
        build_vit(out_channels=12)


def test_unknown_task():
    with raises_naming(ValueError, "'c'", ('a', 'b')):
        build_vit('Sequential', task='c')
    vit, images = build_vit('Sequential'), draw_images((4, 4))
    for task in ('c', None):
        with raises_naming(ValueError, 'weights', f'task {task!r}', ['a', 'b']):
            vit.forward_subnet(images, task, vit.space.largest(1))


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('out_type', dict(a='cls_token', b='featmap')),
        ('out_indices', dict(a=(-1,), b=(0,))),
    ],
)
def test_task_without_an_output(key, value):
    with raises_naming(ValueError, key, "'c'", ['a', 'b']):
        build_vit(tasks=('a', 'b', 'c'), **{key: value})
    vit, images = build_vit(**{key: value}), draw_images((4, 4))
    for task in ('c', None):
        with raises_naming(ValueError, key, f'task {task!r}', ['a', 'b']):
            vit.forward_subnet(images, task, vit.space.largest())


def test_two_tasks_of_one_name():
    with raises_naming(ValueError, 'tasks', "'a'"):
        build_vit(tasks=('a', 'b', 'a'))


@pytest.mark.parametrize(
    'sharing', ['AllSpecific', 'Sequential', 'Mask', dict(ffn='Mask')], ids=str
)
def test_specific_weights_without_tasks(sharing):
    with raises_naming(ValueError, 'names', 'tasks'):
        build_vit(sharing, tasks=())


def test_bad_sharing():
    with raises_naming(ValueError, "'Masked'", "'Mask'"):
        build_vit('Masked')
    with raises_naming(ValueError, "'stem'"):
        build_vit(dict(stem='AllSpecific'))


def test_refusals_change_nothing():
    """After each of them the backbone answers as before."""
    vit, images = build_vit('Sequential'), draw_images((8, 8))
    spec = vit.space.largest(1)
    (before,) = vit.forward_subnet(images, 'a', spec)
    for bad in (draw_images((2, 2)), images):
        with pytest.raises(ValueError):
            vit.forward_subnet(bad, 'c', spec)
    assert torch.equal(vit.forward_subnet(images, 'a', spec)[0], before)
    assert isinstance(vit, ElasticViT)


def test_negative_window():
    with raises_naming(ValueError, 'window_size', -2):
        ElasticViT('deit-t', out_type='featmap', window_size=-2)
