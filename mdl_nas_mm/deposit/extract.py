"""Takes one task out of a deposit: a config and a checkpoint for the upstream library's tools."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.model import BaseModel
from mmengine.registry import MODELS as ROOT_MODELS
from torch import Tensor, nn

from mdl_nas_mm.elastic import ElasticBackbone, ElasticPart
from mdl_nas_mm.elastic.family import Family, NoStockClassError
from mdl_nas_mm.elastic.key_styles import find_style
from mdl_nas_mm.spec import SubnetSpec
from mdl_nas_mm.tasks import task_scope
from mdl_nas_mm.utils.files import written_whole
from mdl_nas_mm.utils.torch_file import write_torch_file
from mdl_nas_mm.version import __version__

from .config_text import config_text, header, types_of
from .configs import stored_metainfo
from .narrow import HEADS, narrow_config, narrow_weight
from .unpack import Deposit

# A stock class does the same sums in another order.
_TOLERANCE = 1e-5
# What of a supernet's config is nothing to one architecture.
_SUPERNET_ONLY = ('space', 'sharing', 'tasks', 'task', 'init_cfg')


def extract(
    path: str | Path,
    task: str,
    out_dir: str | Path,
    stock: bool | None = None,
    trust: Collection[str] = (),
    training: Mapping[str, Any] | None = None,
) -> str:
    """Writes a config and a checkpoint with which the upstream library's tools run a task.

    With a stock backbone the two need nothing of this package; the answers are then equal up to
    rounding. Otherwise the config needs the elastic backbone's class with a fixed architecture,
    says why, and the answers are equal bit for bit. Either is checked before anything is written.

    Args:
        path: the deposit.
        task: its name in the deposit.
        out_dir: where to write ``<task>_config.py`` and ``<task>.pth``.
        stock: True for a stock backbone, False for the elastic class, None for a stock backbone
            where all sizes fit one.
        trust: see ``Deposit``. Without it a data set or a metric of another class is left out.
        training: what the config says of a training that goes on from the checkpoint, see
            ``mdl_nas_mm.tasks.own_training``; without it nothing.

    Returns:
        The path of the config.

    Raises:
        FileNotFoundError: there is no such deposit.
        ValueError: it has no such task, the task fits no stock class (says the first thing that
            does not), its configs cannot be trusted, or one of the two files is there already.
    """
    config_path, checkpoint_path = (
        Path(out_dir) / f'{task}{end}' for end in ('_config.py', '.pth')
    )
    for file in (config_path, checkpoint_path):
        if file.exists():
            raise ValueError(f'{file} is there already; remove it or name another folder')
    deposit = Deposit(path, trust)
    deposited = deposit.load_task(task)
    built, why = None, 'as it was asked for'
    if stock is not False:
        try:
            built = _stock_model(deposit, task, deposited)
        except NoStockClassError as error:
            why = str(error)
            if stock:
                raise ValueError(f'task {task!r} fits no stock class: {why}') from None
    config, model = built or _elastic_model(deposit, task, deposited)
    if 'val_dataloader' in deposit.tasks[task]:
        deposit.check_trusted(task, 'pipeline')
    info = deposit.tasks[task]
    is_trained = training is not None
    top = header(deposit.path.name, task, info['scope'], why, config, is_trained)
    where = f'task {task!r}'
    text = config_text(config, info, checkpoint_path.name, where, top, trust, training)
    meta = dict(dataset_meta=stored_metainfo(task, info), mdl_nas_mm_version=__version__)
    write_torch_file(checkpoint_path, dict(meta=meta, state_dict=model.state_dict()))
    with written_whole(config_path) as temporary:
        temporary.write_text(text, encoding='utf-8')
    return str(config_path)


def _elastic_model(deposit: Deposit, task: str, deposited: BaseModel) -> tuple[dict, BaseModel]:
    """The model with the elastic backbone's class, and its config."""
    backbone: ElasticBackbone = deposited.backbone
    kept = {k: v for k, v in deposit.manifest['backbone'].items() if k not in _SUPERNET_ONLY}
    config = copy.deepcopy(deposit.tasks[task]['model'])
    config['backbone'] = dict(
        kept,
        **backbone.settings_of(None, backbone.arch),
        type=f'mdl_nas_mm.{type(backbone).__name__}',
        space=None,
        arch=_short_arch(backbone.arch, backbone.family),
        **backbone.family.derived_settings(backbone.shape),
    )
    model = _build(config, deposit.tasks[task]['scope'])
    model.load_state_dict(deposited.state_dict())
    _check_equal(model.backbone, deposited.backbone, lambda one, images: one(images), 0.0)
    return config, model


