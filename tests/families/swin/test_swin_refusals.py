"""What a Swin, and a ViT with windows, refuses, each with one line that names what is wrong."""

import pytest
import torch
from numerics.small_swin import PER_STAGE, build_swin
from numerics.small_vit import build_vit, draw_images
from refusals import raises_naming

from mdl_nas_mm.elastic import activate
from mdl_nas_mm.families import ElasticSwin
from mdl_nas_mm.families.swin import SWIN
from mdl_nas_mm.families.transformer import TRANSFORMER

INSIDE = [
    dict(embed_dim=4, depth=1, num_heads=1, mlp_ratio=1, share_ratio=0),
    dict(embed_dim=5, depth=2, num_heads=[1, 2], mlp_ratio=2, share_ratio=1),
    dict(embed_dim=9, depth=1, num_heads=3, mlp_ratio=1.3, share_ratio=0),
    dict(embed_dim=7, depth=1, num_heads=2, mlp_ratio=0.5, share_ratio=1),
]


def with_stage(stage, **changes):
    """The architecture above with changes of one stage, as a config writes it."""
    return dict(stages=[dict(s, **changes) if i == stage else s for i, s in enumerate(INSIDE)])


@pytest.mark.parametrize(
    ('stage', 'changes', 'named'),
    [
        (0, dict(embed_dim=5), ('stage 0, embed_dim', 5, (4, 6))),
        (1, dict(depth=1, num_heads=1), ('stage 1, depth', 1, (2,))),
        (1, dict(num_heads=[2, 2]), ('stage 1, block 0, num_heads', 2, (1, 3))),
        (2, dict(mlp_ratio=2), ('stage 2, block 0, mlp_ratio', 2.0, (1, 1.3))),
        (3, dict(share_ratio=0.4), ('stage 3, block 0, attn_share_ratio', 0.4)),
        (3, dict(ffn_share_ratio=0.3), ('stage 3, block 0, ffn_share_ratio', 0.3)),
    ],
)
def test_architecture_outside_the_space(stage, changes, named):
    images, arch = draw_images((20, 28)), with_stage(stage, **changes)
    swin, spec = build_swin(arch=with_stage(0)), TRANSFORMER.read(arch)
    swin(images)
    with raises_naming(ValueError, *named):
        build_swin(arch=arch)
    with raises_naming(ValueError, *named):
        swin.forward_subnet(images, None, spec)
    with raises_naming(ValueError, *named), activate('a', spec):
        swin(images)


def test_architecture_of_another_number_of_stages():
    swin = build_swin()
    spec = TRANSFORMER.read(dict(stages=INSIDE[:3]))
    with raises_naming(ValueError, 'stages', 3, 4):
        swin.forward_subnet(draw_images((20, 28)), None, spec)
    with raises_naming(ValueError, 'stages', 3, 4):
        build_swin(arch=spec.to_dict())


def test_blocks_that_differ_where_a_stage_has_one_choice():
    stages = [dict(stage, depth=2) for stage in INSIDE[:2]]
    alike = [dict(stage, num_heads=1, mlp_ratio=2, share_ratio=1) for stage in stages]
    space = PER_STAGE[:2]
    changes = dict(space=space, window_size=3, out_indices=(1,))
    build_swin(arch=dict(stages=alike), **changes)
    differing = [alike[0], dict(alike[1], num_heads=[1, 2])]
    with raises_naming(ValueError, 'stage 1', 'blocks'):
        build_swin(arch=dict(stages=differing), **changes)
    with raises_naming(ValueError, 'stage 0', 'per_stage=True', 'blocks'):
        build_swin(space=[dict(space[0], num_heads=[(1,), (2,)]), space[1]])


@pytest.mark.parametrize(('build', 'known'), [(build_swin, 'mdl-nas-t'), (build_vit, 'deit-b')])
def test_unknown_name_of_a_space(build, known):
    with raises_naming(ValueError, "'swin-xl'", f"'{known}'"):
        build(space='swin-xl')


def test_space_of_another_kind_of_backbone():
    with raises_naming(ValueError, "'swin-t'", "'autoformer-b'"):
        build_vit(space='swin-t')
    with raises_naming(ValueError, 'ViT', 'stage', 4):
        build_vit(space=SWIN.spaces['swin-t'])


@pytest.mark.parametrize('indices', [(4,), (-1,), (0, 7), dict(a=(0,), b=(4,))], ids=str)
def test_output_beyond_the_stages(indices):
    with raises_naming(ValueError, 'out_indices', '4 stages'):
        build_swin(out_indices=indices)


