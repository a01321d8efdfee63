"""2-D relative positions on keys and values (AutoFormer), without a table of all pairs.

The embedding of a pair of patches is the sum of one row of a vertical table and one of a
horizontal table. So q times the embedding of every pair is q times two small tables, then a
gather; and the attention-weighted sum of embeddings is attention summed over columns and over
rows, then times the two tables.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


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

    def bias(self, q: Tensor, grid: tuple[int, int], class_token: bool) -> Tensor:
        """q_i . (T_v[dy] + T_h[dx]) for all pairs: (B, heads, N, head_dim) -> (B, heads, N, N)."""
        rows, columns = self._table_rows(grid, class_token, q.device)
        batch = q.shape[:2]
        vertical = q @ self.embeddings_table_v.T
        horizontal = q @ self.embeddings_table_h.T
        bias = (
            vertical.gather(-1, rows.expand(*batch, -1, -1))[..., :, None]
            + horizontal.gather(-1, columns.expand(*batch, -1, -1))[..., None, :]
        ).flatten(-2)
        if class_token:
            to_class = vertical[..., :1] + horizontal[..., :1]
            bias = torch.cat((to_class, bias), dim=-1)
        return bias

    def weighted_sum(self, attn: Tensor, grid: tuple[int, int], class_token: bool) -> Tensor:
        """sum_j attn_ij (T_v[dy] + T_h[dx]): (B, heads, N, N) -> (B, heads, N, head_dim)."""
        rows, columns = self._table_rows(grid, class_token, attn.device)
        batch = attn.shape[:2]
        patches = attn[..., 1:] if class_token else attn
        patches = patches.unflatten(-1, grid)
        bins = attn.new_zeros(*attn.shape[:-1], self.embeddings_table_v.shape[0])
        vertical = bins.scatter_add(-1, rows.expand(*batch, -1, -1), patches.sum(-1))
        horizontal = bins.scatter_add(-1, columns.expand(*batch, -1, -1), patches.sum(-2))
        out = vertical @ self.embeddings_table_v + horizontal @ self.embeddings_table_h
        if class_token:
            row = self.embeddings_table_v[0] + self.embeddings_table_h[0]
            out = out + attn[..., :1] * row
        return out

    def _table_rows(
        self, grid: tuple[int, int], class_token: bool, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        """Table rows for query i against key row y (N, h) and against key column x (N, w)."""
        height, width = grid
        y, x = torch.arange(height, device=device), torch.arange(width, device=device)
        rows = self._row(y[None, :] - y[:, None]).repeat_interleave(width, dim=0)
        columns = self._row(x[None, :] - x[:, None]).repeat(height, 1)
        if class_token:
            rows = torch.cat((rows.new_zeros(1, height), rows))
            columns = torch.cat((columns.new_zeros(1, width), columns))
        return rows, columns

    def _row(self, distance: Tensor) -> Tensor:
        limit = self.max_distance
        return distance.clamp(-limit, limit) + limit + 1
