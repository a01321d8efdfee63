"""Which upstream models can take the elastic backbone: said before anything is built."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from mmengine.registry import MODELS as ROOT_MODELS

from mdl_nas_mm.utils.registries import registered


def check_model(task: str, scope: str, model: Mapping) -> None:
    """Raises ValueError for a model that has no ``backbone``, or asks other things of it.

    Args:
        task: what errors call it.
        scope: the library of the model.
        model: config of a task's model, with the backbone that it has upstream.
    """
    where = f'task {task!r}: its model {model.get("type")!r}'
    kind = registered(model.get('type'), ROOT_MODELS, scope)
    if kind is None:
        raise ValueError(f'{where} is not one of {scope}')
    parameters = list(inspect.signature(kind).parameters.values())
    names = {parameter.name for parameter in parameters}
    if 'backbone' not in names and not any(p.kind is p.VAR_KEYWORD for p in parameters):
        inside = [k for k, v in model.items() if isinstance(v, Mapping) and 'backbone' in v]
        instead = f'; give its {inside[0]} as the model of the task' if inside else ''
        place = f'its backbone in {inside[0]}.backbone' if inside else 'no backbone'
        raise ValueError(f'{where} has {place}, so it cannot have the elastic one{instead}')
    backbone = registered((model.get('backbone') or {}).get('type'), ROOT_MODELS, scope)
    if backbone is not None and 'mask' in inspect.signature(backbone.forward).parameters:
        raise ValueError(
            f'{where} is trained with a backbone that takes masks, {backbone.__name__}, which the '
            'elastic ones do not; load its weights with init_cfg instead'
        )
