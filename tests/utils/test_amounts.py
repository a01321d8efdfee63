"""Numbers as people read them."""

from mdl_nas_mm.utils.amounts import shown_amount, shown_score


def test_counts_are_whole_and_times_short():
    assert shown_amount(10_620_000.0) == '10,620,000' and shown_amount(7) == '7'
    assert shown_amount(25.3412345) == '25.3412' and shown_amount(float('inf')) == 'inf'


def test_scores_are_percent_or_in_the_unit_of_their_metric():
    assert shown_score(65.2) == '65.20' and shown_score(0.0) == shown_score(0.0, -20) == '0.00'
    assert shown_score(7.6, 20) == shown_score(-7.6, -20) == '0.38'
    assert shown_score(13.42, 1000) == '0.01342' and shown_score(float('nan')) == 'nan'
