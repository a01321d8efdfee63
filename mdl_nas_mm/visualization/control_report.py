"""The report of how well a model is controlled: a page that needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from mdl_nas_mm.utils.amounts import is_number, shown_amount
from mdl_nas_mm.utils.files import written_whole
from mdl_nas_mm.utils.strict_json import read_json

from .control_figures import pairs_of, plot_costs, plot_marginal, plot_trade_off, points_of
from .page import folded, page, short, table, task_cards, tile

_STATIC = ('multi-task', 'single-task')


def write_control_report(
    report: Mapping, folder: str | Path, beside: Sequence[Mapping] = ()
) -> Path:
    """Writes what ``controllability`` found for people to look at.

    Args:
        report: what ``tools/hypervolume.py`` leaves as ``report.json``.
        folder: made if it is not there; the page is ``report.html`` in it.
        beside: models of one architecture, see ``read_beside``.
    """
    file = Path(folder) / 'report.html'
    with written_whole(file) as temporary:
        temporary.write_text(_page(report, beside), encoding='utf-8')
    return file


def read_beside(path: str | Path, tasks: Sequence[str]) -> list[dict[str, Any]]:
    """Measured points of models that are trained for one architecture.

    Args:
        path: JSON, a list of objects: ``kind``, ``'multi-task'`` or ``'single-task'``, ``cost`` in
            the unit of the budget, ``losses`` (task -> its loss, measured alike), perhaps ``name``.
        tasks: that are known.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is of another form; names the point.
    """
    where = f'points {path}'
    found = read_json(path, where)
    if not isinstance(found, list):
        raise ValueError(f'{where}: expected a list of points')
    for number, point in enumerate(found):
        known = isinstance(point, dict) and point.get('kind') in _STATIC
        if not known or not isinstance(point.get('losses'), dict):
            raise ValueError(
                f'{where}: point {number}: expected kind (one of {list(_STATIC)}), cost and losses'
            )
        values = {'cost': point.get('cost'), **point['losses']}
        for key, value in values.items():
            if key not in ('cost', *tasks):
                raise ValueError(f'{where}: point {number}: unknown task {key!r}')
            if not is_number(value) or not math.isfinite(value):
                raise ValueError(f'{where}: point {number}: {key} is {value!r}, no number')
    return found


def _page(report: Mapping, beside: Sequence[Mapping]) -> str:
    tasks = report['tasks']
    title = f'Control of {len(tasks)} tasks by preferences'
    trade_offs = (
        f'<div>{plot_trade_off(report, pair, beside).to_svg(f"trade-off-{i}")}</div>'
        for i, pair in enumerate(pairs_of(tasks))
    )
    budget = 'without a budget' if report['budget'] is None else f'within {report["budget"]}'
    sections = [
        f'<h1>{escape(title)}</h1>',
        f'<p class="quiet">{len(report["points"])} preferences, each with the architecture that '
        f'was chosen for it {escape(budget)}, and its losses as measured on the validation images. '
        'Point at a part of a figure for its numbers.</p>',
        f'<div class="cards tiles">{"".join(_tiles(report))}</div>',
        '<h2>Trade-off between tasks</h2>',
        '<p class="quiet">The losses of two tasks; the line joins what no other chosen point is '
        f'below in both.{_left_out(tasks)}</p>',
        f'<div class="cards pair">{"".join(trade_offs)}</div>',
        '<h2>Loss against preference</h2>',
        '<p class="quiet">The line is the mean over whatever the other preferences were.</p>',
        task_cards(tasks, {task: plot_marginal(report, task) for task in tasks}, 'marginal'),
        '<h2>Loss against cost</h2>',
        '<p class="quiet">Beside the architectures of one width in all layers, the largest and the '
        'smallest'
        + (', and models that are trained for one architecture.</p>' if beside else '.</p>'),
        task_cards(tasks, {task: plot_costs(report, task, beside) for task in tasks}, 'costs'),
        '<h2>Largest and smallest</h2>',
        f'<div class="card">{_ends(report)}</div>',
        '<h2>All numbers</h2>',
        *_details(report, beside),
    ]
    return page(title, sections)


def _left_out(tasks: Sequence[str]) -> str:
    pairs, shown = len(tasks) * (len(tasks) - 1) // 2, len(pairs_of(tasks))
    return '' if pairs == shown else f' {shown} of {pairs} pairs are drawn.'


def _tiles(report: Mapping) -> Iterable[str]:
    reference = ', '.join(f'{value:g}' for value in report['reference'])
    yield tile('hypervolume', f'{report["hypervolume"]:.4g}', f'to the losses {reference}')
    yield tile('of one width', f'{report["uniform_hypervolume"]:.4g}', 'architectures that fit')
    yield tile('of the largest', f'{report["largest_hypervolume"]:.4g}', 'one static model')
    costs = [point['cost'] for point in report['points']]
    shown = f'{short(min(costs))} to {short(max(costs))}'
    yield tile(report['unit'], shown, 'of what was chosen')
    yield tile('control parameters', f'{report["control_parameters"]:,}', 'of the predictor')


def _ends(report: Mapping) -> str:
    largest, smallest = report['extremes']
    rows = [
        (name, shown_amount(point['cost']), *(f'{point["losses"][t]:.4f}' for t in report['tasks']))
        for name, point in (('largest', largest), ('smallest', smallest))
    ]
    ratio = [f'{smallest["losses"][t] / largest["losses"][t]:.3f}' for t in report['tasks']]
    rows.append(('smallest / largest', f'{smallest["cost"] / largest["cost"]:.3f}', *ratio))
    return table(('', report['unit'], *report['tasks']), rows)


def _details(report: Mapping, beside: Sequence[Mapping]) -> Iterable[str]:
    tasks = report['tasks']
    rows = [
        (shown_amount(point['cost']),)
        + tuple(
            cell
            for task in tasks
            for cell in (
                f'{point["preferences"][task]:.2f}',
                f'{point["predicted"][task]:.4f}',
                f'{point["losses"][task]:.4f}',
            )
        )
        for point in report['points']
    ]
    names = [f'{task}: {what}' for task in tasks for what in ('preference', 'predicted', 'loss')]
    yield folded(f'{len(rows)} preferences', table((report['unit'], *names), rows))
    rows = [
        (
            point.get('name', kind),
            shown_amount(point['cost']),
            *(f'{point["losses"][t]:.4f}' if t in point['losses'] else '-' for t in tasks),
        )
        for kind, point in points_of(report, beside)
        if kind != 'chosen'
    ]
    yield folded('Other points', table(('', report['unit'], *tasks), rows))
