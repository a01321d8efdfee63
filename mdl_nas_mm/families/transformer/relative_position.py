"""2-D relative positions on keys and values (AutoFormer), without a table of all pairs.

The embedding of a pair of patches is the sum of one row of a vertical table and one of a
horizontal table. So of q times the embedding of every pair no more is needed than q times the
two small tables, and of the attention-weighted sum of embeddings no more than the attention that
each row and each column of patches gets, times the two tables.

Both then are a part of plain attention whose heads are wider. Behind k and v come the rows and
columns of the grid, a one at the key's own; behind q its products with the embeddings of
these rows and columns. The logits thus have their bias in them, and what the values sum up to
has the attention of every row and column behind it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mdl_nas_mm.elastic.cached import cached


class RelativePosition2D(nn.Module):
    """Two tables of (2 * max_distance + 2, head_dim); row 0 is for pairs with the class token.

    Args:
        head_dim: width of one head; all heads of a block use the same tables.
        max_distance: farthest distance in patches that is told apart.
    """

    def __init__(self, head_dim: int, max_distance: int) -> None:
        super().__init__()
        self.max_distance = max_distance
        rows = 2 * max_distance + 2
        self.embeddings_table_v = nn.Parameter(torch.empty(rows, head_dim))
        self.embeddings_table_h = nn.Parameter(torch.empty(rows, head_dim))
        nn.init.trunc_normal_(self.embeddings_table_v, std=0.02)
        nn.init.trunc_normal_(self.embeddings_table_h, std=0.02)

    def products(self, q: Tensor, rows: Tensor) -> Tensor:
        """Each query times its row and column embeddings: (B, heads, N, places).

        Args:
            q: (B, heads, N, head_dim).
            rows: see ``token_places``.
        """
        return (q @ self._both().T).gather(-1, rows.expand(*q.shape[:2], -1, -1))

    def weighted_sum(self, weights: Tensor, rows: Tensor) -> Tensor:
        """The sum of each query's row and column embeddings: (B, heads, N, head_dim).

        Args:
            weights: (B, heads, N, places), how much of each.
            rows: see ``token_places``.
        """
        tables = self._both()
        by_row = weights.new_zeros(*weights.shape[:-1], len(tables))
        return by_row.scatter_add(-1, rows.expand(*weights.shape[:2], -1, -1), weights) @ tables

    def _both(self) -> Tensor:
        return torch.cat((self.embeddings_table_v, self.embeddings_table_h))


# Few: detection sees images of ever new sizes, whose tables take megabytes each.
@cached(16)
def token_places(
    grid: tuple[int, int], class_token: bool, max_distance: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Where the tokens of a grid are, and how far from them its rows and columns.

    A place is a row or a column of the grid; the class token, in front of the patches, has a row
    and a column of its own.

    Returns:
        Two tensors (N, places): for each query the places' rows in the vertical table or, behind
        it, the horizontal one; and for each key, a one at its two places and zeros elsewhere.
        Places without a one fill up, as kernels want widths that are multiples of 8.
    """
    y, x = torch.meshgrid(*(torch.arange(side, device=device) for side in grid), indexing='ij')
    rows, places = [], []
    for axis, own in enumerate((y.flatten(), x.flatten())):
        every = torch.arange(grid[axis] + class_token, device=device)
        distance = (every - own[:, None]).clamp(-max_distance, max_distance)
        row = distance + max_distance + 1
        if class_token:
            row[:, -1] = 0
            row = torch.cat((row.new_zeros(1, len(every)), row))
            own = torch.cat((every[-1:], own))
        rows.append(row + axis * (2 * max_distance + 2))
        places.append(own[:, None] == every)
    rows, places = torch.cat(rows, dim=1), torch.cat(places, dim=1)
    fill = (0, -rows.shape[1] % 8)
    return F.pad(rows, fill), F.pad(places, fill).float()
