"""A picture of how far the tasks' gradients agree, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm

from .chart import Chart, shortened
from .conflicts import compared_pairs

_LONGEST = 40


def plot_conflicts(conflicts: Mapping[str, Any], path: str | Path) -> None:
    """Plots the cosine of each pair of tasks, and the size of each task's gradient; a row a layer.

    Args:
        conflicts: what ``mdl-nas conflicts`` has written.
        path: PNG to write.
    """
    layers, pairs, tasks = conflicts['layers'], compared_pairs(conflicts), conflicts['tasks']
    cosines = _means(layers, 'cosine', pairs)
    sizes = _means(layers, 'size', tasks)
    sizes[sizes == 0] = np.nan
    # The scale is the same on both sides of zero.
    most = max(0.05, float(np.nanmax(np.abs(cosines), initial=0)))
    norm = LogNorm() if np.isfinite(sizes).any() else None

    def plot(chart: Chart) -> None:
        left, right = chart.axes
        _plot(chart, left, cosines, pairs, 'cosine', cmap='RdBu', vmin=-most, vmax=most)
        _plot(chart, right, sizes, tasks, 'size', cmap='viridis', norm=norm)
        left.set_yticks(range(len(layers)), [shortened(each['layer'], _LONGEST) for each in layers])
        right.set_yticks([])
        spec = left.get_subplotspec()
        assert spec is not None
        spec.get_gridspec().set_width_ratios([len(pairs) + 2, len(tasks) + 2])

    # Room for the names below.
    names = max(len(shortened(name, _LONGEST)) for name in (*pairs, *tasks))
    width, height = 5 + 0.25 * (len(pairs) + len(tasks)), 1 + 0.24 * len(layers) + 0.085 * names
    Chart(plot, (width, height), (1, 2)).write_png(Path(path))


def _means(layers: Sequence[Mapping], what: str, names: Sequence[str]) -> np.ndarray:
    """(layers, names) float64, not a number where a layer has none."""
    found = [[layer[what].get(name) for name in names] for layer in layers]
    return np.array([[np.nan if n is None else n['mean'] for n in row] for row in found])


def _plot(
    chart: Chart,
    axes: Axes,
    values: np.ndarray,
    names: Sequence[str],
    title: str,
    **colours: Any,
) -> None:
    image = axes.imshow(values, aspect='auto', interpolation='nearest', **colours)
    chart.figure.colorbar(image, ax=axes, format='{x:g}')
    axes.set_xticks(range(len(names)), [shortened(n, _LONGEST) for n in names], rotation=90)
    axes.set_title(title, fontsize=11)
    axes.grid(False)
