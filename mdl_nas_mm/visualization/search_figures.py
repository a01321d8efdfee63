"""The figures of a search's report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import EngFormatter, MaxNLocator

from mdl_nas_mm.utils.amounts import shown_score

from .chart import CHOSEN, EVOLUTION, MUTED, RANDOM, SHARED, SPECIFIC, Chart, shortened

_ROW = 0.245  # height of a row of text, in inches


def shown_unit(report: Mapping, task: str) -> float:
    """The unit in which a task's score is shown, see ``shown_score``."""
    return report.get('shown', {}).get(task, 1.0)


def task_score(report: Mapping, task: str, score: float) -> str:
    """A task's score as people know its metric."""
    return shown_score(score, shown_unit(report, task))


def plot_generations(report: Mapping) -> Chart:
    """S-Scores by generation, of the search and, where there is one, of random search."""

    def plot(chart: Chart) -> None:
        (axes,) = chart.axes
        runs = [('search', report['generations'], EVOLUTION)]
        if report['random']:
            runs.append(('random search', report['random'], RANDOM))
        for name, entries, colour in runs:
            _plot_run(chart, axes, name, entries, colour)
        score = report['chosen']['s_score']
        chosen = axes.axhline(score, color=CHOSEN, lw=1, ls=(0, (4, 3)), label='chosen')
        chart.tip(chosen, f'chosen: S-Score {score:.2f}')
        axes.set(xlabel='generation', ylabel='S-Score')
        last = max([1, *(len(entries) for _, entries, _ in runs)])
        axes.set_xlim(0.6, last + 0.4)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        chart.figure.legend(loc='outside upper left', ncols=2, columnspacing=1.2)

    return Chart(plot, (4.8, 3.5))


def _plot_run(chart: Chart, axes: Axes, name: str, entries: Sequence[Mapping], colour: str) -> None:
    for key, label, style, size in (
        ('best', f'{name}: best so far', '-', 4.5),
        ('mean', f'{name}: mean of the new', ':', 2.5),
    ):
        # A generation of which every new candidate has failed has no mean.
        shown = [entry for entry in entries if entry[key] is not None]
        # From 1, as the log counts them.
        places = [entry['generation'] + 1 for entry in shown]
        values = [entry[key] for entry in shown]
        axes.plot(places, values, style, color=colour, label=label)
        for place, value, entry in zip(places, values, shown):
            (point,) = axes.plot([place], [value], 'o', color=colour, ms=size)
            chart.tip(
                point,
                f'{label}, generation {place}: {value:.2f}\n{entry["candidates"]} new candidates, '
                f'{entry["evaluations"]:,} evaluations so far',
            )


def plot_front(report: Mapping) -> Chart:
    """The Pareto front of cost against S-Score, with the chosen joint spec and others."""
    unit = report.get('unit', 'parameters')

    def plot(chart: Chart) -> None:
        (axes,) = chart.axes
        chosen, front = report['chosen'], report['front']
        totals = [point['total'] for point in front]
        scores = [point['s_score'] for point in front]
        others = report.get('others') or ()
        if others:
            places = [point['total'] for point in others]
            values = [point['s_score'] for point in others]
            axes.plot(places, values, '.', color=RANDOM, ms=3, label='other candidates')
        axes.plot(totals, scores, color=EVOLUTION, lw=1, drawstyle='steps-post')
        points = [(point, 'o', EVOLUTION, 5, '') for point in front]
        points.append((chosen, '*', CHOSEN, 14, 'chosen: '))
        for point, marker, colour, size, name in points:
            (artist,) = axes.plot(
                [point['total']], [point['s_score']], marker, color=colour, ms=size
            )
            of_tasks = point['scores'].items()
            parts = '\n'.join(f'{task}: {task_score(report, task, own)}' for task, own in of_tasks)
            where = f'{point["total"]:,} {unit}, S-Score {point["s_score"]:.2f}'
            chart.tip(artist, f'{name}{where}\n{parts}')
        if front:
            axes.plot([], [], 'o', color=EVOLUTION, ms=5, label='front')
        axes.plot([], [], '*', color=CHOSEN, ms=11, label='chosen')
        # A budget far beyond all points would leave no room for them.
        span = max([*totals, chosen['total']]) - min([*totals, chosen['total']])
        if report['budget'] <= max([*totals, chosen['total']]) + max(span, 0.05 * chosen['total']):
            line = axes.axvline(report['budget'], color=MUTED, lw=1, ls=(0, (4, 3)), label='budget')
            chart.tip(line, f'budget: {report["budget"]:,}')
        heads = ' with heads' if report['with_heads'] else ' of the backbones'
        axes.set(xlabel=unit + ('' if 'unit' in report else heads), ylabel='S-Score')
        axes.xaxis.set_major_formatter(EngFormatter(sep='\N{THIN SPACE}'))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        chart.figure.legend(loc='outside upper left', ncols=3, columnspacing=1.2)

    return Chart(plot, (4.8, 3.5))


