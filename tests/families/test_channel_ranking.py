"""The channels that matter most come first, and the largest network computes what it did."""

import pytest
import torch

from mdl_nas_mm.families import ElasticMobileNetV2, ElasticResNet, ElasticResNet9

SPACE = dict(width_ratio=(0.5, 1.0))
CASES = {
    'ResNet-18': (ElasticResNet, dict(depth=18, base_channels=8, stem_channels=8)),
    'ResNet-50 with a deep stem': (
        ElasticResNet,
        dict(depth=50, base_channels=4, stem_channels=8, deep_stem=True, out_indices=(1, 3)),
    ),
    'ResNet-9': (ElasticResNet9, dict(base_channels=8, out_indices=(3,))),
    'MobileNetV2': (ElasticMobileNetV2, dict(widen_factor=0.5, out_indices=(2, 6))),
}


@torch.no_grad()
@pytest.mark.parametrize('case', CASES)
def test_the_largest_computes_what_it_did(case):
    kind, settings = CASES[case]
    torch.manual_seed(0)
    model = kind(space=SPACE, **settings).eval()
    for name, value in model.state_dict().items():
        if value.dtype.is_floating_point:
            value.uniform_(0.2, 1.2) if name.endswith('var') else value.normal_(0, 0.3)
    images = torch.randn(1, 3, 64, 64)
    maps, before = model(images), {k: v.clone() for k, v in model.state_dict().items()}
    model.arch = model.space.smallest()
    narrow = model(images)
    model.arch = model.space.largest()
    model.reorder_by_importance()
    for one, other in zip(model(images), maps, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    changed = [name for name, value in model.state_dict().items() if not value.equal(before[name])]
    assert any(name.endswith('running_mean') for name in changed)
    model.arch = model.space.smallest()
    assert not all(map(torch.equal, model(images), narrow))


@torch.no_grad()
def test_channels_fall_by_the_weights_that_read_them():
    torch.manual_seed(0)
    model = ElasticResNet(18, SPACE, base_channels=8, stem_channels=8, out_indices=(3,))
    model.reorder_by_importance()
    inside = model.layer2[0].conv2.weight.abs().sum((0, 2, 3))
    assert torch.equal(inside, inside.sort(descending=True).values)
    # What is added up is read by the next block, and by the next stage twice.
    readers = [model.layer1[1].conv1, model.layer1[0].conv1, model.layer2[0].conv1]
    readers.append(model.layer2[0].downsample[0])
    total = sum(reader.weight.abs().sum((0, 2, 3)) for reader in readers)
    torch.testing.assert_close(total, total.sort(descending=True).values)


@torch.no_grad()
def test_published_weights_are_ranked_as_they_are_taken_over():
    settings = dict(base_channels=8, stem_channels=8, out_indices=(3,))
    source = ElasticResNet(18, 'whole', **settings)
    plain, ranked = (ElasticResNet(18, SPACE, **settings) for _ in range(2))
    plain.inherit(source.state_dict())
    ranked.inherit(source.state_dict(), reorder=True)
    plain.reorder_by_importance()
    for name, weight in plain.state_dict().items():
        assert torch.equal(weight, ranked.state_dict()[name])
    assert not torch.equal(ranked.conv1.weight, source.conv1.weight)
