"""Pictures of architectures and of what they share."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes

from mdl_nas_mm.spec import Counts, JointSpec
from mdl_nas_mm.spec.dimensions import declared

from .chart import RANDOM, Chart


def plot_joint_spec(joint: JointSpec, counts: Counts, path: str | Path) -> None:
    """Plots each task's architecture block by block, and the parameters of all of them.

    Args:
        joint: the architecture of each task.
        counts: the parameters that they store.
        path: PNG to write.
    """
    blocks_of = {
        task: [block for stage in spec.stages for block in stage.blocks]
        for task, spec in joint.items()
    }
    shown = declared(type(next(block for blocks in blocks_of.values() for block in blocks)))

    def plot(chart: Chart) -> None:
        for axes, dimension in zip(chart.axes, shown):
            values = {
                task: [getattr(block, dimension.name) for block in blocks]
                for task, blocks in blocks_of.items()
            }
            _plot_blocks(axes, dimension.label, values)
        _plot_sizes(chart.axes[-1], joint, counts)
        tasks, sizes = chart.axes[0].containers, chart.axes[-1].containers
        names = (*joint, 'shared')
        chart.figure.legend(
            (*tasks, sizes[0]), names, loc='outside upper left', ncols=len(names), columnspacing=1.2
        )

    Chart(plot, (3 * len(shown) + 4, 3), (1, len(shown) + 1)).write_png(Path(path))


def _plot_blocks(axes: Axes, label: str, values: dict[str, list[float]]) -> None:
    """A bar for each block of each task."""
    width = 0.8 / len(values)
    for i, own in enumerate(values.values()):
        offset = (i - (len(values) - 1) / 2) * width
        axes.bar([block + offset for block in range(len(own))], own, width)
    axes.set_xticks(range(max(map(len, values.values()))))
    axes.set_title(label, fontsize=10)
    axes.set_xlabel('block')


def _plot_sizes(axes: Axes, joint: JointSpec, counts: Counts) -> None:
    """Two bars: the one backbone file, and one file a task."""
    # What some tasks own together is shared as well.
    shared = (counts.backbone_total - sum(counts.specific[task] for task in joint)) / 1e6
    axes.bar(0, shared, color=RANDOM)
    bottoms = [shared, 0.0]
    for i, task in enumerate(joint):
        for x, size in enumerate((counts.specific[task], counts.backbones[task])):
            axes.bar(x, size / 1e6, bottom=bottoms[x], color=f'C{i}')
            bottoms[x] += size / 1e6
    axes.set_xticks((0, 1), ('one deposit', 'separate'))
    axes.set_title('backbone parameters (M)', fontsize=10)
