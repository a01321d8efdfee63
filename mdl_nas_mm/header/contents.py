"""A deposit's table of contents, from its header alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from mdl_nas_mm.spec import Counts
from mdl_nas_mm.utils.amounts import shown_score

from .entries import DTYPES, HeaderEntry, opened, read_entries
from .manifest import decode, malformed
from .names import head_keys

# What the names of weights of the backbones begin with.
_WEIGHTS = ('shared/', 'specific/', 'difference/')


def contents(path: str | Path) -> Iterator[str]:
    """Line by line the tasks of a deposit, and what it holds against separate files.

    No class that it names is looked up, and no tensor is read.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is cut short, altered, or no deposit.
    """
    manifest, entries = _header(path)
    with malformed(f'deposit {path}: manifest'):
        lines = list(_lines(manifest, entries, Path(path).stat().st_size))
    yield from lines


def tasks_of(path: str | Path) -> list[str]:
    """The names of a deposit's tasks.

    Raises:
        FileNotFoundError, ValueError: see ``contents``.
    """
    manifest, _ = _header(path)
    with malformed(f'deposit {path}: manifest'):
        return list(manifest['tasks'])


def check_task(path: str | Path, task: str | None, tasks: Collection[str]) -> None:
    """Raises ValueError for a task that is not one of those of a deposit."""
    if task not in tasks:
        raise ValueError(f'deposit {path}: no task {task!r}, it has {sorted(tasks)}')


def _header(path: str | Path) -> tuple[Mapping, Mapping[str, HeaderEntry]]:
    with opened(path) as file:
        metadata, entries = read_entries(file)
    return decode(metadata, str(path), None), entries


def metric_of(info: Mapping[str, Any]) -> str:
    """Name of the metric that is a deposited task's score; ``'-'`` where the deposit names none.

    Args:
        info: see ``Deposit.tasks``.
    """
    score = info.get('score', '-')
    return score if isinstance(score, str) else score['metric']


def unit_of(info: Mapping[str, Any]) -> float:
    """What one of a deposited task's metric counts in its score, as ``shown_score`` takes it.

    Args:
        info: see ``Deposit.tasks``.
    """
    score = info.get('score')
    scale = score.get('scale') if isinstance(score, Mapping) else None
    # Percent and fractions, which are named, are shown in percent.
    return scale if isinstance(scale, (int, float)) else 1.0


def _lines(manifest: Mapping, entries: Mapping[str, HeaderEntry], size: int) -> Iterator[str]:
    width, counts = _width(entries), Counts(**manifest['counts'])
    rows = [('task', 'library', 'metric', 'score', 'shared', 'own', 'head', 'sharing')]
    for task, info in manifest['tasks'].items():
        own, whole = counts.specific[task], counts.backbones[task]
        heads = [entries[name] for name in set(chain(*head_keys(task, entries).values()))]
        rows.append(
            (
                task,
                info['scope'],
                metric_of(info),
                shown_score(info['scored'], unit_of(info)) if 'scored' in info else '-',
                _bytes((whole - own) * width),
                _bytes(own * width),
                _bytes(sum(entry.end - entry.start for entry in heads)),
                f'{100 * (whole - own) / max(whole, 1):.1f} %',
            )
        )
    yield from (_aligned(row, rows) for row in rows)
    unscored = [task for task, info in manifest['tasks'].items() if 'scored' not in info]
    if unscored:
        yield f'no score is stored of {", ".join(unscored)}: mdl-nas deposit test evaluates'
    if 'control' in manifest:
        front = len(manifest['control']['front'])
        yield f'controlled by budget and preferences: {front} calibrated architectures'
        for table in manifest['control']['latency']:
            yield f'latencies: {machine_of(table["timing"], table["about"])}'
    yield f'shared, once: {_bytes(counts.shared * width)}; the file: {_bytes(size)}'
    stored, separate = counts.total, counts.separate
    yield (
        f'{stored:,} parameters, {separate:,} as separate models '
        f'({100 * stored / max(separate, 1):.1f} %)'
    )


def machine_of(timing: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """Where a latency table was measured, as people are told of it.

    Args:
        timing, about: of ``LatencyTable.to_dict``.
    """
    threads = f', {timing["threads"]} threads' if timing['device'] == 'cpu' else ''
    hardware = about.get('hardware', 'unknown hardware')
    found = f'{timing["device"]}, {hardware}{threads}, {timing["batch_size"]} images'
    if not found.isprintable():
        raise ValueError(f'latency: {ascii(found)[:80]} is no machine')
    return found


def _width(entries: Mapping[str, HeaderEntry]) -> int:
    """Bytes of an element of the backbones' weights."""
    found = (entry for name, entry in entries.items() if name.startswith(_WEIGHTS))
    return next((DTYPES[entry.dtype] for entry in found), 4)


def _bytes(count: int) -> str:
    return f'{count:,} B' if count < 100_000 else f'{count / 1e6:,.2f} MB'


def _aligned(row: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """One line: words to the left, numbers to the right."""
    widths = [max(len(each[i]) for each in rows) for i in range(len(row))]
    cells = [
        cell.ljust(w) if i < 3 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths))
    ]
    return '  '.join(cells).rstrip()
