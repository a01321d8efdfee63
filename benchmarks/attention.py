"""Relative positions of ElasticViT against a table of all pairs of tokens, and against none.

    python benchmarks/attention.py [--threads N ...] [--write benchmarks/results/NAME.json]

Training steps (forward and backward) and forwards of AutoFormer-S at 224 x 224, four images, with
the same weights. The straightforward formulation builds the embedding of every pair, N x N x
head_dim, for keys and for values, and multiplies with it. The plain ViT has no relative
positions at all: what they cost at least.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from measuring import (
    arguments,
    each_thread_count,
    medians,
    peak_mebibytes,
    ratios,
    report,
    training_step,
)
from torch import Tensor

from mdl_nas_mm.families import ElasticViT
from mdl_nas_mm.families.transformer.attention import ElasticAttention

ARCH = dict(embed_dim=384, depth=13, num_heads=6, mlp_ratio=3.5)
BATCH = 4


@functools.cache
def pair_rows(grid: tuple[int, int], limit: int) -> tuple[Tensor, Tensor]:
    """Rows of the vertical and the horizontal table for every pair of tokens, (N, N) each."""
    places = torch.cartesian_prod(*(torch.arange(side) for side in grid))
    distance = places[None] - places[:, None]
    rows = distance.clamp(-limit, limit) + limit + 1
    with_class_token = torch.zeros(len(places) + 1, len(places) + 1, 2, dtype=torch.long)
    with_class_token[1:, 1:] = rows
    return with_class_token.unbind(-1)


class PairwiseAttention(ElasticAttention):
    """The straightforward formulation, for a single architecture with a class token."""

    def forward(self, x, task, num_heads, share_ratio, grid):
        batch, tokens, width = x.shape
        qkv = self.qkv(x, task, num_heads * self.head_dim, share_ratio)
        q, k, v = qkv.reshape(batch, tokens, 3, num_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        pairs_k, pairs_v = (
            table.embeddings_table_v[rows] + table.embeddings_table_h[columns]
            for table in (self.rel_pos_embed_k, self.rel_pos_embed_v)
            for rows, columns in [pair_rows(grid, table.max_distance)]
        )
        q = q * self.head_dim**-0.5
        logits = q @ k.transpose(-2, -1) + self._by_query(q, pairs_k.transpose(1, 2))
        attn = logits.softmax(dim=-1)
        out = attn @ v + self._by_query(attn, pairs_v)
        return self.proj(out.transpose(1, 2).reshape(batch, tokens, -1), task, width, share_ratio)

    def _by_query(self, x: Tensor, pairs: Tensor) -> Tensor:
        """(B, heads, N, a) times (N, a, b), a matrix of its own for every query."""
        batch, heads, tokens, _ = x.shape
        x = x.permute(2, 0, 1, 3).reshape(tokens, batch * heads, -1)
        return (x @ pairs).transpose(0, 1).reshape(batch, heads, tokens, -1)


def build(kind: str) -> ElasticViT:
    """An AutoFormer-S: 'ours', 'pairwise' or 'plain'."""
    torch.manual_seed(0)
    vit = ElasticViT(arch=ARCH, max_relative_position=0 if kind == 'plain' else 14)
    if kind == 'pairwise':
        for block in vit.blocks:
            block.attn.__class__ = PairwiseAttention
    return vit


def draw_images() -> Tensor:
    return torch.randn(BATCH, 3, 224, 224, generator=torch.Generator().manual_seed(0))


def build_step(kind: str) -> Callable[[], None]:
    return functools.partial(training_step, build(kind), draw_images())


def largest_differences() -> dict[str, float]:
    """Of the outputs and of the gradients from those of the straightforward formulation."""
    images, found = draw_images(), []
    for kind in ('ours', 'pairwise'):
        vit = build(kind)
        (out,) = vit(images)
        gradients = torch.autograd.grad(out.square().mean(), list(vit.parameters()))
        found.append((out.detach(), torch.cat([g.flatten() for g in gradients])))
    (out, gradient), (their_out, their_gradient) = found
    return dict(
        outputs=(out - their_out).abs().max().item(),
        gradients_relative=((gradient - their_gradient).norm() / their_gradient.norm()).item(),
    )


def main() -> None:
    args = arguments(__doc__)
    kinds = ('ours', 'pairwise', 'plain')
    vits, images = {kind: build(kind) for kind in kinds}, draw_images()

    def measure() -> dict[str, dict[str, float]]:
        steps = {k: functools.partial(training_step, vit, images) for k, vit in vits.items()}
        forwards = {k: functools.partial(torch.no_grad()(vit), images) for k, vit in vits.items()}
        return dict(
            step=ratios(medians(steps, args.rounds), 'ours'),
            forward=ratios(medians(forwards, args.rounds), 'ours'),
        )

    peaks = {kind: peak_mebibytes(functools.partial(build_step, kind)) for kind in kinds}
    report(
        args,
        dict(
            seed=0,
            differences=largest_differences(),
            time_over_ours=each_thread_count(measure, args.threads),
            peak_mebibytes={kind: round(peak) for kind, peak in peaks.items()},
            peak_over_pairwise=round(peaks['ours'] / peaks['pairwise'], 3),
        ),
    )


if __name__ == '__main__':
    main()
