"""Counts of slimmable networks: elements of 1,000 random ones, multiply-adds by fvcore."""

import random

import pytest
import torch
from fvcore.nn import FlopCountAnalysis

from mdl_nas_mm.elastic.plain import plain_part, without_memory
from mdl_nas_mm.families import ElasticMobileNetV2, ElasticResNet, ElasticResNet9
from mdl_nas_mm.families.heads.aspp import ElasticASPPHead
from mdl_nas_mm.families.slimmable.layers import make_conv, make_norm

SPACE = dict(width_ratio=(0.3, 0.5, 0.8, 1.0))
BACKBONES = {
    'ResNet-18': (ElasticResNet, dict(depth=18, base_channels=16, stem_channels=16)),
    'ResNet-50': (ElasticResNet, dict(depth=50, base_channels=8, stem_channels=8)),
    'ResNet-9': (ElasticResNet9, dict(base_channels=8)),
    'MobileNetV2': (ElasticMobileNetV2, dict(widen_factor=0.5)),
}
HEAD = dict(in_channels=64, channels=20, num_classes=5, norm_cfg=dict(type='BN'))


def made(kind, settings):
    with without_memory():
        return kind(space=SPACE, **settings)


@pytest.mark.parametrize('name', [*BACKBONES, 'ASPP head'])
def test_counts_are_the_elements_of_1000_architectures(name):
    kind, settings = BACKBONES.get(name, (ElasticASPPHead, HEAD))
    model, rng = made(kind, settings), random.Random(0)
    ledger, layers = model.ledger(), len(model.shape.layers())
    found: dict = {}
    for i in range(1000):
        spec = model.space.sample(rng)
        counts = model.slim.counts(spec)
        # Each layer by its channels is made once, however many architectures have it.
        total = 0
        for layer in model.shape.layers():
            key = layer.name, counts[layer.writes], *(counts[each] for each in layer.reads)
            if key not in found:
                found[key] = size_of(layer, counts)
            total += found[key]
        assert ledger.params(spec) == total
        if i < 2:
            with without_memory():
                plain = type(model)(arch=spec.to_dict(), **settings)
            assert sum(p.numel() for p in plain.parameters()) == total
    assert len(found) > layers


def size_of(layer, counts):
    """Elements of a layer's modules."""
    with without_memory():
        modules = [make_conv(layer, counts)]
        if layer.norm:
            modules.append(make_norm(layer, counts, dict(type='BN')))
    return sum(p.numel() for module in modules for p in module.parameters())


@pytest.mark.parametrize('name', BACKBONES)
def test_multiply_adds_are_fvcores(name):
    kind, settings = BACKBONES[name]
    config = dict(settings, space=SPACE)
    model, rng = kind(**config).eval(), random.Random(1)
    spec = model.space.sample(rng)
    plain = plain_part(model, config, None, spec)
    counter = FlopCountAnalysis(plain, torch.zeros(1, 3, 65, 49))
    counter = counter.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    # Of a batch norm, which is none of the products, fvcore counts an operation an element.
    expected = counter.by_operator()['conv']
    assert model.flops(None, spec, (65, 49)) == pytest.approx(expected, rel=0.01)
