"""Thinning of binary maps to lines of one pixel."""

from __future__ import annotations

import numpy as np


def thin(shape: np.ndarray) -> np.ndarray:
    """Takes border pixels away until lines of one pixel are left, without breaking them.

    Guo and Hall, Parallel thinning with two-subiteration algorithms, 1989, algorithm A1.

    Args:
        shape: (H, W) bool.

    Returns:
        (H, W) bool.
    """
    lines = np.pad(np.asarray(shape, dtype=bool), 1)
    while True:
        before = lines.copy()
        for is_odd in (True, False):
            lines[1:-1, 1:-1] &= ~_removable(lines, is_odd)
        if np.array_equal(before, lines):
            return lines[1:-1, 1:-1]


def _removable(lines: np.ndarray, is_odd: bool) -> np.ndarray:
    """(H, W) bool: which pixels one half of an iteration takes away."""
    height, width = lines.shape[0] - 2, lines.shape[1] - 2

    def neighbour(row: int, column: int) -> np.ndarray:
        return lines[1 + row : 1 + row + height, 1 + column : 1 + column + width]

    # Around the pixel, beginning in the north-west, as the paper numbers them.
    p1, p2, p3 = neighbour(-1, -1), neighbour(-1, 0), neighbour(-1, 1)
    p4, p5, p6 = neighbour(0, 1), neighbour(1, 1), neighbour(1, 0)
    p7, p8 = neighbour(1, -1), neighbour(0, -1)
    parts = sum(
        (~a & (b | c)).astype(int)
        for a, b, c in ((p2, p3, p4), (p4, p5, p6), (p6, p7, p8), (p8, p1, p2))
    )
    pairs_a = sum((a | b).astype(int) for a, b in ((p1, p2), (p3, p4), (p5, p6), (p7, p8)))
    pairs_b = sum((a | b).astype(int) for a, b in ((p2, p3), (p4, p5), (p6, p7), (p8, p1)))
    near = np.minimum(pairs_a, pairs_b)
    side = (p2 | p3 | ~p5) & p4 if is_odd else (p6 | p7 | ~p1) & p8
    return lines[1:-1, 1:-1] & (parts == 1) & (near >= 2) & (near <= 3) & ~side
