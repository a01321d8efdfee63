"""Numbers as people read them."""

import numpy as np
import pytest
from refusals import raises_naming

from mdl_nas_mm.utils.amounts import shown_amount, shown_least, shown_score
from mdl_nas_mm.utils.budgets import parse_count, read_budget


def test_counts_are_whole_and_times_short():
    assert shown_amount(10_620_000.0) == '10,620,000' and shown_amount(7) == '7'
    assert shown_amount(25.3412345) == '25.3412' and shown_amount(float('inf')) == 'inf'


def test_scores_are_percent_or_in_the_unit_of_their_metric():
    assert shown_score(65.2) == '65.20' and shown_score(0.0) == shown_score(0.0, -20) == '0.00'
    assert shown_score(7.6, 20) == shown_score(-7.6, -20) == '0.38'
    assert shown_score(13.42, 1000) == '0.01342' and shown_score(float('nan')) == 'nan'


def test_what_is_said_to_be_the_least_is_enough_as_a_budget():
    counts = [1, 999, 1000, 10_620_000, 2**40 + 1]
    for value in [*np.random.default_rng(0).uniform(1, 2000, 500).tolist(), 12.34564, 999.9996]:
        assert value <= read_budget(f'{shown_least(value)}ms')[1] <= value * (1 + 2e-5)
    for value in counts:
        assert read_budget(shown_least(value))[1] == parse_count(f'{value:,}', '', '') == value
        assert read_budget(f'{value:,} params')[1] == value
    assert shown_least(float('inf')) == 'inf'


@pytest.mark.parametrize('budget', ['1,5G', '1,50', '12,34,567', ',123', '1,5ms', '1234,567'])
def test_commas_that_part_no_thousands_are_refused(budget):
    with raises_naming(ValueError, budget):
        read_budget(budget)
