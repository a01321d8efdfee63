"""The exact hypervolume, by hand, by a library, and by counting cells."""

from itertools import product

import numpy as np
import pytest
from refusals import raises_naming

from mdl_nas_mm.methods.ecmt.hypervolume import _front, _inclusion_exclusion, hypervolume


def counted(points, worst):
    """The volume of the cells of the grid that the points span which any point dominates."""
    grids = [np.unique(np.append(points[:, d], worst[d])) for d in range(points.shape[1])]
    total = 0.0
    for cell in product(*(range(len(grid) - 1) for grid in grids)):
        low = np.array([grid[i] for grid, i in zip(grids, cell)])
        high = np.array([grid[i + 1] for grid, i in zip(grids, cell)])
        if (points <= low).all(1).any():
            total += np.prod(high - low)
    return total


def test_by_hand():
    assert hypervolume(np.array([[1.0, 1.0]]), [4, 4]) == 9
    assert hypervolume(np.array([[1.0, 3.0], [2.0, 1.0]]), [4, 4]) == pytest.approx(7)
    # Dominated, twice the same, and beyond the reference point.
    points = np.array([[1.0, 3.0], [2.0, 1.0], [3.0, 3.0], [2.0, 1.0], [0.0, 5.0]])
    assert hypervolume(points, [4, 4]) == pytest.approx(7)
    assert hypervolume(np.zeros((0, 3)), [1, 1, 1]) == 0


@pytest.mark.parametrize(('count', 'tasks'), [(5, 2), (7, 3), (9, 3)])
def test_against_counted_cells(count, tasks):
    points, worst = np.random.default_rng(count).random((count, tasks)), np.full(tasks, 0.9)
    below = points[(points < worst).all(1)]
    assert hypervolume(points, worst) == pytest.approx(counted(below, worst), rel=1e-12)


@pytest.mark.parametrize(('count', 'tasks'), [(20, 3), (20, 5), (16, 8), (12, 12)])
def test_against_a_library(count, tasks):
    moocore = pytest.importorskip('moocore')
    points, worst = np.random.default_rng(tasks).random((count, tasks)), np.ones(tasks)
    expected = moocore.hypervolume(points, ref=worst)
    assert hypervolume(points, worst) == pytest.approx(expected, rel=1e-10)
    assert _inclusion_exclusion(_front(points), worst) == pytest.approx(expected, rel=1e-10)


def test_twenty_preferences_of_twenty_tasks():
    """A point that no other one comes near adds the volume of its own box."""
    rng = np.random.default_rng(0)
    points, worst = 0.2 + 0.6 * rng.random((20, 20)), np.ones(20)
    whole = hypervolume(points, worst)
    assert np.prod(worst - points, 1).max() < whole < np.prod(worst - points, 1).sum()
    assert hypervolume(points[:, ::-1], worst) == pytest.approx(whole, rel=1e-9)
    assert hypervolume(points[::-1], worst) == pytest.approx(whole, rel=1e-9)
    assert hypervolume(2 * points, 2 * worst) == pytest.approx(2.0**20 * whole, rel=1e-9)


def test_what_has_no_volume():
    with raises_naming(ValueError, '(1, 3)', '(2,)'):
        hypervolume(np.zeros((1, 3)), [1, 1])
    with raises_naming(ValueError, 'finite'):
        hypervolume(np.array([[np.nan, 1.0]]), [1, 1])
    with raises_naming(ValueError, 24, 8):
        hypervolume(np.random.default_rng(0).random((40, 12)), np.full(12, 2.0))