def plot_scores(report: Mapping, tasks: Sequence[str]) -> Chart:
    """Each task's score along the front, one axes a task, of one scale of cost."""
    front, chosen = report['front'], report['chosen']
    unit = report.get('unit', 'parameters')

    def plot(chart: Chart) -> None:
        for axes, task in zip(chart.axes, tasks):
            counted = shown_unit(report, task)
            for point in front:
                score = point['scores'][task]
                place = [point['total']], [score / counted]
                (dot,) = axes.plot(*place, 'o', color=EVOLUTION, ms=4)
                told = task_score(report, task, score)
                chart.tip(dot, f'{task}: {told} at {point["total"]:,} {unit}')
            score = chosen['scores'][task]
            (star,) = axes.plot([chosen['total']], [score / counted], '*', color=CHOSEN, ms=12)
            chart.tip(star, f'chosen, {task}: {task_score(report, task, score)}')
            if len(tasks) > 1:
                axes.set_title(shortened(task, 24), fontsize=10)
            # Scores that are no metric's, such as predicted ones, have no unit.
            if task in report.get('shown', {}):
                less = ', less is better' if counted < 0 else ''
                axes.set_ylabel(f'{shortened(report["metrics"][task], 24)}{less}', fontsize=9)
            axes.xaxis.set_major_formatter(EngFormatter(sep='\N{THIN SPACE}'))
            axes.xaxis.set_major_locator(MaxNLocator(3))
            axes.yaxis.set_major_locator(MaxNLocator(4))
        for axes in chart.axes[len(tasks) :]:
            axes.set_axis_off()
        chart.figure.supxlabel(unit, fontsize=9, color=MUTED)

    lines, columns = _grid(len(tasks))
    return Chart(plot, (2.9 * columns, 2.2 * lines + 0.3), (lines, columns))


class _Columns:
    """What is shown of architectures: the sizes of a stage, then the dimensions of a block.

    Args:
        report: of a search; without ``labels``, as older ones are, keys stand for them.
    """

    def __init__(self, report: Mapping) -> None:
        specs = report['chosen']['joint_spec'].values()
        stages = [stage for spec in specs for stage in spec['stages']]
        keys = [key for key in stages[0] if key != 'depth']
        self.of_stage = [key for key in keys if not isinstance(stages[0][key], list)]
        self.of_block = [key for key in keys if key not in self.of_stage]
        labels = report.get('labels', {})
        # Older reports do not say it; all of their share ratios are named so.
        named = [key for key in keys if key.endswith('share_ratio')]
        self.ratios = set(report.get('ratios', named))
        self.names = [labels.get(key, key.replace('_', ' ')) for key in self.all]
        self.titles = [name.replace(' ', '\n') for name in self.names]
        self.ranges = {key: _range([stage[key] for stage in stages]) for key in self.all}

    @property
    def all(self) -> list[str]:
        """Keys of a stage, in the order of the columns."""
        return self.of_stage + self.of_block

    def colour(self, key: str) -> str:
        """Share ratios have one of their own."""
        return SPECIFIC if key in self.ratios else SHARED


