"""The stock class that a ResNet of one architecture fits, if any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mdl_nas_mm.elastic.family import NoStockClassError

from ..slimmable.backbone import SlimBackbone
from ..slimmable.stock import check_channels, returned_stages
from .shape import ResNetShape

# Libraries with a ResNet of their own.
_OWN_RESNET = ('mmpretrain', 'mmdet', 'mmseg', 'mmpose')


def stock_model(backbone: SlimBackbone, scope: str, model: Mapping) -> dict[str, Any]:
    """A task's model config with a ``ResNet``; see ``Family``."""
    return dict(model, backbone=_config(backbone, scope))


def _config(backbone: SlimBackbone, scope: str) -> dict[str, Any]:
    shape: ResNetShape = backbone.shape
    counts = backbone.slim.counts(backbone.arch)
    stem, base = _sizes(shape, counts)
    if _adds_stem(shape) and stem != base:
        raise NoStockClassError(
            f'the stem is added to layer1 and has {stem} channels; in a ResNet of {base} base '
            f'channels it has {base}'
        )
    whole = ResNetShape(**{**asdict(shape), 'stem_channels': stem, 'base_channels': base})
    check_channels(backbone, whole.widths(), f'a ResNet of {base} base channels')
    indices = returned_stages(backbone, 'ResNet')
    contracts = shape.contract_dilation and max(shape.dilations) > 1
    name = 'ResNet' if scope in _OWN_RESNET else 'mmpretrain.ResNet'
    if contracts and scope != 'mmseg':
        name = 'mmseg.ResNet'
    config = dict(
        type=name,
        depth=shape.depth,
        in_channels=shape.in_channels,
        stem_channels=stem,
        base_channels=base,
        num_stages=len(shape.strides),
        strides=shape.strides,
        dilations=shape.dilations,
        out_indices=indices,
        style=shape.style,
        deep_stem=shape.deep_stem,
        norm_cfg=backbone.norm_cfg,
    )
    if contracts:
        config['contract_dilation'] = True
    return config


def _adds_stem(shape: ResNetShape) -> bool:
    """Whether the first stage adds to what the stem gives, so that they have one width."""
    return not {'conv1', 'stem.6'} & shape.widths().keys()


def _sizes(shape: ResNetShape, counts: Mapping[str, int]) -> tuple[int, int]:
    """Channels of the stem, and of the first stage inside of its blocks."""
    layers = {layer.name: layer for layer in shape.layers()}
    stem = layers['stem.6' if shape.deep_stem else 'conv1'].writes
    return counts[stem], counts['layer1.0.conv1']
