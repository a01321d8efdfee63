"""Where a fixed architecture can come from: a config, a JSON file, or a deposit."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open

from .spec import SubnetSpec


def read_arch(source: Mapping | str | os.PathLike, task: str | None = None) -> SubnetSpec:
    """Reads an architecture.

    Args:
        source: what ``SubnetSpec.from_dict`` reads, or task -> that, or the report of a search,
            whose ``joint_spec`` is task -> that; or the path of a ``.json`` file with any of
            these; or the path of a deposit.
        task: whose architecture, where the source has one a task.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is neither JSON nor a deposit, the task is not given or not in it,
            or the architecture is not valid.
    """
    if isinstance(source, Mapping):
        data, where = source, 'arch'
    else:
        data, where = _read_file(Path(source)), f'arch {source}'
    data = data.get('joint_spec', data)
    if data and all(isinstance(value, Mapping) for value in data.values()):
        if task is None:
            raise ValueError(f'{where} has one for each of {sorted(data)}; choose with task=')
        if task not in data:
            raise ValueError(f'{where} has none for task {task!r}, only for {sorted(data)}')
        data = data[task]
    return SubnetSpec.from_dict(data)


def _read_file(path: Path) -> Mapping:
    """What a file says: an architecture, or task -> architecture."""
    if not path.is_file():
        raise FileNotFoundError(f'arch {path} is not there')
    if path.suffix != '.json':
        return _read_deposit(path)
    try:
        data = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'arch {path} is no JSON ({error})') from None
    if not isinstance(data, Mapping):
        raise ValueError(f'arch {path} holds a {type(data).__name__}, not an architecture')
    return data


def _read_deposit(path: Path) -> Mapping:
    """Task -> architecture of a deposit, from its header alone."""
    try:
        with safe_open(path, 'numpy') as file:
            manifest = (file.metadata() or {})['manifest']
    except (SafetensorError, OSError, KeyError):
        raise ValueError(f'arch {path} is neither a .json file nor a deposit') from None
    return {task: info['spec'] for task, info in json.loads(manifest)['tasks'].items()}
