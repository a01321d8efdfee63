"""A backbone that inherits published weights computes what the published model does."""

import pytest
import torch
from inheriting import (
    IMAGE,
    LARGE,
    SWIN,
    VIT_SPACE,
    assert_same,
    before,
    dense_swin,
    elastic_swin,
    elastic_vit,
    pretrain_swin,
    pretrain_vit,
)
from mmdet.models.backbones.swin import SwinTransformer as DetSwin
from mmdet.models.backbones.swin import swin_converter
from mmseg.models import SwinTransformer as SegSwin
from mmseg.models import VisionTransformer as SegViT
from numerics.plain_vit import PlainViT, as_features
from numerics.published_weights import (
    autoformer_state,
    autoformer_subnet,
    official_swin_state,
    randomize,
)
from refusals import raises_naming
from torch.func import functional_call

from mdl_nas_mm.families.transformer import TRANSFORMER


@pytest.mark.parametrize('out_type', ['featmap', 'cls_token'])
@pytest.mark.parametrize('norm', ['ln', 'norm'])
def test_vit_of_mmpretrain(out_type, norm):
    model, vit = pretrain_vit(out_type), elastic_vit(out_type=out_type)
    state = {key.replace('ln', norm): value for key, value in model.state_dict().items()}
    report = vit.inherit(state)
    assert report.style == 'OpenMMLab ViT' and not report.missing and not report.left_out
    assert len(report.taken) == len(list(vit.parameters()))
    assert_same(vit(IMAGE), model(IMAGE))


def test_vit_of_mmseg():
    """Its attention is torch's, with q, k and v in ``in_proj``."""
    model = SegViT(
        img_size=24,
        patch_size=4,
        embed_dims=16,
        num_layers=3,
        num_heads=2,
        mlp_ratio=2,
        out_indices=(0, 2),
        norm_cfg=dict(type='LN', eps=1e-6),
        patch_bias=True,
        final_norm=True,
    )
    model, vit = randomize(model), elastic_vit()
    report = vit.inherit(dict(state_dict=model.state_dict()))
    assert not report.missing and not report.left_out
    assert_same(vit(IMAGE), model(IMAGE))


def test_vit_of_timm():
    """DeiT's files hold timm's keys and a head under ``model``."""
    plain = PlainViT(TRANSFORMER.read(VIT_SPACE), (24, 24), 4, 8, max_relative_position=0)
    plain, vit = randomize(plain), elastic_vit(out_indices=(2,))
    head = {'head.weight': torch.ones(10, 16), 'head.bias': torch.ones(10)}
    report = vit.inherit(dict(model={**plain.state_dict(), **head}, epoch=300))
    assert report.style == 'timm ViT' and not report.missing and report.left_out == tuple(head)
    assert_same(vit(IMAGE), [plain.features(IMAGE, 'featmap')])


def autoformer_vit(**choices):
    """A backbone, and AutoFormer's own subnet of its size out of a larger supernet."""
    stored = autoformer_state(
        width=24, depth=4, heads=3, head_dim=8, hidden=48, tokens=37, limit=4, seed=3
    )
    space = dict(embed_dim=20, depth=3, num_heads=3, mlp_ratio=2)
    vit = elastic_vit({**space, **choices}, max_relative_position=4, out_indices=(-1,))
    spec = vit.space.largest()
    plain = PlainViT(spec, (24, 24), 4, 8, max_relative_position=4).double()
    state = autoformer_subnet(stored['model'], spec, head_dim=8)
    tokens, grid = functional_call(plain, state, (IMAGE,))
    return vit, stored, as_features(tokens[-1], grid, True, 'featmap')


@pytest.mark.parametrize(
    'choices',
    [dict(), dict(embed_dim=24, depth=4), dict(num_heads=[(2,), (1,), (3,)], mlp_ratio=1.5)],
    ids=['narrower', 'the supernet', 'one subnet'],
)
def test_autoformer(choices):
    """Rows of q, k and v are interleaved, biases are not; all is cut as AutoFormer cuts it."""
    vit, stored, expected = autoformer_vit(**choices)
    report = vit.inherit(stored)
    assert report.style == 'AutoFormer' and not report.missing and not report.resized
    assert {'head.weight', 'head.bias'} <= set(report.left_out)
    assert bool(report.cut) == ('embed_dim' not in choices)
    assert_same(vit(IMAGE), [expected])


@pytest.mark.parametrize('small', [False, True], ids=['whole windows', 'padded'])
def test_swin_of_mmpretrain(small):
    """Its maps are those of 24 to 3 tokens at 96 pixels and 10 to 2 at 40, which are padded."""
    model, swin = pretrain_swin(pad_small_map=small), elastic_swin(pad_small_map=small)
    report = swin.inherit({f'backbone.{k}': v for k, v in model.state_dict().items()})
    assert report.style == 'OpenMMLab Swin' and not report.missing and not report.left_out
    images = LARGE[..., :40, :56] if small else LARGE
    assert_same(swin(images), model(images))


