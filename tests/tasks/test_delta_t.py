"""Delta_T by hand, and what a config may say of single-task models."""

import math

import pytest

from mdl_nas_mm.tasks import Reference, Score, Split, Task, delta_t, relative_change


def test_by_hand():
    """Segmentation: 40 -> 44 of mIoU and 60 -> 57 of accuracy; depth: an error of 0.5 -> 0.4."""
    seg = [relative_change(44, 40, True), relative_change(57, 60, True)]
    depth = [relative_change(0.4, 0.5, False)]
    assert seg == pytest.approx([10, -5]) and depth == pytest.approx([20])
    # First over a task's metrics, then over tasks.
    assert delta_t([seg, depth]) == pytest.approx((2.5 + 20) / 2)


EVALUATOR = [
    dict(type='IoUMetric'),
    dict(type='DepthMetric', prefix='depth'),
    dict(type='DumpResults', out_file_path='x.pkl'),
]


def task(reference, score='mIoU', evaluator=EVALUATOR):
    score = Score.read('seg', score)
    val = Split({}, evaluator)
    return Task('seg', 'mmseg', {}, score, val=val, reference=reference)


def changes(reference, metrics, **settings):
    return task(reference, **settings).single_task().changes(metrics)


def test_a_number_is_of_the_tasks_score():
    assert changes(40.0, {'mIoU': 44.0}) == pytest.approx([10])
    error = dict(metric='depth/rmse', scale=20)
    assert changes(0.5, {'depth/rmse': 0.4}, score=error) == pytest.approx([20])
    assert task(None).single_task() is None


def test_several_metrics_each_with_the_direction_that_is_known_of_it():
    """In the evaluator's own numbers, whether they are percent, fractions or errors."""
    reference = {'mIoU': 40, 'depth/d1': 0.5, 'depth/rmse': 0.5}
    found = changes(reference, {'mIoU': 44.0, 'depth/d1': 0.6, 'depth/rmse': 0.6})
    assert found == pytest.approx([10, 20, -20])


def test_a_metric_of_ones_own_says_which_is_better():
    own = [dict(type='IoUMetric'), dict(type='mine.Metric', prefix='mine')]
    reference = {'mine/f': dict(value=2, rule='less')}
    assert changes(reference, {'mine/f': 1.0}, evaluator=own) == pytest.approx([50])
    with pytest.raises(ValueError, match="task 'seg', reference: .*'mine/f'.*rule"):
        task({'mine/f': 2}, evaluator=own).single_task()


def test_a_metric_without_a_number_has_no_change():
    assert math.isnan(changes(40, {'mIoU': math.nan})[0])
    assert math.isnan(delta_t([changes(40, {'mIoU': math.nan}), [3.0]]))


@pytest.mark.parametrize(
    ('reference', 'named'),
    [
        (0, "'mIoU'.* 0,"),
        (-1.5, "'mIoU'.*-1.5"),
        ('40', "'mIoU'.*'40'"),
        ({'mIoU': None}, "'mIoU'.*None"),
        ({'mIuO': 40}, "'mIuO'.*mIoU"),
        ({}, 'no metric'),
    ],
)
def test_what_is_no_reference_is_refused_in_a_line(reference, named):
    with pytest.raises(ValueError, match=f"task 'seg', reference: .*{named}") as error:
        Reference.read('seg', 'mmseg', reference, task(None).scoring(task(None).val), EVALUATOR)
    assert '\n' not in str(error.value)
