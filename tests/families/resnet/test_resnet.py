"""The elastic ResNet against upstream's, and against plain models of its slices."""

import random

import pytest
import torch
from mmdet.models import ResNet as DetResNet
from mmpretrain.models import ResNet as ClsResNet
from mmpretrain.models import ResNetV1c as ClsResNetV1c
from mmseg.models import ResNet as SegResNet
from mmseg.models import ResNetV1c as SegResNetV1c
from refusals import raises_naming

from mdl_nas_mm.elastic.plain import plain_part
from mdl_nas_mm.families import ElasticResNet
from mdl_nas_mm.families.resnet import RESNET, ResNetShape
from mdl_nas_mm.families.slimmable import width_choices, widths, with_widths

IMAGES = torch.randn(2, 3, 65, 49, generator=torch.Generator().manual_seed(0))
DILATED = dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4))
DEEPLAB = dict(DILATED, contract_dilation=True)
SMALL = dict(base_channels=8, stem_channels=8)
CASES = [
    (ClsResNet, dict(depth=18, out_indices=(0, 1, 2, 3), **SMALL), {}),
    (ClsResNet, dict(depth=50, out_indices=(3,), style='caffe', **SMALL), {}),
    (ClsResNetV1c, dict(depth=34, out_indices=(3,), **SMALL), dict(deep_stem=True)),
    (SegResNet, dict(depth=34, out_indices=(0, 3), **SMALL, **DEEPLAB), {}),
    (SegResNetV1c, dict(depth=18, **SMALL, **DEEPLAB), dict(deep_stem=True)),
    (SegResNetV1c, dict(depth=50, **SMALL, **DILATED), dict(deep_stem=True)),
    (DetResNet, dict(depth=50, **SMALL), {}),
]


@torch.no_grad()
def random_weights(model):
    """Weights and statistics with which no part does nothing; in evaluation mode."""
    torch.manual_seed(0)
    for name, value in model.state_dict().items():
        if name.endswith('running_var'):
            value.uniform_(0.5, 1.5)
        elif value.dim() == 1:
            value.uniform_(-0.5, 1)
    # Upstream's own does not give itself back.
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
    elastic = ElasticResNet(space='ecmt-nyud', **settings, **more).eval()
    if kind is not ClsResNetV1c:
        assert list(elastic.state_dict()) == list(upstream.state_dict())
    report = elastic.inherit(upstream.state_dict())
    assert not report.missing and not report.left_out and not report.cut
    assert_equal(elastic(IMAGES), upstream(IMAGES))


@torch.no_grad()
@pytest.mark.parametrize('kind, settings, more', CASES)
def test_a_subnet_is_the_plain_model_of_its_slices(kind, settings, more):
    config = dict(settings, space='ecmt-pascal', multiple=2, **more)
    elastic, rng = random_weights(ElasticResNet(**config)), random.Random(0)
    spec = elastic.space.sample(rng)
    plain = plain_part(elastic, config, None, spec)
    assert_equal(elastic.forward_subnet(IMAGES, None, spec), plain(IMAGES))
    assert elastic.ledger().params(spec) == sum(p.numel() for p in plain.parameters())


def test_layers_that_are_added_share_a_width():
    assert list(ResNetShape(18).widths()) == [
        *('layer1', 'layer1.0.conv1', 'layer1.1.conv1'),
        *('layer2.0.conv1', 'layer2', 'layer2.1.conv1'),
        *('layer3.0.conv1', 'layer3', 'layer3.1.conv1'),
        *('layer4.0.conv1', 'layer4', 'layer4.1.conv1'),
    ]
    counts = {depth: len(ResNetShape(depth).widths()) for depth in (34, 50)}
    assert counts == {34: 20, 50: 37}


def test_ratios_that_round_to_the_same_channels_are_one_choice():
    space = RESNET.space('ecmt-nyud', dict(depth=18, multiple=16))
    # Of 64 channels: 38.4, 44.8, 51.2, 57.6 become 32, 48, 48, 64.
    assert width_choices(space)[0] == (0.6, 0.8, 1.0)
    assert width_choices(space)[-1] == (0.6, 0.7, 0.8, 0.9, 1.0)


def test_width_ratios_are_one_flat_tuple():
    space = RESNET.space('ecmt-nyud', dict(depth=18))
    assert widths(space.smallest()) == (0.6,) * 12
    ratios = (0.7, *widths(space.largest())[1:])
    spec = with_widths(space.largest(), ratios)
    assert widths(spec) == ratios
    space.check(spec)
    with raises_naming(ValueError, '3', '12'):
        with_widths(spec, ratios[:3])


@pytest.mark.parametrize(
    'settings, named',
    [
        (dict(space=dict(width_ratio=(0.5, 1.5))), ('layer1', '1.5')),
        (dict(space=dict(width_ratio=(0.001, 1))), ('layer1', '0.001', '64')),
        (dict(space=dict(width_ratio=0.1), multiple=32), ('layer1', '0.1', '32')),
        (dict(space=dict(depth=4, width_ratio=1)), ('depth', '4', '12')),
        (dict(space=dict(width_ratio=[(1.0,)] * 3)), ('width_ratio', '3', '12')),
        (dict(space=dict()), ('width_ratio',)),
        (dict(space='whole', norm_cfg=dict(type='SyncBN')), ('norm_cfg', 'SyncBN')),
        (dict(space='whole', sharing='Sequential'), ('sharing', 'Sequential')),
        (dict(space='whole', depth=20), ('depth', '20')),
        (dict(space='whole', out_indices=(4,)), ('out_indices', '4')),
        (dict(arch=dict(width_ratio=[0.5] * 3)), ('width_ratio', '3', '12')),
    ],
)
def test_what_is_refused(settings, named):
    with raises_naming(ValueError, *named):
        ElasticResNet(**settings)


def test_frozen_stages_and_norms_stay_as_they_are():
    model = ElasticResNet(18, 'whole', frozen_stages=1, norm_eval=True, **SMALL).train()
    assert not model.conv1.weight.requires_grad and not model.layer1[0].conv1.weight.requires_grad
    assert model.layer2[0].conv1.weight.requires_grad
    assert not model.layer2[0].bn1.training and model.layer2.training


def test_what_no_upstream_class_fits_is_said():
    space = dict(width_ratio=(0.5, 1.0))
    model = ElasticResNet(18, space, **SMALL)
    for ratios, named in (
        ((0.5, *[1.0] * 11), ('stem', 'layer1')),
        ((*[1.0] * 11, 0.5), (list(model.shape.widths())[-1],)),
    ):
        model.arch = with_widths(model.space.largest(), ratios)
        with raises_naming(ValueError, *named) as raised:
            model.family.stock_model(model, 'mmseg', {})
        assert 'None' not in str(raised.value)
