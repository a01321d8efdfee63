"""The elastic MobileNetV2 against upstream's and torchvision's, and against plain models."""

import random

import pytest
import torch
from mmdet.models.backbones import MobileNetV2 as DetMobileNetV2
from mmpretrain.models import MobileNetV2 as ClsMobileNetV2
from mmseg.models import MobileNetV2 as SegMobileNetV2
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import mobilenet_v2

from mdl_nas_mm.elastic.plain import plain_part
from mdl_nas_mm.families import ElasticMobileNetV2
from mdl_nas_mm.families.mobilenet_v2 import MobileNetV2Shape

IMAGES = torch.randn(2, 3, 65, 49, generator=torch.Generator().manual_seed(0))
DILATED = dict(strides=(1, 2, 2, 1, 1, 1, 1), dilations=(1, 1, 1, 2, 2, 4, 4))
CASES = [
    (ClsMobileNetV2, dict(out_indices=(0, 3, 7), widen_factor=0.5), dict(conv2=True)),
    (DetMobileNetV2, dict(out_indices=(1, 2, 4, 7), widen_factor=0.35), dict(conv2=True)),
    (SegMobileNetV2, dict(out_indices=(1, 6), widen_factor=1.0, **DILATED), {}),
]


@torch.no_grad()
def random_weights(model):
    torch.manual_seed(0)
    for name, value in model.state_dict().items():
        if name.endswith('running_var'):
            value.uniform_(0.5, 1.5)
        elif value.dim() == 1:
            value.uniform_(-0.5, 1)
    model.eval()
    return model


def assert_equal(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize('kind, settings, more', CASES)
def test_the_largest_is_upstreams(kind, settings, more):
    upstream = random_weights(kind(**settings))
    elastic = ElasticMobileNetV2(space='ecmt-pascal', **settings, **more).eval()
    if kind is not DetMobileNetV2:
        assert set(elastic.state_dict()) == set(upstream.state_dict())
    report = elastic.inherit(upstream.state_dict())
    assert not report.missing and not report.left_out and not report.cut
    assert_equal(elastic(IMAGES), upstream(IMAGES))


@torch.no_grad()
def test_torchvisions_weights_are_taken():
    published = random_weights(mobilenet_v2())
    elastic = ElasticMobileNetV2(space='ecmt-pascal', conv2=True, out_indices=(7,)).eval()
    report = elastic.inherit(published.state_dict())
    assert report.style.startswith('torchvision') and not report.missing
    assert set(report.left_out) == {'classifier.1.weight', 'classifier.1.bias'}
    assert_equal(elastic(IMAGES), (published.features(IMAGES),))


@torch.no_grad()
@pytest.mark.parametrize('kind, settings, more', CASES)
def test_a_subnet_is_the_plain_model_of_its_slices(kind, settings, more):
    config = dict(settings, space='ecmt-pascal', **more)
    elastic, rng = random_weights(ElasticMobileNetV2(**config)), random.Random(0)
    spec = elastic.space.sample(rng)
    plain = plain_part(elastic, config, None, spec)
    assert_equal(elastic.forward_subnet(IMAGES, None, spec), plain(IMAGES))
    assert elastic.ledger().params(spec) == sum(p.numel() for p in plain.parameters())
    with FlopCounterMode(display=False) as counter:
        plain(IMAGES)
    assert counter.get_total_flops() == 4 * elastic.flops(None, spec, (65, 49))


def test_a_depthwise_convolution_has_the_width_of_what_it_reads():
    shape = MobileNetV2Shape()
    layers = {layer.name: layer for layer in shape.layers()}
    assert layers['layer2.0.conv.1.conv'].writes == 'layer2.0'
    assert layers['layer1.0.conv.0.conv'].writes == 'conv1'
    assert layers['layer2.1.conv.2.conv'].writes == 'layer2'
    # The first convolution, the hidden width of 16 blocks, seven stages.
    assert len(shape.widths()) == 24
    assert len(MobileNetV2Shape(stages=8).widths()) == 25
