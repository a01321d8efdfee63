"""The rows that a task alone owns, one after the other: ``specific/<task>``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from mdl_nas_mm.spec.layout import Run

from ..rectangles import StoredRectangle, as_slice, from_integers
from .base import Contents, NewTasks, Stored, TaskSpecificKind, check_form


@dataclass(frozen=True)
class OwnRows(TaskSpecificKind):
    """All of them as they are."""

    prefix, has_weights = 'specific', True

    def tensors(self, new: NewTasks) -> dict[str, Tensor]:
        """See ``StoredKind``."""
        arrays = [new.weights.empty(0)]
        for part in new.region(self.task).own:
            name, first = part.run
            rows = new.weights.rows(name, len(part.rows))
            arrays.append(rows[part.rows, first : first + part.use.columns].reshape(-1))
        array = np.concatenate(arrays)
        return {self.key: from_integers(array, new.weights.dtype)} if array.size else {}

    def elements(self, contents: Contents) -> int:
        """See ``TaskSpecificKind``."""
        return contents.region(self.task).own_size

    def needed(self, contents: Contents) -> Iterable[str]:
        """See ``StoredKind``."""
        return [self.key] if self.elements(contents) else []

    def check(self, name: str, entry: Stored, contents: Contents) -> None:
        """See ``StoredKind``."""
        if name != self.key:
            super().check(name, entry, contents)
        check_form(name, entry, self.elements(contents), contents.dtype)

    def pieces(
        self, task: str, contents: Contents, weights_of: Callable[[str], Mapping[Run, Tensor]]
    ) -> dict[Run, list]:
        """A rectangle a run."""
        found, offset = {}, 0
        for part in contents.region(task).own if task == self.task else ():
            if part.size:
                own, columns = np.flatnonzero(part.chosen.reshape(-1)), part.use.columns
                args = (len(own), columns, None, as_slice(own), 0, columns)
                found[part.use.run] = [StoredRectangle(self.key, offset, *args)]
                offset += part.size
        return found
