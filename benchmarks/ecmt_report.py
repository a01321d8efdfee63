"""What networks of one width lose and cost: in ECMT's supernet, static ones, each task alone.

python benchmarks/ecmt_report.py benchmarks/results/NAME.json [--picture FILE]

The JSON is of ``ecmt.py``, with the rows ``control`` and ``static_costs``. As Fig. 6 of the paper:
a supernet is trained once for all costs, a static network for one.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from trainings import shown

from mdl_nas_mm.visualization.chart import CHOSEN, EVOLUTION, SHARED, SPECIFIC, Chart

# How the kinds of networks are named and drawn.
KINDS = {
    'in the supernet': ('s-', EVOLUTION),
    'controlled, preferred task': ('o', CHOSEN),
    'static, all tasks': ('D-', SHARED),
    'static, each alone': ('P-', SPECIFIC),
}
Point = tuple[float, Mapping[str, float]]


def in_supernet(control: Mapping[str, Any]) -> list[Point]:
    """Networks of one width by cost, of a seed; the budgets have the cheaper ones in common."""
    found = {}
    for budget in control.values():
        if isinstance(budget, Mapping):
            for point in [*budget['uniform'], *budget['extremes']]:
                found[point['cost']] = point['losses']
    return sorted(found.items())


def controlled(control: Mapping[str, Any]) -> Iterable[Point]:
    """What is chosen for each preference, with the loss of the task that it is most for."""
    for budget in control.values():
        for point in budget['points'] if isinstance(budget, Mapping) else ():
            task = max(point['preferences'], key=point['preferences'].__getitem__)
            yield point['cost'], {task: point['losses'][task]}


def static(costs: Mapping[str, Any], kind: str) -> list[Point]:
    """Networks of one width of a seed; of single tasks their costs together."""
    found: dict[str, list] = {}
    for point in costs['points']:
        if point['kind'] == kind:
            found.setdefault(point['name'].rpartition(', ')[2], []).append(point)
    return [
        (sum(p['cost'] for p in own), {t: loss for p in own for t, loss in p['losses'].items()})
        for own in found.values()
    ]


def series(results: Mapping[str, Any]) -> dict[str, list[list[Point]]]:
    """Kind of network -> the points of each seed."""
    control, costs = results['control'], results['static_costs']
    points = (
        [in_supernet(own) for own in control],
        [list(controlled(own)) for own in control],
        [static(own, 'multi-task') for own in costs],
        [static(own, 'single-task') for own in costs],
    )
    return dict(zip(KINDS, points))


def table(found: Mapping[str, list[list[Point]]], tasks: Sequence[str]) -> str:
    """Markdown: loss by kind and cost, mean and deviation over seeds."""
    lines = [
        f'| network | multiply-adds (M) | {" | ".join(tasks)} |',
        '|---' * (len(tasks) + 2) + '|',
    ]
    for kind, seeds in found.items():
        # Controlled networks have a cost of their own each.
        for own in zip(*seeds) if not kind.startswith('controlled') else ():
            losses = [shown([point[1][task] for point in own], 3) for task in tasks]
            lines.append(f'| {kind} | {own[0][0] / 1e6:.1f} | {" | ".join(losses)} |')
    return '\n'.join(lines)


def picture(found: Mapping[str, list[list[Point]]], tasks: Sequence[str]) -> Chart:
    """Loss against cost, an axes a task, with deviations where there are several seeds."""

    def plot(chart: Chart) -> None:
        for task, axes in zip(tasks, chart.axes):
            for kind, seeds in found.items():
                _draw(axes, kind, seeds, task)
            axes.set(title=task, xlabel='multiply-adds (M)', ylabel='loss')
        handles, labels = chart.axes[0].get_legend_handles_labels()
        chart.figure.legend(handles, labels, loc='outside upper center', ncols=len(labels))

    return Chart(plot, (3.4 * len(tasks), 3.4), (1, len(tasks)))


def _draw(axes: Any, kind: str, seeds: list[list[Point]], task: str) -> None:
    form, colour = KINDS[kind]
    if kind.startswith('controlled'):
        own = [(c / 1e6, losses[task]) for each in seeds for c, losses in each if task in losses]
        axes.plot(*zip(*own), form, color=colour, ms=4, label=kind) if own else None
        return
    costs = [cost / 1e6 for cost, _ in seeds[0]]
    losses = np.array([[own[task] for _, own in each] for each in seeds])
    spread = losses.std(0, ddof=1) if len(seeds) > 1 else None
    axes.errorbar(
        costs, losses.mean(0), spread, fmt=form, color=colour, ms=5, capsize=2, label=kind
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('results', type=Path, help='of ecmt.py')
    parser.add_argument('--picture', type=Path, help='PNG file for the picture')
    args = parser.parse_args()
    results = json.loads(args.results.read_text())
    found = series(results)
    tasks = sorted(results['static_costs'][0]['points'][0]['losses'])
    print(table(found, tasks))
    if args.picture:
        picture(found, tasks).write_png(args.picture)


if __name__ == '__main__':
    main()
