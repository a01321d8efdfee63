"""How far two measures of the same things agree; None where all values of one are equal."""

from __future__ import annotations

import numpy as np


def pearson(first: np.ndarray, second: np.ndarray) -> float | None:
    """The linear correlation."""
    if len(set(first)) < 2 or len(set(second)) < 2:
        return None
    return float(np.corrcoef(first, second)[0, 1])


def spearman(first: np.ndarray, second: np.ndarray) -> float | None:
    """Spearman's rho: the correlation of the ranks."""
    return pearson(_ranks(first), _ranks(second))


def kendall(first: np.ndarray, second: np.ndarray) -> float | None:
    """Kendall's tau-b: of all pairs, those in the same order minus those in the other."""
    signs = [np.sign(v[:, None] - v[None, :]) for v in map(np.asarray, (first, second))]
    unequal = float(np.abs(signs[0]).sum()) * float(np.abs(signs[1]).sum())
    return float((signs[0] * signs[1]).sum()) / unequal**0.5 if unequal else None


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks, equal values having the mean of theirs."""
    values = np.asarray(values)
    return np.array([((values < v).sum() + (values <= v).sum() - 1) / 2 for v in values])
