"""Times of heads by the widths of their layers, fitted to made-up measurements."""

from dataclasses import asdict

import numpy as np
import pytest
from refusals import raises_naming

from mdl_nas_mm.elastic.head_times import HeadTimes, TimedLayer

TERMS = {'head.first': (0.2, 0.01, 0.02, 0.001), 'head.last': (0.1, 0.0, 0.003, 0.0005)}


def milliseconds(layer):
    a, b, c, d = TERMS[layer.name]
    return a + b * layer.inputs + c * layer.channels + d * layer.inputs * layer.channels


def drawn(rng):
    middle = int(rng.integers(4, 20))
    return [
        TimedLayer('head.first', int(rng.integers(8, 40)), middle),
        TimedLayer('head.last', middle, int(rng.integers(2, 9))),
    ]


def fitted(count=12):
    rng = np.random.default_rng(0)
    runs = [(3.0, {layer: milliseconds(layer) for layer in drawn(rng)}) for _ in range(count)]
    return HeadTimes.fitted(runs, dict(head=dict(channels=19)))


def test_times_that_follow_from_widths_are_found_again():
    times, rng = fitted(), np.random.default_rng(1)
    assert times.rest == 3
    for _ in range(10):
        layers = drawn(rng)
        assert times.predict(layers) == pytest.approx(3 + sum(map(milliseconds, layers)))


def test_one_slow_run_moves_no_rest():
    layer = TimedLayer('head.first', 8, 4)
    runs = [(rest, {layer: 1.0}) for rest in (3.0, 2.0, 100.0)]
    assert HeadTimes.fitted(runs, {}).rest == 3


def test_relative_errors_are_small():
    """Of one width measured twice: the number c with the least (c / 1 - 1)^2 + (c / 3 - 1)^2."""
    runs = [(0.0, {TimedLayer('head.first', 1, 1): value}) for value in (1.0, 3.0)]
    found = HeadTimes.fitted(runs, {}).predict([TimedLayer('head.first', 1, 1)])
    assert found == pytest.approx((1 + 1 / 3) / (1 + 1 / 9))


def test_no_layer_takes_less_than_no_time():
    """Fitted to wide layers, a line may be below zero at a narrow one."""
    times = HeadTimes(2.0, dict(first=(-1.0, 0.0, 0.1, 0.0), last=(0.5, 0.0, 0.0, 0.0)), {})
    narrow, wide = ([TimedLayer('first', 1, n), TimedLayer('last', n, 1)] for n in (4, 30))
    assert times.predict(narrow) == 2 + 0 + 0.5
    assert times.predict(wide) == pytest.approx(2 + 2 + 0.5)


def test_they_are_read_as_they_were_written():
    times = fitted()
    assert HeadTimes.from_dict(asdict(times)) == times


def test_what_is_no_time_is_refused():
    data = asdict(fitted())
    for layers in (dict(first=[1, 2, 3]), dict(first=[1, 2, 3, float('nan')])):
        with raises_naming(ValueError, 'heads', 'four finite'):
            HeadTimes.from_dict(dict(data, layers=layers))
    with raises_naming(ValueError, "'head.other'"):
        fitted().predict([TimedLayer('head.other', 1, 1)])
