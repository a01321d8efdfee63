"""Cuts maps into square windows and puts them together again.

What depends on sizes alone is computed once and kept; it holds nothing of a subnet.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .kept import kept


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
    down, across = -(-height // window), -(-width // window)
    x = x.view(x.shape[0], down, across, window, window, x.shape[-1])
    x = x.transpose(2, 3).reshape(x.shape[0], down * window, across * window, x.shape[-1])
    return x[:, :height, :width]


@kept(256)
def pair_index(window: int, device: torch.device) -> Tensor:
    """Row of the relative position bias table for each pair of tokens of a window (N, N)."""
    y, x = torch.meshgrid(
        torch.arange(window, device=device), torch.arange(window, device=device), indexing='ij'
    )
    y, x = y.flatten(), x.flatten()
    rows, columns = y[:, None] - y[None, :], x[:, None] - x[None, :]
    return (rows + window - 1) * (2 * window - 1) + columns + window - 1


# Few: detection sees images of ever new sizes, whose masks take megabytes each.
@kept(32)
def shift_mask(
    size: tuple[int, int], window: int, shift: int, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """Keeps tokens apart that meet in a window only because the map was rolled by ``shift``.

    Args:
        size: (height, width) of the padded map.

    Returns:
        What is added to the logits, 0 or -100: (windows, 1, N, N).
    """

    def regions_along(side: int) -> Tensor:
        """The last window has two regions: before and behind where the map was joined."""
        places = torch.arange(side, device=device)
        return (places >= side - window).int() + (places >= side - shift)

    rows, columns = map(regions_along, size)
    regions = cut((3 * rows[:, None] + columns)[None, :, :, None], window)[0, :, :, 0]
    apart = regions[:, None, :, None] != regions[:, None, None, :]
    return apart.to(dtype) * -100
