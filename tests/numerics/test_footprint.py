"""Which elements get a gradient and move, against the closed form of what a subnet uses."""

import copy
import random

import torch
from numerics.small_swin import build_swin, with_sharings
from numerics.small_vit import TASKS, build_vit, draw_images, draw_specs

from mdl_nas_mm.engine.freeze import freeze_rest, partial_masks
from mdl_nas_mm.spec import footprint, score_footprint

# More patches down and across than the relative positions tell apart, so that all rows are in use.
SIZE = (24, 28)
backbones_with_sharings = with_sharings(
    {'ViT': lambda sharing: build_vit(sharing, out_type='featmap'), 'Swin': build_swin}
)


def backward(backbone, task, spec, seed):
    generator = torch.Generator().manual_seed(seed)
    loss = 0
    for out in backbone.forward_subnet(draw_images(SIZE, seed=seed), task, spec):
        loss = loss + (out * torch.randn(out.shape, generator=generator, dtype=out.dtype)).sum()
    loss.backward()


def used_elements(parameter, lengths):
    """Boolean, of the parameter's shape, by a loop over its rows."""
    used = torch.zeros(len(lengths), parameter.numel() // len(lengths), dtype=torch.bool)
    for row, length in enumerate(lengths):
        used[row, :length] = True
    return used.view(parameter.shape)


def has_gradient_of_rounding_only(name):
    """An offset common to all keys changes no softmax."""
    return name.endswith('attn.qkv.bias') or '.attn.qkv.specific' in name and 'bias' in name


def check_gradients(backbone, passes):
    """Gradients of the passes lie in their footprint, and fill it."""
    ledger = backbone.ledger()
    found = footprint(ledger, passes) | score_footprint(ledger, passes)
    expected = {name: lengths for (name, _), lengths in found.items()}
    assert set(expected) <= set(dict(backbone.named_parameters()))
    for name, parameter in backbone.named_parameters():
        gradient = parameter.grad
        if name not in expected:
            assert gradient is None or not gradient.any(), name
            continue
        used = used_elements(parameter, expected[name])
        if gradient is None:
            assert not used.any(), name
            continue
        assert not gradient[~used].any(), name
        if not has_gradient_of_rounding_only(name):
            assert (gradient[used] != 0).all(), name


@backbones_with_sharings
def test_gradients_of_a_subnet_fill_its_footprint_and_nothing_else(build, sharing):
    backbone = build(sharing)
    for i, spec in enumerate(draw_specs(backbone, 8)):
        task = TASKS[i % 2]
        backbone.zero_grad()
        backward(backbone, task, spec, seed=i)
        check_gradients(backbone, [(task, spec)])


@backbones_with_sharings
def test_gradients_of_several_passes_fill_the_union(build, sharing):
    backbone, rng = build(sharing), random.Random(0)
    for _ in range(3):
        passes = [(task, backbone.space.sample(rng)) for task in TASKS for _ in range(2)]
        backbone.zero_grad()
        for i, (task, spec) in enumerate(passes):
            backward(backbone, task, spec, seed=i)
        check_gradients(backbone, passes)


@backbones_with_sharings
def test_a_task_never_reaches_the_weights_of_another(build, sharing):
    backbone, rng = build(sharing), random.Random(0)
    for i in range(4):
        backward(backbone, 'a', backbone.space.sample(rng), seed=i)
    for name, parameter in backbone.named_parameters():
        if '.specific.b.' in name:
            assert parameter.grad is None, name


@backbones_with_sharings
def test_masks_are_those_of_the_passes_and_scores_of_now(build, sharing):
    """Also where passes are the same as before."""
    backbone, rng = build(sharing), random.Random(0)
    first, second = ([(task, backbone.space.sample(rng)) for task in TASKS] for _ in range(2))

    def masks_of(passes):
        fresh = partial_masks(copy.deepcopy(backbone), passes)
        found = partial_masks(backbone, passes)
        names = {parameter: name for name, parameter in backbone.named_parameters()}
        assert len(found) == len(fresh)
        for mask, expected in zip(found.values(), fresh.values()):
            torch.testing.assert_close(mask, expected, rtol=0, atol=0)
        return {names[parameter]: mask for parameter, mask in found.items()}

    of_first = masks_of(first)
    assert masks_of(first).keys() == of_first.keys()
    masks_of(second)
    with torch.no_grad():
        for name, parameter in backbone.named_parameters():
            if name.endswith('score'):
                parameter.copy_(parameter.flip(0))
    masks_of(second)
    masks_of(first)


@backbones_with_sharings
def test_freezing_the_rest_leaves_every_unused_element(build, sharing):
    """Values and both moments of AdamW, scores included, although weight decay would move them."""
    backbone = build(sharing)
    optimizer = torch.optim.AdamW(backbone.parameters(), lr=0.1, weight_decay=0.1)
    names = {parameter: name for name, parameter in backbone.named_parameters()}

    def step(passes):
        optimizer.zero_grad()
        for i, (task, spec) in enumerate(passes):
            backward(backbone, task, spec, seed=i)
        with freeze_rest(optimizer, partial_masks(backbone, passes)):
            optimizer.step()

    def snapshot():
        kept = {}
        for parameter, name in names.items():
            kept[name] = [parameter.detach().clone()]
            state = optimizer.state.get(parameter, {})
            kept[name] += [state[k].clone() for k in ('exp_avg', 'exp_avg_sq') if k in state]
        return kept

    step([(task, backbone.space.largest(1)) for task in TASKS])
    before, rng, moved = snapshot(), random.Random(0), False
    passes = [('a', backbone.space.smallest(1)), ('a', backbone.space.sample(rng))]
    ledger = backbone.ledger()
    found = footprint(ledger, passes) | score_footprint(ledger, passes)
    used = {name: lengths for (name, _), lengths in found.items()}
    step(passes)
    for name, after in snapshot().items():
        for old, new in zip(before[name], after, strict=True):
            changed = old != new
            if name in used:
                mask = used_elements(old, used[name])
                moved = moved or changed[mask].any()
                changed = changed & ~mask
            assert not changed.any(), name
    assert moved
