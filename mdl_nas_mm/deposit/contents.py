"""What of a model goes into which tensor of a deposit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from mdl_nas_mm.spec import SubnetSpec
from mdl_nas_mm.spec.owners import read_name, specific_name
from mdl_nas_mm.tasks import MultiTaskModel

from .rectangles import as_integers, from_integers, rectangles_of
from .segments import Region
from .structure import Structure


def check_uses(region: Region, model: MultiTaskModel, spec: SubnetSpec, task: str) -> None:
    """Raises ValueError where the deposit's backbone has not the weights of the model's."""
    theirs = {run: part.use for run, part in region.parts.items()}
    ours = {use.run: use for use in model.backbone.layout.uses(spec)}
    for run in [*ours, *theirs]:
        if ours.get(run) != theirs.get(run):
            raise ValueError(
                f'task {task!r}: {run[0]!r} is another one in the backbone of the deposit'
            )


class Weights:
    """The parameters of a backbone as integers (rows, columns)."""

    def __init__(self, model: MultiTaskModel) -> None:
        self._parameters = {
            name: parameter.detach().cpu()
            for name, parameter in model.backbone.named_parameters()
            if not read_name(name).is_score
        }
        dtypes = {parameter.dtype for parameter in self._parameters.values()}
        if len(dtypes) > 1:
            raise ValueError(
                f'backbone: its weights are of several dtypes, {sorted(map(str, dtypes))}'
            )
        (self.dtype,) = dtypes

    def rows(self, name: str, count: int) -> np.ndarray:
        """A parameter, seen as so many rows."""
        return as_integers(self._parameters[name].contiguous()).reshape(count, -1)

    def empty(self, size: int) -> np.ndarray:
        """Memory for so many elements."""
        return as_integers(torch.empty(size, dtype=self.dtype))


def segment_tensors(structure: Structure, labels: set[str], weights: Weights) -> dict[str, Tensor]:
    """The segments of one batch."""
    arrays, counts = {}, structure.row_counts()
    for (name, first), blocks in structure.segments.blocks.items():
        for block in blocks:
            if block.owners.named <= labels:
                segment = block.segment
                if segment not in arrays:
                    arrays[segment] = weights.empty(structure.segments.sizes[segment])
                part = arrays[segment][block.offset : block.offset + block.size]
                rows = weights.rows(name, counts[name])
                columns = slice(first + block.start, first + block.end)
                part.reshape(len(block.rows), -1)[:] = rows[block.rows, columns]
    return {f'shared/{name}': from_integers(a, weights.dtype) for name, a in arrays.items()}


def specific_tensor(region: Region, weights: Weights, task: str) -> Tensor:
    """What a task owns of the backbone."""
    arrays = [weights.empty(0)]
    for (name, first), part in region.parts.items():
        if not part.shared.all():
            use, count = part.use, len(part.rows)
            own = np.zeros((use.groups, use.max_channels), bool)
            own[:, : use.channels] = ~part.shared
            rows = weights.rows(specific_name(name, task), count)
            rows = rows[own.reshape(-1), first : first + use.columns]
            arrays.append(rows.reshape(-1))
    return from_integers(np.concatenate(arrays), weights.dtype)


def check_stored(
    region: Region,
    structure: Structure,
    tensors: Mapping[str, Tensor],
    weights: Weights,
    task: str,
) -> None:
    """Raises ValueError, naming the parameter, where the file has other shared weights."""
    for (name, first), stored_parts in rectangles_of(task, region, structure.segments).items():
        part = region.parts[name, first]
        rows = weights.rows(name, len(part.rows)) if part.shared.any() else None
        used = None
        for piece in stored_parts:
            if piece.tensor not in tensors:
                continue
            if used is None:
                use = part.use
                assert rows is not None
                used = rows.reshape(use.groups, use.max_channels, -1)[:, : use.channels]
                used = used.reshape(use.groups * use.channels, -1)[:, first:]
            end = piece.offset + piece.height * piece.width
            stored = as_integers(tensors[piece.tensor])[piece.offset : end]
            stored = stored.reshape(piece.height, piece.width)
            stored = stored if piece.taken is None else stored[piece.taken]
            ours = used[piece.rows, piece.start : piece.end]
            if not np.array_equal(ours, stored[:, : piece.end - piece.start]):
                raise ValueError(
                    f'task {task!r}: {name!r} differs from the shared weight of the deposit; new '
                    'tasks are trained with the shared weights frozen'
                )


def score_tensor(model: MultiTaskModel, structure: Structure) -> Tensor | None:
    """The scores of the mask policy, one layer after the other."""
    modules = dict(model.backbone.named_modules())
    found = [modules[layer].score.detach().cpu().reshape(-1) for layer in structure.scores]
    return torch.cat(found) if found else None
