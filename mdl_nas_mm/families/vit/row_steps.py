"""A plain ``ElasticViT`` taken apart into steps of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mdl_nas_mm.elastic.backbone import of_task

from ..transformer.attention import ElasticAttention
from ..transformer.relative_position import token_places
from ..transformer.row_steps import (
    Attend,
    BlockSteps,
    RowAttention,
    RowSteps,
    check_plain,
    places_of,
    window_rows,
)
from .layout import global_blocks


def row_steps(backbone: Any, batch: int, size: tuple[int, int]) -> RowSteps:
    """The steps of a plain ViT.

    Args:
        backbone: an ``ElasticViT`` of one architecture and one task.
        batch: images.
        size: (height, width) of them in pixels.

    Raises:
        ValueError: it is not plain.
    """
    check_plain(backbone)
    task, (stage,) = backbone.task, backbone.arch.stages
    if of_task(backbone.propagation, task, 'propagation') != 'none':
        raise ValueError(
            "propagation: rows cannot be run alone with convolutions between blocks; set 'none'"
        )
    grid = backbone.shape.patches(size)
    window = of_task(backbone.window_size, task, 'window_size')
    with_token = backbone.shape.class_token and not window
    tokens = grid[0] * grid[1] + with_token
    wanted = backbone.wanted_blocks(task, backbone.arch)
    last = len(stage.blocks) - 1
    whole = global_blocks(backbone.arch.depth) if backbone.attends_globally(task) else set()
    device = backbone.patch_embed.proj.weight.device

    def attention(i: int, padding: Tensor) -> RowAttention:
        side = 0 if i in whole else window
        groups = torch.arange(batch * tokens, device=device).view(batch, tokens)
        if side:
            groups = window_rows(batch, grid, side, 0, device)
        return RowAttention(
            groups,
            places_of(groups, batch * tokens),
            stage.blocks[i].num_heads,
            padding,
            _attend(backbone.blocks[i].attn, (side, side) if side else grid),
            is_whole=not side,
        )

    def embed(images: Tensor) -> Tensor:
        rows, _ = backbone.embed(images, stage.embed_dim, with_token)
        return rows.flatten(0, 1)

    def output(number: int) -> Callable[[Tensor], Tensor]:
        def of_rows(rows: Tensor) -> Tensor:
            x = rows.view(batch, tokens, -1)
            return backbone.output_of(
                backbone.norm(x, None, 1.0) if number == last else x, task, grid
            )

        return of_rows

    steps = tuple(
        BlockSteps.of(f'blocks.{i}', block, lambda bias, i=i: attention(i, bias))
        for i, block in enumerate(backbone.blocks)
    )
    return RowSteps(embed, steps, {i: output(i) for i in wanted}, tuple(wanted))


def _attend(attn: ElasticAttention, grid: tuple[int, int]) -> Attend:
    of_keys, of_values = attn.rel_pos_embed_k, attn.rel_pos_embed_v
    if of_keys is None or of_values is None:
        return lambda q, k, v, numbers, queries: F.scaled_dot_product_attention(q, k, v)

    def attend(
        q: Tensor, k: Tensor, v: Tensor, numbers: Tensor | None, queries: Tensor | None
    ) -> Tensor:
        class_token = k.shape[2] > grid[0] * grid[1]
        rows, places = token_places(grid, class_token, of_keys.max_distance, q.device)
        rows = rows if queries is None else rows[queries]
        places = places.to(q.dtype).expand(*k.shape[:2], -1, -1)
        q = torch.cat((q, of_keys.products(q, rows)), dim=-1)
        k, v = (torch.cat((x, places), dim=-1) for x in (k, v))
        out = F.scaled_dot_product_attention(q, k, v, scale=attn.head_dim**-0.5)
        out, of_places = out.split((attn.head_dim, places.shape[-1]), dim=-1)
        return out + of_values.weighted_sum(of_places, rows)

    return attend
