"""All that the rest of the package asks of ResNets."""

from __future__ import annotations

from mdl_nas_mm.elastic.family import register_family
from mdl_nas_mm.elastic.key_styles import KeyStyle

from ..slimmable.family import slim_family
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

RESNET = register_family(slim_family('ResNet', ResNetShape, STYLES, stock_model=stock_model))
