"""Weights of upstream models that lie in two tensors: channels that tasks share, and a task's own.

A third one says which are shared: a bit a channel, packed as those of masks are. It has as many
dimensions as there are up to that of the channels: (n,) where the weight begins with them, (1, n)
where they come second, as in a transposed convolution.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from mdl_nas_mm.header.names import head_name, is_rows, owners_in, rows_name, tensors_by
from mdl_nas_mm.sharing.shared_rows import SharedRows
from mdl_nas_mm.spec import Owners

Shape = Sequence[int]


def joined_shape(shapes: Sequence[Shape]) -> tuple[int, ...]:
    """The shape of a weight from those of its tensors, or ValueError where they do not fit.

    Args:
        shapes: of one tensor that is all of it; or of the shared channels, the task's own, and
            what says which are which.
    """
    if len(shapes) == 1:
        return tuple(shapes[0])
    shared, own, rows = map(list, shapes)
    dim, whole = len(rows) - 1, list(shared)
    if len(shared) == len(own) > dim >= 0:
        whole[dim] = shared[dim] + own[dim]
        is_alike = shared[:dim] + shared[dim + 1 :] == own[:dim] + own[dim + 1 :]
        if is_alike and rows == [1] * dim + [-(-whole[dim] // 8)]:
            return tuple(whole)
    raise ValueError(f'channels of {shared} and {own}, by {rows}, are no weight')


def joined(tensors: Sequence[Tensor]) -> Tensor:
    """A weight from its tensors, or ValueError; see ``joined_shape``."""
    shape = joined_shape([tensor.shape for tensor in tensors])
    if len(tensors) == 1:
        return tensors[0]
    shared, own, rows = tensors
    dim = rows.dim() - 1
    bits = np.unpackbits(rows.cpu().numpy().reshape(-1)).astype(bool)[: shape[dim]]
    whole = shared.new_empty(shape)
    for part, chosen in ((shared, bits), (own, ~bits)):
        if chosen.sum() != part.shape[dim]:
            raise ValueError(f'{part.shape[dim]} channels are stored, {chosen.sum()} are meant')
        places = torch.from_numpy(np.flatnonzero(chosen)).to(whole.device)
        whole.index_copy_(dim, places, part)
    return whole


def cut_in_two(tensors: dict[str, Tensor], owners: Owners, path: str, rows: SharedRows) -> None:
    """Leaves of a layer's weights the shared channels once, and of each task its own.

    Args:
        tensors: of the file, with all weights of the layer whole.
        owners: the tasks.
        path: of the layer in their models.
        rows: which channels are shared.
    """
    shared = rows.shared()
    for leaf in rows.names:
        key = f'{path}.{leaf}'
        parts = [(owners.label, shared), *((task, ~shared) for task in sorted(owners.named))]
        for label, channels in parts:
            name = head_name(label, key)
            tensors[name] = rows.cut(leaf, tensors[name], channels).contiguous()
        packed = torch.from_numpy(np.packbits(shared))
        tensors[rows_name(owners.label, key)] = packed.view(*[1] * rows.dims[leaf], -1)
    for leaf in rows.learned:
        # What decided it is of no use to anybody who reads the file.
        del tensors[head_name(owners.label, f'{path}.{leaf}')]


def whole_without(task: str, tensors: Mapping[str, Tensor]) -> Iterator[tuple[tuple, str, Tensor]]:
    """Weights that a single task is left with when another one is removed.

    Yields:
        The names of the tensors that it lies in, the one that it gets, and the whole weight.
    """
    for name in filter(is_rows, tensors):
        left = owners_in(name).named - {task}
        if len(left) == 1:
            names = tensors_by(name, *left)
            yield names, names[1], joined([tensors[each] for each in names])
