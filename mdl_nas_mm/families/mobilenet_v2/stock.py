"""The stock class that a MobileNetV2 of one architecture fits, if any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mdl_nas_mm.elastic.family import NoStockClassError

from ..slimmable.backbone import SlimBackbone
from ..slimmable.stock import check_channels, returned_stages
from .shape import STRIDES, MobileNetV2Shape


def stock_model(backbone: SlimBackbone, scope: str, model: Mapping) -> dict[str, Any]:
    """A task's model config with a ``MobileNetV2``; see ``Family``."""
    return dict(model, backbone=_config(backbone, scope))


def _config(backbone: SlimBackbone, scope: str) -> dict[str, Any]:
    shape: MobileNetV2Shape = backbone.shape
    counts = backbone.slim.counts(backbone.arch)
    if shape.stages < len(shape.strides):
        raise NoStockClassError(f'MobileNetV2 has {len(shape.strides)} stages, not {shape.stages}')
    factor = counts['conv1'] / 32
    whole = MobileNetV2Shape(**{**asdict(shape), 'widen_factor': factor})
    check_channels(backbone, whole.widths(), f'a MobileNetV2 of widen_factor {factor}')
    indices = returned_stages(backbone, 'MobileNetV2')
    config = dict(widen_factor=factor, out_indices=indices, norm_cfg=backbone.norm_cfg)
    if shape.in_channels != 3:
        raise NoStockClassError(f'MobileNetV2 takes 3 channels, not {shape.in_channels}')
    if shape.conv2:
        if (shape.strides, set(shape.dilations)) != (STRIDES, {1}):
            raise NoStockClassError('a MobileNetV2 with conv2 has the strides of its paper')
        return dict(type=_named('mmpretrain', scope), **config)
    if len(indices) == 1:
        raise NoStockClassError("mmseg's MobileNetV2 returns no tuple of one map")
    named = _named('mmseg', scope)
    return dict(type=named, **config, strides=shape.strides, dilations=shape.dilations)


def _named(library: str, scope: str) -> str:
    return 'MobileNetV2' if scope == library else f'{library}.MobileNetV2'
