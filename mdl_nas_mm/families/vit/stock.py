"""The stock class that a ViT of one architecture fits, if any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mdl_nas_mm.elastic import ElasticBackbone
from mdl_nas_mm.elastic.family import NoStockClassError

from ..transformer.stock import check_heads, class_name, hidden_widths


def stock_model(backbone: ElasticBackbone, scope: str, model: Mapping) -> dict[str, Any]:
    """A task's model config with mmpretrain's ``VisionTransformer``; see ``Family``.

    That returns maps where the elastic backbone returns their mean, which then is a neck's work.
    """
    config = dict(model, backbone=_config(backbone, scope))
    if backbone.out_type == 'avg_featmap':
        if scope != 'mmpretrain' or model.get('neck') is not None:
            raise NoStockClassError('VisionTransformer returns no mean of its patches')
        config['neck'] = dict(type='GlobalAveragePooling')
    return config


def _config(backbone: ElasticBackbone, scope: str) -> dict[str, Any]:
    shape, (stage,) = backbone.shape, backbone.arch.stages
    if shape.max_relative_position:
        raise NoStockClassError(
            'VisionTransformer has no relative positions, this backbone has them up to a distance '
            f'of {shape.max_relative_position}'
        )
    if not shape.absolute_position:
        raise NoStockClassError('VisionTransformer needs a position embedding')
    if shape.qkv_bias == 'packed':
        raise NoStockClassError("VisionTransformer has no qkv_bias that is 'packed'")
    if backbone.window_size:
        raise NoStockClassError(
            f'VisionTransformer has no windows, this backbone has windows of {backbone.window_size}'
        )
    if backbone.propagation != 'none':
        raise NoStockClassError(
            f'VisionTransformer has no propagation behind blocks, this is {backbone.propagation!r}'
        )
    check_heads(stage, shape.head_dim, 'block')
    indices = list(backbone.out_indices)
    if indices != sorted(set(indices)):
        raise NoStockClassError(f'VisionTransformer returns a block once, wanted are {indices}')
    hidden = hidden_widths(stage)
    config = dict(
        type=class_name('VisionTransformer', scope),
        arch=dict(
            embed_dims=stage.embed_dim,
            num_layers=len(stage.blocks),
            num_heads=stage.blocks[0].num_heads,
            feedforward_channels=hidden[0],
        ),
        img_size=shape.img_size,
        patch_size=shape.patch_size,
        in_channels=shape.in_channels,
        out_indices=indices,
        out_type='cls_token' if backbone.out_type == 'cls_token' else 'featmap',
        with_cls_token=shape.class_token,
        qkv_bias=shape.qkv_bias,
        norm_cfg=dict(type='LN', eps=backbone.norm.eps),
    )
    if len(set(hidden)) > 1:
        config['layer_cfgs'] = [dict(feedforward_channels=width) for width in hidden]
    return config
