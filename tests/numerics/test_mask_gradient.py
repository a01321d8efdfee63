"""The mask policy's straight-through gradient, against its formula and against autograd.

dL/dS_j is the sum over row j of dL/dw * (W - W_spe), over the weight and the bias of a layer; the
shared and the specific weight get the gradient of the rows that they gave.
"""

import random

import pytest
import torch
from numerics.plain_vit import PlainViT, slice_supernet
from numerics.slicing import shared_channels
from numerics.small_vit import SHAPE, TASKS, build_vit, draw_images, draw_specs
from torch.func import functional_call
from torch.nn import functional as F

from mdl_nas_mm.elastic.layers import ElasticLayerNorm, ElasticLinear
from mdl_nas_mm.sharing import Mask

EXACT = dict(rtol=1e-10, atol=1e-10)
POLICIES = [Mask(), Mask('ratio')]
both_thresholds = pytest.mark.parametrize('policy', POLICIES, ids=['score', 'ratio'])


def draw(*shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def randomized(layer, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in layer.double().parameters():
            parameter.uniform_(0, 1, generator=generator)
    return layer


def expected_mask(layer, policy, ratio, channels):
    """Boolean (groups, channels) by the rule for single channels."""
    scores = layer.score.detach().view(layer.groups, -1)[:, :channels]
    return torch.tensor([shared_channels(policy, ratio, channels, row) for row in scores])


@both_thresholds
@pytest.mark.parametrize('shape', [(3, 7), (3, 7, 5)], ids=['vector', 'matrix'])
@pytest.mark.parametrize('ratio', [0, 0.3, 0.5, 1])
def test_merge_follows_the_formula(policy, shape, ratio):
    shared, specific, out = (draw(*shape, seed=i).requires_grad_() for i in range(3))
    scores = draw(3, 7, seed=3).sigmoid().requires_grad_()
    mask = torch.tensor([shared_channels(policy, ratio, 7, row) for row in scores])
    rows = mask if len(shape) == 2 else mask[..., None].expand(shape)
    choice = policy.choose(7, 3, ratio, scores)
    assert torch.equal(choice[1], mask)
    weight = policy.merge(shared, specific, shape[1:], choice)
    assert torch.equal(weight, torch.where(rows, shared, specific))
    upstream = out.detach()
    weight.backward(upstream)
    assert torch.equal(shared.grad, torch.where(rows, upstream, torch.zeros_like(upstream)))
    assert torch.equal(specific.grad, torch.where(rows, torch.zeros_like(upstream), upstream))
    for group in range(3):
        for j in range(7):
            row = upstream[group, j] * (shared[group, j] - specific[group, j])
            torch.testing.assert_close(scores.grad[group, j], row.sum(), **EXACT)


@both_thresholds
@pytest.mark.parametrize('bias', [True, False], ids=['bias', 'no bias'])
def test_linear_layer(policy, bias):
    """Weight and bias share their channels' scores, so that both contribute."""
    layer = randomized(ElasticLinear(6, 5, policy, TASKS, groups=3, bias=bias))
    x, upstream = draw(4, 5, seed=1), draw(4, 3 * 4, seed=2)
    columns, channels, ratio = 5, 4, 0.5
    layer(x, 'b', channels, ratio).backward(upstream)
    mask = expected_mask(layer, policy, ratio, channels)
    assert mask.any() and not mask.all()
    own = layer.specific['b']
    for group in range(3):
        for j in range(5):
            row, used = group * 5 + j, j < channels
            if not used:
                assert layer.score.grad[row] == 0
                assert not layer.weight.grad[row].any() and not own['weight'].grad[row].any()
                continue
            out = upstream[:, group * channels + j]
            slope = out @ x
            expected = slope @ (layer.weight[row, :columns] - own['weight'][row, :columns])
            if bias:
                expected = expected + out.sum() * (layer.bias[row] - own['bias'][row])
            torch.testing.assert_close(layer.score.grad[row], expected, **EXACT)
            given, other = (layer.weight, own['weight'])[:: 1 if mask[group, j] else -1]
            torch.testing.assert_close(given.grad[row, :columns], slope, **EXACT)
            assert not given.grad[row, columns:].any() and not other.grad[row].any()
    assert all(parameter.grad is None for parameter in layer.specific['a'].values())


@both_thresholds
def test_norm_layer(policy):
    layer = randomized(ElasticLayerNorm(7, policy, TASKS))
    x, upstream = draw(3, 4, 6, seed=1), draw(3, 4, 6, seed=2)
    layer(x, 'a', 0.5).backward(upstream)
    mask = expected_mask(layer, policy, 0.5, 6)[0]
    assert mask.any() and not mask.all()
    own, normal = layer.specific['a'], F.layer_norm(x, (6,), eps=1e-6)
    slopes = dict(weight=(upstream * normal).sum((0, 1)), bias=upstream.sum((0, 1)))
    expected = sum(g * (getattr(layer, k) - own[k])[:6] for k, g in slopes.items())
    torch.testing.assert_close(layer.score.grad[:6], expected, **EXACT)
    assert layer.score.grad[6] == 0
    for key, slope in slopes.items():
        zero = torch.zeros_like(slope)
        shared = getattr(layer, key).grad
        torch.testing.assert_close(shared[:6], torch.where(mask, slope, zero), **EXACT)
        torch.testing.assert_close(own[key].grad[:6], torch.where(mask, zero, slope), **EXACT)


@pytest.mark.parametrize(
    'sharing',
    ['Mask', dict(type='Mask', threshold='ratio'), dict(attn='Mask'), dict(norm='Mask')],
    ids=str,
)
def test_whole_model_against_autograd_of_the_blend(sharing):
    """Against m * W + (1 - m) * W_spe with m a leaf, in the plain model of the slices."""
    vit = build_vit(sharing, out_type='featmap')
    parameters = dict(vit.named_parameters())
    for i, spec in enumerate(draw_specs(vit, 6)):
        task, images, leaves = TASKS[i % 2], draw_images((12, 16), seed=i), {}
        state = slice_supernet(parameters, spec, vit.sharing, task, SHAPE['head_dim'], leaves)
        tokens, _ = functional_call(PlainViT(spec, **SHAPE), state, (images,))
        patches = tokens[-1][:, 1:]
        weights = draw(*patches.shape, seed=i)
        expected = torch.autograd.grad((patches * weights).sum(), list(leaves.values()))
        vit.zero_grad()
        (ours,) = vit.forward_subnet(images, task, spec)
        ours = ours.flatten(2).transpose(1, 2)[..., : patches.shape[-1]]
        (ours * weights).sum().backward()
        scored = {
            name.removesuffix('.score')
            for name, parameter in parameters.items()
            if name.endswith('.score') and parameter.grad is not None
        }
        assert scored == set(leaves)
        for prefix, right in zip(leaves, expected, strict=True):
            gradient = parameters[f'{prefix}.score'].grad.view(right.shape[0], -1)
            torch.testing.assert_close(gradient[:, : right.shape[1]], right, **EXACT)
            assert not gradient[:, right.shape[1] :].any()


def test_scores_without_gradient_are_left_alone():
    """Frozen scores (a task added later) cost no gradient and keep the weights' ones."""
    layer, again = (randomized(ElasticLinear(4, 6, POLICIES[0], TASKS)) for _ in range(2))
    layer.score.requires_grad_(False)
    for one in (layer, again):
        one(draw(3, 4, seed=1), 'a', 6, 0.5).backward(draw(3, 6, seed=2))
    assert layer.score.grad is None and again.score.grad is not None
    assert torch.equal(layer.weight.grad, again.weight.grad)
    assert torch.equal(layer.specific['a']['weight'].grad, again.specific['a']['weight'].grad)


def test_frozen_shared_weights_keep_the_specific_gradient():
    """As when a task is added: only its own weights learn."""
    vit, rng = build_vit('Mask'), random.Random(0)
    spec = vit.space.sample(rng)
    for name, parameter in vit.named_parameters():
        parameter.requires_grad_('.specific.b.' in name)
    (out,) = vit.forward_subnet(draw_images((8, 8)), 'b', spec)
    out.sum().backward()
    moved = {name for name, p in vit.named_parameters() if p.grad is not None}
    assert moved and all('.specific.b.' in name for name in moved)
