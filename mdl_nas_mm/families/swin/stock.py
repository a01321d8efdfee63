"""The stock class that a Swin of one architecture fits, if any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mdl_nas_mm.elastic import ElasticBackbone
from mdl_nas_mm.elastic.family import NoStockClassError

from ..transformer.stock import check_heads, class_name, hidden_widths

# Libraries with a SwinTransformer of their own: widths double, one MLP ratio, padded small maps.
_OWN_SWIN = ('mmdet', 'mmseg', 'mmpose')


def stock_model(backbone: ElasticBackbone, scope: str, model: Mapping) -> dict[str, Any]:
    """A task's model config with a ``SwinTransformer``; see ``Family``."""
    return dict(model, backbone=_config(backbone, scope))


def _config(backbone: ElasticBackbone, scope: str) -> dict[str, Any]:
    shape, stages = backbone.shape, backbone.arch.stages
    for s, stage in enumerate(stages):
        check_heads(stage, shape.head_dim, f'stage {s}, block')
    indices = list(backbone.out_indices)
    if indices != sorted(set(indices)):
        raise NoStockClassError(f'SwinTransformer returns a stage once, wanted are {indices}')
    sizes = dict(
        embed_dims=stages[0].embed_dim,
        depths=[len(stage.blocks) for stage in stages],
        num_heads=[stage.blocks[0].num_heads for stage in stages],
    )
    common = dict(
        patch_size=shape.patch_size,
        in_channels=shape.in_channels,
        out_indices=tuple(indices),
        drop_path_rate=0.0,
    )
    if scope in _OWN_SWIN and _is_regular(backbone):
        return dict(
            type='SwinTransformer',
            **sizes,
            **common,
            window_size=shape.window_sizes[0],
            mlp_ratio=int(stages[0].blocks[0].mlp_ratio),
            qkv_bias=shape.qkv_bias,
            strides=(shape.patch_size, *[2] * (len(stages) - 1)),
        )
    return dict(
        type=class_name('SwinTransformer', scope),
        arch=sizes,
        **common,
        pad_small_map=backbone.pad_small_map,
        stage_cfgs=[_stage_config(backbone, s) for s in range(len(stages))],
    )


def _is_regular(backbone: ElasticBackbone) -> bool:
    """Whether an architecture is what mmdet's, mmseg's and mmpose's own Swin can be."""
    stages, windows = backbone.arch.stages, backbone.shape.window_sizes
    ratios = {block.mlp_ratio for stage in stages for block in stage.blocks}
    doubling = all(b.embed_dim == 2 * a.embed_dim for a, b in zip(stages, stages[1:]))
    whole = len(ratios) == 1 and min(ratios).is_integer()
    return doubling and whole and len(set(windows)) == 1 and backbone.pad_small_map


def _stage_config(backbone: ElasticBackbone, index: int) -> dict[str, Any]:
    shape, stages = backbone.shape, backbone.arch.stages
    blocks = [
        dict(ffn_cfgs=dict(feedforward_channels=width)) for width in hidden_widths(stages[index])
    ]
    if not shape.qkv_bias:
        blocks = [dict(block, attn_cfgs=dict(qkv_bias=False)) for block in blocks]
    config = dict(window_size=shape.window_sizes[index], block_cfgs=blocks)
    if index + 1 < len(stages):
        config['downsample_cfg'] = dict(out_channels=stages[index + 1].embed_dim)
    return config
