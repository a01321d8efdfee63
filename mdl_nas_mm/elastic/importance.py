"""Puts first what matters most, so that smaller architectures keep it.

A smaller architecture uses the first channels of a layer, or the first heads. In a plain
model their order means nothing; once-for-all (Cai et al., ICLR 2020, Section 3.3) therefore sorts
channels by the L1 norm of their weights before it trains smaller architectures. As in its code,
these are the weights of the layer that reads the channel.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mdl_nas_mm.sharing import TaskParameters


@dataclass(frozen=True)
class Reordering:
    """Channels between two layers, whose order means nothing in a plain model.

    Attributes:
        writer: name of the layer whose outputs they are.
        reader: name of the layer whose inputs they are; its weights say how much each matters.
        run: channels that keep together, such as those of a head.
        groups: the writer's outputs are this many groups of the same channels (3 for q, k, v).
        tables: names of parameters with a column for each run.
    """

    writer: str
    reader: str
    run: int = 1
    groups: int = 1
    tables: tuple[str, ...] = ()


@torch.no_grad()
def reorder_by_importance(module: nn.Module, reorderings: Iterable[Reordering]) -> None:
    """Sorts channels, the most important first.

    Importance is the sum of the absolute weights that read a run of channels. What the largest
    architecture computes does not change.

    Raises:
        ValueError: a task's own weights differ from the shared ones, so that no order suits both;
            call this on freshly inherited weights. Nothing is changed then.
    """
    named = module.named_modules()
    layers = {name: layer for name, layer in named if isinstance(layer, TaskParameters)}
    tables = dict(module.named_parameters())
    reorderings = list(reorderings)
    for one in reorderings:
        for name in (one.writer, one.reader):
            _check_equal(name, layers[name])
    for one in reorderings:
        writer, reader = layers[one.writer], layers[one.reader]
        width = reader.all_of('weight')[0].shape[1]
        order = _order(reader, one.run)
        columns = torch.arange(width, device=order.device).view(-1, one.run)[order].flatten()
        _permute(writer, 0, torch.cat([group * width + columns for group in range(one.groups)]))
        _permute(reader, 1, columns)
        for name in one.tables:
            tables[name].copy_(tables[name][:, order])


def _order(reader: TaskParameters, width: int) -> Tensor:
    """Runs of ``width`` inputs of a layer by falling L1 norm of the weights that read them."""
    norms = reader.all_of('weight')[0].abs().sum(0).view(-1, width).sum(1)
    return norms.argsort(descending=True, stable=True)


def _permute(layer: TaskParameters, dim: int, order: Tensor) -> None:
    """Reorders outputs (``dim`` 0, with their biases) or inputs (1) of a layer."""
    for name in layer.names if dim == 0 else ('weight',):
        for parameter in layer.all_of(name):
            parameter.copy_(parameter.index_select(dim, order))


def _check_equal(name: str, layer: TaskParameters) -> None:
    for leaf in layer.names:
        first, *others = layer.all_of(leaf)
        if not all(torch.equal(first, other) for other in others):
            raise ValueError(
                f'{name}.{leaf}: the weights of the tasks differ; reorder before they are trained'
            )
