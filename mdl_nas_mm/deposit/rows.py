"""Ragged rows: of each row of a matrix its first elements, one row after the other."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def cut_rows(parameter: Tensor, lengths: np.ndarray) -> Tensor:
    """The first ``lengths[i]`` elements of each row i as one flat tensor.

    Args:
        parameter: of any shape; its elements are seen as ``len(lengths)`` rows.
    """
    rows = parameter.detach().reshape(len(lengths), -1)
    return rows[torch.arange(rows.shape[1]) < torch.from_numpy(lengths)[:, None]].contiguous()


def paste_rows(flat: Tensor, lengths: np.ndarray, rows: np.ndarray, columns: int) -> Tensor:
    """The first ``columns`` elements of chosen rows of what ``cut_rows`` made.

    Args:
        flat: (sum of lengths,).
        lengths: elements stored of each row.
        rows: indices of the rows to take, each with at least ``columns`` elements.

    Returns:
        Tensor (len(rows), columns).
    """
    starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))[rows]
    return flat[torch.from_numpy(starts[:, None] + np.arange(columns))]
