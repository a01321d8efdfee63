"""What other architectures of a model are chosen with when it is used: ``control/<name>``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from .base import Contents, Stored, StoredKind

_PREFIX = 'control'


@dataclass(frozen=True)
class Control:
    """What a deposit keeps for that. Its tasks are stored as their largest architectures.

    Attributes:
        about: plain values; the manifest's ``control``.
        tensors: name -> tensor.
    """

    about: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    def named(self) -> dict[str, Tensor]:
        """The tensors by their names in a file."""
        return {control_name(name): tensor for name, tensor in self.tensors.items()}


def control_name(name: str) -> str:
    """The name of a tensor in a file."""
    return f'{_PREFIX}/{name}'


def control_names(names: Mapping[str, Any]) -> list[str]:
    """The names, without their beginning, of all such tensors of a file."""
    return [n.removeprefix(f'{_PREFIX}/') for n in names if n.startswith(f'{_PREFIX}/')]


class ControlKind(StoredKind):
    """Tensors whose meaning the method knows, which looks at them when it is asked."""

    prefix = _PREFIX

    def check(self, name: str, entry: Stored, contents: Contents) -> None:
        """See ``StoredKind``."""
        if not name.startswith(f'{_PREFIX}/'):
            super().check(name, entry, contents)
