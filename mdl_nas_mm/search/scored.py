"""What a search knows of architectures and joint specs: scores and totals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mdl_nas_mm.spec import JointSpec, SubnetSpec

if TYPE_CHECKING:
    from .costs import Cost

Pair = tuple[str, SubnetSpec]
# Scores of (task, architecture) pairs, the higher the better, None for one that failed.
Score = Callable[[Sequence[Pair]], Sequence[float | None]]
# task -> architecture -> score, without what failed.
Scored = Mapping[str, Mapping[SubnetSpec, float]]


@dataclass(frozen=True)
class ScoredJoint:
    """A joint spec with its scores and what it costs.

    Attributes:
        joint: the joint spec.
        score: its S-Score, the sum of weight times score over the tasks (Eq. 10).
        total: what it costs, in the unit of the search's cost.
        scores: task -> score.
    """

    joint: JointSpec
    score: float
    total: int
    scores: dict[str, float]


def scored_joints(
    joints: Sequence[JointSpec], scored: Scored, cost: Cost, weights: Mapping[str, float]
) -> list[ScoredJoint]:
    """Those of the joint specs of which all tasks have a score, with S-Score and total."""
    found = []
    for joint, total in zip(joints, cost.totals(joints), strict=True):
        known = {task: scored[task].get(spec) for task, spec in joint.items()}
        scores = {task: score for task, score in known.items() if score is not None}
        if len(scores) == len(known):
            score = sum(weights[task] * scores[task] for task in weights)
            found.append(ScoredJoint(joint, score, int(total), scores))
    return found
