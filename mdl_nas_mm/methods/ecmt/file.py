"""A deposit whose architectures are chosen when it is used: what it has beside the largest ones.

These are the predictor, calibrated architectures, images to calibrate others with, latency tables
and, as a deposit's own tasks say one architecture of elastic parts, the tasks' models with all of
their choices. Nothing in it is executed; classes pass the same door as those of any deposit.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from mmengine.config import ConfigDict
from safetensors import SafetensorError
from torch import Tensor

from mdl_nas_mm.deposit import Control, Deposit, load_around_one
from mdl_nas_mm.deposit.size_limit import SizeLimit
from mdl_nas_mm.elastic.known import part_class
from mdl_nas_mm.elastic.latency_table import LatencyTable
from mdl_nas_mm.header.numbers import check_numbers
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.search.loss_predictor import LossPredictor
from mdl_nas_mm.spec.owners import in_backbone, task_entry
from mdl_nas_mm.tasks import MultiTaskModel, task_scope
from mdl_nas_mm.tasks.part_flops import weightless
from mdl_nas_mm.trust import check_config
from mdl_nas_mm.utils.budgets import MACS, MILLISECONDS, PARAMS
from mdl_nas_mm.utils.process_wide import process_wide

from .controller import Configuration, Controller
from .costs import Size
from .evolve import Evolution
from .runtime import Calibrated, ControlledModel
from .tables import chosen_table

WHOLE_SPACE = 'subspace: what is controlled is the whole space of the backbone'
_DAMAGE = (LookupError, TypeError, AttributeError, RuntimeError, SafetensorError)


def control_of(
    model: Mapping[str, Any],
    controlled: ControlledModel,
    sizes: Mapping[str, Size],
    tables: Sequence[LatencyTable] = (),
) -> Control:
    """What a deposit of a controlled model keeps beside its weights.

    Args:
        model: config of the joint model, ``cfg.model`` of a resolved joint config.
        controlled: the model with its front.
        sizes: task -> (height, width) of images that multiply-adds were counted with.
        tables: latency tables of machines where it runs.

    Raises:
        ValueError: a part of the space alone is controlled.
    """
    controller = controlled.controller
    if controller.columns.spaces != controlled.model.spaces:
        raise ValueError(WHOLE_SPACE)
    tensors = {f'predictor/{k}': v for k, v in controller.predictor.weights.items()}
    images, places = _distinct(controlled.images)
    tensors |= {f'images/{number}': values for number, values in enumerate(images)}
    front = []
    for number, member in enumerate(controlled.front):
        found = member.found
        tensors |= {f'front/{number}/{k}': v for k, v in member.statistics.items()}
        own = dict(row=found.row.tolist(), cost=found.cost, unit=found.unit, budget=member.budget)
        own |= dict(losses=found.losses, preferences=found.preferences, lowered=found.lowered)
        front.append(own)
    about = dict(
        models={task: dict(own['model']) for task, own in model['tasks'].items()},
        predictor=controller.predictor.about,
        sizes={task: list(size) for task, size in sizes.items()},
        evolution=asdict(controller.evolution),
        alike=[list(related) for related in controller.alike],
        front=front,
        images=places,
        latency=[table.to_dict() for table in tables],
    )
    kept = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    return Control(about, kept)


def load_controlled(
    path: str | Path, trust: Collection[str] = (), latency: str | Path | None = None
) -> ControlledModel:
    """The model of a controlled deposit; which architecture is active has to be said first.

    Args:
        path: the deposit.
        trust: classes that it may name beside those that are known, as ``module.Class``.
        latency: for budgets in milliseconds; see ``chosen_table``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no controlled deposit, damaged, or names what is not trusted; or there is
            no such table.
    """
    deposit = Deposit(path, trust)
    control, where = deposit.control(), f'deposit {path}: control'
    try:
        about = control.about
        tables = [LatencyTable.from_dict(each, where) for each in about['latency']]
        table = chosen_table(tables, latency)
        config = _config(deposit, about['models'], where)
        model = _model(deposit, config)
        predictor = LossPredictor.of(about['predictor'], _under('predictor/', control.tensors))
        sizes: dict[str, Size] = {t: (int(h), int(w)) for t, (h, w) in about['sizes'].items()}
        # The seed is any number.
        check_numbers(dict(about['evolution'], seed=0), f'{where}: evolution')
        check_numbers(sizes, f'{where}: sizes')
        controller = Controller.of_model(
            weightless(config).eval(),
            predictor,
            sizes,
            Evolution(**about['evolution']),
            about['alike'],
            latency=table,
        )
        found = _under('images/', control.tensors)
        images = {task: found[str(number)] for task, number in about['images'].items()}
        front = [
            _member(own, _under(f'front/{number}/', control.tensors), controller)
            for number, own in enumerate(about['front'])
        ]
        return ControlledModel(model, controller, images, front)
    except FileNotFoundError:
        raise
    except ValueError as error:
        text = str(error)
        raise ValueError(text if text.startswith('deposit ') else f'{where}: {text}') from None
    except _DAMAGE as error:
        raise ValueError(f'{where}: damaged ({str(error)[:200]!r})') from None


def _distinct(images: Mapping[str, Tensor]) -> tuple[list[Tensor], dict[str, int]]:
    """Images of tasks, those that several have in common once, and which are whose."""
    found: list[Tensor] = []
    places: dict[str, int] = {}
    for task, own in images.items():
        known = (i for i, values in enumerate(found) if torch.equal(values, own))
        places[task] = next(known, len(found))
        if places[task] == len(found):
            found.append(own)
    return found, places


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _config(deposit: Deposit, models: Mapping[str, Mapping], where: str) -> ConfigDict:
    """The joint model's config, once it is known what its tasks name."""
    if list(models) != list(deposit.tasks):
        raise ValueError(f'models of {list(models)}, the tasks are {list(deposit.tasks)}')
    tasks = {}
    for task, config in models.items():
        scope, text = deposit.tasks[task]['scope'], f'{where}: task {task!r}, model'
        parts = [kind for kind in map(part_class, config.values()) if kind is not None]
        known = [f'{kind.__module__}.{kind.__qualname__}' for kind in parts]
        check_config(scope, config, text, [*deposit.trust, *known])
        check_numbers(config, text)
        tasks[task] = dict(scope=scope, model=config)
    backbone = deposit.manifest['backbone']
    return ConfigDict(dict(type='MultiTaskModel', backbone=backbone, tasks=tasks))


