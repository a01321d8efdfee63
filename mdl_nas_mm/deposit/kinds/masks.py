"""Which channels a task shares under the mask policy: ``mask/<region>``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
from torch import Tensor

from .base import Contents, NewTasks, Removal, Stored, StoredKind


def read_masks(
    entries: Mapping[str, Stored], read: Callable[[str], Tensor]
) -> dict[str, np.ndarray]:
    """Label -> its mask, a bit a channel and zeros to the end of the last byte.

    Raises:
        ValueError: a tensor of such a name is no mask.
    """
    found = {}
    for name, entry in entries.items():
        if name.startswith('mask/'):
            if entry.dtype != torch.uint8 or len(entry.shape) != 1:
                raise ValueError(f'{name!r} is no mask')
            bits = np.unpackbits(read(name).numpy())
            found[name.removeprefix('mask/')] = bits.astype(bool)
    return found


class Masks(StoredKind):
    """A bit a channel, of regions that are there or that segments depend on."""

    prefix = 'mask'

    def tensors(self, new: NewTasks) -> dict[str, Tensor]:
        """See ``StoredKind``."""
        packed = {label: np.packbits(bits) for label, bits in new.bits.items()}
        return {f'mask/{label}': torch.from_numpy(bits) for label, bits in packed.items()}

    def needed(self, contents: Contents) -> Iterable[str]:
        """Those of all regions."""
        structure = contents.structure
        return [f'mask/{label}' for label in structure.regions] if structure.scores else []

    def check(self, name: str, entry: Stored, contents: Contents) -> None:
        """Its size and type were looked at before the structure was derived from it."""
        structure, (_, _, label) = contents.structure, name.partition('/')
        if not structure.scores or label not in structure.regions:
            super().check(name, entry, contents)

    def name_after(self, name: str, removal: Removal) -> str | None:
        """See ``StoredKind``."""
        return name if name.removeprefix('mask/') in removal.labels else None
