"""A deposit as the source of a fixed architecture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mdl_nas_mm.registry import ARCH_SOURCES
from mdl_nas_mm.tasks.elastic_parts import part_spaces
from mdl_nas_mm.utils.jsonable import from_json
from mdl_nas_mm.utils.strict_json import strict_json
from mdl_nas_mm.utils.tensor_header import MAX_VALUES, read_header


@ARCH_SOURCES.register_module()
class DepositSource:
    """The architectures of a deposit, from its header alone."""

    what = 'a deposit'

    def reads(self, path: Path) -> bool:
        """Whether its header says so."""
        try:
            _manifest(path)
        except (OSError, ValueError, KeyError, TypeError):
            return False
        return True

    def read(self, path: Path, where: str) -> Mapping:
        """Task -> architecture, unchecked."""
        try:
            return {t: _architecture(t, info) for t, info in _manifest(path)['tasks'].items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(f'{where} is no whole deposit') from None


def _architecture(task: str, info: Mapping) -> dict[str, Any]:
    """That of a task's backbone, and of the elastic parts of its model.

    A part has no other architecture in the file than this one, so its space says which it is.
    """
    own = dict(model=from_json(info['model']))
    parts = part_spaces(dict(tasks={task: own}))[task]
    found = {name: space.largest().to_dict() for name, space in parts.items()}
    return dict(info['spec'], **(dict(parts=found) if found else {}))


def _manifest(path: Path) -> Mapping:
    with open(path, 'rb') as file:
        header, _, _ = read_header(file)
    return strict_json(header['__metadata__']['manifest'], MAX_VALUES)
