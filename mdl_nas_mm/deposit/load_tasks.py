"""Several tasks of a deposit in one process, with the shared weights in memory once."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from mdl_nas_mm.elastic.plain import set_parameter

from .kinds import Piece
from .one_pass import same_backbones
from .rectangles import StoredRectangle
from .unpack import Deposit


def load_tasks(
    path: str | Path,
    tasks: Sequence[str] | None = None,
    device: str | torch.device = 'cpu',
    trust: Collection[str] = (),
) -> dict[str, nn.Module]:
    """Upstream models of several tasks that answer as those of ``Deposit.load_task``.

    Tensors of the file are in memory once, whatever the number of tasks. Tasks with the same
    architecture, weights and settings of the backbone have one between them, and inside of
    ``with SharedPass():`` one pass of the same images. Of necks and heads that
    tasks share by output channels each task has a whole copy. A weight that lies in
    a tensor as it is used is a view of it. Any other is assembled whenever its layer runs,
    which takes time; ``torch.nn.utils.parametrize.cached()`` keeps such weights inside its block.
    One that a kind of storage does not have as rows is a copy.
    The models are for inference: their backbones' weights take no gradients, and are where they
    were loaded to.

    Args:
        path: the deposit.
        tasks: all without it.
        device: where the tensors and the models are.
        trust: see ``Deposit``.

    Returns:
        Task -> its model, in eval mode.

    Raises:
        FileNotFoundError, ValueError: see ``Deposit.load_task``.
    """
    deposit, models = Deposit(path, trust), {}
    tensors: dict[str, Tensor] = {}

    def read(name: str) -> Tensor:
        if name not in tensors:
            # A copy; on the CPU it would otherwise be the mapping of the whole file.
            tensors[name] = deposit.read(name).to(device, copy=True)
        return tensors[name]

    names = list(deposit.tasks) if tasks is None else tasks
    for group in same_backbones(deposit, names):
        backbone = _backbone(deposit, group[0], read, device)
        for task in group:
            models[task] = deposit.build_model(task, backbone, read).to(device).eval()
    return {task: models[task] for task in names}


def _backbone(
    deposit: Deposit, task: str, read: Callable[[str], Tensor], device: str | torch.device
) -> nn.Module:
    """A task's backbone, of tensors that others read as well."""
    rectangles, assembled = _rectangles(deposit, task), {}
    backbone = deposit.build_backbone(task)
    for name, parameter in list(backbone.named_parameters()):
        if name in rectangles:
            found: list[_Rectangle] = []
            for run in rectangles[name]:
                # Runs of columns that were apart in the supernet lie side by side here.
                width = max((each.columns.stop for each in found), default=0)
                found += [_Rectangle(each, read(each.tensor), width) for each in run]
            _replace(backbone, name, found, parameter.shape)
        else:
            assembled = assembled or deposit.backbone_weights(task)
            weight = assembled[name].view(parameter.shape).to(device)
            set_parameter(backbone, name, nn.Parameter(weight, requires_grad=False))
    return backbone


def _rectangles(deposit: Deposit, task: str) -> dict[str, list[list[StoredRectangle]]]:
    """Parameter -> run by run its rectangles, of those that are made of nothing else."""
    runs: dict[str, list[list[Piece]]] = {}
    for (name, _), pieces in deposit.pieces(task).items():
        runs.setdefault(name, []).append(pieces)
    found = {
        name: [[each for each in run if isinstance(each, StoredRectangle)] for run in pieces]
        for name, pieces in runs.items()
    }
    return {
        name: each
        for name, each in found.items()
        if sum(map(len, each)) == sum(map(len, runs[name]))
    }


class _Rectangle:
    """A rectangle of a weight, with the tensor that it lies in.

    Args:
        first_column: where the run begins that it belongs to.
    """

    def __init__(self, stored: StoredRectangle, tensor: Tensor, first_column: int) -> None:
        end = stored.offset + stored.height * stored.width
        self.block = tensor[stored.offset : end].view(stored.height, stored.width)
        self.columns = slice(first_column + stored.start, first_column + stored.end)
        taken, rows = stored.taken, stored.rows
        self.taken = None if taken is None else _index(taken, tensor.device)
        self.rows = rows if isinstance(rows, slice) else _index(rows, tensor.device)

    @property
    def values(self) -> Tensor:
        """(rows, columns)."""
        block = self.block if self.taken is None else self.block.index_select(0, self.taken)
        return block[:, : self.columns.stop - self.columns.start]


def _index(rows: np.ndarray, device: torch.device) -> Tensor:
    rows = np.flatnonzero(rows) if rows.dtype == bool else rows
    return torch.from_numpy(rows.astype(np.int64)).to(device)


class _Assembled(nn.Module):
    """Makes a weight of rectangles that lie elsewhere."""

    def __init__(self, rectangles: list[_Rectangle], shape: torch.Size, rows: int) -> None:
        super().__init__()
        self._rectangles, self._shape, self._rows = rectangles, shape, rows

    def forward(self, empty: Tensor) -> Tensor:
        """The weight; ``empty`` says of which data type, and where."""
        weight = empty.new_empty(self._shape).view(self._rows, -1)
        for rectangle in self._rectangles:
            if isinstance(rectangle.rows, slice):
                weight[rectangle.rows, rectangle.columns] = rectangle.values
            else:
                weight[:, rectangle.columns].index_copy_(0, rectangle.rows, rectangle.values)
        return weight.view(self._shape)


def _replace(
    backbone: nn.Module, name: str, rectangles: list[_Rectangle], shape: torch.Size
) -> None:
    """Gives a parameter its values without copies of them."""
    size, first = math.prod(shape), rectangles[0]
    if len(rectangles) == 1 and first.values.is_contiguous() and first.values.numel() == size:
        weight = nn.Parameter(first.values.view(shape), requires_grad=False)
        set_parameter(backbone, name, weight)
        return
    rows = sum(len(r.values) for r in rectangles if r.columns.start == 0)
    empty = nn.Parameter(first.block.new_empty(0), requires_grad=False)
    set_parameter(backbone, name, empty)
    path, _, leaf = name.rpartition('.')
    composed = _Assembled(rectangles, shape, rows)
    # Unsafe means that the result need not have the shape of what is stored.
    module = backbone.get_submodule(path)
    parametrize.register_parametrization(module, leaf, composed, unsafe=True)
