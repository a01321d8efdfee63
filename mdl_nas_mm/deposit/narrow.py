"""Cuts an upstream model's first layers to a narrower backbone.

Heads of a supernet take its widest embedding, of which a narrower subnet's is the beginning and
zeros. A first layer that is a linear map or a convolution does not need the columns of the zeros.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from mdl_nas_mm.tasks.elastic_parts import neck_of_maps

# For each map of a backbone: the supernet's width and the subnet's.
Widths = Sequence[tuple[int, int]]
# Parts of a model that take the backbone's maps where no neck takes them.
HEADS = ('head', 'decode_head', 'auxiliary_head')


def narrow_config(model: dict[str, Any], widths: Widths) -> dict[str, Any]:
    """An upstream model's config with the subnet's widths where it takes the supernet's.

    Raises:
        ValueError: the subnet is narrower, and nothing says by ``in_channels`` that it takes maps.
    """
    model = copy.deepcopy(model)
    fed = list(_fed_by_backbone(model))
    if not fed and any(wide != narrow for wide, narrow in widths):
        raise ValueError(f"no 'in_channels' of a neck or of {HEADS} says what takes the maps")
    for part in fed:
        wide, which = part['in_channels'], part.get('in_index')
        if isinstance(wide, (list, tuple)):
            pairs = [widths[i] for i in which] if isinstance(which, (list, tuple)) else widths
            part['in_channels'] = [_narrow(value, *pair) for value, pair in zip(wide, pairs)]
        else:
            part['in_channels'] = _narrow(wide, *widths[-1 if which is None else which])
    return model


def _fed_by_backbone(model: dict) -> Iterator[dict]:
    """Configs with ``in_channels``: the first neck's or, where it has none, the heads'."""
    neck = neck_of_maps(model)
    if neck is not None:
        yield neck
        return
    for name in HEADS:
        part = model.get(name)
        for config in part if isinstance(part, (list, tuple)) else [part]:
            if isinstance(config, dict) and 'in_channels' in config:
                yield config


def _narrow(value: int, wide: int, narrow: int) -> int:
    return narrow if value == wide else value


def narrow_weight(key: str, weight: Tensor, shape: torch.Size, widths: Widths) -> Tensor:
    """Cuts inputs off a weight whose inputs begin with a map of a backbone.

    Args:
        key: what errors call the weight.
        weight: (out, in, ...), or (in, out, ...) of a transposed convolution. Behind the map's
            channels there may be other inputs, as UPerHead has.
        shape: what it has in the narrower model.
        widths: for each map of the backbone, the width in the supernet and in the subnet.

    Raises:
        ValueError: it is no such weight.
    """
    if weight.shape == shape:
        return weight
    axes = [i for i, sizes in enumerate(zip(weight.shape, shape)) if sizes[0] != sizes[1]]
    fitting, have = [], 0
    if weight.dim() > 1 and axes in ([0], [1]):
        have, want = weight.shape[axes[0]], shape[axes[0]]
        fitting = [pair for pair in widths if pair[0] - pair[1] == have - want and pair[0] <= have]
    if not fitting:
        raise ValueError(f'{key!r} of {tuple(weight.shape)} cannot be cut to {tuple(shape)}')
    # A layer that takes other inputs too takes the deepest map.
    wide, narrow = max(fitting, key=lambda pair: (pair[0] == have, pair[0]))
    inputs = torch.cat((torch.arange(narrow), torch.arange(wide, have)))
    return weight.index_select(axes[0], inputs)
