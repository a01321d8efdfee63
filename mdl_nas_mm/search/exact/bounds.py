"""Bounds of the score that several tasks can still reach within the room that is left.

The elements that several tasks share are paid for once, which ties the tasks together. Splitting
the price of every region among the tasks unties them: whatever the split, a region that is shared
by some tasks costs at least the parts of these tasks, so the sum over tasks of what each would pay
never exceeds the true total. Together with a Lagrange multiplier for the budget this is the dual
of the linear relaxation, and any split and any multiplier give a bound; here good ones are found.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Arrays = Sequence[np.ndarray]

# A step's smoothing, as a part of the spread of the tasks' values, goes from the first to the last.
_SMOOTHING = (0.1, 0.002)
_FACTORS = np.arange(-6, 7)


def lower_costs(own: Arrays, shares: Arrays, sizes: np.ndarray, split: np.ndarray) -> list:
    """What each choice of each task costs at least, where a task pays its part of each region.

    Args:
        own: a task -> (choices,), specific elements.
        shares: a task -> (choices, regions), 1 for a region that a choice shares, else 0.
        sizes: (regions,), elements that are not paid for yet.
        split: (tasks, regions), the tasks' parts; each region's add up to 1.
    """
    return [o + s @ (sizes * part) for o, s, part in zip(own, shares, split, strict=True)]


def best_split(
    scores: Arrays,
    own: Arrays,
    shares: Arrays,
    sizes: np.ndarray,
    room: float,
    goal: float,
    start: tuple[np.ndarray, float],
    steps: int,
) -> tuple[np.ndarray, float]:
    """Makes the bound of the score sum small, beginning with a split and a multiplier.

    Mirror descent: a region becomes dearer for the tasks whose best choices have it. The best
    choices are smoothed, less and less, as the bound has a kink wherever they change.

    Args:
        scores: a task -> (choices,).
        own, shares, sizes: see ``lower_costs``.
        room: elements that all tasks together may cost.
        goal: as soon as the bound is below it, the search ends.
        start: the split and the multiplier to begin with.
        steps: the most steps to take.

    Returns:
        The split (tasks, regions) and the multiplier, in score an element.
    """
    split, rate = start
    starts = np.cumsum([0] + [len(values) for values in scores])[:-1]
    counts = [len(values) for values in scores]
    score, specific = np.concatenate(scores), np.concatenate(own)
    varies = any(np.ptp(values) > 0 for values in scores)
    # Half the bytes are half the time; the bound itself is computed anew in double precision.
    shares, sizes = [s.astype(np.float32) for s in shares], sizes.astype(np.float32)
    logs = np.log(np.maximum(split, 1e-9)).astype(np.float32)
    best, found, spread = np.inf, rate, 0.0
    for step in range(steps):
        parts = _softmax(logs)
        cost = specific + np.concatenate([s @ (sizes * p) for s, p in zip(shares, parts)])
        if varies and (step % 10 == 0 or step == steps - 1):
            rate = best_rate(score, cost, starts, room, rate)
        value = score - rate * cost
        top = np.maximum.reduceat(value, starts)
        bound = rate * room + top.sum()
        if bound < best:
            best, split, found = bound, parts, rate
        if bound < goal:
            break
        loss = np.repeat(top, counts) - value
        if step == 0:
            spread = loss.mean() + 1e-12
        first, last = _SMOOTHING
        smoothing = spread * first * (last / first) ** (step / max(steps - 1, 1))
        chosen = np.exp(-loss / smoothing)
        chosen /= np.repeat(np.add.reduceat(chosen, starts), counts)
        if varies:
            excess = (chosen @ cost - room) / max(room, 1.0)
            rate *= np.exp(np.clip(5 * excess, -0.2, 0.2) / (1 + step / 20))
        pieces = np.split(chosen.astype(np.float32), starts[1:])
        usage = np.stack([piece @ s for piece, s in zip(pieces, shares)])
        logs += (usage - usage.mean(axis=0)) / (1 + step / 50)
    split = split.astype(np.float64)
    return split / split.sum(axis=0), found


def best_rate(
    score: np.ndarray, cost: np.ndarray, starts: np.ndarray, room: float, rate: float
) -> float:
    """The multiplier, near the given one, that makes the bound smallest, at fixed costs."""
    for ratio in (2.0, 1.2, 1.03):
        rates = rate * ratio**_FACTORS
        values = score[:, None] - rates * cost[:, None]
        bounds = rates * room + np.maximum.reduceat(values, starts, axis=0).sum(axis=0)
        rate = rates[bounds.argmin()]
    return rate


def _softmax(logs: np.ndarray) -> np.ndarray:
    parts = np.exp(logs - logs.max(axis=0))
    return parts / parts.sum(axis=0)
