"""A deposit as the source of a fixed architecture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mdl_nas_mm.registry import ARCH_SOURCES
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
            return {task: info['spec'] for task, info in _manifest(path)['tasks'].items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(f'{where} is no whole deposit') from None


def _manifest(path: Path) -> Mapping:
    with open(path, 'rb') as file:
        header, _, _ = read_header(file)
    return strict_json(header['__metadata__']['manifest'], MAX_VALUES)