@pytest.mark.parametrize('windows', [(7,), (7, 7, 7), (7, 7, 7, 7, 7)], ids=str)
def test_number_of_windows(windows):
    with raises_naming(ValueError, 'window_size', len(windows), '4 stages'):
        build_swin(window_size=windows)


@pytest.mark.parametrize('windows', [0, (4, 3, 0, 2), (4, -3, 2, 2)], ids=str)
def test_window_of_nothing(windows):
    with raises_naming(ValueError, 'window_size', min(windows) if windows else 0):
        build_swin(window_size=windows)


@pytest.mark.parametrize(
    ('size', 'windows', 'named'),
    [
        ((8, 40), (5, 2, 1, 1), ('5 x 5', 4)),
        ((40, 11), (4, 4, 2, 1), ('4 x 4', 3)),
        ((12, 12), (6, 3, 2, 2), ('2 x 2', 1)),
    ],
    ids=str,
)
def test_map_smaller_than_a_window(size, windows, named):
    for pad_small_map in (False, dict(a=True, b=False)):
        swin = build_swin(window_size=windows, pad_small_map=pad_small_map)
        with raises_naming(ValueError, 'window', *named), activate('b', swin.arch):
            swin(draw_images(size))
    padded = build_swin(window_size=windows, pad_small_map=dict(a=True, b=False))
    assert len(padded.forward_subnet(draw_images(size), 'a', padded.arch)) == 4


def test_map_smaller_than_a_window_is_found_at_once_for_a_known_size():
    windows = (6, 3, 2, 2)
    named = ('window_size 2', 'stage 3', '1 x 1', 'img_size 12')
    for pad_small_map in (False, dict(a=True, b=False)):
        with raises_naming(ValueError, *named):
            build_swin(window_size=windows, img_size=12, pad_small_map=pad_small_map)
    # Rests count: 13 pixels are 7, 4, 2 and 1 patches.
    with raises_naming(ValueError, 'window_size 2', 'stage 3', '1 x 1', 'img_size 13'):
        build_swin(window_size=windows, img_size=13)
    build_swin(window_size=windows, img_size=17)
    for pad_small_map in (True, dict(a=True, b=True)):
        build_swin(window_size=windows, img_size=12, pad_small_map=pad_small_map)
    with torch.device('meta'):
        ElasticSwin('swin-t', img_size=224)
        with raises_naming(ValueError, 'window_size 7', 'stage 3', '6 x 6', 'img_size 192'):
            ElasticSwin('swin-t', img_size=192)


def test_input_smaller_than_a_patch():
    for size in [(1, 12), (12, 1)]:
        with raises_naming(ValueError, f'{size[0]} x {size[1]} pixels', 'patch', '2 x 2'):
            build_swin(pad_small_map=True)(draw_images(size))


@pytest.mark.parametrize(
    ('key', 'value'),
    [('out_indices', dict(a=(3,), b=(0,))), ('pad_small_map', dict(a=True, b=False))],
)
def test_task_without_an_output(key, value):
    with raises_naming(ValueError, key, "'c'", ['a', 'b']):
        build_swin(tasks=('a', 'b', 'c'), **{key: value})
    swin, images = build_swin(**{key: value}), draw_images((20, 28))
    for task in ('c', None):
        with raises_naming(ValueError, key, f'task {task!r}', ['a', 'b']):
            swin.forward_subnet(images, task, swin.space.largest())


def test_class_token_of_a_vit_with_windows():
    named = ("out_type 'cls_token'", 'window_size=0')
    both = dict(out_type=dict(a='featmap', b='cls_token'))
    with raises_naming(ValueError, *named):
        build_vit(window_size=2)
    with raises_naming(ValueError, *named):
        build_vit(window_size=2, **both)
    with raises_naming(ValueError, *named):
        build_vit(window_size=dict(a=0, b=2), **both)
    build_vit(window_size=dict(a=2, b=0), **both)


def test_task_without_a_window():
    with raises_naming(ValueError, 'window_size', "'b'", ['a']):
        build_vit(window_size=dict(a=2), out_type='featmap')


def test_refusals_change_nothing():
    swin, images = build_swin('Sequential'), draw_images((20, 28))
    before = swin.forward_subnet(images, 'a', swin.arch)
    for bad in [(draw_images((4, 40)), 'a'), (images, 'c')]:
        with pytest.raises(ValueError):
            swin.forward_subnet(*bad, swin.arch)
    for ours, theirs in zip(swin.forward_subnet(images, 'a', swin.arch), before, strict=True):
        assert torch.equal(ours, theirs)
