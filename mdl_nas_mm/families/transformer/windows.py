"""Cuts maps into square windows and joins them again."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def pad_to_windows(x: Tensor, window: int) -> Tensor:
    """Pads maps (B, H, W, C) with zeros below and right to whole windows."""
    height, width = x.shape[1:3]
    return F.pad(x, (0, 0, 0, -width % window, 0, -height % window))


def cut(x: Tensor, window: int) -> Tensor:
    """Maps (B, H, W, C), of whole windows, to windows (B, H * W / window^2, window^2, C)."""
    batch, height, width, channels = x.shape
    x = x.view(batch, height // window, window, width // window, window, channels)
    return x.transpose(2, 3).reshape(batch, -1, window * window, channels)


def join(x: Tensor, window: int, size: tuple[int, int]) -> Tensor:
    """The reverse of ``cut`` for maps of ``size``, without the padding: (B, H, W, C)."""
    height, width = size
    rows, columns = -(-height // window), -(-width // window)
    x = x.view(x.shape[0], rows, columns, window, window, x.shape[-1])
    x = x.transpose(2, 3).reshape(x.shape[0], rows * window, columns * window, x.shape[-1])
    return x[:, :height, :width]
