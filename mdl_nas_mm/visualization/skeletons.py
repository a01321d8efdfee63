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

# All in inches: of a cell; of a letter and a line of the names in it and beside it.
_WIDTH, _HEIGHT, _LETTER, _LINE = 1.3, 0.6, 0.075, 0.14


def plot_skeletons(skeletons: Mapping[str, Skeleton], path: str | Path) -> None:
    """Draws all cells; those of no task are dashed, the more tasks one has the darker it is.

    Args:
        skeletons: task -> where it leaves.
        path: PNG to write.
    """
    most = max(sum(cell in each.outputs for each in skeletons.values()) for cell in CELLS)
    # Names have room in a cell, and between two, so that none is written on another.
    longest = _LETTER * max(map(len, skeletons))
    width = max(_WIDTH, longest)
    steps = width + 0.4 + longest, max(1.3, _LINE * most + 0.3)
    ends = (-width / 2 - 0.7, 4 * steps[0] - width / 2), (-4.5 * steps[1], -0.5 * steps[1])
    figure = plt.figure(figsize=(ends[0][1] - ends[0][0], ends[1][1] - ends[1][0]))
    axes = figure.add_axes((0, 0, 1, 1), xlim=ends[0], ylim=ends[1])
    axes.axis('off')
    places = {cell: _place(cell, steps) for cell in CELLS}
    for cell in CELLS:
        before = predecessor(cell)
        if before is not None:
            used = any(cell in skeleton.cells for skeleton in skeletons.values())
            (x0, y0), (x1, y1) = places[before], places[cell]
            style = dict(color='0.25', lw=1.6) if used else dict(color='0.8', lw=1, ls='--')
            axes.plot([x0, x1], [y0, y1], zorder=1, **style)
        _draw(axes, cell, places[cell], width, skeletons)
    for level in range(1, 5):
        axes.text(ends[0][0] + 0.1, -level * steps[1], f'1/{2 << level}', va='center', color='0.4')
    with written_whole(path) as temporary:
        figure.savefig(temporary, format='png', dpi=110)
    plt.close(figure)


def _place(cell: str, steps: tuple[float, float]) -> tuple[float, float]:
    """A column for each level of the encoder and its decoder, a row for each size of maps."""
    return (int(cell[1]) - 1) * steps[0], -level_of(cell) * steps[1]


def _draw(
    axes: Axes,
    cell: str,
    place: tuple[float, float],
    width: float,
    skeletons: Mapping[str, Skeleton],
) -> None:
    x, y = place
    owners = [task for task, skeleton in skeletons.items() if cell in skeleton.cells]
    share = len(owners) / len(skeletons)
    box = FancyBboxPatch(
        (x - width / 2, y - _HEIGHT / 2),
        width,
        _HEIGHT,
        boxstyle='round,pad=0.02',
        facecolor=plt.get_cmap('Blues')(0.1 + 0.6 * share) if owners else 'white',
        edgecolor='0.25' if owners else '0.8',
        linestyle='-' if owners else '--',
        zorder=2,
    )
    axes.add_patch(box)
    axes.text(x, y + 0.1, cell, ha='center', va='center', color='0.1' if owners else '0.7')
    if owners:
        of = (
            'all tasks' if share == 1 else owners[0] if len(owners) == 1 else f'{len(owners)} tasks'
        )
        axes.text(x, y - 0.14, of, ha='center', va='center', fontsize=7)
    leaving = [task for task, skeleton in skeletons.items() if cell in skeleton.outputs]
    if leaving:
        beside = x + width / 2 + 0.07
        axes.text(beside, y, '\N{RIGHTWARDS ARROW}', va='center', fontsize=8)
        axes.text(beside + 0.16, y, '\n'.join(leaving), va='center', fontsize=8)
