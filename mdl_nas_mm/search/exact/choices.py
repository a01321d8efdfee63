"""What the tasks of a joint choice may choose from, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .records import Point

Arrays = Sequence[np.ndarray]


@dataclass(frozen=True)
class Costs:
    """What choices cost: whole numbers, in the double precision that products are fast in.

    Attributes:
        own: a task -> (choices,), what each costs for itself.
        shares: a task -> (choices, regions), 1 for a region that the choice shares, else 0; a
            region costs once, however many choices share it.
        sizes: (regions,), their costs.
        constant: what every joint choice costs beside these.
    """

    own: Arrays
    shares: Arrays
    sizes: np.ndarray
    constant: int = 0


@dataclass(frozen=True)
class Choices:
    """Scores and elements; whole numbers, in the double precision that products are fast in.

    Attributes:
        scores: a task -> (choices,).
        own: a task -> (choices,), specific elements.
        shares: a task -> (choices, regions), 1 for a region that the choice shares, else 0.
        sizes: (regions,), elements.
    """

    scores: Arrays
    own: Arrays
    shares: Arrays
    sizes: np.ndarray

    def point(self, joint: Sequence[int]) -> Point:
        """The point of one choice a task."""
        score = sum(float(scores[i]) for scores, i in zip(self.scores, joint, strict=True))
        paid = np.maximum.reduce([shares[i] for shares, i in zip(self.shares, joint)])
        own = sum(own[i] for own, i in zip(self.own, joint))
        return Point(score, float(paid @ self.sizes + own), tuple(joint))

    def ceiling(self) -> float:
        """A total that no joint choice exceeds."""
        return sum((own + s @ self.sizes).max() for own, s in zip(self.own, self.shares))

    def keep(self, kept: Arrays) -> Choices:
        """Only some choices of each task."""
        groups = (self.scores, self.own, self.shares)
        scores, own, shares = ([a[k] for a, k in zip(group, kept)] for group in groups)
        return Choices(scores, own, shares, self.sizes)

    def without_scores(self) -> Choices:
        """The same with all scores 0, so that the best choice is the smallest."""
        return replace(self, scores=[np.zeros_like(scores) for scores in self.scores])

    def undominated(self) -> list[np.ndarray]:
        """A task -> numbers of its choices, without those that are never needed.

        Choice a can take the place of b in any joint choice if its score is as high, and what it
        owns plus what it shares and b does not is no more than what b owns: then the total
        cannot grow. Where a total may stay the same, only an earlier choice takes the place.
        """
        kept = []
        for scores, own, shares in zip(self.scores, self.own, self.shares):
            sized = shares * self.sizes
            cost = (own + sized.sum(axis=1))[:, None] - sized @ shares.T
            earlier = np.tri(len(own), k=-1, dtype=bool).T
            replaces = (cost < own) | ((cost == own) & earlier)
            kept.append(np.nonzero(~(replaces & (scores[:, None] >= scores)).any(axis=0))[0])
        return kept
