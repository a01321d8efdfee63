"""Where a fixed architecture can come from: a config, a JSON file, or a deposit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from mdl_nas_mm.utils.strict_json import read_json, strict_json
from mdl_nas_mm.utils.tensor_header import MAX_VALUES, read_header

from .spec import JointSpec, SubnetSpec


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
    where = 'arch' if isinstance(source, Mapping) else f'arch {source}'
    data = read_archs(source, where)
    if _is_by_task(data):
        if task is None:
            raise ValueError(f'{where} has one for each of {sorted(data)}; choose with task=')
        if task not in data:
            raise ValueError(f'{where} has none for task {task!r}, only for {sorted(data)}')
        data = data[task]
    try:
        return SubnetSpec.from_dict(data)
    except ValueError as error:
        raise ValueError(f'{where}: {error}') from None


def read_joint_spec(source: Mapping | str | os.PathLike, where: str = 'joint_spec') -> JointSpec:
    """Reads one architecture for each task.

    Args:
        source: see ``read_arch``.
        where: what errors begin with.

    Raises:
        FileNotFoundError, ValueError: see ``read_arch``; or it is a single architecture.
    """
    data = read_archs(source, where)
    if not _is_by_task(data):
        raise ValueError(f'{where}: expected an architecture for each task')
    try:
        return JointSpec.from_dict(data)
    except ValueError as error:
        raise ValueError(f'{where}: {error}') from None


def read_archs(source: Mapping | str | os.PathLike, where: str) -> Mapping:
    """What a source says, unchecked: an architecture, or task -> architecture."""
    if not isinstance(source, (Mapping, str, os.PathLike)):
        raise ValueError(f'{where}: expected a path or a mapping, not {type(source).__name__}')
    data = source if isinstance(source, Mapping) else _read_file(Path(source), where)
    return data.get('joint_spec', data)


def _is_by_task(data: object) -> bool:
    return (
        isinstance(data, Mapping)
        and bool(data)
        and all(isinstance(value, Mapping) for value in data.values())
    )


def _read_file(path: Path, where: str) -> Mapping:
    if not path.is_file():
        raise FileNotFoundError(f'{where} is not there')
    if path.suffix != '.json':
        return _read_deposit(path, where)
    data = read_json(path, where)
    if not isinstance(data, Mapping):
        raise ValueError(f'{where} holds a {type(data).__name__}, not an architecture')
    return data


def _read_deposit(path: Path, where: str) -> Mapping:
    """Task -> architecture of a deposit, from its header alone."""
    try:
        with open(path, 'rb') as file:
            header, _, _ = read_header(file)
        manifest = strict_json(header['__metadata__']['manifest'], MAX_VALUES)
        return {task: info['spec'] for task, info in manifest['tasks'].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f'{where} is neither a .json file nor a deposit') from None
