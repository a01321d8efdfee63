"""Hard-concrete gates against numerical integration."""

import pytest
import torch
from refusals import assert_names, raises_naming

from mdl_nas_mm.methods.computation_sharing import GatedDifference
from mdl_nas_mm.methods.computation_sharing.gates import (
    HIGH,
    LOW,
    MARGIN,
    Gates,
    check_grains,
    nonzero_probability,
    sample,
    settled,
)

LOGITS = torch.tensor([-4.0, -1.0, 0.0, 0.3, 2.0, 5.0], dtype=torch.float64)
# The midpoints of even parts of 0 to 1.
UNIFORM = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000


def integrals(values):
    """Of each of ``LOGITS`` over the uniform number, by the trapezoid rule on the formula."""
    total = []
    for logit in values.tolist():
        inner = UNIFORM * (1 - 2 * MARGIN) + MARGIN
        s = 1 / (1 + torch.exp(-(torch.log(inner) - torch.log1p(-inner) + logit)))
        total.append(torch.minimum(torch.maximum(s * (HIGH - LOW) + LOW, 0 * s), 0 * s + 1))
    return torch.stack(total)


def test_sampled_gates_have_the_integrals_mean():
    found = sample(LOGITS[:, None], UNIFORM.expand(len(LOGITS), -1)).mean(1)
    torch.testing.assert_close(found, integrals(LOGITS).mean(1), rtol=1e-9, atol=1e-12)


def test_gradient_of_the_mean_is_that_of_the_integral():
    logits = LOGITS.clone().requires_grad_()
    sample(logits[:, None], UNIFORM.expand(len(LOGITS), -1)).mean(1).sum().backward()
    step = 1e-3
    above, below = (integrals(LOGITS + sign * step).mean(1) for sign in (1, -1))
    torch.testing.assert_close(logits.grad, (above - below) / (2 * step), rtol=1e-4, atol=1e-6)


def test_probability_of_not_being_zero():
    counted = (integrals(LOGITS) > 0).double().mean(1)
    torch.testing.assert_close(nonzero_probability(LOGITS), counted, rtol=0, atol=2 * MARGIN)


def test_the_gradient_of_the_penalty_is_that_of_the_probability():
    logits = LOGITS.clone().requires_grad_()
    nonzero_probability(logits).sum().backward()
    step = 1e-5
    above, below = (nonzero_probability(LOGITS + sign * step) for sign in (1, -1))
    torch.testing.assert_close(logits.grad, (above - below) / (2 * step), rtol=1e-7, atol=1e-9)


def test_without_chance_gates_are_those_of_the_median():
    torch.testing.assert_close(
        settled(LOGITS), integrals(LOGITS).median(1).values, atol=1e-4, rtol=0
    )


@pytest.mark.parametrize(
    'grains', [('elements',), ('rows',), ('layers',), ('elements', 'rows', 'layers')], ids=str
)
def test_expected_elements_are_those_of_many_samples(grains):
    """An element counts where all of its gates are open, in rows that may differ."""
    torch.manual_seed(0)
    gates, own = Gates((5, 4), grains), torch.tensor([True, False, True, True, False])
    for logits in gates.parameters():
        logits.data.normal_()
    generator = torch.Generator().manual_seed(1)
    draws = 8000
    counts = [(gates.sample(generator) > 0).expand(5, 4)[own].sum() for _ in range(draws)]
    found = torch.stack(counts).double()
    error = 4 * found.std() / draws**0.5 + 0.01
    assert abs(float(gates.expected_elements(own)) - float(found.mean())) < error


def test_the_same_generator_gives_the_same_gates():
    gates = Gates((3, 4), ('elements', 'rows', 'layers'))
    first, again, other = (gates.sample(torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert first.shape == (3, 4) and torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize('grains', [(), ('columns',), 'rows', ('rows', 'blocks')])
def test_unknown_gates_are_refused(grains):
    with raises_naming(ValueError, 'train_cfg.step.gates', repr(grains)):
        check_grains(grains)


@pytest.mark.parametrize(
    ('settings', 'named'),
    [
        (dict(density=0), 'density'),
        (dict(density=1.5), 'density'),
        (dict(density=-0.1), '-0.1'),
        (dict(density=True), 'density'),
        (dict(density=0.1, lambda_w=1e-8), 'lambda_w'),
        (dict(), 'lambda_w'),
        (dict(lambda_w=-1), 'lambda_w'),
        (dict(lambda_w='x'), "'x'"),
        (dict(lambda_w=float('nan')), 'nan'),
        (dict(density=0.1, ramp=-1), 'ramp'),
        (dict(density=0.1, strength=None), 'strength'),
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(settings, named):
    with raises_naming(ValueError, 'train_cfg.step', named):
        GatedDifference({}, **settings)


def test_a_ramp_beyond_the_training_is_said():
    for step, said in (
        (dict(density=0.1, ramp=11), True),
        (dict(density=0.1, ramp=10), False),
        (dict(density=0.1), False),
        (dict(lambda_w=1e-3, ramp=11), False),
    ):
        lines = GatedDifference.check_config(dict(train_cfg=dict(max_iters=10, step=step)))
        assert len(lines) == said
        if said:
            assert_names(lines[0], 'train_cfg.step.ramp', 11, 'train_cfg.max_iters', 10)
