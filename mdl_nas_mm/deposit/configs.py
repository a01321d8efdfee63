"""What of a deposit's configs is let in for what."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from typing import Any

from mdl_nas_mm.trust import Refusal, Untrusted, check_config, refusals
from mdl_nas_mm.trust.values import data
from mdl_nas_mm.utils.data_paths import prepared_dataset

# What using a task takes, and what its evaluation takes besides.
USED = ('model', 'pipeline')
TESTED = ('val_dataloader', 'val_evaluator')


def check_trusted(task: str, info: Mapping, part: str, trust: Collection[str] = ()) -> None:
    """Raises Untrusted, a ValueError, for what a part of a task's config must not name.

    Args:
        task: what errors call it.
        info: what a deposit has of the task.
        part: one of ``USED`` or ``TESTED``.
        trust: further classes, see ``mdl_nas_mm.trust.refusals``.
    """
    hints = hints_of(info)
    check_config(info['scope'], _part(info, part), f'task {task!r}, {part}', trust, hints)


def hints_of(info: Mapping) -> tuple[str, ...]:
    """Where a deposit says that its own classes come from; names, as far as they are any."""
    names = info.get('needs') or ()
    names = names if isinstance(names, (list, tuple)) else ()
    return tuple(
        n
        for n in names
        if isinstance(n, str) and n.isascii() and n.replace('.', '_').isidentifier()
    )


def stored_backbone(config: Mapping, trust: Collection[str] = ()) -> dict[str, Any]:
    """A backbone's config as a file has it: nothing of where weights and architectures came from.

    Raises:
        Untrusted: it names what no one who opens the file lets in.
    """
    found = {key: value for key, value in _without_sources(config).items() if key != 'arch'}
    given = {key: value for key, value in found.items() if key not in ('tasks', 'task')}
    check_config('mdl_nas_mm', given, 'backbone', trust)
    return found


def _without_sources(config: Any) -> Any:
    if isinstance(config, Mapping):
        return {
            key: _without_sources(value)
            for key, value in config.items()
            if key not in ('init_cfg', 'pretrained')
        }
    if isinstance(config, (list, tuple)):
        return type(config)(map(_without_sources, config))
    return config


def stored_metainfo(task: str, info: Mapping) -> dict[str, Any]:
    """Class names, colours, key points and whatever else a task's data set said when packed.

    Raises:
        ValueError: it is no plain data.
    """
    found = info.get('metainfo') or {}
    wrong = data(found)
    if wrong:
        raise ValueError(f'task {task!r}, metainfo: {wrong}')
    return copy.deepcopy(dict(found))


def first_refusal(info: Mapping, trust: Collection[str]) -> Refusal | None:
    """What keeps a task from being evaluated, if anything does."""
    found = (r for part in TESTED for r in _refusals(info, part, trust))
    return next(found, None)


def needed(task: str, info: Mapping, trust: Collection[str]) -> tuple[str, ...]:
    """The classes that whoever opens a task has to trust, by module and name.

    Args:
        task: what errors call it.
        info: what the deposit is to hold of it, see ``pack``.
        trust: what the one who packs trusts; models and pipelines need no more than that.

    Raises:
        Untrusted: they do, or something is let in by no trust.
    """
    for part in USED:
        check_trusted(task, info, part, trust)
    names: set[str] = set()
    while True:
        found = [r for part in (*USED, *TESTED) for r in _refusals(info, part, names)]
        for refusal in found:
            if not refusal.name or refusal.name in names:
                raise Untrusted(f'task {task!r}, {refusal}')
        if not found:
            return tuple(sorted(names))
        # What is below a class is looked at when that is trusted.
        names |= {refusal.name for refusal in found}


def _refusals(info: Mapping, part: str, trust: Collection[str]) -> list[Refusal]:
    return list(refusals(info['scope'], _part(info, part), trust, hints_of(info)))


def _part(info: Mapping, part: str) -> Any:
    if part == 'pipeline':
        loader = info.get('val_dataloader')
        return prepared_dataset(loader).get('pipeline') if loader is not None else None
    return info.get(part)
