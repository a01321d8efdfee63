"""One recipe for weights that all tasks share."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from typing import Any

from mmengine.config import ConfigDict
from mmengine.registry import (
    OPTIM_WRAPPER_CONSTRUCTORS,
    OPTIM_WRAPPERS,
    OPTIMIZERS,
    Registry,
)

from mdl_nas_mm.utils.registries import named_in, registry_of

LAYER_DECAY = 'LearningRateDecayOptimWrapperConstructor'


def common_recipe(recipes: Mapping[str, Mapping | None], scopes: Mapping[str, str]) -> Mapping:
    """The ``optim_wrapper`` of all tasks' upstream configs, if it is one and the same.

    Shared weights are trained by one optimizer (the paper: the same learning rate and decay).

    Args:
        recipes: task -> the ``optim_wrapper`` of its config, or None.
        scopes: task -> the library of its config. What only that one knows is named with it.

    Raises:
        ValueError: a task has none, or two differ (names the first difference).
    """
    missing = [task for task, other in recipes.items() if other is None]
    if missing:
        raise ValueError(
            f'joint config: optim_wrapper is missing, and task {missing[0]!r} has none either'
        )
    named = {
        task: _with_library(recipe, scopes[task])
        for task, recipe in recipes.items()
        if recipe is not None
    }
    (first, recipe), *others = named.items()
    for task, other in others:
        different = _difference(recipe, other, 'optim_wrapper')
        if different:
            key, ours, theirs = different
            raise ValueError(
                f'tasks {first!r} and {task!r} have different recipes, {key} is {ours!r} and '
                f'{theirs!r}; shared weights need one: give the joint config an optim_wrapper'
            )
    return recipe


def is_layer_decay(recipe: Mapping) -> bool:
    """Whether learning rates fall with the depth as mmpretrain's constructor does it."""
    return str(recipe.get('constructor')).rpartition('.')[2] == LAYER_DECAY


def with_weight_decay(recipe: Mapping) -> Mapping:
    """The recipe as mmpretrain's layer-wise decay needs it: the optimizer's own decay is stated."""
    if not is_layer_decay(recipe) or recipe['optimizer'].get('weight_decay') is not None:
        return recipe
    recipe = copy.deepcopy(recipe)
    kind = named_in(recipe['optimizer'], OPTIMIZERS, 'mdl_nas_mm', 'optim_wrapper.optimizer')
    usual = inspect.signature(kind).parameters.get('weight_decay')
    recipe['optimizer']['weight_decay'] = usual.default if usual is not None else 0.0
    return recipe


def _with_library(recipe: Mapping, scope: str) -> ConfigDict:
    """The recipe with ``<scope>.`` before the names that are registered in that library alone."""
    own = ConfigDict(copy.deepcopy(recipe))
    optimizer = own.get('optimizer', ConfigDict())
    places = [(own, 'type', OPTIM_WRAPPERS), (optimizer, 'type', OPTIMIZERS)]
    for config, key, registry in [*places, (own, 'constructor', OPTIM_WRAPPER_CONSTRUCTORS)]:
        if isinstance(config.get(key), str):
            config[key] = _name_in(config[key], registry, scope)
    return own


def _name_in(name: str, registry: Registry, scope: str) -> str:
    with registry_of(scope, registry) as own:
        own.import_from_location()
        return f'{scope}.{name}' if own.scope == scope and name in own.module_dict else name


def _difference(ours: Any, theirs: Any, key: str) -> tuple[str, Any, Any] | None:
    """Where two configs differ first: the key and both values."""
    if not (isinstance(ours, Mapping) and isinstance(theirs, Mapping)):
        return None if ours == theirs else (key, ours, theirs)
    for name in dict.fromkeys((*ours, *theirs)):
        found = _difference(ours.get(name), theirs.get(name), f'{key}.{name}')
        if found:
            return found
    return None
