"""What a search says of how far it is."""

import logging

import pytest

from mdl_nas_mm.search import progress
from mdl_nas_mm.search.progress import SearchProgress

ENTRY = dict(best=12.345, total=1234567, evaluations=6, spared=2)


@pytest.fixture
def clock(monkeypatch):
    """Seconds, as the search sees them."""
    now = [0.0]
    monkeypatch.setattr(progress.time, 'monotonic', lambda: now[0])
    return now


@pytest.fixture
def lines(monkeypatch):
    logger, found = logging.Logger('search'), []
    handler = logging.Handler()
    handler.emit = lambda record: found.append(record.getMessage())
    logger.addHandler(handler)
    monkeypatch.setattr(progress.MMLogger, 'get_current_instance', lambda: logger)
    return found


def test_a_generation_says_the_best_so_far_and_the_time_left(clock, lines):
    counted = SearchProgress(generations=20)
    clock[0] = 2 * 3600
    counted.generation(ENTRY)
    (line,) = lines
    assert line.startswith('Search [1/20]  best s_score: 12.35  parameters: 1,234,567')
    assert line.endswith('evaluations: 6 (spared: 2)  eta: 1 day, 14:00:00')


def test_evaluations_are_counted_for_all_processes(clock, lines):
    counted = SearchProgress(generations=2, parts=3)

    counted.asked(12)
    for _ in range(4):
        clock[0] += 6
        counted.evaluated(1)
    assert lines == [
        'Search [1/2]  evaluations: 6/12  eta: 0:00:36',
        'Search [1/2]  evaluations: 12/12  eta: 0:00:24',
    ]


def test_another_search_begins_anew(clock, lines):
    counted = SearchProgress(generations=5)
    clock[0] = 100
    counted.begin('Random search', 2)
    clock[0] = 110
    counted.generation(ENTRY)
    assert lines[0].startswith('Random search [1/2]') and lines[0].endswith('eta: 0:00:10')
