"""How much differs, layer by layer: between tasks, between frames, and of the weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from torch import Tensor

from .model import SharedComputation
from .work import Work


@dataclass(frozen=True)
class Density:
    """Of one linear layer of a task, means over frames.

    Attributes:
        layer: its name.
        whole: multiply-adds of all its rows.
        weight: S_w, the part of the weights that differs from the base's.
        task: S_a1, the part of the inputs that differs from the base's.
        frame: S_a2, the part of the inputs that differs from the frame before.
    """

    layer: str
    whole: int
    weight: float
    task: float
    frame: float


def measure_densities(
    model: SharedComputation, frames: Sequence[Tensor]
) -> dict[str, list[Density]]:
    """Densities of each sub-task's layers on a video, with the model's thresholds (Figs. 4, 6).

    Args:
        model: whose tasks; its ``settings`` but for ``reuse`` and ``execution`` hold.
        frames: each (B, C, H, W); at least two.

    Raises:
        ValueError: there are fewer than two frames.
    """
    if len(frames) < 2:
        raise ValueError(f'{len(frames)} frames given; densities between frames need two or more')
    between = {reuse: _work(model, reuse, frames) for reuse in ('tasks', 'frames')}
    found: dict[str, list[Density]] = {}
    for (task, layer), of_tasks in between['tasks'].items():
        if task != model.base:
            own = fmean(each.density for each in of_tasks)
            weight = max(each.weight_density for each in of_tasks)
            frame = fmean(each.density for each in between['frames'][task, layer])
            density = Density(layer, of_tasks[0].whole, weight, own, frame)
            found.setdefault(task, []).append(density)
    return found


def boundary(densities: Iterable[Density]) -> int:
    """How many layers a task is to take over from the base, the others from the frame before.

    The number for which the fewest multiply-adds are counted (Section 3.3).
    """
    densities = list(densities)
    costs = [sum(each.frame * each.whole for each in densities)]
    for each in densities:
        costs.append(costs[-1] + (each.weight + each.task - each.frame) * each.whole)
    return min(range(len(costs)), key=lambda count: costs[count])


def _work(
    model: SharedComputation, reuse: str, frames: Sequence[Tensor]
) -> dict[tuple[str, str], list[Work]]:
    """(Task, layer) -> its work in each frame but the first."""
    settings = replace(model.settings, reuse=reuse, execution='elements', moved=1.0, key_every=0)
    state, found = None, {}
    for number, frame in enumerate(frames):
        _, state = model(frame, state, settings=settings)
        for each in state.work if number else ():
            if not each.is_attention:
                found.setdefault((each.task, each.part), []).append(each)
    return found