def _stock_model(deposit: Deposit, task: str, deposited: BaseModel) -> tuple[dict, BaseModel]:
    """The model with a stock backbone, and its config, or NoStockClassError."""
    scope, config = deposit.tasks[task]['scope'], deposit.tasks[task]['model']
    backbone: ElasticBackbone = deposited.backbone
    config = backbone.family.stock_model(backbone, scope, config)
    for name, part in deposited.named_children():
        if isinstance(part, ElasticPart) and part is not backbone:
            config[name] = part.family.stock_part(part, scope, config[name])
    widths = backbone.map_widths()
    try:
        config = narrow_config(config, widths)
    except ValueError as error:
        raise NoStockClassError(str(error)) from None
    own = [name for name in types_of(config) if name.startswith('mdl_nas_mm.')]
    if own:
        raise NoStockClassError(f'beside the backbone the task needs {own[0]}')
    model, state = _build(config, scope), deposited.state_dict()
    inner = {k.removeprefix('backbone.'): v for k, v in state.items() if k.startswith('backbone.')}
    inner = stock_weights(backbone.family, model.backbone, inner)
    fitted = {f'backbone.{key}': value for key, value in inner.items()}
    try:
        for key, value in model.state_dict().items():
            if not key.startswith('backbone.'):
                fitted[key] = narrow_weight(key, state[key], value.shape, widths)
        model.load_state_dict(fitted)
        _check_equal(model, deposited, _answers, _TOLERANCE)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise NoStockClassError(f'neck or head do not fit narrower maps: {error}') from None
    return config, model


def _build(config: Mapping, scope: str) -> BaseModel:
    with task_scope(scope):
        return ROOT_MODELS.build(ConfigDict(copy.deepcopy(config))).eval()


def stock_weights(
    family: Family, stock: nn.Module, weights: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """An elastic backbone's state dict in the keys of a stock one."""
    state = stock.state_dict()
    if family.stock_key is not None:
        return {key: weights[family.stock_key(key)] for key in state}
    found = find_style(family.styles, state)
    if found is None:
        raise NoStockClassError(f'the keys of {type(stock).__name__} are in no known style')
    style, _ = found
    return {
        key: value if key.endswith(style.computed) else weights[style.rename(key)]
        for key, value in state.items()
    }


@torch.no_grad()
def _check_equal(
    model: BaseModel,
    deposited: BaseModel,
    answers: Callable[[BaseModel, Tensor], Any],
    tolerance: float,
) -> None:
    """Raises ValueError unless two models answer the same, up to zeros, to random images."""
    backbone = getattr(deposited, 'backbone', deposited)
    for size in backbone.trial_sizes():
        shape = (1, backbone.shape.in_channels, *size)
        images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        pairs = zip(*(_tensors(answers(one, images)) for one in (model, deposited)), strict=True)
        for found, expected in pairs:
            zeros = expected.shape[1] - found.shape[1]
            found = F.pad(found.movedim(1, -1), (0, zeros)).movedim(-1, 1)
            difference = (found - expected).abs().max() / expected.abs().max().clamp(min=1e-12)
            if not difference <= tolerance:
                raise ValueError(f'answers to images of {size} differ by {difference:.1e}')


def _answers(model: BaseModel, images: Tensor) -> list[Tensor]:
    """What enters the heads, and what those make of it that may take a backbone's maps."""
    features = model.extract_feat(images)
    answers = _tensors(features)
    for name in HEADS:
        head = getattr(model, name, None)
        for one in head if isinstance(head, nn.ModuleList) else [head]:
            if isinstance(one, nn.Module):
                answers += _tensors(one(features))
    return answers


def _tensors(value: Any) -> list[Tensor]:
    return [value] if isinstance(value, Tensor) else [t for item in value for t in _tensors(item)]


def _short_arch(spec: SubnetSpec, family: Family) -> dict[str, Any]:
    """An architecture for a config: sizes alone, one number where all blocks have the same."""
    ratios = {dimension.name for dimension in family.dimensions.all if dimension.is_ratio}
    stages = []
    for stage in spec.to_dict()['stages']:
        short = {}
        for key, value in stage.items():
            if key not in ratios:
                alike = isinstance(value, list) and len(set(value)) == 1
                short[key] = value[0] if alike else value
        stages.append(short)
    return dict(stages=stages)
