"""A controlled model in one file: all weights, the predictor, calibrated architectures, images.

It is a safetensors file, so nothing in it is executed. Its classes pass the same door as those of a
deposit. Tensors are named ``model.*``, ``predictor.*``, ``images.<number>``
and ``front.<number>.<name>``; the rest is JSON.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from mmengine.config import ConfigDict
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mdl_nas_mm.elastic.known import family_of, part_class
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.search.loss_predictor import LossPredictor
from mdl_nas_mm.tasks import MultiTaskModel, task_scope
from mdl_nas_mm.tasks.part_flops import weightless
from mdl_nas_mm.trust import check_config
from mdl_nas_mm.utils.files import written_whole
from mdl_nas_mm.utils.jsonable import from_json, to_json
from mdl_nas_mm.utils.strict_json import strict_json
from mdl_nas_mm.utils.tensor_header import read_header

from .controller import Configuration, Controller
from .costs import Size
from .evolve import Evolution
from .runtime import ControlledModel, Member

_KEY = 'controlled_model'
_DAMAGE = (LookupError, TypeError, AttributeError, RuntimeError, SafetensorError)


def save_controlled(
    path: str | Path, model: Mapping[str, Any], controlled: ControlledModel, sizes: Mapping
) -> None:
    """Writes a controlled model.

    Args:
        path: the file.
        model: config of the joint model, ``cfg.model`` of a resolved joint config.
        controlled: the model with its front.
        sizes: task -> (height, width) of images that multiply-adds were counted with.
    """
    controller = controlled.controller
    tensors = {f'model.{k}': v for k, v in controlled.model.state_dict().items()}
    tensors |= {f'predictor.{k}': v for k, v in controller.predictor.weights.items()}
    images, places = _distinct(controlled.images)
    tensors |= {f'images.{number}': values for number, values in enumerate(images)}
    front = []
    for number, member in enumerate(controlled.front):
        found = member.found
        tensors |= {f'front.{number}.{k}': v for k, v in member.statistics.items()}
        own = dict(row=found.row.tolist(), cost=found.cost, unit=found.unit, budget=member.budget)
        own |= dict(losses=found.losses, preferences=found.preferences, lowered=found.lowered)
        front.append(own)
    about = dict(
        model=to_json(dict(backbone=model['backbone'], tasks=model['tasks'])),
        predictor=controller.predictor.about,
        sizes={task: list(size) for task, size in sizes.items()},
        evolution=asdict(controller.evolution),
        alike=[list(related) for related in controller.alike],
        front=front,
        images=places,
    )
    with written_whole(Path(path)) as temporary:
        kept = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
        save_file(kept, temporary, {_KEY: json.dumps(about)})


def load_controlled(
    path: str | Path, trust: Collection[str] = (), latency: str | Path | None = None
) -> ControlledModel:
    """Reads what ``save_controlled`` wrote.

    Args:
        path: the file.
        trust: classes that it may name beside those that are known, as ``module.Class``.
        latency: a table that ``mdl-nas latency`` wrote on the machine where it runs, for budgets
            in milliseconds.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such file, damaged, or names what is not trusted.
    """
    where = f'controlled model {path}'
    if not Path(path).is_file():
        raise FileNotFoundError(f'{where} is not there')
    try:
        with open(path, 'rb') as file:
            header, _, _ = read_header(file)
        about, tensors = strict_json(header['__metadata__'][_KEY]), load_file(path)
        model = _model(about['model'], _under('model.', tensors), where, trust)
        predictor = LossPredictor.of(about['predictor'], _under('predictor.', tensors))
        sizes: dict[str, Size] = {t: (int(h), int(w)) for t, (h, w) in about['sizes'].items()}
        config = ConfigDict(dict(type='MultiTaskModel', **from_json(about['model'])))
        settings = Evolution(**about['evolution'])
        controller = Controller.of_model(
            weightless(config).eval(),
            predictor,
            sizes,
            settings,
            about['alike'],
            latency=latency,
        )
        found = _under('images.', tensors)
        images = {task: found[str(number)] for task, number in about['images'].items()}
        front = [
            _member(own, _under(f'front.{number}.', tensors), controller)
            for number, own in enumerate(about['front'])
        ]
        return ControlledModel(model, controller, images, front)
    except ValueError as error:
        text = str(error)
        raise ValueError(text if text.startswith(where) else f'{where}: {text}') from None
    except _DAMAGE as error:
        raise ValueError(f'{where}: damaged ({str(error)[:200]!r})') from None


def _distinct(images: Mapping[str, torch.Tensor]) -> tuple[list[torch.Tensor], dict[str, int]]:
    """Images of tasks, those that several have in common once, and which are whose."""
    found: list[torch.Tensor] = []
    places: dict[str, int] = {}
    for task, own in images.items():
        known = (i for i, values in enumerate(found) if torch.equal(values, own))
        places[task] = next(known, len(found))
        if places[task] == len(found):
            found.append(own)
    return found, places


def _under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _model(
    content: Any, weights: Mapping[str, torch.Tensor], where: str, trust: Collection[str]
) -> MultiTaskModel:
    """The joint model, once it is known that nothing is made which the file does not have."""
    config = from_json(content)
    family_of(config['backbone'], f'{where}: backbone')
    for task, info in config['tasks'].items():
        parts = [kind for kind in map(part_class, info['model'].values()) if kind is not None]
        known = [f'{kind.__module__}.{kind.__qualname__}' for kind in parts]
        text = f'{where}: task {task!r}, model'
        check_config(info['scope'], info['model'], text, [*trust, *known])
    whole = ConfigDict(dict(type='MultiTaskModel', **config))
    expected = {k: v.shape for k, v in weightless(whole).state_dict().items()}
    for name, shape in expected.items():
        if name not in weights or weights[name].shape != shape:
            raise ValueError(f'{where}: {name!r} is missing, or of another shape')
    with task_scope('mdl_nas_mm'):
        model = MODELS.build(whole)
    model.load_state_dict(dict(weights))
    return model.eval()


def _member(own: Mapping[str, Any], statistics: dict, controller: Controller) -> Member:
    columns = controller.columns
    row = torch.tensor(own['row'], dtype=torch.int64).numpy()
    if row.shape != columns.choices.shape or ((row < 0) | (row >= columns.choices)).any():
        raise ValueError('an architecture of its front lies outside of the space')
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
    return Member(found, own['budget'], statistics)
