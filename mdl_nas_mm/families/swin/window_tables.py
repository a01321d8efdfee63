"""What attention in windows needs of sizes alone, computed once; it holds nothing of a subnet."""

from __future__ import annotations

import torch
from torch import Tensor

from mdl_nas_mm.elastic.cached import cached

from ..transformer.windows import cut


@cached(256)
def pair_index(window: int, device: torch.device) -> Tensor:
    """Row of the relative position bias table for each pair of tokens of a window (N, N)."""
    y, x = torch.meshgrid(
        torch.arange(window, device=device), torch.arange(window, device=device), indexing='ij'
    )
    y, x = y.flatten(), x.flatten()
    rows, columns = y[:, None] - y[None, :], x[:, None] - x[None, :]
    return (rows + window - 1) * (2 * window - 1) + columns + window - 1


@cached(64)
def ring_order(window: int, device: torch.device) -> Tensor:
    """Rows of the bias table by their distance from its middle, ((2 * window - 1)^2,).

    Offsets of the same distance, the longer of rows and columns, are a ring. The table of a smaller
    window is the first rings of a larger one's, so that it is the first rows in this order.
    """
    return torch.tensor(_rings(window), device=device)


@cached(256)
def ring_index(window: int, device: torch.device) -> Tensor:
    """As ``pair_index``, into rows in the order of ``ring_order``."""
    places = {row: place for place, row in enumerate(_rings(window))}
    ranks = torch.tensor([places[row] for row in range(len(places))], device=device)
    return ranks[pair_index(window, device)]


def _rings(window: int) -> list[int]:
    """In plain Python: ONNX cannot sort as torch does."""
    side, middle = 2 * window - 1, window - 1
    rows = range(side * side)
    return sorted(rows, key=lambda row: max(abs(row // side - middle), abs(row % side - middle)))


# Of a logit; its exponential is 0 in every precision. Upstream's -100 gives 4e-44 instead, which
# is no normal number: a processor multiplies those many times slower, and the products are lost in
# the rounding of a sum anyway.
_APART = -1e4


# Few: detection sees images of ever new sizes, whose masks take megabytes each.
@cached(32)
def shift_mask(
    size: tuple[int, int], window: int, shift: int, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """Keeps tokens apart that meet in a window only because the map was rolled by ``shift``.

    Args:
        size: (height, width) of the padded map.
        window: side of a window in tokens.
        shift: tokens by which the map was rolled.
        device, dtype: of the mask.

    Returns:
        What is added to the logits, 0 or -10,000: (windows, 1, N, N).
    """

    def regions_along(side: int) -> Tensor:
        """The last window has two regions: before and behind where the map was joined."""
        places = torch.arange(side, device=device)
        return (places >= side - window).int() + (places >= side - shift)

    rows, columns = map(regions_along, size)
    regions = cut((3 * rows[:, None] + columns)[None, :, :, None], window)[0, :, :, 0]
    apart = regions[:, None, :, None] != regions[:, None, None, :]
    return apart.to(dtype) * _APART
