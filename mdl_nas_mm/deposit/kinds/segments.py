"""The rows of weights that several tasks may use, cut into segments: ``shared/<regions>``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from torch import Tensor

from mdl_nas_mm.spec.layout import Run

from ..rectangles import StoredRectangle, as_integers, from_integers, in_segments
from .base import Contents, NewTasks, Removal, Stored, StoredKind, check_form


def segments_among(names: Iterable[str]) -> set[str]:
    """The segments that there are among tensors."""
    return {name.removeprefix('shared/') for name in names if name.startswith('shared/')}


class SegmentsKind(StoredKind):
    """Rectangles of weights; which, and in which segment, is said in ``deposit/segments.py``."""

    prefix, has_weights = 'shared', True

    def tensors(self, new: NewTasks) -> dict[str, Tensor]:
        """The segments of one batch."""
        weights, structure, labels = new.weights, new.structure, set(new.labels.values())
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

    def check_same(self, new: NewTasks, tensors: Mapping[str, Tensor]) -> None:
        """See ``StoredKind``; names the weight."""
        for task in new.labels:
            region = new.region(task)
            for (name, first), part in region.parts.items():
                found = in_segments(region, part, new.structure.segments)
                found = [each for each in found if each.tensor in tensors]
                if not found:
                    continue
                use, rows = part.use, new.weights.rows(name, len(part.rows))
                used = rows.reshape(use.groups, use.max_channels, -1)[:, : use.channels]
                used = used.reshape(use.groups * use.channels, -1)[:, first:]
                for each in found:
                    ours = used[each.rows, each.start : each.end]
                    if not np.array_equal(ours, each.values(as_integers(tensors[each.tensor]))):
                        raise ValueError(
                            f'task {task!r}: {name!r} differs from the shared weight of the '
                            'deposit; new tasks are trained with the shared weights frozen'
                        )

    def needed(self, contents: Contents) -> Iterable[str]:
        """Those of which a task uses any element."""
        used_by = contents.structure.segments.used_by
        return {f'shared/{n}' for task in contents.tasks for n in used_by(contents.region(task))}

    def check(self, name: str, entry: Stored, contents: Contents) -> None:
        """See ``StoredKind``."""
        size = contents.structure.segments.sizes.get(name.partition('/')[2])
        if size is None:
            raise ValueError(f'{name!r} belongs to nothing')
        check_form(name, entry, size, contents.dtype)

    def pieces(
        self, task: str, contents: Contents, weights_of: Callable[[str], Mapping[Run, Tensor]]
    ) -> dict[Run, list]:
        """Rectangles."""
        region, segments = contents.region(task), contents.structure.segments
        found: dict[Run, list[StoredRectangle]] = {}
        for part in region.parts.values():
            found.setdefault(part.use.run, []).extend(in_segments(region, part, segments))
        return found

    def name_after(self, name: str, removal: Removal) -> str | None:
        """See ``StoredKind``."""
        return name if name.removeprefix('shared/') in removal.segments else None
