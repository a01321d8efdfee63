"""Puts first what matters most, so that smaller architectures keep it.

A smaller architecture uses the first heads and the first hidden channels of a block. In a plain
model their order means nothing; once-for-all (Cai et al., ICLR 2020, Section 3.3) therefore sorts
channels by the L1 norm of their weights before it trains smaller architectures. As in its code,
these are the weights of the layer that reads the channel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mdl_nas_mm.sharing import TaskParameters

if TYPE_CHECKING:
    from .backbone import ElasticBackbone


@torch.no_grad()
def reorder_by_importance(backbone: ElasticBackbone) -> None:
    """Sorts the heads and the hidden channels of every block, the most important first.

    Importance is the sum of the absolute weights of ``proj`` that read a head, and of ``fc2``
    that read a hidden channel. What the largest architecture computes does not change.

    Raises:
        ValueError: a task's own weights differ from the shared ones, so that no order suits both;
            call this on freshly inherited weights. Nothing is changed then.
    """
    modules = dict(backbone.named_modules())
    blocks = {name: m for name, m in modules.items() if hasattr(m, 'attn') and hasattr(m, 'mlp')}
    for name in blocks:
        for layer in ('attn.qkv', 'attn.proj', 'mlp.fc1', 'mlp.fc2'):
            _check_equal(f'{name}.{layer}', modules[f'{name}.{layer}'])
    for block in blocks.values():
        _sort_heads(block.attn)
        _sort_hidden(block.mlp)


def _sort_heads(attn: nn.Module) -> None:
    inner = attn.proj.all_of('weight')[0].shape[1]
    order = _order(attn.proj, attn.head_dim)
    columns = torch.arange(inner, device=order.device).view(-1, attn.head_dim)[order].flatten()
    _permute(attn.qkv, 0, torch.cat([group * inner + columns for group in range(3)]))
    _permute(attn.proj, 1, columns)
    table = getattr(attn, 'relative_position_bias_table', None)
    if table is not None:
        table.copy_(table[:, order])


def _sort_hidden(mlp: nn.Module) -> None:
    order = _order(mlp.fc2, 1)
    _permute(mlp.fc1, 0, order)
    _permute(mlp.fc2, 1, order)


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
