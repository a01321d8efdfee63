"""One recipe for weights that all tasks share."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any


def common_recipe(recipes: Mapping[str, Mapping | None]) -> Mapping:
    """The ``optim_wrapper`` of all tasks' upstream configs, if it is one and the same.

    Shared weights are trained by one optimizer (the paper: the same learning rate and decay).

    Args:
        recipes: task -> the ``optim_wrapper`` of its config, or None.

    Raises:
        ValueError: a task has none, or two differ (names the first difference).
    """
    (first, recipe), *others = recipes.items()
    missing = [task for task, other in recipes.items() if other is None]
    if missing:
        raise ValueError(
            f'joint config: optim_wrapper is missing, and task {missing[0]!r} has none either'
        )
    for task, other in others:
        different = _difference(recipe, other, 'optim_wrapper')
        if different:
            key, ours, theirs = different
            raise ValueError(
                f'tasks {first!r} and {task!r} have different recipes, {key} is {ours!r} and '
                f'{theirs!r}; shared weights need one: give the joint config an optim_wrapper'
            )
    return copy.deepcopy(recipe)


def _difference(ours: Any, theirs: Any, key: str) -> tuple[str, Any, Any] | None:
    """Where two configs differ first: the key and both values."""
    if not (isinstance(ours, Mapping) and isinstance(theirs, Mapping)):
        return None if ours == theirs else (key, ours, theirs)
    for name in dict.fromkeys((*ours, *theirs)):
        found = _difference(ours.get(name), theirs.get(name), f'{key}.{name}')
        if found:
            return found
    return None
