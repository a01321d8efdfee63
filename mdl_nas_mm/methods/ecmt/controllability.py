"""How far preferences move losses: measured for many of them, and summed up as a hypervolume."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mdl_nas_mm.search.loss_files import appending, read_losses
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import ResolvedConfig
from mdl_nas_mm.utils.amounts import check_above, check_count

from .control_settings import ControlSettings
from .controller import Controller
from .hypervolume import hypervolume
from .preferences import check_request

_BINS = 5


@dataclass(frozen=True)
class Trial:
    """What is asked of a controller.

    Attributes:
        reference: the worst loss of each task, in their order.
        budget: see ``Controller.configure``.
        count: preferences that are sampled.
        alpha: of the Dirichlet distribution that they are sampled from.
        seed: of the samples.
    """

    reference: tuple[float, ...]
    budget: str | None = None
    count: int = 20
    alpha: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        check_count('hypervolume', 'count', self.count, 1)
        check_above(self.alpha, 0, 'hypervolume: alpha is')
        if not np.isfinite(self.reference).all():
            raise ValueError(f'reference point: {self.reference}, expected finite losses')
        check_request(self.budget, None, ())

    @classmethod
    def of(
        cls,
        cfg: ResolvedConfig,
        reference: Sequence[float] | None,
        budget: str | None,
        count: int,
        alpha: float | None,
        seed: int,
    ) -> Trial:
        """That of a config; ``reference`` and ``alpha`` are its own where they are not given.

        Raises:
            ValueError: see ``ControlSettings`` and ``Trial``.
        """
        control = ControlSettings.of(cfg)
        point = control.point(cfg.tasks) if reference is None else tuple(reference)
        return cls(point, budget, count, control.alpha if alpha is None else alpha, seed)

    def check(self, tasks: Collection[str]) -> None:
        """Raises ValueError where the reference point has another number of tasks."""
        if len(self.reference) != len(tasks):
            raise ValueError(
                f'reference point: {len(self.reference)} losses for {len(tasks)} tasks, '
                f'{list(tasks)}'
            )

    def preferences(self, tasks: Sequence[str]) -> list[dict[str, float]]:
        """The samples, task -> number."""
        rng = np.random.default_rng(self.seed)
        sampled = rng.dirichlet(np.full(len(tasks), self.alpha), self.count)
        return [dict(zip(tasks, own.tolist())) for own in sampled]


def controllability(
    controller: Controller,
    measure: Callable[[JointSpec], Mapping[str, float]],
    trial: Trial,
    file: Path,
    depends_on: Mapping[str, Any],
    on_done: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Configures each preference, measures its losses, and sums up.

    Beside them stand the largest and the smallest architecture, and those of one width ratio in all
    layers that fit the budget.

    Args:
        controller: what is asked.
        measure: joint spec -> the losses of all tasks.
        trial: what it is asked.
        file: where losses are kept, so that an interrupted measurement goes on.
        depends_on: all that losses depend on beside the architectures, as JSON has it.
        on_done: called with how many are done, and how many there are.

    Returns:
        ``tasks``, ``points``, ``extremes`` and ``uniform`` (each with ``cost`` and ``losses``, of
        points also ``preferences`` and ``predicted``), ``hypervolume``, ``uniform_hypervolume``,
        ``largest_hypervolume``, ``marginal``, ``control_parameters``, and ``beyond``: the tasks
        with no loss of a point below the reference, for which the hypervolume is 0.

    Raises:
        ValueError: the reference point has another number of tasks; or see ``configure``.
    """
    columns, tasks = controller.columns, list(controller.columns.spaces)
    trial.check(tasks)
    asked = trial.preferences(tasks)
    found = [controller.configure(trial.budget, prefer) for prefer in asked]
    cost, top = controller.costs[found[0].unit], columns.choices - 1
    levels = int(columns.choices.max(initial=1))
    shares = np.arange(levels)[:, None] / max(levels - 1, 1)
    uniform = np.round(shares * top).astype(np.int64)
    uniform = uniform[cost(uniform) <= controller.limit(trial.budget)]
    rows = [own.row for own in found] + [top, 0 * top] + list(uniform)
    header = json.loads(json.dumps({**depends_on, 'rows': [row.tolist() for row in rows]}))
    losses = _measured(columns.joint, measure, rows, file, header, tasks, on_done)
    points = [
        dict(_point(own.cost, losses[i], tasks), preferences=own.preferences, predicted=own.losses)
        for i, own in enumerate(found)
    ]
    others = [
        _point(float(cost(row[None])[0]), losses[len(found) + i], tasks)
        for i, row in enumerate(rows[len(found) :])
    ]

    def volume(some: Sequence[Mapping]) -> float:
        values = [[point['losses'][task] for task in tasks] for point in some]
        return hypervolume(np.array(values).reshape(-1, len(tasks)), trial.reference)

    return dict(
        tasks=tasks,
        unit=found[0].unit,
        budget=trial.budget,
        reference=list(trial.reference),
        points=points,
        extremes=others[:2],
        uniform=others[2:],
        hypervolume=volume(points),
        uniform_hypervolume=volume(others[2:]),
        largest_hypervolume=volume(others[:1]),
        marginal={task: _marginal(task, points) for task in tasks},
        control_parameters=controller.predictor.parameters,
        beyond=[
            task
            for task, worst in zip(tasks, trial.reference)
            if min(point['losses'][task] for point in points) >= worst
        ],
    )


def _measured(
    joint_of: Callable[[np.ndarray], JointSpec],
    measure: Callable[[JointSpec], Mapping[str, float]],
    rows: Sequence[np.ndarray],
    file: Path,
    header: Mapping[str, Any],
    tasks: Sequence[str],
    on_done: Callable[[int, int], None] | None,
) -> list[Mapping[str, float]]:
    """The losses of each row; of equal ones measured once."""
    known = read_losses(file, header, tasks) if file.exists() else {}
    first = {row.tobytes(): number for number, row in reversed(list(enumerate(rows)))}
    with appending(file, header) as write:
        for done, number in enumerate(sorted(first.values()), 1):
            if number not in known:
                known[number] = dict(measure(joint_of(rows[number])))
                write(dict(sample=number, losses=known[number]))
            if on_done:
                on_done(done, len(first))
    return [known[first[row.tobytes()]] for row in rows]


def _point(cost: float, losses: Mapping[str, float], tasks: Sequence[str]) -> dict[str, Any]:
    return dict(cost=cost, losses={task: losses[task] for task in tasks})


def _marginal(task: str, points: Sequence[Mapping]) -> list[dict[str, float]]:
    """The mean loss of a task in each part of the range of its preference, over all else."""
    places = [min(int(point['preferences'][task] * _BINS), _BINS - 1) for point in points]
    found = []
    for place in range(_BINS):
        own = [p['losses'][task] for p, at in zip(points, places) if at == place]
        if own:
            found.append(
                dict(preference=(place + 0.5) / _BINS, loss=float(np.mean(own)), points=len(own))
            )
    return found
