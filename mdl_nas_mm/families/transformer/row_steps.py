"""A plain transformer taken apart: what it computes row by row, and what joins rows.

Rows are the tokens of all images of a batch, (R, C). Norms, linear layers and feed-forward networks
look at one row at a time, so that they can be computed for some rows alone; attention joins the
rows of a group, which is an image or a window of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mdl_nas_mm.elastic.backbone import ElasticBackbone
from mdl_nas_mm.elastic.layers import ElasticLayerNorm, ElasticLinear

from .windows import cut, pad_to_windows

# (q, k, v, numbers of the groups or None for all, places of the queries in a group or None for
# all) -> attended values; all are (groups, heads, tokens, channels of a head).
Attend = Callable[[Tensor, Tensor, Tensor, Tensor | None, Tensor | None], Tensor]


@dataclass(frozen=True, eq=False)
class RowNorm:
    """A layer normalisation of rows."""

    weight: Tensor
    bias: Tensor
    eps: float

    @classmethod
    def of(cls, layer: ElasticLayerNorm) -> RowNorm:
        """That of a plain layer."""
        return cls(cast(Tensor, layer.weight), cast(Tensor, layer.bias), layer.eps)

    def __call__(self, rows: Tensor) -> Tensor:
        return F.layer_norm(rows, rows.shape[-1:], self.weight, self.bias, self.eps)


@dataclass(frozen=True, eq=False)
class RowLinear:
    """A linear layer of rows.

    Attributes:
        name: of the layer in its backbone.
    """

    name: str
    weight: Tensor
    bias: Tensor | None

    @classmethod
    def of(cls, name: str, layer: ElasticLinear, bias: nn.Module | None = None) -> RowLinear:
        """That of a plain layer, whose bias may be a module of its own."""
        offset = getattr(layer if bias is None else bias, 'bias', None)
        return cls(name, cast(Tensor, layer.weight), offset)

    def __call__(self, rows: Tensor) -> Tensor:
        return F.linear(rows, self.weight, self.bias)

    def of_zeros(self) -> Tensor:
        """What it gives of a row of zeros."""
        return self.weight.new_zeros(len(self.weight)) if self.bias is None else self.bias


def window_rows(
    batch: int, grid: tuple[int, int], window: int, shift: int, device: torch.device
) -> Tensor:
    """The rows of each window of the maps of a batch, (windows, window^2).

    Args:
        batch: maps, whose tokens are the rows, one map after the other.
        grid: (height, width) of a map; padding below and right has the number of rows.
        window: side of a window.
        shift: tokens by which the maps are rolled up and left before.
        device: where they go.
    """
    count = batch * grid[0] * grid[1]
    rows = torch.arange(1, count + 1, device=device).view(batch, *grid, 1)
    maps = pad_to_windows(rows, window).roll((-shift, -shift), dims=(1, 2))
    groups = cut(maps, window).flatten(0, 1).squeeze(-1) - 1
    return groups.masked_fill(groups < 0, count)


def places_of(groups: Tensor, count: int) -> Tensor:
    """Where each of the rows is among the groups, flattened: (count,)."""
    return groups.flatten().argsort(stable=True)[:count]


@dataclass(frozen=True, eq=False)
class RowAttention:
    """Attention within groups of rows.

    Attributes:
        groups: rows of each group, (G, S); the number of rows stands for padding.
        places: where each row is among the G * S, (R,).
        heads: attention heads.
        padding: q, k and v of padding, (3 * C,), as ``qkv`` gives of a row of zeros.
        attend: see ``Attend``.
        is_whole: whether groups are the rows in their order, S to a group, and some of its
            queries can be computed without the others.
    """

    groups: Tensor
    places: Tensor
    heads: int
    padding: Tensor
    attend: Attend = field(repr=False)
    is_whole: bool = False

    def touched(self, mask: Tensor) -> Tensor:
        """The rows of groups that have any of the masked rows, a mask (R,)."""
        return self._groups_with(mask)[self.places // self.groups.shape[1]]

    def all_rows(self, qkv: Tensor) -> Tensor:
        """Attended values (R, C) of all rows, given q, k and v of them, (R, 3 * C)."""
        q, k, v = self._split(self._gather(qkv, None))
        out = self._joined(self.attend(q, k, v, None, None))
        return out if self.is_whole else out[self.places]

    def some_rows(self, qkv: Tensor, mask: Tensor) -> Tensor:
        """Attended values of the masked rows, in their order, given q, k and v of all rows."""
        if self.is_whole:
            return self._some_queries(qkv, mask)
        size = self.groups.shape[1]
        chosen = self._groups_with(mask)
        out = self._joined(self._of_groups(qkv, chosen.nonzero()[:, 0]))
        # Where groups lie among the chosen ones.
        number = chosen.cumsum(0) - 1
        places = self.places[mask]
        return out[number[places // size] * size + places % size]

    def products(self, mask: Tensor) -> int:
        """Multiply-adds of ``some_rows``, and with a full mask of ``all_rows``."""
        size = self.groups.shape[1]
        queries = mask if self.is_whole else self._groups_with(mask)
        pairs = int(queries.sum()) * size * (1 if self.is_whole else size)
        return 2 * pairs * self.width

    @property
    def width(self) -> int:
        """Channels of q, of k and of v."""
        return len(self.padding) // 3

    def _groups_with(self, mask: Tensor) -> Tensor:
        """Groups that have any of the masked rows, a mask (G,)."""
        return F.pad(mask, (0, 1))[self.groups].any(dim=1)

    def _of_groups(self, qkv: Tensor, numbers: Tensor) -> Tensor:
        q, k, v = self._split(self._gather(qkv, numbers))
        return self.attend(q, k, v, numbers, None)

    def _some_queries(self, qkv: Tensor, mask: Tensor) -> Tensor:
        size, outs = self.groups.shape[1], []
        for number, (rows, chosen) in enumerate(zip(qkv.split(size), mask.split(size))):
            places = chosen.nonzero()[:, 0]
            if len(places):
                q, k, v = self._split(rows[None])
                q = q.index_select(2, places)
                numbers = torch.full_like(places[:1], number)
                outs.append(self._joined(self.attend(q, k, v, numbers, places)))
        return outs[0] if len(outs) == 1 else torch.cat(outs)

    def _gather(self, qkv: Tensor, numbers: Tensor | None) -> Tensor:
        """q, k and v of all or some groups, (groups, S, 3 * C)."""
        groups = self.groups if numbers is None else self.groups[numbers]
        if self.is_whole:
            return qkv.view(*groups.shape, -1)
        return torch.cat((qkv, self.padding[None]))[groups]

    def _split(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return q, k, v

    def _joined(self, out: Tensor) -> Tensor:
        return out.transpose(1, 2).flatten(2).flatten(0, 1)


class PlainBlock(Protocol):
    """What blocks of transformers have; ``attn`` has qkv and proj, ``mlp`` fc1 and fc2."""

    norm1: ElasticLayerNorm
    attn: Any
    norm2: ElasticLayerNorm
    mlp: Any


@dataclass(frozen=True, eq=False)
class BlockSteps:
    """A pre-norm block: x + proj(attention(qkv(norm1(x)))), then x + fc2(gelu(fc1(norm2(x)))).

    Attributes:
        name: of the block in its backbone.
    """

    name: str
    norm1: RowNorm
    qkv: RowLinear
    attention: RowAttention
    proj: RowLinear
    norm2: RowNorm
    fc1: RowLinear
    fc2: RowLinear

    @classmethod
    def of(
        cls, name: str, block: PlainBlock, attention: Callable[[Tensor], RowAttention]
    ) -> BlockSteps:
        """Those of a plain block.

        Args:
            name: of the block in its backbone.
            block: the block.
            attention: makes the attention, given q, k and v of padding.
        """
        attn, mlp = block.attn, block.mlp
        bias = getattr(attn, 'qkv_bias', None)
        qkv = RowLinear.of(f'{name}.attn.qkv', attn.qkv, bias)
        return cls(
            name,
            RowNorm.of(block.norm1),
            qkv,
            attention(qkv.of_zeros()),
            RowLinear.of(f'{name}.attn.proj', attn.proj),
            RowNorm.of(block.norm2),
            RowLinear.of(f'{name}.mlp.fc1', mlp.fc1),
            RowLinear.of(f'{name}.mlp.fc2', mlp.fc2),
        )


@dataclass(frozen=True, eq=False)
class MergingSteps:
    """Joins each four rows into one, between two stages.

    Attributes:
        name: of the merging in its backbone.
        sources: the four rows of each, (rows behind it, 4); the number of rows stands for zeros.
    """

    name: str
    sources: Tensor
    norm: RowNorm
    reduction: RowLinear

    def gather(self, rows: Tensor) -> Tensor:
        """The normalised inputs of ``reduction``, (rows behind it, 4 * C)."""
        four = F.pad(rows, (0, 0, 0, 1))[self.sources]
        return self.norm(four.transpose(1, 2).flatten(1))


@dataclass(frozen=True, eq=False)
class RowSteps:
    """All of a plain backbone on images of one size.

    Attributes:
        embed: images (B, C, H, W) to rows (R, C).
        steps: blocks and mergings, in order.
        outputs: number of a step -> the output of the backbone behind it, of the rows there.
        order: numbers of ``outputs``, in the order in which the backbone returns them.
    """

    embed: Callable[[Tensor], Tensor]
    steps: tuple[BlockSteps | MergingSteps, ...]
    outputs: Mapping[int, Callable[[Tensor], Tensor]]
    order: tuple[int, ...]


def check_plain(backbone: ElasticBackbone) -> None:
    """Raises ValueError unless a backbone has one architecture and one task's weights."""
    is_plain = backbone.space.largest() == backbone.arch and not any(
        layer.policy.has_specific
        for layer in backbone.modules()
        if isinstance(layer, (ElasticLinear, ElasticLayerNorm))
    )
    if not is_plain:
        raise ValueError(
            f'{type(backbone).__name__} has several architectures or several tasks; give the '
            'backbone of one task, as load_task has it'
        )
