"""From a budget and preferences to an architecture, in milliseconds."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from mdl_nas_mm.elastic.latency_table import LatencyTable
from mdl_nas_mm.search.columns import JointColumns
from mdl_nas_mm.search.loss_predictor import LossPredictor
from mdl_nas_mm.spec import JointSpec, SearchSpace
from mdl_nas_mm.tasks import MultiTaskModel, ResolvedConfig, sampled_spaces
from mdl_nas_mm.tasks.input_size import validation_size
from mdl_nas_mm.tasks.part_flops import weightless
from mdl_nas_mm.utils.amounts import shown_amount
from mdl_nas_mm.utils.budgets import MACS, MILLISECONDS, read_budget
from mdl_nas_mm.utils.task_names import check_tasks

from .costs import JointCost, Size, milliseconds, multiply_adds, parameters
from .evolve import Evolution, InfeasibleBudget, evolve
from .preferences import normalised
from .tables import chosen_table


@dataclass(frozen=True)
class Configuration:
    """What a request has led to.

    Attributes:
        joint: the architectures of all tasks; their backbone is one.
        row: the same as places; see ``JointColumns``.
        cost, unit: what it costs.
        losses: task -> its predicted loss.
        preferences: task -> its preference in [0, 1].
        lowered: what the preferences were multiplied by, so that decoders leave an encoder.
        seconds: of the search.
        without: tasks whose necks and heads are not in the cost.
    """

    joint: JointSpec
    row: np.ndarray
    cost: float
    unit: str
    losses: Mapping[str, float]
    preferences: Mapping[str, float]
    lowered: float
    seconds: float
    without: Sequence[str] = ()

    def lines(self) -> list[str]:
        """What a command line says of it."""
        found = [f'{shown_amount(self.cost)} {self.unit}, found in {1000 * self.seconds:.1f} ms']
        if self.without:
            found.append(
                f'without the time of necks and heads of {", ".join(self.without)}, which mdl-nas '
                'latency --heads measures'
            )
        if self.lowered < 1:
            found.append(
                f'the decoders that were asked for leave no encoder: all preferences were lowered '
                f'together, to {self.lowered:.0%}'
            )
        for task, loss in self.losses.items():
            preference = self.preferences[task]
            found.append(f'{task}: preference {preference:.2f}, predicted loss {loss:.4f}')
        return found


class Controller:
    """Chooses architectures for budgets and preferences (Algorithm 2).

    Args:
        columns: what there is to choose from.
        predictor: of the tasks' losses.
        costs: unit -> what architectures cost in it; see ``read_budget``.
        evolution: settings of the search.
        alike: sets of related tasks, whose decoders get one width.

    Raises:
        ValueError: the predictor is of another space, or a set names an unknown task.
    """

    def __init__(
        self,
        columns: JointColumns,
        predictor: LossPredictor,
        costs: Mapping[str, JointCost],
        evolution: Evolution | None = None,
        alike: Sequence[Sequence[str]] = (),
    ) -> None:
        predictor.check(columns)
        check_tasks('related tasks', chain(*alike), columns.spaces)
        self.columns, self.predictor, self.costs = columns, predictor, costs
        self.evolution, self.alike = evolution or Evolution(), alike

    @classmethod
    def of_model(
        cls,
        model: MultiTaskModel,
        predictor: LossPredictor,
        sizes: Mapping[str, Size],
        evolution: Evolution | None = None,
        alike: Sequence[Sequence[str]] = (),
        spaces: Mapping[str, SearchSpace] | None = None,
        latency: str | Path | LatencyTable | None = None,
    ) -> Controller:
        """Of a joint model without memory for its weights.

        Args:
            model: see ``weightless``.
            predictor: of its tasks.
            sizes: task -> (height, width) of images.
            evolution, alike: see ``Controller``.
            spaces: task -> what there is to choose from; by default all.
            latency: what ``mdl-nas latency`` measured for the first task, or its file, for budgets
                in milliseconds.
        """
        columns = JointColumns(spaces or model.spaces)
        known = [multiply_adds(model, columns, sizes), parameters(model, columns)]
        table = chosen_table((), latency)
        if table is not None:
            known.append(milliseconds(model, columns, sizes, table))
        return cls(columns, predictor, {cost.unit: cost for cost in known}, evolution, alike)

    @classmethod
    def of(
        cls,
        cfg: ResolvedConfig,
        predictor: str | Path,
        sizes: Mapping[str, Size] | None = None,
        evolution: Evolution | None = None,
        alike: Sequence[Sequence[str]] = (),
        latency: str | Path | LatencyTable | None = None,
    ) -> Controller:
        """Of a joint config and the predictor that was learned for it.

        Args:
            cfg: a resolved joint config.
            predictor: the file that ``tools/predictor.py`` wrote.
            sizes: task -> (height, width) of images; by default what its validation gives.
            evolution, alike: see ``Controller``.
            latency: see ``of_model``.

        Raises:
            FileNotFoundError, ValueError: see ``LossPredictor.load``, ``Controller`` and
                ``milliseconds``.
        """
        learned, model = LossPredictor.load(predictor), weightless(cfg.model).eval()
        spaces = sampled_spaces(cfg, model.backbone.space)
        learned.check(JointColumns(spaces), predictor)
        found = {
            task: (sizes or {}).get(task) or validation_size(cfg.val_dataloader[task], task)
            for task in spaces
        }
        return cls.of_model(model, learned, found, evolution, alike, spaces, latency)

    def configure(
        self,
        budget: str | float | None = None,
        prefer: Mapping[str, float] | None = None,
        cycles: int | None = None,
    ) -> Configuration:
        """The architecture for a budget and preferences.

        Args:
            budget: the most that it may cost, such as ``'10G'``, ``'5M params'`` or ``'25ms'``;
                without it the largest fits.
            prefer: task -> its preference in any scale, 0 where it is not named; without it all
                are alike.
            cycles: of the evolution, if others than its settings say.

        Raises:
            ValueError: the preferences or the budget mean nothing, or it is in a unit of which
                nothing is known.
            InfeasibleBudget: the smallest architecture costs more; names what it costs.
        """
        started, tasks = time.perf_counter(), list(self.columns.spaces)
        unit, amount = self._read(budget)
        wanted = normalised(dict.fromkeys(tasks, 1.0) if prefer is None else prefer, tasks)
        settings = self.evolution if cycles is None else replace(self.evolution, cycles=cycles)
        try:
            found = evolve(
                self.columns,
                self.costs[unit],
                self.losses,
                amount,
                wanted,
                settings,
                self.predictor.scales,
                self.alike,
            )
        except InfeasibleBudget as error:
            raise InfeasibleBudget(error.budget, error.least, unit) from None
        return Configuration(
            self.columns.joint(found.row),
            found.row,
            found.cost,
            unit,
            found.losses,
            wanted,
            found.lowered,
            time.perf_counter() - started,
            self.costs[unit].without,
        )

    def limit(self, budget: str | float | None) -> float:
        """The amount of a budget in its unit; infinity without one."""
        return self._read(budget)[1]

    def cost_of(self, budget: str | float | None) -> JointCost:
        """What architectures cost in the unit of a budget."""
        return self.costs[self._read(budget)[0]]

    def _read(self, budget: str | float | None) -> tuple[str, float]:
        if budget is None:
            return MACS, math.inf
        unit, amount = read_budget(budget)
        if unit not in self.costs:
            hint = '; give the latency table of this machine' if unit == MILLISECONDS else ''
            raise ValueError(
                f'budget {budget!r}: nothing is known of {unit}, but of {list(self.costs)}{hint}'
            )
        return unit, amount

    def losses(self, rows: np.ndarray) -> np.ndarray:
        """(n, tasks) predicted losses of (n, columns) places."""
        return self.predictor(self.columns.encoded(rows))
