"""How far the answers of two deposits are from each other."""

import math

import pytest
import torch

from mdl_nas_mm.deposit.verify import _difference


@pytest.mark.parametrize(
    ('first', 'second', 'expected'),
    [
        ([1.0, 2.0, -3.0], [1.0, 2.5, -2.0], 1.0),
        ([math.nan, 2.0], [math.nan, 2.25], 0.25),
        ([math.inf, -math.inf], [math.inf, -math.inf], 0.0),
        ([math.nan, 2.0], [1.0, 2.0], math.inf),
        ([1.0, 2.0], [1.0, math.nan], math.inf),
        ([math.inf], [-math.inf], math.inf),
        ([1.0], [1.0, 1.0], math.inf),
        ([], [], 0.0),
    ],
)
def test_the_largest_difference_of_any_element(first, second, expected):
    """What is the same in both is no difference, also if it is no number."""
    pair = [torch.tensor(values) for values in (first, second)]
    same = torch.ones(2)
    assert _difference([same, pair[0]], [same, pair[1]]) == expected
    assert _difference([pair[0]], [pair[1], same]) == math.inf