def column_names(report: Mapping) -> list[str]:
    """What the columns of ``plot_architectures`` are called."""
    return _Columns(report).names


def _range(values: Sequence) -> tuple[float, float]:
    """The least and the greatest of numbers and lists of numbers."""
    flat = [v for value in values for v in (value if isinstance(value, list) else [value])]
    return min(flat), max(flat)


def plot_architectures(report: Mapping, tasks: Sequence[str]) -> Chart:
    """Block by block, its sizes and share ratios; one column of axes a task."""
    specs = report['chosen']['joint_spec']
    shown = _Columns(report)
    rows = max(_rows(specs[task]) for task in tasks)

    def plot(chart: Chart) -> None:
        for axes, task in zip(chart.axes, tasks):
            _plot_architecture(chart, axes, specs[task], shown)
            axes.set(xlim=(-0.95, len(shown.all) + 0.05), ylim=(rows, -1.75))
            if len(tasks) > 1:
                axes.set_title(shortened(task, 24), fontsize=11, fontweight='bold')
        for axes in chart.axes:
            axes.set_axis_off()

    lines, columns = _grid(len(tasks))
    height = lines * ((rows + 1.75) * _ROW + (0.35 if len(tasks) > 1 else 0))
    width = 0.74 * len(shown.all) * columns
    return Chart(plot, (width, height), (lines, columns))


