"""Multi-head self-attention with an elastic number of heads."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mdl_nas_mm.elastic.layers import ElasticLinear
from mdl_nas_mm.sharing import SharingKind, TaskParameters

from .relative_position import RelativePosition2D, token_places


class PackedBias(TaskParameters):
    """A bias of q, k and v that lie one behind the other, however wide they are.

    Of n channels each, q has its entries from 0, k from n, v from 2 n, as in AutoFormer, whose
    weights' rows are cut for each of the three instead.

    Args:
        size: entries for the most channels.
        policy, tasks: see ``TaskParameters``.
    """

    def __init__(self, size: int, policy: SharingKind, tasks: Sequence[str]) -> None:
        super().__init__(dict(bias=(size,)), policy, tasks)
        for bias in self.all_of('bias'):
            nn.init.zeros_(bias)

    def forward(self, x: Tensor, task: str | None, share_ratio: float) -> Tensor:
        """Adds it to (..., 3 * channels)."""
        (bias,) = self.take(task, x.shape[-1], 1, share_ratio)
        return x + bias


class ElasticAttention(nn.Module):
    """Self-attention (Eq. 2) of ``num_heads`` heads of a fixed width.

    Since the width of a head never changes, neither does the scale of the logits.

    Args:
        embed_dim: widest embedding.
        num_heads: most heads.
        head_dim: width of a head.
        policy: how the tasks share the weights.
        tasks: which own specific weights.
        qkv_bias: whether q, k and v have a bias, each its own, cut to the heads in use; or
            ``'packed'``, see ``PackedBias``.
        max_relative_position: see ``ViTShape``; 0 for no relative positions.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        head_dim: int,
        *,
        policy: SharingKind,
        tasks: Sequence[str],
        qkv_bias: bool | str = True,
        max_relative_position: int = 14,
    ) -> None:
        super().__init__()
        self.head_dim = head_dim
        inner = num_heads * head_dim
        is_packed = qkv_bias == 'packed'
        bias = bool(qkv_bias) and not is_packed
        self.qkv = ElasticLinear(embed_dim, inner, policy, tasks, groups=3, bias=bias)
        self.qkv_bias = PackedBias(3 * inner, policy, tasks) if is_packed else None
        self.proj = ElasticLinear(inner, embed_dim, policy, tasks)
        self.rel_pos_embed_k = self.rel_pos_embed_v = None
        if max_relative_position:
            self.rel_pos_embed_k = RelativePosition2D(head_dim, max_relative_position)
            self.rel_pos_embed_v = RelativePosition2D(head_dim, max_relative_position)

    def forward(
        self,
        x: Tensor,
        task: str | None,
        num_heads: int,
        share_ratio: float,
        grid: tuple[int, int],
    ) -> Tensor:
        """Maps (B, N, C) to (B, N, C).

        Args:
            x: (B, N, C), where C is the width in use.
            task: whose weights to use.
            num_heads: how many heads, the first ones.
            share_ratio: part of the channels that is shared.
            grid: (height, width) in patches; a token more than these is the class token, in front.
        """
        batch, tokens, width = x.shape
        inner = num_heads * self.head_dim
        qkv = self.qkv(x, task, inner, share_ratio)
        if self.qkv_bias is not None:
            qkv = self.qkv_bias(qkv, task, share_ratio)
        q, k, v = qkv.reshape(batch, tokens, 3, num_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        if self.rel_pos_embed_k is None:
            out = F.scaled_dot_product_attention(q, k, v)
        else:
            out = self._with_positions(q, k, v, grid)
        out = out.transpose(1, 2).reshape(batch, tokens, inner)
        return self.proj(out, task, width, share_ratio)

    def _with_positions(self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Tensor:
        """Attention with relative positions; all are (B, heads, N, head_dim)."""
        of_keys, of_values = self.rel_pos_embed_k, self.rel_pos_embed_v
        assert of_keys is not None and of_values is not None
        class_token = q.shape[2] > grid[0] * grid[1]
        rows, places = token_places(grid, class_token, of_keys.max_distance, q.device)
        places = places.to(q.dtype).expand(*q.shape[:2], -1, -1)
        q = torch.cat((q, of_keys.products(q, rows)), dim=-1)
        k, v = (torch.cat((x, places), dim=-1) for x in (k, v))
        out = F.scaled_dot_product_attention(q, k, v, scale=self.head_dim**-0.5)
        out, of_places = out.split((self.head_dim, places.shape[-1]), dim=-1)
        return out + of_values.weighted_sum(of_places, rows)
