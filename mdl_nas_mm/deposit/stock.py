"""Which of upstream's own classes a backbone of one architecture fits, if any.

Upstream's attention is as wide as the embedding, so that its heads divide that; ours may be wider
or narrower. All else that blocks may differ in, mmpretrain's classes can be told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from mdl_nas_mm.elastic import ElasticBackbone
from mdl_nas_mm.elastic.key_styles import find_style
from mdl_nas_mm.families import ElasticSwin, ElasticViT
from mdl_nas_mm.spec import StageSpec, hidden_features

# Libraries with a SwinTransformer of their own: widths double, one MLP ratio, padded small maps.
_OWN_SWIN = ('mmdet', 'mmseg', 'mmpose')
# Follows from the sizes; nothing that is learned.
_COMPUTED = 'relative_position_index'


class NoStockClassError(ValueError):
    """Says the first thing that no stock class can do."""


def stock_config(backbone: ElasticBackbone, scope: str) -> dict[str, Any]:
    """The config of an upstream backbone with the sizes of one architecture.

    It returns the maps of the architecture's own widths, not padded ones, and maps where the
    elastic backbone returns their mean.

    Args:
        backbone: one of a single architecture, its ``arch``, and without tasks.
        scope: the library that the config is for.

    Raises:
        NoStockClassError: no stock class has these sizes.
    """
    if isinstance(backbone, ElasticViT):
        return _vit_config(backbone, scope)
    if isinstance(backbone, ElasticSwin):
        return _swin_config(backbone, scope)
    raise NoStockClassError(f'there is none for {type(backbone).__name__}')


def stock_weights(stock: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An elastic backbone's state dict in the keys of a stock one."""
    style, _ = find_style(stock.state_dict())
    return {
        key: value if key.endswith(_COMPUTED) else weights[style.rename(key)]
        for key, value in stock.state_dict().items()
    }


def _vit_config(backbone: ElasticViT, scope: str) -> dict[str, Any]:
    shape, (stage,) = backbone.shape, backbone.arch.stages
    if shape.max_relative_position:
        raise NoStockClassError(
            'VisionTransformer has no relative positions, this backbone has them up to a distance '
            f'of {shape.max_relative_position}'
        )
    if not shape.absolute_position:
        raise NoStockClassError('VisionTransformer needs a position embedding')
    if backbone.window_size:
        raise NoStockClassError(
            f'VisionTransformer has no windows, this backbone has windows of {backbone.window_size}'
        )
    _check_heads(stage, shape.head_dim, 'block')
    indices = list(backbone.out_indices)
    if indices != sorted(set(indices)):
        raise NoStockClassError(f'VisionTransformer returns a block once, wanted are {indices}')
    hidden = _hidden(stage)
    config = dict(
        type=_name('VisionTransformer', scope),
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


def _swin_config(backbone: ElasticSwin, scope: str) -> dict[str, Any]:
    shape, stages = backbone.shape, backbone.arch.stages
    for s, stage in enumerate(stages):
        _check_heads(stage, shape.head_dim, f'stage {s}, block')
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
        type=_name('SwinTransformer', scope),
        arch=sizes,
        **common,
        pad_small_map=backbone.pad_small_map,
        stage_cfgs=[_stage_config(backbone, s) for s in range(len(stages))],
    )


def _is_regular(backbone: ElasticSwin) -> bool:
    """Whether an architecture is what mmdet's, mmseg's and mmpose's own Swin can be."""
    stages, windows = backbone.arch.stages, backbone.shape.window_sizes
    ratios = {block.mlp_ratio for stage in stages for block in stage.blocks}
    doubling = all(b.embed_dim == 2 * a.embed_dim for a, b in zip(stages, stages[1:]))
    whole = len(ratios) == 1 and min(ratios).is_integer()
    return doubling and whole and len(set(windows)) == 1 and backbone.pad_small_map


def _stage_config(backbone: ElasticSwin, index: int) -> dict[str, Any]:
    shape, stages = backbone.shape, backbone.arch.stages
    blocks = [dict(ffn_cfgs=dict(feedforward_channels=width)) for width in _hidden(stages[index])]
    if not shape.qkv_bias:
        blocks = [dict(block, attn_cfgs=dict(qkv_bias=False)) for block in blocks]
    config = dict(window_size=shape.window_sizes[index], block_cfgs=blocks)
    if index + 1 < len(stages):
        config['downsample_cfg'] = dict(out_channels=stages[index + 1].embed_dim)
    return config


def _check_heads(stage: StageSpec, head_dim: int, where: str) -> None:
    for i, block in enumerate(stage.blocks):
        inner = block.num_heads * head_dim
        if inner != stage.embed_dim:
            raise NoStockClassError(
                f'{where} {i} has {block.num_heads} heads of {head_dim} channels, {inner} '
                f"together, on an embedding of {stage.embed_dim}; a stock class's are as wide"
            )


def _hidden(stage: StageSpec) -> list[int]:
    return [hidden_features(stage.embed_dim, block.mlp_ratio) for block in stage.blocks]


def _name(kind: str, scope: str) -> str:
    """The name of a class of mmpretrain in the config of a library."""
    return kind if scope == 'mmpretrain' else f'mmpretrain.{kind}'
