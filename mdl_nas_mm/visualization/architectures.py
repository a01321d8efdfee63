"""Pictures of architectures and of what they share."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use('Agg')

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from mdl_nas_mm.spec import Counts, JointSpec
from mdl_nas_mm.spec.dimensions import declared
from mdl_nas_mm.utils.files import written_whole


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
    figure, axes = plt.subplots(1, len(shown) + 1, figsize=(3 * len(shown) + 4, 3))
    for axis, dimension in zip(axes, shown):
        for offset, (task, blocks) in enumerate(blocks_of.items()):
            width = 0.8 / len(joint)
            places = [i + offset * width for i in range(len(blocks))]
            axis.bar(
                places, [getattr(block, dimension.name) for block in blocks], width, label=task
            )
        axis.set_title(dimension.label, fontsize=10)
        axis.set_xlabel('block')
    axes[0].legend(fontsize=8, loc='lower left')
    _plot_sizes(axes[-1], joint, counts)
    figure.tight_layout()
    with written_whole(path) as temporary:
        figure.savefig(temporary, format='png', dpi=110)
    plt.close(figure)


def _plot_sizes(axis: Axes, joint: JointSpec, counts: Counts) -> None:
    """Two bars: the one backbone file, and one file a task."""
    # What some tasks own together is shared as well.
    shared = (counts.backbone_total - sum(counts.specific[task] for task in joint)) / 1e6
    axis.bar(0, shared, color='0.6', label='shared')
    bottoms = [shared, 0.0]
    for task in joint:
        for x, size in enumerate((counts.specific[task], counts.backbones[task])):
            axis.bar(x, size / 1e6, bottom=bottoms[x], color=f'C{list(joint).index(task)}')
            bottoms[x] += size / 1e6
    axis.set_xticks((0, 1), ('one deposit', 'separate'))
    axis.set_title('backbone parameters (M)', fontsize=10)
    axis.legend(fontsize=8)
