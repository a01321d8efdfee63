"""Published weights of another size are cut or interpolated, or refused."""

import pytest
import torch
from inheriting import (
    CLOSE,
    IMAGE,
    LARGE,
    SWIN,
    VIT_SPACE,
    assert_same,
    assert_unchanged,
    before,
    dense_swin,
    elastic_swin,
    elastic_vit,
    pretrain_vit,
    snapshot,
)
from mmengine.config import ConfigDict
from numerics.published_weights import autoformer_state, randomize
from refusals import raises_naming

from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.spec import SearchSpace


@pytest.mark.parametrize('family', ['ViT', 'Swin'])
def test_larger_weights_are_cut_to_those_of_a_subnet(family):
    """A small backbone that inherits a supernet's weights equals that subnet of it."""
    if family == 'ViT':
        space = dict(embed_dim=(12, 16), depth=(2, 3), num_heads=(1, 2), mlp_ratio=(1.5, 2))
        build, images = elastic_vit, IMAGE
    else:
        space = [
            dict(embed_dim=(8 << i, 12 << i), depth=(1, 2), num_heads=(1, 2), mlp_ratio=(2, 3))
            for i in range(4)
        ]
        build, images = elastic_swin, LARGE
    supernet = randomize(build(space))
    small = supernet.space.smallest()
    backbone = build(SearchSpace.fixed(small, TRANSFORMER).to_config())
    report = backbone.inherit(supernet.state_dict())
    assert report.cut and report.left_out and not report.missing and not report.without_place
    theirs = supernet.forward_subnet(images, None, small)
    ours = backbone(images)
    assert_same(ours, [other[:, : one.shape[1]] for one, other in zip(ours, theirs)])


@pytest.mark.parametrize('class_token', [True, False])
def test_positions_of_another_grid(class_token):
    """As mmpretrain interpolates them in the forward pass; the class token's is kept."""
    model, vit = pretrain_vit(), elastic_vit(img_size=(32, 40), class_token=class_token)
    report = vit.inherit(model.state_dict())
    assert report.resized == ('pos_embed',)
    if not class_token:
        assert report.left_out == ('cls_token',) and vit.pos_embed.shape[1] == 80
    else:
        assert torch.equal(vit.pos_embed[:, 0], model.pos_embed[:, 0])
        images = torch.nn.functional.interpolate(IMAGE, (32, 40))
        # It does so in single precision.
        assert_same(vit(images), model(images), rtol=1e-5, atol=1e-5)


def test_positions_without_and_with_a_class_token():
    """Where only the backbone has one, its position stays as initialised."""
    model, vit = pretrain_vit(with_cls_token=False), elastic_vit()
    first = vit.pos_embed[:, 0].clone()
    report = vit.inherit(model.state_dict())
    assert report.missing == ('cls_token',)
    assert torch.equal(vit.pos_embed, torch.cat((first[:, None], model.pos_embed), dim=1))
    both_without = elastic_vit(class_token=False)
    both_without.inherit(model.state_dict())
    assert_same(both_without(IMAGE), model(IMAGE))


def test_bias_tables_of_another_window(tmp_path):
    """As mmdet resizes them when it loads a checkpoint."""
    source = dense_swin(window_size=2)
    checkpoint = tmp_path / 'swin.pth'
    learned = {k: v for k, v in source.state_dict().items() if 'index' not in k}
    torch.save(dict(state_dict=before('backbone.', learned)), checkpoint)
    model = dense_swin(window_size=3, init_cfg=None)
    model.init_cfg = ConfigDict(type='Pretrained', checkpoint=str(checkpoint))
    model.init_weights()
    swin = elastic_swin(pad_small_map=True)
    report = swin.inherit(torch.load(checkpoint))
    assert len(report.resized) == sum(SWIN['depths']) and not report.cut
    assert_same(swin(LARGE), model(LARGE))


def test_distance_tables_of_another_limit():
    """Row 0, the class token's, is kept; the others are interpolated along the distance."""
    stored = autoformer_state(24, 3, 3, 8, 48, tokens=37, limit=4)
    for key, value in stored['model'].items():
        if 'embeddings_table' in key:
            value[1:] = torch.arange(9.0)[:, None]
    space = dict(embed_dim=24, depth=3, num_heads=3, mlp_ratio=2)
    vit = elastic_vit(space, max_relative_position=13)
    report = vit.inherit(stored)
    assert len(report.resized) == 12 and all('embeddings_table' in key for key in report.resized)
    table = vit.blocks[0].attn.rel_pos_embed_k.embeddings_table_v
    theirs = stored['model']['blocks.0.attn.rel_pos_embed_k.embeddings_table_v']
    assert table.shape == (28, 8) and torch.equal(table[0], theirs[0])
    # Distance 0 lies in the middle, and farther keys have higher values.
    torch.testing.assert_close(table[14], theirs[5], **CLOSE)
    assert (table[3:-1].diff(dim=0) > 0).all()


def test_smaller_weights_are_refused():
    model, wide = pretrain_vit(), elastic_vit(dict(VIT_SPACE, mlp_ratio=3))
    before = snapshot(wide)
    with raises_naming(ValueError, "'blocks.0.mlp.fc1.weight'", (32, 16), (48, 16)):
        wide.inherit(model.state_dict())
    assert_unchanged(wide, before)


@pytest.mark.parametrize(
    'changes, named',
    [
        (dict(patch_size=2, img_size=12), ("'patch_embed.proj.weight'", 'patch_size')),
        (dict(in_channels=1), ("'patch_embed.proj.weight'", 'in_channels')),
        (dict(head_dim=4, max_relative_position=4), ("embeddings_table_v'", 'head_dim')),
    ],
)
def test_what_cannot_be_cut_is_refused(changes, named):
    stored = autoformer_state(16, 3, 2, 8, 32, tokens=37, limit=4)
    with raises_naming(ValueError, *named):
        elastic_vit(**changes).inherit(stored)


def test_positions_of_no_square_are_refused():
    """Such as those with a second special token."""
    state = pretrain_vit().state_dict()
    state['pos_embed'] = torch.cat((state['pos_embed'][:, :1], state['pos_embed']), dim=1)
    with raises_naming(ValueError, "'pos_embed'", 37):
        elastic_vit().inherit(state)