@pytest.mark.parametrize('kind', [DetSwin, SegSwin], ids=['mmdet', 'mmseg'])
def test_swin_of_mmdet_and_mmseg(kind):
    model, swin = dense_swin(kind), elastic_swin(pad_small_map=True)
    report = swin.inherit(dict(state_dict=model.state_dict()))
    assert not report.missing and not report.left_out
    images = LARGE[..., :72, :40]
    assert_same(swin(images), model(images))


@pytest.mark.parametrize('form', ['official', 'converted by mmdet'])
def test_official_swin(form):
    """Patches are merged in another order there; mmdet's own converter is the reference."""
    stored = official_swin_state(8, SWIN['depths'], SWIN['num_heads'], window=3)
    converted = swin_converter(dict(stored['model']))
    model = dense_swin(out_indices=(3,))
    # The converter leaves the last norm and what is computed from the window as they are.
    names = {key: f'backbone.{key.replace("norm3", "norm")}' for key in model.state_dict()}
    learned = {key: converted[name] for key, name in names.items() if 'index' not in key}
    missing = model.load_state_dict(learned, strict=False).missing_keys
    assert all(key.endswith('relative_position_index') for key in missing)
    swin = elastic_swin(out_indices=(3,), pad_small_map=True)
    report = swin.inherit(stored if form == 'official' else converted)
    assert not report.missing and not report.without_place
    if form == 'official':
        assert report.style == 'official Swin'
        assert report.left_out == ('head.weight', 'head.bias')
    assert_same(swin(LARGE), model(LARGE))


def test_official_merging():
    """Written out: four pictures of every other token, one behind the other."""
    stored = official_swin_state(8, SWIN['depths'], SWIN['num_heads'], window=3)
    swin, state = elastic_swin(), stored['model']
    swin.inherit(stored)
    x = LARGE[0].reshape(-1)[: 4 * 6 * 8].reshape(1, 4, 6, 8)
    runs = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
    merged, name = torch.cat(runs, dim=-1), 'layers.0.downsample'
    norm = (state[f'{name}.norm.weight'], state[f'{name}.norm.bias'])
    merged = torch.nn.functional.layer_norm(merged, (32,), *norm)
    merged = merged @ state[f'{name}.reduction.weight'].T
    assert_same([swin.stages[0].downsample(x, 16)], [merged])


def test_norms_that_a_checkpoint_lacks_are_kept():
    stored = official_swin_state(8, SWIN['depths'], SWIN['num_heads'], window=3)
    swin = elastic_swin()
    report = swin.inherit(stored)
    assert report.missing == tuple(
        f'norm{s}.{leaf}' for s in range(3) for leaf in ('weight', 'bias')
    )
    assert (swin.norm0.weight == 1).all() and (swin.norm0.bias == 0).all()
    assert torch.equal(swin.norm3.weight, stored['model']['norm.weight'])


WRAPPINGS = {
    'plain': lambda state: state,
    'model': lambda state: dict(model=state, optimizer={}, epoch=3),
    'state_dict': lambda state: dict(meta={}, state_dict=before('backbone.', state)),
    'teacher': lambda state: dict(teacher=before('module.backbone.', state), student=state),
    'of two the first': lambda state: dict(
        model={key: value + 1 for key, value in state.items()}, state_dict=state
    ),
    'module in model': lambda state: dict(model=dict(module=before('module.', state))),
    'with a neck and a head': lambda state: dict(
        state_dict={
            'neck.layers.0.ffn.layers.0.0.weight': torch.zeros(1),
            **before('backbone.', state),
            'bbox_head.encoder.layers.0.ffn.layers.0.0.weight': torch.zeros(1),
        }
    ),
}


@pytest.mark.parametrize('family', ['ViT', 'Swin'])
@pytest.mark.parametrize('wrap', WRAPPINGS.values(), ids=WRAPPINGS)
def test_wrapped_checkpoints(wrap, family):
    model = pretrain_vit() if family == 'ViT' else pretrain_swin()
    backbone, images = (elastic_vit(), IMAGE) if family == 'ViT' else (elastic_swin(), LARGE)
    backbone.inherit(wrap(model.state_dict()))
    assert_same(backbone(images), model(images))


def test_prefix_chooses_among_several_backbones():
    first, second, vit = pretrain_vit(), randomize(pretrain_vit(), seed=5), elastic_vit()
    both = {**before('online.', first.state_dict()), **before('momentum.', second.state_dict())}
    vit.inherit(both, prefix='momentum')
    assert_same(vit(IMAGE), second(IMAGE))
    with raises_naming(ValueError, "'target.'"):
        vit.inherit(both, prefix='target.')