def _grid(count: int) -> tuple[int, int]:
    """(rows, columns) of so many axes."""
    columns = min(count, 4)
    return -(-count // columns), columns


def _rows(spec: Mapping) -> float:
    """Rows of an architecture, with a gap between two stages."""
    return sum(stage['depth'] for stage in spec['stages']) + 0.35 * (len(spec['stages']) - 1)


def _plot_architecture(chart: Chart, axes: Axes, spec: Mapping, shown: _Columns) -> None:
    def cell(key: str, row: float, depth: int, value: float) -> None:
        (least, most), column = shown.ranges[key], shown.all.index(key)
        strength = (value - least) / (most - least) if most > least else 0.5
        box = Rectangle(
            (column + 0.04, row + 0.06), 0.92, depth - 0.12, color=shown.colour(key), lw=0,
            alpha=0.12 + 0.42 * strength,
        )  # fmt: skip
        axes.add_patch(box)
        chart.tip(box, f'{where}: {key} {value:g}')
        middle = (column + 0.5, row + depth / 2)
        axes.text(*middle, f'{value:g}', ha='center', va='center', fontsize=9)

    for column, title in enumerate(shown.titles):
        axes.text(column + 0.5, -0.2, title, ha='center', va='bottom', fontsize=8.5, color=MUTED)
    row, several = 0.0, len(spec['stages']) > 1
    for i, stage in enumerate(spec['stages']):
        where = f'stage {i}' if several else 'all blocks'
        for key in shown.of_stage:
            cell(key, row, stage['depth'], stage[key])
        for j in range(stage['depth']):
            where = f'stage {i}, block {j}' if several else f'block {j}'
            label = f'{i}.{j}' if several else f'{j}'
            axes.text(-0.12, row + 0.5, label, ha='right', va='center', fontsize=9, color=MUTED)
            for key in shown.of_block:
                cell(key, row, 1, stage[key][j])
            row += 1
        row += 0.35
    name = 'stage.\nblock' if several else 'block'
    axes.text(-0.12, -0.2, name, ha='right', va='bottom', fontsize=8.5, color=MUTED)


def plot_layers(report: Mapping, tasks: Sequence[str]) -> Chart:
    """Shared and specific parameters of every layer; one column of axes a task.

    A block has a bar for each of its layers, in their order, with the norm beside it. They have the
    same scale for all tasks; what is outside of the blocks and too small to be seen at that scale
    is left out.
    """
    bars = {task: _bars(layers) for task, layers in report['layers'].items()}
    most = max(_size(bar) for rows in bars.values() for row in rows.values() for bar in row)
    seen = {task: _large_enough(bars[task], most / 300) for task in tasks}
    length = max(map(len, seen.values()))

    def plot(chart: Chart) -> None:
        for axes, task in zip(chart.axes, tasks):
            for row, pair in enumerate(seen[task].values()):
                height = 0.8 / len(pair)
                for i, bar in enumerate(pair):
                    _plot_bar(chart, axes, bar, row - 0.4 + i * height, height)
            axes.set(xlim=(0, 1.02 * most), ylim=(length - 0.4, -0.6))
            axes.set_yticks(range(len(seen[task])), seen[task], fontsize=8.5)
            axes.tick_params(axis='y', length=0)
            axes.xaxis.set_major_formatter(EngFormatter(sep='\N{THIN SPACE}'))
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.grid(False, axis='y')
            if len(tasks) > 1:
                axes.set_title(shortened(task, 24), fontsize=11, fontweight='bold')
        for axes in chart.axes[len(tasks) :]:
            axes.set_axis_off()
        boxes = [Rectangle((0, 0), 1, 1, color=colour, lw=0) for colour in (SHARED, SPECIFIC)]
        chart.figure.legend(boxes, ('shared', 'specific'), loc='outside upper left', ncols=2)

    lines, columns = _grid(len(tasks))
    height = lines * (length * _ROW + (0.75 if len(tasks) > 1 else 0.4)) + 0.3
    return Chart(plot, (3.7 * columns, height), (lines, columns))


def _block_of(layer: Mapping) -> str:
    """Name of the block's module that a layer is of; empty outside of the blocks."""
    return '' if layer['role'] == 'stem' else layer['layer'].rpartition('.')[0]


def _block_labels(layers: Sequence[Mapping]) -> dict[str, str]:
    """Name of a block -> that name without the words that all blocks have in one place."""
    split = {block: block.split('.') for block in map(_block_of, layers) if block}
    common = [len(set(words)) == 1 for words in zip(*split.values())]
    labels = {}
    for block, words in split.items():
        own = [word for i, word in enumerate(words) if not (i < len(common) and common[i])]
        labels[block] = shortened(f'block {".".join(own) or words[-1]}', 22)
    return labels


def _bars(layers: Sequence[Mapping]) -> dict[str, list[list[Mapping]]]:
    """Label of a row -> its bars, each of one or two layers.

    A norm goes into the bar of the layer that follows it in its block; else of the one before it.
    """
    rows: dict[str, list[list[Mapping]]] = {}
    labels = _block_labels(layers)
    for block, group in groupby(layers, _block_of):
        norms: list[Mapping] = []
        for layer in group:
            if block and layer['role'] == 'norm':
                norms.append(layer)
                continue
            label = labels[block] if block else shortened(layer['layer'], 22)
            rows.setdefault(label, []).append([*norms, layer])
            norms = []
        if norms:
            rows.setdefault(labels[block], [[]])[-1].extend(norms)
    return rows


def _size(bar: Sequence[Mapping]) -> int:
    return sum(layer['shared'] + layer['specific'] for layer in bar)


def _large_enough(
    rows: Mapping[str, list[list[Mapping]]], least: float
) -> dict[str, list[list[Mapping]]]:
    return {
        label: row
        for label, row in rows.items()
        if _block_of(row[0][-1]) or max(map(_size, row)) >= least
    }


def _plot_bar(chart: Chart, axes: Axes, bar: Sequence[Mapping], top: float, height: float) -> None:
    text = '\n'.join(
        f'{layer["layer"]}: {layer["shared"]:,} shared, {layer["specific"]:,} specific'
        for layer in bar
    )
    left = 0
    for key, colour in (('shared', SHARED), ('specific', SPECIFIC)):
        width = sum(layer[key] for layer in bar)
        if width:
            box = Rectangle((left, top), width, 0.88 * height, color=colour, lw=0)
            axes.add_patch(box)
            chart.tip(box, text)
            left += width
