"""Numbers as people read them."""

from mdl_nas_mm.utils.amounts import shown_amount


def test_counts_are_whole_and_times_short():
    assert shown_amount(10_620_000.0) == '10,620,000' and shown_amount(7) == '7'
    assert shown_amount(25.3412345) == '25.3412' and shown_amount(float('inf')) == 'inf'
