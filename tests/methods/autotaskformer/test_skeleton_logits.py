"""Eq. 4: weights of skeletons, their gradients, and what becomes of them as temperatures fall."""

import math

import pytest
import torch
from refusals import raises_naming

from mdl_nas_mm.methods.autotaskformer.logits import SkeletonLogits, Temperature, gumbel


def logits_of(values, **others):
    module = SkeletonLogits(len(values), **others).double()
    with torch.no_grad():
        module.logits.copy_(torch.tensor(values))
    return module


def weights_by_hand(values, noise, temperature):
    """Eq. 4 as it stands, with probabilities pi."""
    total = sum(map(math.exp, values))
    scores = [
        math.exp((math.log(math.exp(v) / total) + e) / temperature) for v, e in zip(values, noise)
    ]
    return [score / sum(scores) for score in scores]


@pytest.mark.parametrize('temperature', [5.0, 1.0, 0.2])
def test_weights_are_those_of_equation_4(temperature):
    values, noise = [0.3, -1.0, 2.0, 0.0], gumbel(4, 1).double()
    found = logits_of(values)(noise, temperature)
    assert found.tolist() == pytest.approx(weights_by_hand(values, noise.tolist(), temperature))


@pytest.mark.parametrize('temperature', [5.0, 0.5])
def test_gradients_of_logits_are_those_of_finite_differences(temperature):
    """Of Eq. 5 for one task: the losses weighted."""
    values, losses = [0.3, -1.0, 2.0, 0.0], torch.tensor([3.0, 1.0, 0.5, 2.0]).double()
    noise, module = gumbel(4, 2).double(), logits_of(values)
    (module(noise, temperature) * losses).sum().backward()

    def total(shifted):
        return sum(
            w * x
            for w, x in zip(weights_by_hand(shifted, noise.tolist(), temperature), losses.tolist())
        )

    step = 1e-6
    for k, grad in enumerate(module.logits.grad.tolist()):
        up, down = ([v + s * (i == k) for i, v in enumerate(values)] for s in (step, -step))
        assert grad == pytest.approx((total(up) - total(down)) / (2 * step), rel=1e-6, abs=1e-8)


def test_weights_become_one_hot_and_as_frequent_as_their_probabilities():
    values = [1.0, 0.0, -1.0]
    module = logits_of(values)
    hot = torch.zeros(3).double()
    for seed in range(2000):
        weights = module(gumbel(3, seed).double(), 1e-3)
        assert weights.max() > 0.99 or seed % 100
        hot[weights.argmax()] += 1
    torch.testing.assert_close(
        hot / 2000, torch.tensor(values).softmax(0).double(), atol=0.03, rtol=0
    )
    flat = module(gumbel(3, 0).double(), 1e6)
    torch.testing.assert_close(flat, torch.full((3,), 1 / 3).double(), atol=1e-4, rtol=0)


def test_the_temperature_falls_by_the_same_factor_in_each_step():
    temperature = Temperature(steps=10, start=5.0, end=0.05)
    found = [temperature(i) for i in range(13)]
    assert found[0] == 5.0 and found[10:] == pytest.approx([0.05] * 3)
    assert [b / a for a, b in zip(found[:10], found[1:11])] == pytest.approx([0.01**0.1] * 10)
    with raises_naming(ValueError, 'temperature', 0.1, 5.0, 'rises'):
        Temperature(steps=10, start=0.1, end=5.0)
    with raises_naming(ValueError, 'temperature', 0.0):
        Temperature(steps=10, end=0.0)
    for steps in (0, 2.5):
        with raises_naming(ValueError, 'temperature', 'steps', steps):
            Temperature(steps=steps)


@pytest.mark.parametrize(
    ('config', 'named'),
    [
        (5.0, (5.0,)),
        (dict(start=5.0), ('start', 'steps')),
        (dict(steps=10, begin=5.0), ('begin', 'start')),
        (dict(steps='ten'), ('steps', "'ten'")),
        (dict(steps=10, start=math.nan), ('start', 'nan')),
    ],
)
def test_a_temperature_that_is_none(config, named):
    with raises_naming(ValueError, 'train_cfg.step.temperature', *named):
        Temperature.read(config)


def test_what_has_fallen_below_the_threshold_is_left_out_for_good():
    module = logits_of([4.0, 0.0, 0.0], threshold=0.1)
    noise = torch.zeros(3).double()
    for _ in range(300):
        module.observe(module(noise, 0.5).detach())
    assert module.left.tolist() == [True, False, False]
    with torch.no_grad():
        module.logits.copy_(torch.tensor([0.0, 9.0, 9.0]))
    weights = module(noise, 0.5)
    assert weights.tolist() == [1.0, 0.0, 0.0] and module.best == 0
    module.observe(weights)
    assert module.left.tolist() == [True, False, False]
    with raises_naming(ValueError, 'leave_out', 0.4):
        SkeletonLogits(3, 0.4)
    with raises_naming(ValueError, 'leave_out', "'x'"):
        SkeletonLogits(3, 'x')


def test_entropy():
    assert float(logits_of([2.0, 2.0, 2.0]).entropy) == pytest.approx(math.log(3))
    assert float(logits_of([90.0, 0.0, 0.0]).entropy) == pytest.approx(0.0, abs=1e-6)


def test_what_is_left_out_does_not_come_back():
    logits = SkeletonLogits(3, threshold=0.3)
    logits.observe(torch.tensor([0.0, 0.0, 1.0]))
    assert logits.left.tolist() == [True, True, True]
    for _ in range(12):
        logits.observe(torch.tensor([0.5, 0.0, 0.5]))
    assert logits.left.tolist() == [True, False, True]
    for _ in range(100):
        logits.observe(torch.tensor([0.0, 1.0, 0.0]))
    assert logits.mean[1] > 0.3 and not logits.left[1]
