"""Thresholds of blocks, chosen so that a score on held-out images falls by so much and no more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from mdl_nas_mm.utils.amounts import check_at_least

from .activations import inputs_of
from .layers import block_layers


@torch.no_grad()
def block_differences(
    base: nn.Module, sub_task: nn.Module, batches: Iterable[Tensor]
) -> list[Tensor]:
    """How far tokens at the inputs of linear layers are from the base's, block by block.

    Args:
        base, sub_task: plain backbones of one architecture.
        batches: held-out images (B, C, H, W), preprocessed.

    Returns:
        For each block the root mean squares of its tokens' differences, of all its layers and all
        images, ascending: what running compares with its threshold.
    """
    blocks = block_layers(sub_task)
    found: dict[str, list[Tensor]] = {block: [] for block in blocks}
    for images in batches:
        ours, theirs = _inputs(sub_task, images), _inputs(base, images)
        for block, layers in blocks.items():
            for name in layers:
                change = (ours[name] - theirs[name]).square().mean(-1).sqrt()
                found[block].append(change.flatten().cpu())
    return [torch.cat(each).sort().values for each in found.values()]


def choose_thresholds(
    differences: Sequence[Tensor],
    score: Callable[[list[float]], float],
    loss: float,
    steps: int = 8,
) -> tuple[list[float], float]:
    """The largest thresholds at which the score is no more than ``loss`` below that without any.

    One number is looked for by bisection: the part of each block's differences that lies below the
    block's threshold. So blocks whose differences are small get small thresholds.

    Args:
        differences: see ``block_differences``.
        score: thresholds of all blocks -> the score on held-out images; higher is better.
        loss: what of the score may be lost, in its unit.
        steps: of the bisection; the score is asked for so often, and twice.

    Returns:
        A threshold a block, and the score with them.

    Raises:
        ValueError: the loss is negative, or no finite number.
    """
    check_at_least(loss, 0, 'loss of score')

    def at(part: float) -> list[float]:
        return [_quantile(each, part) for each in differences]

    none = [0.0] * len(differences)
    exact = score(none)
    best, reached, low, high = none, exact, 0.0, 1.0
    whole = score(at(1.0))
    if whole >= exact - loss:
        return at(1.0), whole
    for _ in range(steps):
        middle = (low + high) / 2
        found = score(at(middle))
        if found >= exact - loss:
            best, reached, low = at(middle), found, middle
        else:
            high = middle
    return best, reached


def _quantile(ascending: Tensor, part: float) -> float:
    return float(ascending[min(len(ascending) - 1, int(part * len(ascending)))])


def _inputs(backbone: nn.Module, images: Tensor) -> dict[str, Tensor]:
    with inputs_of(backbone) as found:
        backbone(images)
    return dict(found)
