"""All that the rest of the package asks of ResNets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mdl_nas_mm.elastic.family import Family, TaskSetting, register_family
from mdl_nas_mm.elastic.key_styles import KeyStyle
from mdl_nas_mm.spec import SubnetSpec

from ..slimmable.dimensions import SLIMMABLE, completed
from ..slimmable.spaces import SPACES
from ..slimmable.timed_parts import SlimParts
from .shape import ResNetShape
from .stock import stock_model

# torchvision's keys are OpenMMLab's.
STYLES = (
    KeyStyle('ResNet', ('layer1.0.conv1.weight', 'conv1.weight')),
    KeyStyle('ResNetV1c', ('layer1.0.conv1.weight', 'stem.0.weight')),
    KeyStyle(
        'mmpretrain ResNetV1c',
        ('layer1.0.conv1.weight', 'stem.0.conv.weight'),
        tuple(
            (rf'^stem\.{i}\.{part}\.', f'stem.{3 * i + j}.')
            for i in range(3)
            for j, part in enumerate(('conv', 'bn'))
        ),
    ),
)


def _completed(config: Any, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    shape = ResNetShape.of(settings)
    return completed(config, shape.widths(), shape.multiple)


def _timed_parts(settings: Mapping[str, Any], shape: Mapping[str, Any]) -> SlimParts:
    own = ResNetShape.of(shape)
    return SlimParts(own, tuple(own.block_names()))


def _block_names(spec: SubnetSpec, shape: ResNetShape) -> list[str]:
    return shape.block_names()


RESNET = register_family(
    Family(
        name='ResNet',
        dimensions=SLIMMABLE,
        spaces=SPACES,
        completed=_completed,
        task_settings=dict(out_indices=TaskSetting(is_output=True)),
        block_names=_block_names,
        styles=STYLES,
        stock_model=stock_model,
        timed_parts=_timed_parts,
    )
)
