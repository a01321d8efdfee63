"""A plain ``ElasticSwin`` taken apart into steps of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from mdl_nas_mm.elastic.backbone import of_task

from ..transformer.row_steps import (
    Attend,
    BlockSteps,
    MergingSteps,
    RowAttention,
    RowLinear,
    RowNorm,
    RowSteps,
    check_plain,
    places_of,
    window_rows,
)
from .window_attention import ElasticWindowAttention
from .window_tables import shift_mask


def row_steps(backbone: Any, batch: int, size: tuple[int, int]) -> RowSteps:
    """The steps of a plain Swin.

    Args:
        backbone: an ``ElasticSwin`` of one architecture and one task.
        batch: images.
        size: (height, width) of them in pixels.

    Raises:
        ValueError: it is not plain.
    """
    check_plain(backbone)
    task, stages = backbone.task, backbone.arch.stages
    maps = backbone.shape.maps(size)
    device = backbone.patch_embed.proj.weight.device
    padded = of_task(backbone.pad_small_map, task, 'pad_small_map')
    wanted = of_task(backbone.out_indices, task, 'out_indices')

    def embed(images: Tensor) -> Tensor:
        return backbone.patch_embed(images, stages[0].embed_dim)[0].flatten(0, 1)

    def output(s: int) -> Callable[[Tensor], Tensor]:
        return lambda rows: backbone.output_of(rows.view(batch, *maps[s], -1), s)

    steps: list[BlockSteps | MergingSteps] = []
    ends = {}
    for s, module in enumerate(backbone.stages):
        for i, block in enumerate(module.blocks):
            sizes = stages[s].blocks[i]
            _, shift = block.windows_on(sizes, min(maps[s]), padded)
            attention = _attention(block.attn, sizes.num_heads, batch, maps[s], shift)
            steps.append(BlockSteps.of(f'stages.{s}.blocks.{i}', block, attention))
        ends[s] = len(steps) - 1
        if module.downsample is not None:
            steps.append(
                MergingSteps(
                    f'stages.{s}.downsample',
                    window_rows(batch, maps[s], 2, 0, device),
                    RowNorm.of(module.downsample.norm),
                    RowLinear.of(f'stages.{s}.downsample.reduction', module.downsample.reduction),
                )
            )
    outputs = {ends[s]: output(s) for s in wanted}
    return RowSteps(embed, tuple(steps), outputs, tuple(ends[s] for s in wanted))


def _attention(
    attn: ElasticWindowAttention, heads: int, batch: int, grid: tuple[int, int], shift: int
) -> Callable[[Tensor], RowAttention]:
    window = attn.window_size
    table = attn.relative_position_bias_table
    groups = window_rows(batch, grid, window, shift, table.device)
    places = places_of(groups, batch * grid[0] * grid[1])
    attend = _attend(attn, heads, (grid[0] + -grid[0] % window, grid[1] + -grid[1] % window), shift)
    return lambda padding: RowAttention(groups, places, heads, padding, attend)


def _attend(
    attn: ElasticWindowAttention, heads: int, padded: tuple[int, int], shift: int
) -> Attend:
    def attend(
        q: Tensor, k: Tensor, v: Tensor, numbers: Tensor | None, queries: Tensor | None
    ) -> Tensor:
        bias = attn.bias_of(heads, attn.window_size).to(q.dtype)
        if shift:
            of_windows = shift_mask(padded, attn.window_size, shift, q.device, q.dtype)
            bias = bias + of_windows
            if numbers is None and len(q) != len(bias):
                bias = bias.repeat(len(q) // len(bias), 1, 1, 1)
            elif numbers is not None:
                bias = bias[numbers % len(bias)]
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)

    return attend
