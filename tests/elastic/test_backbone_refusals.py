"""What a backbone refuses, each with one line that names what is wrong."""

import pytest
import torch
from numerics.small_vit import SPACE, build_vit, draw_images
from refusing import refused

from mdl_nas_mm.elastic import activate
from mdl_nas_mm.families import ElasticViT
from mdl_nas_mm.families.transformer import TRANSFORMER, BlockSpec, StageSpec
from mdl_nas_mm.spec import SubnetSpec

INSIDE = dict(embed_dim=8, depth=1, num_heads=1, mlp_ratio=1, share_ratio=0)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(embed_dim=10), 'embed_dim: 10 is not one of (8, 12, 16)'),
        (dict(depth=4), 'depth: 4 is not one of (1, 2, 3)'),
        (dict(num_heads=4), 'block 0, num_heads: 4 is not one of (1, 2, 3)'),
        (dict(mlp_ratio=2), 'block 0, mlp_ratio: 2.0 is not one of (1, 1.5, 2.5)'),
        (dict(share_ratio=0.4), 'block 0, attn_share_ratio: 0.4 is not one of'),
        (dict(ffn_share_ratio=0.3), 'block 0, ffn_share_ratio: 0.3 is not one of'),
    ],
)
def test_architecture_outside_the_space(changes, message):
    vit, arch = build_vit(), {**INSIDE, **changes}
    vit.forward_subnet(draw_images((4, 4)), None, TRANSFORMER.read(INSIDE))
    spec = TRANSFORMER.read(arch)
    with refused(message):
        build_vit(arch=arch)
    with refused(message):
        vit.forward_subnet(draw_images((4, 4)), None, spec)
    with refused(message), activate('a', spec):
        vit(draw_images((4, 4)))


def test_architecture_of_several_stages():
    stage = StageSpec(8, (BlockSpec(1, 1, 1, 1),))
    with refused('2 stages, the space has 1'):
        build_vit().forward_subnet(draw_images((4, 4)), None, SubnetSpec((stage, stage)))
    with refused('a ViT space has one stage, not 2'):
        build_vit(space=[SPACE, SPACE])


def test_share_ratio_outside_the_unit_interval():
    with refused('share ratio 1.5 is outside [0, 1]'):
        build_vit(space={**SPACE, 'attn_share_ratio': (0.5, 1.5)})
    with refused('share ratio -0.5 is outside [0, 1]'):
        build_vit(arch={**INSIDE, 'share_ratio': -0.5})
    # Written past the check of its own class, it is still outside every space.
    spec = SubnetSpec((StageSpec(8, (BlockSpec(1, 1, 1.5, 1),)),))
    with refused('attn_share_ratio: 1.5 is not one of'):
        build_vit('Sequential').forward_subnet(draw_images((4, 4)), 'a', spec)


@pytest.mark.parametrize('size', [(3, 12), (12, 3), (1, 1)])
def test_input_smaller_than_a_patch(size):
    vit = build_vit()
    with refused(f'input of {size[0]} x {size[1]} pixels is smaller than one patch of 4 x 4'):
        vit(draw_images(size))


@pytest.mark.parametrize('indices', [(3,), (-4,), (0, 12), dict(a=(0,), b=(3,))], ids=str)
def test_output_beyond_the_depth(indices):
    with refused('is beyond the depth of 3 blocks'):
        build_vit(out_indices=indices)


@pytest.mark.parametrize('out_type', ['raw', 'cls', dict(a='cls_token', b='raw')], ids=str)
def test_unknown_output(out_type):
    with refused("is not one of ('cls_token', 'avg_featmap', 'featmap')"):
        build_vit(out_type=out_type)


def test_class_token_that_is_not_there():
    with refused("out_type 'cls_token' needs class_token=True"):
        build_vit(class_token=False)


def test_outputs_narrower_than_the_backbone():
    with refused('out_channels 12 is less than the widest, 16'):
        build_vit(out_channels=12)


def test_unknown_task():
    with refused("task 'c' is not one of ('a', 'b')"):
        build_vit('Sequential', task='c')
    vit, images = build_vit('Sequential'), draw_images((4, 4))
    for task in ('c', None):
        with refused(f"no weights of task {task!r}, only of ['a', 'b']"):
            vit.forward_subnet(images, task, vit.space.largest(1))


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('out_type', dict(a='cls_token', b='featmap')),
        ('out_indices', dict(a=(-1,), b=(0,))),
    ],
)
def test_task_without_an_output(key, value):
    with refused(f"{key}: nothing for task 'c', only for ['a', 'b']"):
        build_vit(tasks=('a', 'b', 'c'), **{key: value})
    vit, images = build_vit(**{key: value}), draw_images((4, 4))
    for task in ('c', None):
        with refused(f"{key}: nothing for task {task!r}, only for ['a', 'b']"):
            vit.forward_subnet(images, task, vit.space.largest())


def test_two_tasks_of_one_name():
    with refused("two tasks are named 'a'"):
        build_vit(tasks=('a', 'b', 'a'))


@pytest.mark.parametrize(
    'sharing', ['AllSpecific', 'Sequential', 'Mask', dict(ffn='Mask')], ids=str
)
def test_specific_weights_without_tasks(sharing):
    with refused('needs the names of the tasks'):
        build_vit(sharing, tasks=())


def test_bad_sharing():
    with refused("sharing policy 'Masked' is not one of"):
        build_vit('Masked')
    with refused("unknown kind of layer 'stem'"):
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
    with pytest.raises(ValueError, match='window_size: a side of -2 patches is negative'):
        ElasticViT('deit-t', out_type='featmap', window_size=-2)
