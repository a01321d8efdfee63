"""How far the tasks' gradients agree, layer by layer, and what a search shares there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from rich.table import Table

from mdl_nas_mm.utils.rank_correlation import spearman
from mdl_nas_mm.utils.strict_json import read_json


def read_conflicts(path: str) -> dict[str, Any]:
    """What ``tools/conflicts.py`` has written.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is something else.
    """
    found = read_json(path, path)
    try:
        conflict_table(found)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f'{path}: no conflicts.json of mdl-nas conflicts ({error!r})') from None
    return found


def conflict_table(conflicts: Mapping[str, Any]) -> Table:
    """Cosines and sizes of the gradients, a row a layer."""
    pairs, tasks = _pairs(conflicts), conflicts['tasks']
    title = f'gradients of what tasks share, over {conflicts["steps"]} steps: mean and deviation'
    table = Table(title=title)
    for name in ('layer', 'role'):
        table.add_column(name, no_wrap=True)
    for name in (*(f'cosine of {pair}' for pair in pairs), *(f'size of {t}' for t in tasks)):
        table.add_column(name, justify='right')
    for layer in (*conflicts['layers'], conflicts['whole']):
        table.add_row(layer['layer'], layer['role'], *shown_numbers(layer, pairs, tasks))
    return table


def shown_numbers(
    layer: Mapping[str, Any], pairs: Sequence[str], tasks: Sequence[str]
) -> list[str]:
    """The cosine of each pair and the size of each task, as mean and deviation."""
    cosines = [_shown(layer['cosine'].get(pair), '+.3f') for pair in pairs]
    return cosines + [_shown(layer['size'].get(task), '.3g') for task in tasks]


def beside_shares(report: Mapping[str, Any]) -> tuple[list[tuple], float | None]:
    """What a search shares of each layer, beside how far gradients agree there.

    Args:
        report: of a search, with ``conflicts``; see ``write_report``.

    Returns:
        Rows of layer, role, mean cosine, its shown numbers, and the part that is shared by each
        task; and the rank correlation (Spearman) of the mean cosines with the mean parts, over
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
    rows, pairs = [], []
    for layer in conflicts['layers']:
        parts = shares.get(layer['layer'])
        if not parts or not layer['cosine']:
            continue
        mean = fmean(each['mean'] for each in layer['cosine'].values())
        shown = shown_numbers(layer, _pairs(conflicts), conflicts['tasks'])
        shared = [f'{parts[task]:.0%}' if task in parts else '-' for task in tasks]
        rows.append((layer['layer'], layer['role'], f'{mean:+.3f}', *shown, *shared))
        if layer['role'] in partly:
            pairs.append((mean, fmean(parts.values())))
    columns = [np.array(column) for column in zip(*pairs)]
    return rows, spearman(*columns) if columns else None


def beside_names(report: Mapping[str, Any]) -> tuple[str, ...]:
    """What the columns of ``beside_shares`` are."""
    conflicts = report['conflicts']
    cosines = (f'cosine of {pair}' for pair in _pairs(conflicts))
    sizes = (f'size of {task}' for task in conflicts['tasks'])
    shared = (f'shared by {task}' for task in report['tasks'])
    return ('layer', 'role', 'mean cosine', *cosines, *sizes, *shared)


def _pairs(conflicts: Mapping[str, Any]) -> list[str]:
    found = (pair for layer in conflicts['layers'] for pair in layer['cosine'])
    return list(dict.fromkeys(found))


def _shown(number: Mapping[str, Any] | None, form: str) -> str:
    if number is None:
        return '-'
    deviation = '' if number['std'] is None else f' ± {number["std"]:{form.lstrip("+")}}'
    return f'{number["mean"]:{form}}{deviation}'
