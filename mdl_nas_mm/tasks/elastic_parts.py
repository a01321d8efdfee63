"""Elastic parts of the tasks' models, by their configs: which there are, and their choices."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from mdl_nas_mm.elastic import ElasticPart
from mdl_nas_mm.elastic.known import family_of, part_class
from mdl_nas_mm.elastic.plain import plain_config, without_memory
from mdl_nas_mm.elastic.supernet import Member
from mdl_nas_mm.spec import Dimensions, SearchSpace, SubnetSpec
from mdl_nas_mm.spec.owners import task_entry

from .scope import task_scope


def part_name(task: str, module: str) -> str:
    """The name in architectures of an elastic module of one task's model."""
    return f'{task}.{module}'


def part_spaces(model: Mapping) -> dict[str, dict[str, SearchSpace]]:
    """Task -> name of an elastic part -> its choices.

    These are the modules of an upstream model, a neck or a head, whose config names a class that
    is elastic.

    Args:
        model: the config of a joint model.

    Raises:
        ValueError: a space is not valid; names the part.
    """
    found: dict[str, dict[str, SearchSpace]] = {task: {} for task in model['tasks']}
    for task, info in model['tasks'].items():
        for module, config in info['model'].items():
            kind = part_class(config)
            if kind is None:
                continue
            name = part_name(task, module)
            if config.get('space') is None:
                raise ValueError(f"{name}: 'space', the choices of {kind.__name__}, is missing")
            try:
                found[task][name] = kind.family.space(config['space'], config)
            except ValueError as error:
                raise ValueError(f'{name}: {error}') from None
    return found


def members_of(tasks: Mapping[str, Mapping]) -> dict[str, Member]:
    """Name -> elastic part, without weights, of the tasks' model configs."""
    found = {}
    for task, info in tasks.items():
        for module, config in info['model'].items():
            kind = part_class(config)
            if kind is not None:
                given = {k: v for k, v in config.items() if k not in ('type', '_scope_')}
                with task_scope(info['scope']), without_memory():
                    part = kind(**copy.deepcopy(given))
                is_fed = takes_maps(info['model'], module)
                prefix = task_entry(task, module)
                member = Member(prefix, part, (task,), is_fed, is_here=False)
                found[part_name(task, module)] = member
    return found


def neck_of_maps(model: Mapping) -> dict | None:
    """The config of the neck that takes a backbone's maps, if any does.

    A neck that says no ``in_channels``, such as a pooling, passes their channels on.
    """
    neck = model.get('neck') or {}
    first = neck[0] if isinstance(neck, Sequence) else neck
    return first if 'in_channels' in first else None


def takes_maps(model: Mapping, module: str) -> bool:
    """Whether the backbone's channels go into a neck or a head, by the config of its model."""
    return module == 'neck' or neck_of_maps(model) is None


def joint_dimensions(model: Mapping) -> Dimensions:
    """What the architectures of a joint model are told, by its config."""
    dimensions = family_of(model['backbone']).dimensions
    parts = {
        name: space.dimensions
        for spaces in part_spaces(model).values()
        for name, space in spaces.items()
    }
    return dimensions.with_parts(parts)


def plain_model(
    config: Mapping[str, Any], task: str, parts: Mapping[str, ElasticPart], spec: SubnetSpec
) -> dict[str, Any]:
    """A task's model config in which elastic parts have just one architecture.

    Args:
        config: the task's upstream model config.
        task: whose parts are made plain.
        parts: name -> those of the supernet.
        spec: its architecture, with those of its parts.
    """
    found = dict(config)
    for name, _ in spec.parts:
        part, module = parts[name], name.removeprefix(f'{task}.')
        own = part.placed(spec)
        settings = part.settings_of(task, own)
        found[module] = plain_config(config[module], settings, own, part.family, part.shape)
    return found
