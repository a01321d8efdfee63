"""How the best joint spec is chosen among what was scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from mdl_nas_mm.registry import SEARCH_SELECTIONS

from .costs import SplitCost
from .exact import pareto_front, select
from .scored import Scored, ScoredJoint
from .ties import Ties


class Selection(Protocol):
    """A choice among scored joint specs. Registered in ``SEARCH_SELECTIONS``,
    ``search_cfg.selection`` may name it.

    Attributes:
        weights: task -> lambda_k, how much its score counts in the S-Score (Eq. 10).
    """

    weights: Mapping[str, float]

    def best(
        self, scored: Scored, candidates: Sequence[ScoredJoint], budget: int
    ) -> ScoredJoint | None:
        """The joint spec of the highest S-Score that fits the budget, or None.

        Args:
            scored: what architectures scored.
            candidates: the joint specs that were proposed and scored, in their order.
            budget: the most that it may cost.
        """

    def front(self, scored: Scored, candidates: Sequence[ScoredJoint]) -> list[ScoredJoint]:
        """What is best of any budget, ascending in total and S-Score."""


@SEARCH_SELECTIONS.register_module()
class ExactSelection:
    """The best of all combinations of scored architectures, also of those never proposed together.

    Args:
        cost: one that can be split.
        weights: task -> lambda_k, how much its score counts.
        ties: what tasks have in common; by default each has its own architecture.

    Raises:
        ValueError: the cost cannot be split.
    """

    def __init__(
        self, cost: SplitCost, weights: Mapping[str, float], ties: Ties | None = None
    ) -> None:
        if not hasattr(cost, 'split'):
            raise ValueError(
                f'search_cfg.selection: ExactSelection adds up parts of a cost, and '
                f'{type(cost).__name__} has no split; name BestCandidate'
            )
        self.cost, self.weights, self.ties = cost, weights, ties

    def best(
        self, scored: Scored, candidates: Sequence[ScoredJoint], budget: int
    ) -> ScoredJoint | None:
        return select(scored, self.cost, budget, self.weights, self.ties)

    def front(self, scored: Scored, candidates: Sequence[ScoredJoint]) -> list[ScoredJoint]:
        return pareto_front(scored, self.cost, self.weights, self.ties)


@SEARCH_SELECTIONS.register_module()
class BestCandidate:
    """The best of the joint specs that were proposed as they are.

    For costs that are no sum of parts, and for tasks whose architectures depend on each other.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        self.weights = weights

    def best(
        self, scored: Scored, candidates: Sequence[ScoredJoint], budget: int
    ) -> ScoredJoint | None:
        fitting = [point for point in candidates if point.total <= budget]
        # The first found leads among equals.
        return min(fitting, key=lambda point: (-point.score, point.total), default=None)

    def front(self, scored: Scored, candidates: Sequence[ScoredJoint]) -> list[ScoredJoint]:
        front: list[ScoredJoint] = []
        for point in sorted(candidates, key=lambda point: (point.total, -point.score)):
            if not front or point.score > front[-1].score:
                front.append(point)
        return front
