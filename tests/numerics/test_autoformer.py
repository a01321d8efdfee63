"""AutoFormer's published supernets in a whole space: each sub-network is AutoFormer's own."""

import logging
import random

import pytest
import torch
from mmengine.logging import MMLogger
from numerics.comparing import EXACT
from numerics.plain_vit import PlainViT, as_features
from numerics.published_weights import autoformer_state, autoformer_subnet
from numerics.small_vit import draw_images
from refusals import raises_naming
from torch.func import functional_call

from mdl_nas_mm.elastic.plain import plain_part
from mdl_nas_mm.families import ElasticViT

SPACE = dict(embed_dim=(16, 24), depth=(2, 4), num_heads=(1, 2, 3), mlp_ratio=(1, 2))
SHAPE = dict(img_size=24, patch_size=4, head_dim=8, max_relative_position=4)
SETTINGS = dict(SHAPE, preset='autoformer')
IMAGES = draw_images((24, 24))


@pytest.fixture(scope='module')
def stored():
    return autoformer_state(
        width=24, depth=4, heads=3, head_dim=8, hidden=48, tokens=37, limit=4, seed=3
    )


@pytest.fixture
def logged(caplog):
    """What mmengine's logger says."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


def theirs_of(stored, spec):
    """What AutoFormer computes for a sub-network: the mean of the normalised patches."""
    plain = PlainViT(spec, (24, 24), 4, 8, max_relative_position=4, norm_eps=1e-5).double()
    state = autoformer_subnet(stored['model'], spec, head_dim=8)
    tokens, grid = functional_call(plain, state, (IMAGES,))
    return as_features(tokens[-1], grid, True, 'avg_featmap')


def drawn(vit, count=12):
    rng = random.Random(0)
    ends = [vit.space.smallest(), vit.space.largest()]
    return ends + [vit.space.sample(rng) for _ in range(count)]


def test_every_subnetwork_is_autoformers(stored, logged):
    vit = ElasticViT(SPACE, **SETTINGS).double()
    report = vit.inherit(stored)
    assert not report.missing and not report.cut and not report.without_place
    assert 'preset' not in logged.text
    for spec in drawn(vit):
        width = spec.stages[0].embed_dim
        (ours,) = vit.forward_subnet(IMAGES, None, spec)
        torch.testing.assert_close(ours[:, :width], theirs_of(stored, spec), **EXACT)
        plain = plain_part(vit, dict(type='ElasticViT', space=SPACE, **SETTINGS), None, spec)
        torch.testing.assert_close(plain(IMAGES)[0], ours, **EXACT)


def test_without_the_preset_smaller_ones_differ_and_the_log_says_so(stored, logged):
    vit = ElasticViT(SPACE, **SHAPE, out_type='avg_featmap', norm_eps=1e-5).double()
    vit.inherit(stored)
    (line,) = [r.getMessage() for r in logged.records if r.levelno == logging.WARNING]
    assert "preset='autoformer'" in line and 'qkv_bias=True' in line and 'norm_eps' not in line
    largest, smallest = vit.space.largest(), vit.space.smallest()
    (ours,) = vit.forward_subnet(IMAGES, None, largest)
    torch.testing.assert_close(ours, theirs_of(stored, largest), **EXACT)
    theirs = theirs_of(stored, smallest)
    (ours,) = vit.forward_subnet(IMAGES, None, smallest)
    assert (ours[:, :16] - theirs).norm() > 0.01 * theirs.norm()


@pytest.mark.parametrize('out_type', [None, dict(a='featmap', b='cls_token')])
def test_the_log_names_a_class_token_that_autoformer_does_not_classify_by(stored, logged, out_type):
    """It is the default. Of maps, which AutoFormer has not, there is nothing to say."""
    ElasticViT(SPACE, **SETTINGS | dict(out_type='featmap')).inherit(stored)
    assert not [r for r in logged.records if r.levelno == logging.WARNING]
    given = dict(SHAPE, norm_eps=1e-5, qkv_bias='packed', tasks=('a', 'b'), out_type=out_type)
    ElasticViT(SPACE, **given).inherit(stored)
    (line,) = [r.getMessage() for r in logged.records if r.levelno == logging.WARNING]
    assert "out_type='cls_token'" in line and "out_type='avg_featmap'" in line


def test_what_the_preset_says_can_be_said_otherwise():
    vit = ElasticViT(SPACE, preset='autoformer', out_type='featmap', norm_eps=0.1)
    assert vit.shape.qkv_bias == 'packed' and vit.shape.max_relative_position == 14
    assert vit.norm.eps == 0.1 and vit.out_type == 'featmap'
    assert ElasticViT(SPACE, preset='deit').shape.max_relative_position == 0


@pytest.mark.parametrize(
    ('changes', 'named'),
    [
        (dict(preset='vit'), ("'vit'", 'autoformer')),
        (dict(qkv_bias='first'), ("'first'", 'packed')),
    ],
)
def test_refusals(changes, named):
    with raises_naming(ValueError, *named):
        ElasticViT(SPACE, **changes)


def test_heads_with_an_order_are_not_sorted(stored):
    vit = ElasticViT(SPACE, **SETTINGS).double()
    before = vit.blocks[0].attn.qkv.weight.clone()
    with raises_naming(ValueError, 'reorder', 'packed'):
        vit.inherit(stored, reorder=True)
    assert torch.equal(vit.blocks[0].attn.qkv.weight, before)
