"""A plain backbone is a copy of one subnet: equal to it, and to it as it was."""

import copy
import random

import pytest
import torch
from numerics import plain_swin, plain_vit, small_swin, small_vit
from numerics.small_swin import backbones_with_sharings, build_swin
from numerics.small_vit import MIXED, TASKS, build_vit, draw_images, draw_specs
from refusals import raises_naming

from mdl_nas_mm.elastic.plain import plain_part
from mdl_nas_mm.families import ElasticViT
from mdl_nas_mm.sharing import TaskParameters

SIZES = [(20, 12), (18, 20)]


def config_of(backbone):
    """What the small backbones are built from, but for the weights."""
    small = small_vit if isinstance(backbone, ElasticViT) else small_swin
    config = dict(small.SHAPE, space=small.SPACE, sharing=backbone.sharing.to_config())
    if small is small_swin:
        config['pad_small_map'] = True
    return dict(config, type=type(backbone).__name__, tasks=TASKS)


def plain_of(backbone, task, spec):
    return plain_part(backbone, config_of(backbone), task, spec)


def sliced(backbone, task, spec):
    """Its weights, sliced channel by channel."""
    module = plain_vit if isinstance(backbone, ElasticViT) else plain_swin
    return module.plain_of(backbone, spec, task, dict(backbone.named_parameters()))[1]


@backbones_with_sharings
@torch.no_grad()
def test_weights_are_the_slices_and_answers_those_of_the_subnet(build, sharing):
    supernet = build(sharing).eval()
    for i, spec in enumerate(draw_specs(supernet, 6)):
        task, images = TASKS[i % 2], draw_images(SIZES[i % 2])
        plain, expected = plain_of(supernet, task, spec), sliced(supernet, task, spec)
        found = plain.state_dict()
        assert set(found) == set(expected)
        assert all(torch.equal(found[name], expected[name]) for name in expected)
        maps = supernet.forward_subnet(images, task, spec)
        for ours, theirs in zip(plain(images), maps, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
        assert plain.arch == spec and not plain.training


@pytest.mark.parametrize('build', [build_vit, build_swin], ids=['ViT', 'Swin'])
@pytest.mark.parametrize('sharing', MIXED.values(), ids=MIXED)
def test_training_after_it_shows_in_the_next_copy_alone(build, sharing):
    supernet = build(sharing, **({} if build is build_vit else dict(pad_small_map=True)))
    spec, images = supernet.space.sample(random.Random(3)), draw_images(SIZES[0])
    first = plain_of(supernet, 'a', spec)
    before = copy.deepcopy(first.state_dict())
    for parameter in supernet.parameters():
        parameter.grad = torch.ones_like(parameter)
    torch.optim.SGD(supernet.parameters(), 0.1).step()
    assert all(torch.equal(value, before[name]) for name, value in first.state_dict().items())
    second, expected = plain_of(supernet, 'a', spec), sliced(supernet, 'a', spec)
    for name, value in second.state_dict().items():
        assert torch.equal(value, expected[name])
        assert not torch.equal(value, before[name])
    with torch.no_grad():
        for ours, theirs in zip(second(images), supernet.forward_subnet(images, 'a', spec)):
            torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('sharing', MIXED.values(), ids=MIXED)
def test_it_keeps_the_data_type(sharing):
    supernet, images = build_vit(sharing).bfloat16(), draw_images(SIZES[0]).bfloat16()
    spec = supernet.space.sample(random.Random(3))
    plain, expected = plain_of(supernet, 'b', spec), sliced(supernet, 'b', spec)
    assert all(torch.equal(value, expected[name]) for name, value in plain.state_dict().items())
    with torch.no_grad():
        (ours,), (theirs,) = plain(images), supernet.forward_subnet(images, 'b', spec)
    assert ours.dtype == torch.bfloat16
    torch.testing.assert_close(ours, theirs)


class WithMore(ElasticViT):
    """A backbone of a user, with a buffer that it learns and perhaps a parameter of its own."""

    def __init__(self, *args, bias=False, **kwargs):
        super().__init__(*args, **kwargs)
        self.norm.register_buffer('offset', torch.rand(3))
        self.bias = torch.nn.Parameter(torch.zeros(1)) if bias else None

    def forward_subnet(self, x, task, spec):
        return tuple(out + self.norm.offset.sum() for out in super().forward_subnet(x, task, spec))


def test_a_backbone_of_a_user():
    config = dict(small_vit.SHAPE, space=small_vit.SPACE, type='WithMore')
    arguments = {key: value for key, value in config.items() if key != 'type'}
    supernet, images = WithMore(**arguments).double(), draw_images(SIZES[0])
    supernet.norm.offset.fill_(0.25)
    spec = supernet.space.smallest()
    plain = plain_part(supernet, dict(config, _scope_='mdl_nas_mm'), None, spec)
    with torch.no_grad():
        (ours,), (theirs,) = plain(images), supernet.forward_subnet(images, None, spec)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    supernet = WithMore(**arguments, bias=True)
    with raises_naming(ValueError, 'WithMore', "'bias'"):
        plain_part(supernet, dict(config, bias=True), None, spec)


def test_nothing_of_it_can_be_trained_nor_reaches_the_supernet():
    supernet = build_vit('AllShared')
    plain = plain_of(supernet, 'a', supernet.space.largest())
    before = copy.deepcopy(supernet.state_dict())
    for parameter in plain.parameters():
        assert not parameter.requires_grad
        parameter.fill_(7)
    assert all(torch.equal(value, before[name]) for name, value in supernet.state_dict().items())


def test_it_refuses_every_other_architecture():
    supernet = build_vit('Sequential')
    plain = plain_of(supernet, 'a', supernet.space.smallest())
    with raises_naming(ValueError, 'embed_dim'):
        plain.forward_subnet(draw_images(SIZES[0]), None, supernet.space.largest())


def test_weights_are_put_together_once_for_any_number_of_calls(monkeypatch):
    supernet, calls = build_vit('Mask'), []
    take = TaskParameters.take
    monkeypatch.setattr(
        TaskParameters, 'take', lambda self, *args: calls.append(self.policy) or take(self, *args)
    )
    plain = plain_of(supernet, 'a', supernet.space.largest())
    assert len([policy for policy in calls if policy.type == 'Mask']) > 0
    calls.clear()
    with torch.no_grad():
        plain(draw_images(SIZES[0]))
    # A layer that is shared as a whole hands its weight on as it is.
    assert {policy.type for policy in calls} == {'AllShared'}
