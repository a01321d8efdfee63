"""Parameters and buffers outside the backbone, and buffers of it: ``head/<owners>/<key>``."""

from __future__ import annotations

from torch import Tensor

from mdl_nas_mm.header.names import BACKBONE, head_name, is_head, owners_in, renamed

from ..head_rows import cut_in_two
from .base import Contents, NewTasks, Removal, Stored, StoredKind


class StateDicts(StoredKind):
    """Entries of the state dicts of upstream models, each of a task or of those that share it.

    Their sizes are compared with the model's when that is built.
    """

    prefix = 'head'

    def tensors(self, new: NewTasks) -> dict[str, Tensor]:
        """See ``StoredKind``."""
        found = {
            head_name(label, key): value.detach().cpu().clone().contiguous()
            for label, part in new.heads
            for key, value in part.state_dict().items()
        }
        for task, statistics in new.statistics.items():
            for key, value in statistics.items():
                found[head_name(task, f'{BACKBONE}{key}')] = value.detach().cpu().clone()
        for each in new.model.held_parts:
            for path, rows in each.rows.items():
                cut_in_two(found, each.part.owners, each.path_of(path), rows)
        return found

    def check(self, name: str, entry: Stored, contents: Contents) -> None:
        """See ``StoredKind``."""
        if not is_head(name) or not owners_in(name).named <= set(contents.tasks):
            super().check(name, entry, contents)

    def name_after(self, name: str, removal: Removal) -> str | None:
        """What the task shared is then of the others."""
        return renamed(removal.task, name)
