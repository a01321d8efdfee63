"""Scores and densities of sub-tasks against lambdas."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mdl_nas_mm.apis.sharing_report import SweptTask

from .chart import SHARED, SPECIFIC, Chart

_LABELS = dict(lambda_w='lambda_w, of weights', lambda_a='lambda_a1, of activations')


def plot_sweep(swept: Sequence[SweptTask], path: str | Path) -> None:
    """A column a task: its score and the density of its difference against a lambda.

    As Figure 5 of "Efficient Computation Sharing for Multi-Task Visual Scene Understanding". The
    lambda is that of the weights where it differs, else that of the activations.

    Args:
        swept: see ``read_sweep``.
        path: PNG file to write.

    Raises:
        ValueError: no lambda differs between them.
    """
    key = swept_lambda(swept)
    tasks = list(dict.fromkeys(each.task for each in swept))

    def plot(chart: Chart) -> None:
        rows = dict(score=SHARED, density=SPECIFIC)
        for number, (value, colour) in enumerate(rows.items()):
            for axes, task in zip(chart.axes[number * len(tasks) :], tasks):
                own = [each for each in swept if each.task == task]
                given = [each for each in own if getattr(each, value) is not None]
                x, y = ([getattr(each, of) for each in given] for of in (key, value))
                axes.plot(x, y, color=colour, marker='o')
                # Some of them may be 0.
                axes.set_xscale('symlog', linthresh=min(filter(None, x), default=1.0))
                axes.set_xlabel(_LABELS[key])
                axes.set_title(f'{task}, {own[0].metric if value == "score" else value}')

    size = (4.2 * len(tasks) + 0.5, 6.0)
    Chart(plot, size, (2, len(tasks))).write_png(Path(path))


def swept_lambda(swept: Sequence[SweptTask]) -> str:
    """The field of ``SweptTask`` that differs: ``lambda_w``, else ``lambda_a``.

    Raises:
        ValueError: neither does.
    """
    for key in _LABELS:
        values = {getattr(each, key) for each in swept}
        if len(values) > 1 and None not in values:
            return key
    raise ValueError(
        'the trainings have one lambda_w and one coefficient of activations; give some that differ'
    )
