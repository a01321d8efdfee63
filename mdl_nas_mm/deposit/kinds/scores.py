"""The scores of the mask policy, one layer after the other: ``scores``."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from .base import Contents, NewTasks, Stored, StoredKind, check_form


class Scores(StoredKind):
    """Those of the supernet that was packed first, for a training that goes on."""

    prefix = 'scores'

    def tensors(self, new: NewTasks) -> dict[str, Tensor]:
        """See ``StoredKind``."""
        if new.deposit is not None or not new.structure.scores:
            return {}
        modules = dict(new.model.backbone.named_modules())
        found = [modules[layer].score.detach().cpu().reshape(-1) for layer in new.structure.scores]
        return {'scores': torch.cat(found)}

    def needed(self, contents: Contents) -> Iterable[str]:
        """See ``StoredKind``."""
        return ['scores'] if contents.structure.scores else []

    def check(self, name: str, entry: Stored, contents: Contents) -> None:
        """See ``StoredKind``."""
        scores = contents.structure.scores
        if name != 'scores' or not scores:
            super().check(name, entry, contents)
        check_form(name, entry, sum(scores.values()))
