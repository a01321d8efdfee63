"""Which output channels of an entry some tasks share: ``rows/<owners>/<key>``."""

from __future__ import annotations

import torch

from mdl_nas_mm.header.names import is_rows, owners_in, renamed, tensors_by

from ..head_rows import joined_shape
from .base import Contents, Removal, Stored, StoredKind


class HeadRows(StoredKind):
    """A bit a channel. ``StateDicts`` writes them with what they cut in two."""

    prefix = 'rows'

    def check(self, name: str, entry: Stored, contents: Contents) -> None:
        """See ``StoredKind``; the tensors that it tells apart have to be there, and fit."""
        if not is_rows(name) or not owners_in(name).named <= set(contents.tasks):
            super().check(name, entry, contents)
        if entry.dtype != torch.uint8:
            raise ValueError(f'{name!r} is {entry.dtype}, no bits')
        for task in owners_in(name).named:
            names = tensors_by(name, task)
            for each in names:
                if each not in contents.entries:
                    raise ValueError(f'{each!r} is missing')
            joined_shape([contents.entries[each].shape for each in names])

    def name_after(self, name: str, removal: Removal) -> str | None:
        """It is then of the others."""
        return renamed(removal.task, name)
