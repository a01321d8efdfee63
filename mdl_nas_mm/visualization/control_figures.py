"""The figures of a controllability report: losses against each other, preferences and costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, MaxNLocator

from mdl_nas_mm.utils.amounts import shown_amount

from .chart import CHOSEN, EVOLUTION, RANDOM, SHARED, SPECIFIC, Chart, shortened

# Who has measured points, and how they are drawn.
KINDS = {
    'chosen': ('o', EVOLUTION, 5.5),
    'one width': ('s', RANDOM, 4.5),
    'largest': ('*', CHOSEN, 13),
    'smallest': ('v', CHOSEN, 8),
    'multi-task': ('D', SHARED, 6),
    'single-task': ('P', SPECIFIC, 8),
}


def points_of(report: Mapping, beside: Sequence[Mapping] = ()) -> list[tuple[str, Mapping]]:
    """Kind and point of all that has been measured; see ``write_control_report``."""
    largest, smallest = report['extremes']
    found = [('one width', point) for point in report['uniform']]
    found += [('chosen', point) for point in report['points']]
    found += [('largest', largest), ('smallest', smallest)]
    return found + [(point['kind'], point) for point in beside]


def pairs_of(tasks: Sequence[str], most: int = 6) -> list[tuple[str, str]]:
    """The pairs of tasks that are drawn; of many tasks those of the first ones."""
    return list(combinations(tasks, 2))[:most]


def plot_trade_off(report: Mapping, pair: tuple[str, str], beside: Sequence[Mapping] = ()) -> Chart:
    """The losses of two tasks against each other; what no other point beats is joined."""

    def plot(chart: Chart) -> None:
        (axes,) = chart.axes
        for kind, point in points_of(report, beside):
            if all(task in point['losses'] for task in pair):
                place = [point['losses'][task] for task in pair]
                _draw(chart, axes, (kind, point, report['unit']), *place)
        chosen = [tuple(point['losses'][task] for task in pair) for point in report['points']]
        front = undominated(chosen)
        axes.plot(*zip(*front), color=EVOLUTION, lw=1, drawstyle='steps-post')
        axes.set(xlabel=f'loss of {shortened(pair[0], 24)}', ylabel=f'loss of {pair[1]}')
        _finish(chart, axes)

    return Chart(plot, (4.8, 3.7))


def undominated(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those that no other one is below in both losses, by the first one."""
    found: list[tuple[float, float]] = []
    for point in sorted(set(points)):
        if not found or point[1] < found[-1][1]:
            found.append(point)
    return found


def plot_marginal(report: Mapping, task: str) -> Chart:
    """A task's loss against its preference, over whatever the others were."""

    def plot(chart: Chart) -> None:
        (axes,) = chart.axes
        for point in report['points']:
            place = (point['preferences'][task], point['losses'][task])
            _draw(chart, axes, ('chosen', point, report['unit']), *place)
        means = report['marginal'][task]
        axes.plot([m['preference'] for m in means], [m['loss'] for m in means], color=CHOSEN, lw=1)
        for mean in means:
            (artist,) = axes.plot([mean['preference']], [mean['loss']], 'o', color=CHOSEN, ms=3.5)
            chart.tip(artist, f'mean of {mean["points"]} points: {mean["loss"]:.4f}')
        axes.plot([], [], '-', color=CHOSEN, label='mean')
        axes.set(xlabel='preference', ylabel='loss')
        _finish(chart, axes)

    return Chart(plot, (4.4, 3.2))


def plot_costs(report: Mapping, task: str, beside: Sequence[Mapping] = ()) -> Chart:
    """A task's loss against what an architecture costs."""

    def plot(chart: Chart) -> None:
        (axes,) = chart.axes
        for kind, point in points_of(report, beside):
            if task in point['losses']:
                place = (point['cost'], point['losses'][task])
                _draw(chart, axes, (kind, point, report['unit']), *place)
        axes.set(xlabel=report['unit'], ylabel='loss')
        axes.xaxis.set_major_formatter(EngFormatter(sep='\N{THIN SPACE}'))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        _finish(chart, axes)

    return Chart(plot, (4.4, 3.2))


def _text_of(kind: str, point: Mapping, unit: str) -> str:
    """What a page shows of a point under the pointer."""
    lines = [f'{point.get("name", kind)}: {shown_amount(point["cost"])} {unit}']
    wanted = point.get('preferences', {})
    for task, loss in point['losses'].items():
        preference = f', preference {wanted[task]:.2f}' if task in wanted else ''
        lines.append(f'{task}: {loss:.4f}{preference}')
    return '\n'.join(lines)


def _draw(chart: Chart, axes: Axes, what: tuple[str, Mapping, str], x: float, y: float) -> None:
    """A point, of a kind and with a cost in a unit."""
    kind = what[0]
    marker, colour, size = KINDS[kind]
    known = axes.get_legend_handles_labels()[1]
    label = kind if kind not in known else None
    (artist,) = axes.plot([x], [y], marker, color=colour, ms=size, ls='', label=label)
    chart.tip(artist, _text_of(*what))


def _finish(chart: Chart, axes: Axes) -> None:
    axes.yaxis.set_major_locator(MaxNLocator(6))
    chart.figure.legend(loc='outside upper left', ncols=4, columnspacing=1.0, handletextpad=0.3)
