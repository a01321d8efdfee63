"""How far the tasks' gradients agree, layer by layer, and what a search shares there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from rich.table import Table

from mdl_nas_mm.utils.rank_correlation import spearman
from mdl_nas_mm.utils.strict_json import read_json

# Three tasks have three pairs; four have six, which are wider than a terminal.
_MOST_PAIRS = 3


def read_conflicts(path: str) -> dict[str, Any]:
    """What ``tools/conflicts.py`` has written.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is something else.
    """
    found = read_json(path, path)
    try:
        conflict_tables(found)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f'{path}: no conflicts.json of mdl-nas conflicts ({error!r})') from None
    return found


def conflict_tables(conflicts: Mapping[str, Any]) -> list[Table]:
    """Cosines of the gradients, a row a layer; and, of the whole backbone, a row a task.

    They fit whatever the number of tasks: where there are more pairs than ``_MOST_PAIRS``, a row
    has the mean, the lowest and the highest cosine.
    """
    pairs, steps = compared_pairs(conflicts), conflicts['steps']
    layers = Table(title=f'gradients of what tasks share, over {steps} steps: mean and deviation')
    for name in ('layer', 'role', *cosine_names(pairs)):
        layers.add_column(name, overflow='fold')
    for layer in conflicts['layers']:
        layers.add_row(layer['layer'], layer['role'], *shown_cosines(layer, pairs))
    whole = conflicts['whole']
    tasks = Table(title='of all layers together')
    for name in ('task', 'size', 'mean cosine', 'lowest', 'highest'):
        tasks.add_column(name, overflow='fold')
    for task in conflicts['tasks']:
        others = {
            ', '.join(name for name in pair.split(', ') if name != task): cosine
            for pair, cosine in whole['cosine'].items()
            if task in pair.split(', ')
        }
        tasks.add_row(task, _shown(whole['size'].get(task), '.3g'), *_extremes(others))
    return [layers, tasks]


def compared_pairs(conflicts: Mapping[str, Any]) -> list[str]:
    """The pairs of tasks that share anything, as ``'a, b'``."""
    found = (pair for layer in conflicts['layers'] for pair in layer['cosine'])
    return list(dict.fromkeys(found))


def cosine_names(pairs: Sequence[str]) -> tuple[str, ...]:
    """What the columns of ``shown_cosines`` are."""
    if len(pairs) <= _MOST_PAIRS:
        return tuple(f'cosine of {pair}' for pair in pairs)
    return ('mean cosine', 'lowest', 'highest')


def shown_cosines(layer: Mapping[str, Any], pairs: Sequence[str]) -> tuple[str, ...]:
    """A layer's cosines as mean and deviation: of each pair, or of many the extreme ones."""
    if len(pairs) <= _MOST_PAIRS:
        return tuple(_shown(layer['cosine'].get(pair), '+.3f') for pair in pairs)
    return _extremes(layer['cosine'])


def _extremes(cosines: Mapping[str, Mapping[str, Any]]) -> tuple[str, str, str]:
    """The mean of several cosines; the lowest and the highest, and whose these are."""
    if not cosines:
        return '-', '-', '-'
    ordered = sorted(cosines, key=lambda pair: cosines[pair]['mean'])
    mean = fmean(each['mean'] for each in cosines.values())
    low, high = (f'{_shown(cosines[pair], "+.3f")} ({pair})' for pair in (ordered[0], ordered[-1]))
    return f'{mean:+.3f}', low, high


def beside_shares(report: Mapping[str, Any]) -> tuple[list[tuple], float | None]:
    """What a search shares of each layer, beside how far gradients agree there.

    Args:
        report: of a search, with ``conflicts``; see ``write_report``.

    Returns:
        Rows of layer, role, cosines, sizes of the tasks' gradients, and the part that is shared by
        each task; and the rank correlation (Spearman) of the mean cosines with the mean parts, over
        layers of a role that tasks may share in part. None where one of both is the same in all.
    """
    conflicts, tasks = report['conflicts'], report['tasks']
    shares: dict[str, dict[str, float]] = {}
    for task in tasks:
        for layer in report['layers'][task]:
            size = layer['shared'] + layer['specific']
            shares.setdefault(layer['layer'], {})[task] = layer['shared'] / size if size else 0.0
    partly = {
        layer['role'] for task in tasks for layer in report['layers'][task] if layer['specific']
    }
    rows, pairs, compared = [], [], compared_pairs(conflicts)
    for layer in conflicts['layers']:
        parts = shares.get(layer['layer'])
        if not parts or not layer['cosine']:
            continue
        mean = fmean(each['mean'] for each in layer['cosine'].values())
        cosines = shown_cosines(layer, compared)
        sizes = [_shown(layer['size'].get(task), '.3g') for task in conflicts['tasks']]
        shared = [f'{parts[task]:.0%}' if task in parts else '-' for task in tasks]
        rows.append((layer['layer'], layer['role'], *cosines, *sizes, *shared))
        if layer['role'] in partly:
            pairs.append((mean, fmean(parts.values())))
    columns = [np.array(column) for column in zip(*pairs)]
    return rows, spearman(*columns) if columns else None


def beside_names(report: Mapping[str, Any]) -> tuple[str, ...]:
    """What the columns of ``beside_shares`` are."""
    conflicts = report['conflicts']
    sizes = (f'size of {task}' for task in conflicts['tasks'])
    shared = (f'shared by {task}' for task in report['tasks'])
    return ('layer', 'role', *cosine_names(compared_pairs(conflicts)), *sizes, *shared)


def _shown(number: Mapping[str, Any] | None, form: str) -> str:
    if number is None:
        return '-'
    deviation = '' if number['std'] is None else f' ± {number["std"]:{form.lstrip("+")}}'
    return f'{number["mean"]:{form}}{deviation}'
