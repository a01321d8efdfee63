"""What a search's report is given beside its choice."""

import pytest

from mdl_nas_mm.search.facts import others
from mdl_nas_mm.search.scored import ScoredJoint


@pytest.mark.parametrize('count', [0, 1, 399, 400, 401, 799, 800, 1201])
def test_others_are_at_most_400_and_from_all_over(count):
    candidates = [ScoredJoint(None, 0.0, i, {}) for i in range(count)]
    totals = [each['total'] for each in others(candidates)]
    assert len(totals) == min(count, 400)
    gaps = {later - earlier for earlier, later in zip(totals, totals[1:])}
    # Evenly: between neighbours there are as many, or one more.
    assert not gaps or max(gaps) - min(gaps) <= 1
    assert not totals or totals[0] == 0 and totals[-1] >= count - 1 - count / 400
