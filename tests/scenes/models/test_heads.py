"""The heads that mmseg lacks, against what they are made of, and in a plain segmentor."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS
from torch.nn import functional as F

from mdl_nas_mm.scenes.models import ConvNeXtHead, PooledMLPHead


@pytest.fixture(autouse=True)
def scope():
    """Heads build upstream's losses."""
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


def test_a_token_becomes_four_by_four_pixels():
    """Each from its own channels: those of pixel (y, x) are the ones that a reshape gives it."""
    torch.manual_seed(0)
    head = ConvNeXtHead(in_channels=6, channels=32, num_classes=5).eval()
    assert head.channels == 2 and len(head.blocks) == 2
    head.blocks = torch.nn.Identity()
    tokens = torch.randn(1, 6, 3, 2)
    wide = torch.einsum('oi,bihw->bohw', head.projection.weight[:, :, 0, 0], tokens)
    wide = wide + head.projection.bias[None, :, None, None]
    pixels = wide.reshape(1, 2, 4, 4, 3, 2).permute(0, 1, 4, 2, 5, 3).reshape(1, 2, 12, 8)
    expected = head.conv_seg(pixels)
    torch.testing.assert_close(head([tokens]), expected)


def test_the_size_of_the_published_head():
    """1536 channels are 96 a pixel: as many weights as the formula gives."""
    head = ConvNeXtHead(in_channels=768, num_classes=40)
    block = 96 * 49 + 96 + 2 * 96 + 2 * (96 * 384) + 384 + 96 + 96
    expected = 768 * 1536 + 1536 + 2 * block + 96 * 40 + 40
    assert sum(parameter.numel() for parameter in head.parameters()) == expected
    with pytest.raises(ValueError, match='channels 100'):
        ConvNeXtHead(in_channels=8, channels=100, num_classes=2)


@pytest.mark.parametrize('num_layers', [0, 1, 2])
def test_the_pooled_head_is_an_mlp_of_the_mean(num_layers):
    torch.manual_seed(0)
    head = PooledMLPHead(num_layers, in_channels=6, channels=4, num_classes=3).eval()
    features = torch.randn(2, 6, 5, 7)
    x = features.mean((2, 3))
    for layer in head.mlp[::2]:
        x = F.gelu(F.linear(x, layer.weight, layer.bias))
    expected = F.linear(x, head.conv_seg.weight[:, :, 0, 0], head.conv_seg.bias)
    torch.testing.assert_close(head([features])[:, :, 0, 0], expected)


def test_they_segment_in_upstreams_model():
    """With upstream's own loss, weighted by class as Taskonomy's semantics are."""
    loss = dict(type='CrossEntropyLoss', class_weight=[1.0, 2.0, 0.5])
    config = dict(
        type='EncoderDecoder',
        backbone=dict(type='ResNetV1c', depth=18, base_channels=8, stem_channels=8),
        decode_head=dict(
            type='mdl_nas_mm.ConvNeXtHead',
            in_channels=64,
            in_index=3,
            channels=32,
            num_classes=3,
            loss_decode=loss,
        ),
        test_cfg=ConfigDict(mode='whole'),
    )
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(config).eval()
        (found,) = model(torch.randn(1, 3, 40, 56), mode='predict')
    assert found.pred_sem_seg.data.shape == (1, 40, 56)
