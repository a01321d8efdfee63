"""Thinning of binary maps to lines of one pixel."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np

# East, then counterclockwise: (row, column) of the neighbours x1 to x8.
_NEIGHBOURS = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))


@cache
def _removed() -> np.ndarray:
    """(2, 256): whether a pixel goes in the first or second half of a pass, by its neighbours.

    After Lam, Lee and Suen (1992): G1 that it joins nothing, G2 that it is neither
    the end of a line nor inside, G3 the side that this half is for.
    """
    x = (np.arange(256) >> np.arange(8)[:, None] & 1).astype(bool)
    crossings = sum(~x[2 * i] & (x[2 * i + 1] | x[(2 * i + 2) % 8]) for i in range(4))
    pairs = sum((x[2 * i] | x[2 * i + 1]).astype(int) for i in range(4))
    others = sum((x[2 * i + 1] | x[(2 * i + 2) % 8]).astype(int) for i in range(4))
    fewer = np.minimum(pairs, others)
    general = (crossings == 1) & (fewer >= 2) & (fewer <= 3)
    first = ~((x[1] | x[2] | ~x[7]) & x[0])
    second = ~((x[5] | x[6] | ~x[3]) & x[4])
    return np.stack([general & first, general & second])


def thin(shape: np.ndarray) -> np.ndarray:
    """Takes border pixels away until lines of one pixel are left, without breaking them.

    Guo and Hall, Parallel thinning with two-subiteration algorithms, 1989, algorithm A1; MATLAB's
    ``bwmorph(shape, 'thin', inf)``, which published evaluations of edges call. Only pixels beside
    one that went are looked at again.

    Args:
        shape: (H, W) bool.

    Returns:
        (H, W) bool.
    """
    padded = np.pad(shape, 1).astype(np.uint8)
    flat, width = padded.ravel(), padded.shape[1]
    steps = np.array([row * width + column for row, column in _NEIGHBOURS])
    # What may go in a half: all, then what is beside pixels that went in the last two halves.
    before, last = flat > 0, flat > 0
    for removed in itertools.cycle(_removed()):
        tried = np.flatnonzero((before | last) & (flat > 0))
        if not len(tried):
            break
        gone = tried[removed[_codes(flat, tried, steps)]]
        flat[gone] = 0
        before, last = last, np.zeros(len(flat), bool)
        last[(gone[:, None] + steps).ravel()] = True
    return padded[1:-1, 1:-1].astype(bool)


def _codes(flat: np.ndarray, places: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """The neighbours of pixels as bits, x1 the lowest."""
    if len(places) < len(flat) // 16:
        of_each = flat[places + steps[:, None]]
        return (of_each << np.arange(8, dtype=np.uint8)[:, None]).sum(0, dtype=np.uint8)
    # Of many it is faster to shift the whole map; its border is 0.
    codes = np.zeros_like(flat)
    for bit, step in enumerate(steps):
        codes |= np.roll(flat, -step) << np.uint8(bit)
    return codes[places]
