"""How much of each layer differs between tasks and between frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from mdl_nas_mm.methods.computation_sharing.running import Density, boundary
from mdl_nas_mm.utils.files import write_json

from .chart import CHOSEN, MUTED, SHARED, SPECIFIC, Chart


def write_densities(
    densities: Mapping[str, Sequence[Density]], folder: str | Path
) -> Iterator[str]:
    """Writes ``densities.json`` and ``densities.png``, and says where each task's boundary is.

    Args:
        densities: task -> layers, see ``measure_densities``.
        folder: where to write.
    """
    facts = {
        task: dict(boundary=boundary(layers), layers=list(map(asdict, layers)))
        for task, layers in densities.items()
    }
    write_json(Path(folder) / 'densities.json', facts)
    plot_densities(densities, Path(folder) / 'densities.png')
    for task, own in facts.items():
        yield f'{task}: {own["boundary"]} of {len(own["layers"])} layers from the base'


def plot_densities(densities: Mapping[str, Sequence[Density]], path: str | Path) -> None:
    """A panel a task: S_w, S_a1 and S_a2 of its layers, in order, and the boundary between them.

    As Figures 4 and 6 of "Efficient Computation Sharing for Multi-Task Visual Scene
    Understanding", which show sparsities, 1 minus these.

    Args:
        densities: task -> layers, see ``measure_densities``.
        path: PNG file to write.
    """

    def plot(chart: Chart) -> None:
        for axes, (task, layers) in zip(chart.axes, densities.items()):
            lines = (
                ('weights, S_w', 'weight', MUTED),
                ('inputs, to the base, S_a1', 'task', SHARED),
                ('inputs, to the frame before, S_a2', 'frame', SPECIFIC),
            )
            for label, key, colour in lines:
                values = [getattr(layer, key) for layer in layers]
                axes.plot(values, color=colour, label=label, drawstyle='steps-mid')
            found = boundary(layers)
            axes.axvline(found - 0.5, color=CHOSEN, linestyle='--', label='from the base, left of')
            axes.set(title=task, xlabel='linear layer', ylim=(-0.02, 1.02))
        chart.axes[0].set_ylabel('part that differs')
        chart.axes[0].legend()

    size = (4.2 * len(densities) + 0.5, 3.2)
    Chart(plot, size, (1, len(densities))).write_png(Path(path))