def _model(deposit: Deposit, config: ConfigDict) -> MultiTaskModel:
    """The joint model with the weights of the largest architectures, which are all of them."""
    weights: dict[str, Tensor] = {}
    for task, own in load_around_one(deposit, list(deposit.tasks)).items():
        for key, value in own.state_dict().items():
            weights[key if in_backbone(key) else task_entry(task, key)] = value
    stored = sum(math.prod(value.shape) for value in weights.values())
    with process_wide(), SizeLimit(stored, len(weights), f'deposit {deposit.path}: control'):
        with task_scope('mdl_nas_mm'):
            model = MODELS.build(config)
    model.load_state_dict(weights)
    return model.eval()


def _member(own: Mapping[str, Any], statistics: dict, controller: Controller) -> Calibrated:
    columns = controller.columns
    row = torch.tensor(own['row'], dtype=torch.int64).numpy()
    if row.shape != columns.choices.shape or ((row < 0) | (row >= columns.choices)).any():
        raise ValueError('an architecture of its front lies outside of the space')
    if own['unit'] not in (MACS, PARAMS, MILLISECONDS):
        raise ValueError(f'an architecture of its front costs {ascii(own["unit"])[:80]}')
    found = Configuration(
        columns.joint(row),
        row,
        float(own['cost']),
        own['unit'],
        {task: float(own['losses'][task]) for task in columns.spaces},
        {task: float(own['preferences'][task]) for task in columns.spaces},
        float(own['lowered']),
        0.0,
    )
    return Calibrated(found, own['budget'], statistics)
