"""All that the rest of the package asks of MobileNetV2."""

from __future__ import annotations

from mdl_nas_mm.elastic.family import register_family
from mdl_nas_mm.elastic.key_styles import KeyStyle

from ..slimmable.family import slim_family
from .shape import MobileNetV2Shape
from .stock import stock_model

_BLOCKS = tuple(enumerate(MobileNetV2Shape().block_names(), 1))

STYLES = (
    KeyStyle('OpenMMLab MobileNetV2', ('layer1.0.conv.0.conv.weight', 'conv1.conv.weight')),
    KeyStyle(
        'mmdet MobileNetV2',
        ('layer1.0.depthwise_conv.conv.weight', 'conv1.conv.weight'),
        (
            (r'^(layer1\.0)\.depthwise_conv\.', r'\1.conv.0.'),
            (r'^(layer1\.0)\.linear_conv\.', r'\1.conv.1.'),
            (r'\.expand_conv\.', '.conv.0.'),
            (r'\.depthwise_conv\.', '.conv.1.'),
            (r'\.linear_conv\.', '.conv.2.'),
        ),
    ),
    KeyStyle(
        'torchvision MobileNetV2',
        ('features.1.conv.0.0.weight', 'features.0.0.weight'),
        (
            (r'^features\.0\.0\.', 'conv1.conv.'),
            (r'^features\.0\.1\.', 'conv1.bn.'),
            (r'^features\.18\.0\.', 'conv2.conv.'),
            (r'^features\.18\.1\.', 'conv2.bn.'),
            # The last convolution of a block and its norm follow the pairs one by one.
            (r'^(features\.1\.conv)\.1\.(?=[a-z])', r'\1.1.0.'),
            (r'^(features\.1\.conv)\.2\.(?=[a-z])', r'\1.1.1.'),
            (r'^(features\.\d+\.conv)\.2\.(?=[a-z])', r'\1.2.0.'),
            (r'^(features\.\d+\.conv)\.3\.(?=[a-z])', r'\1.2.1.'),
            (r'^(features\.\d+\.conv\.\d)\.0\.', r'\1.conv.'),
            (r'^(features\.\d+\.conv\.\d)\.1\.', r'\1.bn.'),
            *((rf'^features\.{i}\.', f'{name}.') for i, name in _BLOCKS),
        ),
    ),
)

MOBILENET_V2 = register_family(
    slim_family('MobileNetV2', MobileNetV2Shape, STYLES, stock_model=stock_model)
)
