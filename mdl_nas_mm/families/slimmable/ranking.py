"""Puts first the channels that matter most, as narrow architectures use the first ones."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from .layout import Layer, SlimLayout


@torch.no_grad()
def rank_channels(module: nn.Module, layout: SlimLayout, kept: Collection[str]) -> None:
    """Sorts the channels of each width by the sum of absolute weights that read them.

    All layers that write a width, because their outputs are added, are sorted alike. What the
    largest architecture computes does not change.

    Args:
        module: the network.
        layout: of it.
        kept: widths whose order has a meaning to others, such as those of returned maps.
    """
    layers = layout.shape.layers()
    for name in layout.shape.widths():
        if name in kept:
            continue
        columns = [_columns(module, layout, layer, name) for layer in layers]
        read = [part for part in columns if part is not None]
        importance = sum(part.abs().sum((0, 2, 3)) for part in read)
        if not isinstance(importance, Tensor):
            # Nothing reads it.
            continue
        order = importance.argsort(descending=True, stable=True)
        for part in read:
            part.copy_(part[:, order])
        for layer in layers:
            if layer.writes == name:
                for tensor in _rows(module, layer):
                    tensor.copy_(tensor[order])


def _columns(module: nn.Module, layout: SlimLayout, layer: Layer, name: str) -> Tensor | None:
    """A view of the weights of a layer that read a width; none of a depthwise one do."""
    if layer.depthwise or name not in layer.reads:
        return None
    first = sum(layout.largest[each] for each in layer.reads[: layer.reads.index(name)])
    weight = module.get_submodule(layer.name).get_parameter('weight')
    return weight[:, first : first + layout.largest[name]]


def _rows(module: nn.Module, layer: Layer) -> list[Tensor]:
    """All that a layer and its norm have for each channel that it writes."""
    names = [layer.name, layer.norm] if layer.norm else [layer.name]
    states = [module.get_submodule(name).state_dict() for name in names]
    return [tensor for state in states for tensor in state.values() if tensor.dim()]
