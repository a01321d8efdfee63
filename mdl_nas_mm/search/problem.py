"""What a search is about: where it looks, what that may cost, how the best is chosen."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial

from mmengine.logging import MMLogger

from mdl_nas_mm.elastic import ElasticBackbone
from mdl_nas_mm.elastic.supernet import Supernet
from mdl_nas_mm.spec import JointSpec, Ledger, SearchSpace, SubnetSpec, check_joint
from mdl_nas_mm.tasks import ResolvedConfig, sampled_spaces
from mdl_nas_mm.tasks.elastic_parts import joint_dimensions
from mdl_nas_mm.tasks.part_flops import PartFlops, weightless
from mdl_nas_mm.tasks.subnets import read_given_spec
from mdl_nas_mm.tasks.timed_layers import PartTimes

from .budget import check_budget, smallest_total
from .constraints import Constraints
from .costs import Cost
from .evolution import SearchResult, new_proposer, search
from .plan import SearchPlan
from .registered import build
from .scored import Pair, Score
from .selections import Selection
from .settings import EvolutionSettings


@dataclass(frozen=True)
class SearchProblem:
    """A search without its scores.

    Attributes:
        spaces: task -> where its architecture is looked for.
        ledger: what a report counts the chosen joint spec with.
        limits: what a task's architecture may cost, beside the budget of all tasks.
        start: what the evolution starts from; None for random joint specs.
    """

    plan: SearchPlan
    spaces: Mapping[str, SearchSpace]
    ledger: Ledger
    cost: Cost
    selection: Selection
    limits: Constraints
    start: JointSpec | None = None

    @classmethod
    def from_config(
        cls, cfg: ResolvedConfig, supernet: Supernet, heads: Mapping[str, int]
    ) -> SearchProblem:
        """What a joint config says.

        Args:
            cfg: a resolved joint config with ``search_cfg``.
            supernet: that it is a search in.
            heads: owners, as in ``Counts``, -> elements outside the backbone.

        Raises:
            ValueError: a setting is not valid.
        """
        plan, ledger = SearchPlan.from_config(cfg), supernet.ledger(heads)
        make, backbone = cache(partial(weightless, cfg.model)), supernet.backbone
        parts = (PartFlops(make), PartTimes(make))
        spaces = sampled_spaces(cfg, backbone.space)
        plan.ties.check(spaces)
        cost = make_cost(plan, backbone, *parts, ledger, spaces, cfg.search_dataloader)
        limits = Constraints.from_config(cfg, backbone, *parts, spaces)
        start = read_start(cfg, spaces)
        return cls(plan, spaces, ledger, cost, make_selection(plan, cost), limits, start)

    def check(self) -> None:
        """Raises ValueError for a budget, or another limit, that cannot be met."""
        check_budget(self.plan.budget, self.spaces, self.cost)
        self.limits.check(smallest_total(self.spaces, self.cost)[0])

    def warn_of_start(self) -> None:
        """Says which tasks are tied, and so do not start from what ``start`` has for them."""
        start, ties = self.start, self.plan.ties
        if not start:
            return
        tied = ties.joint({task: start[task] for task in ties.leading(self.spaces)})
        others = [task for task in start if tied[task] != start[task]]
        if others:
            MMLogger.get_current_instance().warning(
                f'search_cfg.start: {", ".join(others)} cannot start from what it has for them: '
                'they are tied to tasks with other architectures there, and start from those'
            )

    def search(
        self,
        score: Score,
        settings: EvolutionSettings,
        seed: int,
        on_generation: Callable[[dict], None] | None = None,
    ) -> SearchResult:
        """Looks for the best joint spec; see ``search``. Random search starts from nothing."""
        is_random = not settings.crossovers + settings.mutations
        start = [] if self.start is None or is_random else [self.start]
        return search(
            self.spaces,
            self.cost,
            score,
            self.selection,
            self.plan.budget,
            settings,
            random.Random(seed),
            self.limits.allow,
            on_generation,
            self.plan.ties,
            start,
        )

    def sample(self, count: int, seed: int) -> list[JointSpec]:
        """Random joint specs that fit the budget and the limits; fewer where there are no more."""
        settings = replace(self.plan.evolution, population=count, crossovers=0, mutations=0)
        rng, budget = random.Random(seed), self.plan.budget
        given = (settings, rng, self.limits.allow, self.plan.ties)
        return new_proposer(self.spaces, self.cost, budget, *given).generation([])

    def excluded(self, pairs: Iterable[Pair]) -> list[Pair]:
        """Those of the pairs that this search may not choose."""
        return [pair for pair in pairs if not self._may_choose(*pair)]

    def _may_choose(self, task: str, spec: SubnetSpec) -> bool:
        try:
            self.spaces[task].check(spec)
        except ValueError:
            return False
        return self.limits.allow(task, spec)


def read_start(cfg: ResolvedConfig, spaces: Mapping[str, SearchSpace]) -> JointSpec | None:
    """The architectures of ``search_cfg.start``.

    Raises:
        ValueError, FileNotFoundError: they are none of the spaces' (names it), or not there.
    """
    given = (cfg.get('search_cfg') or {}).get('start')
    if given is None:
        return None
    try:
        joint = read_given_spec(given, joint_dimensions(cfg.model), '.')
        known = {task: spec for task, spec in joint.items() if task in spaces}
        joint = JointSpec({task: spaces[task].completed(spec) for task, spec in known.items()})
        check_joint(joint, spaces)
    except ValueError as error:
        raise ValueError(f'search_cfg.start: {error}') from None
    return joint


def make_cost(
    plan: SearchPlan,
    backbone: ElasticBackbone,
    part_flops: PartFlops,
    part_times: PartTimes,
    ledger: Ledger,
    spaces: Mapping[str, SearchSpace],
    images: Mapping[str, Mapping],
) -> Cost:
    """The cost that a plan names.

    Args:
        plan: says which cost, and its settings.
        backbone, ledger, spaces: of the supernet; the cost takes those that its constructor names.
        part_flops, part_times: multiply-adds and time of a task's parts.
        images: task -> config of the loader of images that candidates are scored on.
    """
    config = plan.cost or dict(type='ParameterCost', with_heads=plan.with_heads)
    there = dict(backbone=backbone, part_flops=part_flops, part_times=part_times, ledger=ledger)
    return build(
        'cost', config, **there, spaces=spaces, images=images, pass_groups=plan.pass_groups
    )


def make_selection(plan: SearchPlan, cost: Cost) -> Selection:
    """The selection that a plan names."""
    config = plan.selection or dict(type='ExactSelection')
    return build('selection', config, cost=cost, weights=plan.weights, ties=plan.ties)
