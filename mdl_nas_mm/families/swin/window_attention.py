"""Attention within shifted windows (Swin), with an elastic number of heads."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mdl_nas_mm.elastic.layers import ElasticLinear
from mdl_nas_mm.sharing import SharingKind

from ..transformer.windows import cut, join, pad_to_windows
from .window_tables import pair_index, ring_index, shift_mask


class ElasticWindowAttention(nn.Module):
    """Self-attention in windows with a learned bias for every relative position.

    Args:
        embed_dim: widest embedding.
        num_heads: most heads.
        head_dim: width of a head.
        window_size: side of a window in tokens, or of the largest.
        policy: how the tasks share the weights.
        tasks: which own specific weights.
        qkv_bias: whether q, k and v have a bias.
        smaller_windows: whether windows may be smaller. The biases then lie in ``bias_by_ring``,
            in the order of ``ring_order``, of which a smaller window uses the first.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        head_dim: int,
        *,
        window_size: int,
        policy: SharingKind,
        tasks: Sequence[str],
        qkv_bias: bool = True,
        smaller_windows: bool = False,
    ) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.smaller_windows = smaller_windows
        self.window_size = window_size
        inner = num_heads * head_dim
        self.qkv = ElasticLinear(embed_dim, inner, policy, tasks, groups=3, bias=qkv_bias)
        self.proj = ElasticLinear(inner, embed_dim, policy, tasks)
        offsets = (2 * window_size - 1) ** 2
        table = nn.Parameter(torch.zeros(offsets, num_heads))
        nn.init.trunc_normal_(table, std=0.02)
        if smaller_windows:
            self.bias_by_ring = table
        else:
            self.relative_position_bias_table = table

    def forward(
        self,
        x: Tensor,
        task: str | None,
        num_heads: int,
        share_ratio: float,
        window: int,
        shift: int,
    ) -> Tensor:
        """Maps (B, H, W, C) to (B, H, W, C).

        Maps of any size are padded with zeros to whole windows; as in the published Swin, the
        padding takes part in the attention.

        Args:
            x: (B, H, W, C), where C is the width in use.
            task: whose weights to use.
            num_heads: how many heads, the first ones.
            share_ratio: part of the channels that is shared.
            window: side of a window in tokens.
            shift: tokens by which the windows are displaced; 0 for none.
        """
        batch, height, width, channels = x.shape
        inner = num_heads * self.head_dim
        x = pad_to_windows(x, window)
        padded = (x.shape[1], x.shape[2])
        if shift:
            x = x.roll((-shift, -shift), dims=(1, 2))
        x = cut(x, window)
        qkv = self.qkv(x, task, inner, share_ratio)
        qkv = qkv.view(*x.shape[:3], 3, num_heads, self.head_dim)
        q, k, v = qkv.permute(3, 0, 1, 4, 2, 5)
        bias = self.bias_of(num_heads, window).to(q.dtype)
        if shift:
            bias = bias + shift_mask(padded, window, shift, x.device, q.dtype)
        x = attend(q, k, v, bias).transpose(2, 3).reshape(batch, -1, window * window, inner)
        x = join(self.proj(x, task, channels, share_ratio), window, padded)
        if shift:
            x = x.roll((shift, shift), dims=(1, 2))
        return x[:, :height, :width].contiguous()

    def bias_of(self, num_heads: int, window: int) -> Tensor:
        """Bias of every pair of tokens of a window: (1, num_heads, N, N)."""
        if self.smaller_windows:
            table, index = self.bias_by_ring, ring_index(window, self.bias_by_ring.device)
        else:
            table = self.relative_position_bias_table
            index = pair_index(window, table.device)
        by_head = table[:, :num_heads].T
        return by_head.index_select(1, index.flatten()).view(1, num_heads, *index.shape)


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """Attention within windows, all (B, windows, heads, N, head_dim).

    The processor has no fused kernel for a bias that learns: torch would take a slower way than
    the plain products here, which are for that case alone.

    Args:
        q, k, v: (B, windows, heads, N, head_dim), with N tokens in a window.
        bias: (1, heads, N, N), the same in all windows, or (windows, heads, N, N).
    """
    shape, heads = q.shape, len(bias) * q.shape[2]
    q, k, v = (x.reshape(-1, heads, *shape[3:]) for x in (q, k, v))
    bias = bias.reshape(1, heads, *bias.shape[2:])
    if bias.requires_grad and bias.device.type == 'cpu':
        logits = (q * shape[-1] ** -0.5) @ k.transpose(-2, -1)
        out = logits.add_(bias).softmax(dim=-1) @ v
    else:
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    return out.view(shape)
