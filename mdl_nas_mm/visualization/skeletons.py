"""Where tasks leave a tree of cells, and whose each cell is (AutoTaskFormer, Fig. 9)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib

matplotlib.use('Agg')

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from mdl_nas_mm.families.swin_unet.skeletons import CELLS, Skeleton, level_of, predecessor
from mdl_nas_mm.utils.files import written_whole

_WIDTH, _HEIGHT = 0.62, 0.4
# Tasks that a line beside a cell names.
_A_LINE = 3


def plot_skeletons(skeletons: Mapping[str, Skeleton], path: str | Path) -> None:
    """Draws all cells; those of no task are dashed, the more tasks one has the darker it is.

    Args:
        skeletons: task -> where it leaves.
        path: PNG to write.
    """
    figure, axes = plt.subplots(figsize=(11, 6.5))
    for cell in CELLS:
        before = predecessor(cell)
        if before is not None:
            used = any(cell in skeleton.cells for skeleton in skeletons.values())
            (x0, y0), (x1, y1) = _place(before), _place(cell)
            style = dict(color='0.25', lw=1.6) if used else dict(color='0.8', lw=1, ls='--')
            axes.plot([x0, x1], [y0, y1], zorder=1, **style)
        _draw(axes, cell, skeletons)
    for level in range(1, 5):
        axes.text(-0.75, -level, f'1/{2 << level}', va='center', ha='right', color='0.4')
    axes.set(xlim=(-1.1, 4.1), ylim=(-4.6, -0.4))
    axes.axis('off')
    figure.tight_layout()
    with written_whole(path) as temporary:
        figure.savefig(temporary, format='png', dpi=110)
    plt.close(figure)


def _place(cell: str) -> tuple[float, float]:
    """A column for each level of the encoder and its decoder, a row for each size of maps."""
    return float(int(cell[1]) - 1), float(-level_of(cell))


def _draw(axes: Axes, cell: str, skeletons: Mapping[str, Skeleton]) -> None:
    x, y = _place(cell)
    owners = [task for task, skeleton in skeletons.items() if cell in skeleton.cells]
    share = len(owners) / len(skeletons)
    box = FancyBboxPatch(
        (x - _WIDTH / 2, y - _HEIGHT / 2),
        _WIDTH,
        _HEIGHT,
        boxstyle='round,pad=0.02',
        facecolor=plt.get_cmap('Blues')(0.1 + 0.6 * share) if owners else 'white',
        edgecolor='0.25' if owners else '0.8',
        linestyle='-' if owners else '--',
        zorder=2,
    )
    axes.add_patch(box)
    axes.text(x, y + 0.07, cell, ha='center', va='center', color='0.1' if owners else '0.7')
    if owners:
        of = (
            'all tasks' if share == 1 else owners[0] if len(owners) == 1 else f'{len(owners)} tasks'
        )
        axes.text(x, y - 0.1, of, ha='center', va='center', fontsize=7)
    leaving = [task for task, skeleton in skeletons.items() if cell in skeleton.outputs]
    rows = [leaving[i : i + _A_LINE] for i in range(0, len(leaving), _A_LINE)]
    text = '\n'.join(', '.join(row) for row in rows)
    if text:
        axes.text(x + _WIDTH / 2 + 0.04, y, f'\N{RIGHTWARDS ARROW} {text}', va='center', fontsize=8)
