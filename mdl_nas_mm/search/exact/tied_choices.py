"""Tasks that have parts of their architectures in common choose together.

Of the architectures of such tasks those go together that agree in what is tied. Where that is the
backbone, and each task has a decoder of its own, there are as many combinations with one backbone
as decoders that were scored with it; most of them are never needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mdl_nas_mm.spec import SubnetSpec

from ..ties import Ties
from .choices import Choices

# Leading place -> stages.
_Tied = dict[str, tuple]


def tied_choices(
    choices: Choices, specs: Mapping[str, Sequence[SubnetSpec]], ties: Ties
) -> tuple[Choices, list[np.ndarray]]:
    """What groups of tasks choose from.

    Args:
        choices: of each task.
        specs: task -> its architectures, in the order of the choices.
        ties: which of them go together.

    Returns:
        The choices of each group of ``ties.groups``, and what these are of: a group ->
        (choices, tasks), numbers of the tasks' own.
    """
    place, groups, numbers = {task: i for i, task in enumerate(specs)}, [], []
    for group in ties.groups:
        found = _of_task(choices, place[group[0]])
        rows = np.arange(len(specs[group[0]]))[:, None]
        tied = [ties.tied_stages(group[0], spec) for spec in specs[group[0]]]
        for task in group[1:]:
            own = [ties.tied_stages(task, spec) for spec in specs[task]]
            pairs, tied = _agreeing(tied, own)
            found = _combined(found, _of_task(choices, place[task]), pairs)
            rows = np.concatenate((rows[pairs[:, 0]], pairs[:, 1:]), axis=1)
            kept = _needed(found, tied)
            found, rows, tied = found.keep([kept]), rows[kept], [tied[i] for i in kept]
        groups.append(found)
        numbers.append(rows)
    scores, own, shares = zip(*((f.scores[0], f.own[0], f.shares[0]) for f in groups))
    return Choices(scores, own, shares, choices.sizes), numbers


def _of_task(choices: Choices, i: int) -> Choices:
    return Choices([choices.scores[i]], [choices.own[i]], [choices.shares[i]], choices.sizes)


def _agreeing(first: Sequence[_Tied], second: Sequence[_Tied]) -> tuple[np.ndarray, list[_Tied]]:
    """(pairs, 2) numbers of those that agree, in their order, and what each pair has tied."""
    common = sorted(first[0].keys() & second[0].keys()) if first and second else []
    of_key: dict[tuple, list[int]] = {}
    for j, stages in enumerate(second):
        of_key.setdefault(tuple(stages[place] for place in common), []).append(j)
    pairs, tied = [], []
    for i, stages in enumerate(first):
        for j in of_key.get(tuple(stages[place] for place in common), ()):
            pairs.append((i, j))
            tied.append({**second[j], **stages})
    return np.array(pairs, np.int64).reshape(-1, 2), tied


def _combined(first: Choices, second: Choices, pairs: np.ndarray) -> Choices:
    """One choice for each pair: what one of its tasks shares is shared."""
    i, j = pairs.T
    return Choices(
        [first.scores[0][i] + second.scores[0][j]],
        [first.own[0][i] + second.own[0][j]],
        [np.maximum(first.shares[0][i], second.shares[0][j])],
        first.sizes,
    )


def _needed(choices: Choices, tied: Sequence[_Tied]) -> np.ndarray:
    """Numbers of the choices without those that others with the same ties can take the place of."""
    alike: dict[tuple, list[int]] = {}
    for i, stages in enumerate(tied):
        alike.setdefault(tuple(sorted(stages.items(), key=lambda item: item[0])), []).append(i)
    kept = []
    for rows in alike.values():
        of_rows = choices.keep([np.array(rows)])
        kept += [rows[i] for i in of_rows.undominated()[0]] if len(rows) > 1 else rows
    return np.array(sorted(kept), np.int64)
