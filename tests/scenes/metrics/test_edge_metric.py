"""Matching and the F-measure of edges, against hand-worked examples and least-cost assignment."""

import itertools

import numpy as np
import pytest
import torch
from refusals import raises_naming
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from mdl_nas_mm.scenes.metrics import EdgeMetric
from mdl_nas_mm.scenes.metrics.edges import _best, matched


def test_matching_by_hand():
    """Two predictions near one label, and one that is near two: two can be matched."""
    labels = np.array([[0, 0], [0, 3]])
    assert matched(np.array([[0, 1], [1, 0], [9, 9]]), labels, 1) == 1
    assert matched(np.array([[0, 1], [1, 0]]), labels, 2) == 2
    # The one between them has to take the label that the other cannot reach.
    assert matched(np.array([[0, -2], [0, 1]]), labels, 2) == 2
    assert matched(labels, labels, 0.5) == 2
    assert matched(labels[:0], labels, 3) == 0 == matched(labels, labels[:0], 3)


def test_as_many_are_matched_as_by_least_cost():
    """As the published evaluation assigns, where leaving one out costs a hundred distances."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        first, second = rng.integers(0, 15, (2, 30, 2))
        first, second = np.unique(first, axis=0), np.unique(second, axis=0)
        distances = cdist(first, second)
        cost = np.where(distances <= 2, distances, 200.0)
        rows, columns = linear_sum_assignment(cost)
        assert matched(first, second, 2) == (cost[rows, columns] <= 2).sum()


def evaluate(metric, *pairs):
    for prediction, label in pairs:
        data = dict(pred_edges=prediction, gt_edges=label)
        sample = {key: dict(data=torch.tensor(value)[None].float()) for key, value in data.items()}
        metric.process({}, [sample])
    return metric.compute_metrics(metric.results)


def columns(size, values):
    found = np.zeros(size)
    for column, value in values.items():
        found[:, column] = value
    return found


def test_f_measure_by_hand():
    """Two images of 10 x 40 with lines; the tolerance is 0.03 of the diagonal of 41, a pixel.

    A line that is seen a pixel beside its place is found, one that is three pixels off is not.
    Image 1: of its two lines one is found at 0.8; 0.4 adds a wrong one. Image 2: its line is found
    at 0.4, with nothing above.
    """
    size = (10, 40)
    first = columns(size, {6: 0.8, 23: 0.4}), columns(size, {5: 1, 20: 1})
    second = columns(size, {11: 0.4}), columns(size, {10: 1})
    metric = EdgeMetric(0.03, thresholds=9)
    found = evaluate(metric, first, second)
    # At 0.4 and below: 20 of 30 predicted and of 30 labelled pixels; above: 10 of 10 and of 30.
    low, high = 2 / 3, 2 * 1 * (1 / 3) / (4 / 3)
    assert low > high
    # Between both thresholds precision goes from 2/3 to 1 and recall from 2/3 to 1/3.
    between = max(
        2 * p * r / (p + r) for t in np.linspace(0, 1, 100) for p, r in [((2 + t) / 3, (2 - t) / 3)]
    )
    assert found['odsF'] == pytest.approx(max(low, between))
    # The best of image 1 is above 0.4, 10 of 10 and 20; of image 2 below it, 10 of 10 and 10.
    precision, recall = 20 / 20, 20 / 30
    assert found['oisF'] == pytest.approx(2 * precision * recall / (precision + recall))


def test_perfect_edges_score_one_and_no_edges_zero():
    label = columns((10, 40), {5: 1, 20: 1})
    assert evaluate(EdgeMetric(), (label * 0.7, label)) == dict(odsF=1, oisF=1)
    assert evaluate(EdgeMetric(), (label * 0, label)) == dict(odsF=0, oisF=0)
    # What is as large as the threshold is an edge.
    assert evaluate(EdgeMetric(thresholds=1), (label * 0.5, label)) == dict(odsF=1, oisF=1)


def test_predictions_where_nothing_is_known_do_not_count():
    label = columns((10, 40), {5: 1, 20: 255})
    prediction = columns((10, 40), {5: 0.9, 20: 0.9})
    assert evaluate(EdgeMetric(), (prediction, label))['odsF'] == 1


def test_thick_predictions_are_thinned_first():
    label = columns((12, 40), {6: 1})
    thick = columns((12, 40), dict.fromkeys((5, 6, 7), 0.9))
    metric = EdgeMetric(0.03, thresholds=1)
    evaluate(metric, (thick, label))
    (_, predicted, labelled) = metric.results[0][:, 0]
    assert predicted == pytest.approx(10, abs=1) and labelled == 12


def test_processes_exchange_counts_alone():
    metric = EdgeMetric(thresholds=4)
    label = columns((10, 40), {5: 1})
    evaluate(metric, *itertools.repeat((label, label), 2))
    assert [each.shape for each in metric.results] == [(3, 4)] * 2


@pytest.mark.parametrize(
    ('settings', 'named'),
    [
        (dict(max_distance=-1), ('max_distance', -1)),
        (dict(max_distance=float('nan')), ('max_distance', 'nan')),
        (dict(thresholds=0), ('thresholds', 0)),
        (dict(thresholds=9.5), ('thresholds', 9.5)),
        (dict(thresholds='all'), ('thresholds', "'all'")),
    ],
)
def test_settings_that_are_none_are_refused(settings, named):
    with raises_naming(ValueError, 'EdgeMetric', *named):
        EdgeMetric(**settings)


def test_between_two_thresholds_both_rates_are_interpolated():
    """From precision 1 and recall 0.2 to 0.2 and 1, by 0.6 and 0.6."""
    matched_predicted_labelled = np.array([[2, 10], [2, 50], [10, 10]], float)
    best, place = _best(matched_predicted_labelled)
    assert best == pytest.approx(0.6, rel=1e-3) and place == 0
