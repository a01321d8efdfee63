"""Slimmable heads against upstream's, and against plain ones of their slices."""

import random

import pytest
import torch
from mmpretrain.models.heads import LinearClsHead
from mmseg.models.decode_heads import ASPPHead, FCNHead
from refusals import raises_naming
from torch.utils.flop_counter import FlopCounterMode

from mdl_nas_mm.elastic.plain import plain_part
from mdl_nas_mm.families.heads.aspp import ElasticASPPHead
from mdl_nas_mm.families.heads.fcn import ElasticFCNHead
from mdl_nas_mm.families.heads.linear import ElasticLinearClsHead
from mdl_nas_mm.families.slimmable import widths
from mdl_nas_mm.spec import footprint

BN = dict(type='BN', requires_grad=True)
SEGMENTS = dict(channels=10, num_classes=5, align_corners=False)
ONE = dict(SEGMENTS, in_channels=12, in_index=-1)
BOTH = dict(SEGMENTS, in_channels=[12, 12], in_index=[0, 1], input_transform='resize_concat')
CASES = {
    'aspp': (ElasticASPPHead, ASPPHead, dict(ONE, dilations=(1, 2, 3), norm_cfg=BN), 5),
    'fcn': (ElasticFCNHead, FCNHead, dict(ONE, num_convs=2, norm_cfg=BN), 3),
    'fcn of two maps': (ElasticFCNHead, FCNHead, dict(BOTH, num_convs=1), 2),
    'fcn without': (ElasticFCNHead, FCNHead, dict(ONE, concat_input=False, norm_cfg=BN), 2),
    'linear': (ElasticLinearClsHead, LinearClsHead, dict(in_channels=12, num_classes=5), 1),
}
cases = pytest.mark.parametrize('case', list(CASES))


def inputs_of(case):
    generator = torch.Generator().manual_seed(0)
    if case == 'linear':
        return (torch.randn(3, 12, generator=generator),)
    sides = (9, 7) if case == 'fcn of two maps' else (9, 9)
    return tuple(torch.randn(2, 12, side, 8, generator=generator) for side in sides)


@torch.no_grad()
def random_weights(model):
    torch.manual_seed(0)
    for name, value in model.state_dict().items():
        if name.endswith('running_var'):
            value.uniform_(0.5, 1.5)
        elif value.dtype.is_floating_point:
            value.normal_(0, 0.3)
    return model.eval()


def elastic_of(case, **more):
    kind, _, settings, _ = CASES[case]
    config = dict(settings, space='ecmt-cifar', **more)
    return random_weights(kind(**config)), config


@torch.no_grad()
@cases
def test_the_largest_is_upstreams(case):
    kind, upstream_kind, settings, count = CASES[case]
    upstream = random_weights(upstream_kind(**settings))
    elastic = kind(**settings, space='ecmt-cifar').eval()
    assert len(widths(elastic.space.largest())) == count
    elastic.load_state_dict(upstream.state_dict(), strict=True)
    inputs = inputs_of(case)
    torch.testing.assert_close(elastic(inputs), upstream(inputs), rtol=1e-5, atol=1e-5)


@torch.no_grad()
@cases
@pytest.mark.parametrize('multiple', [1, 4])
def test_a_subnet_is_the_plain_head_of_its_slices(case, multiple):
    space = dict(width_ratio=(0.4, 0.7, 1.0))
    head, config = elastic_of(case)
    config = dict(config, space=space, multiple=multiple)
    head = random_weights(type(head)(**config))
    rng, inputs = random.Random(0), inputs_of(case)
    for _ in range(3):
        spec = head.space.sample(rng)
        head.arch = spec
        plain = plain_part(head, config, None, spec)
        torch.testing.assert_close(head(inputs), plain(inputs), rtol=1e-5, atol=1e-5)
        assert head.ledger().params(spec) == sum(p.numel() for p in plain.parameters())


@cases
def test_the_layout_names_every_element(case):
    head, _ = elastic_of(case)
    used = footprint(head.ledger(), [('a', head.space.largest())])
    total = sum(int(lengths.sum()) for lengths in used.values())
    assert total == sum(p.numel() for p in head.parameters())


@cases
def test_what_is_not_used_gets_no_gradient(case):
    head, _ = elastic_of(case)
    head.arch = head.space.smallest()
    head.train()(inputs_of(case)).sum().backward()
    used = footprint(head.ledger(), [('a', head.arch)])
    sizes = {}
    for (name, _), lengths in used.items():
        sizes[name] = sizes.get(name, 0) + int(lengths.sum())
    for name, parameter in head.named_parameters():
        assert int((parameter.grad != 0).sum()) <= sizes[name], name


@torch.no_grad()
def test_a_head_is_as_fast_as_its_widths():
    """Products fall with the square of a ratio that all layers behind the first have."""
    head, _ = elastic_of('fcn')
    found = []
    for spec in (head.space.smallest(), head.space.largest()):
        head.arch = spec
        with FlopCounterMode(display=False) as counter:
            head(inputs_of('fcn'))
        found.append(counter.get_total_flops() // 2)
    pixels = 2 * 9 * 8
    small = 9 * (12 * 2 + 2 * 2 + (12 + 2) * 2) + 2 * 5
    large = 9 * (12 * 10 + 10 * 10 + (12 + 10) * 10) + 10 * 5
    assert found == [pixels * small, pixels * large]


@cases
@pytest.mark.parametrize('given', [10, 14])
def test_maps_of_other_channels_are_refused(case, given):
    """Of 14 channels the first 12 would be taken without a word."""
    head, _ = elastic_of(case)
    *others, last = inputs_of(case)
    shape = (last.shape[0], given, *last.shape[2:])
    with raises_naming(ValueError, 'in_channels', 12, given):
        head((*others, torch.zeros(shape)))


def test_what_is_refused():
    with raises_naming(ValueError, 'norm_cfg', 'GN'):
        ElasticFCNHead(**ONE, space='whole', norm_cfg=dict(type='GN', num_groups=2))
    with raises_naming(ValueError, 'bottleneck', '1.2'):
        ElasticASPPHead(**ONE, space=dict(width_ratio=[(1,)] * 5 + [(1.2,)]))
    with raises_naming(ValueError, 'num_convs', '0'):
        ElasticFCNHead(**ONE, space='whole', num_convs=0)
