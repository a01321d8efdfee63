"""Where a fixed architecture can come from: a config, or a file of a registered kind."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from mdl_nas_mm.registry import ARCH_SOURCES
from mdl_nas_mm.spec import Dimensions, JointSpec, SubnetSpec
from mdl_nas_mm.utils.strict_json import read_json


class ArchSource(Protocol):
    """A kind of file with architectures, registered in ``ARCH_SOURCES``."""

    what: str

    def reads(self, path: Path) -> bool:
        """Whether a file is of this kind, told by its name or its first bytes."""

    def read(self, path: Path, where: str) -> Mapping:
        """What it says, unchecked: an architecture, or task -> architecture; or ValueError."""


def read_arch(
    source: Mapping | str | os.PathLike,
    dimensions: Dimensions,
    task: str | None = None,
    part: str | None = None,
) -> SubnetSpec:
    """Reads an architecture.

    Args:
        source: what ``Dimensions.read`` reads, or task -> that, or the report of a search,
            whose ``joint_spec`` is task -> that; or the path of a ``.json`` file with any of
            these; or the path of a deposit.
        dimensions: of the family.
        task: whose architecture, where the source has one a task.
        part: name of an elastic part beside the backbone, whose architecture is meant.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is of no known kind, the task is not given or not in it, there is no
            such part, or the architecture is not valid.
    """
    where = 'arch' if isinstance(source, Mapping) else f'arch {source}'
    data = read_archs(source, where)
    if _is_by_task(data):
        if task is None:
            raise ValueError(f'{where} has one for each of {sorted(data)}; choose with task=')
        if task not in data:
            raise ValueError(f'{where} has none for task {task!r}, only for {sorted(data)}')
        data = data[task]
    if part is not None:
        parts = data.get('parts')
        if not isinstance(parts, Mapping) or part not in parts:
            raise ValueError(f'{where} has no part {part!r}, only {sorted(parts or ())}')
        data = parts[part]
    try:
        return dimensions.read(data)
    except ValueError as error:
        raise ValueError(f'{where}: {error}') from None


def read_joint_spec(
    source: Mapping | str | os.PathLike, dimensions: Dimensions, where: str = 'joint_spec'
) -> JointSpec:
    """Reads one architecture for each task.

    Args:
        source, dimensions: see ``read_arch``.
        where: what errors begin with.

    Raises:
        FileNotFoundError, ValueError: see ``read_arch``; or it is a single architecture.
    """
    data = read_archs(source, where)
    if not _is_by_task(data):
        raise ValueError(f'{where}: expected an architecture for each task')
    try:
        return dimensions.read_joint(data)
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
    known = []
    for build in (JsonSource, *_registered()):
        known.append(build.what)
        if (found := build()).reads(path):
            return found.read(path, where)
    raise ValueError(f'{where} is neither {" nor ".join(known)}')


def _registered() -> Iterator[type[ArchSource]]:
    """Looked for where it is needed: who gives a JSON file imports no more than that needs."""
    ARCH_SOURCES.import_from_location()
    yield from ARCH_SOURCES.module_dict.values()


class JsonSource:
    """A ``.json`` file."""

    what = 'a .json file'

    def reads(self, path: Path) -> bool:
        """By its name."""
        return path.suffix == '.json'

    def read(self, path: Path, where: str) -> Mapping:
        """See ``ArchSource``."""
        data = read_json(path, where)
        if not isinstance(data, Mapping):
            raise ValueError(f'{where} holds a {type(data).__name__}, not an architecture')
        return data
