"""A joint config of new tasks for a base: a deposit or a trained supernet, which stays as it is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol

import torch
from mmengine.config import Config
from torch import Tensor, nn

from mdl_nas_mm.elastic import activate
from mdl_nas_mm.elastic.family import Family
from mdl_nas_mm.elastic.known import family_of, sharing_of
from mdl_nas_mm.registry import BASES, MODELS, WEIGHT_INITIALIZERS
from mdl_nas_mm.spec import JointSpec, SubnetSpec

from .input_size import input_size
from .scope import task_scope
from .subnets import given_spec, read_given_parts, read_given_spec

TRAINED = ('specific', 'scores', 'head', 'all')
# What a backbone may have otherwise than its base: it changes neither weights nor answers.
OWN_SETTINGS = ('drop_path_rate', 'with_cp')


class Base(Protocol):
    """Where new tasks start from; also the initializer of their backbone's weights.

    Registered in ``BASES``, and with the initializers.

    Attributes:
        what: kind of file, for messages.
        backbone: config of the base's backbone.
        tasks: its tasks.
        joint: their architectures; None where none were chosen yet.
        is_whole: whether it has all weights and the scores of its space, not just the ones that
            its architectures use.
    """

    what: str
    backbone: Mapping
    tasks: tuple[str, ...]
    joint: JointSpec | None
    is_whole: bool

    @staticmethod
    def reads(path: str) -> bool:
        """Whether a file is such a base; one that is not there is if its name says so."""

    @staticmethod
    def init_cfg(
        path: str, inherit: str | None, trust_checkpoint: bool, trust: Collection[str]
    ) -> dict[str, Any]:
        """The config from which it is built; see ``open_base``."""

    def __call__(self, module: nn.Module) -> None:
        """Fills the shared weights, and every task's own with those of the inherited task."""

    def entries(self, task: str, module: str) -> dict[str, Tensor]:
        """Entries of a module of a task's upstream model, by their keys in the model.

        Args:
            task: of the base.
            module: path of what is no part of the backbone.

        Raises:
            ValueError: the task shares output channels of one with others.
        """


def open_base(
    path: str, inherit: str, trust_checkpoint: bool = False, trust: Collection[str] = ()
) -> tuple[Base, dict]:
    """A base, and the ``init_cfg`` of a backbone that starts from it.

    Args:
        path: a deposit, or the checkpoint of a supernet.
        inherit: the task of the base that new ones start from.
        trust_checkpoint: whether a supernet's checkpoint may hold more than data.
        trust: classes that a deposit may name beside those that are known.

    Raises:
        FileNotFoundError, ValueError: there is no such file, or it is neither a deposit nor a
            supernet's checkpoint.
    """
    BASES.import_from_location()
    kinds = BASES.module_dict.values()
    kind = next((kind for kind in kinds if kind.reads(path)), None)
    if kind is None:
        known = ' nor '.join(kind.what for kind in kinds)
        raise ValueError(f'base {path} is neither {known}')
    init_cfg = kind.init_cfg(path, inherit, trust_checkpoint, trust)
    return WEIGHT_INITIALIZERS.build(init_cfg), init_cfg


def resolve_base(cfg: Config, folder: str) -> tuple[str, ...] | None:
    """Takes over from the ``base`` what new tasks have in common with it.

    ``base`` is a deposit, or the checkpoint (``.pth``) of a supernet. Its backbone becomes the
    config's; ``inherit`` names the task whose own weights, architecture and kind of output the
    new tasks start from. Where a supernet has no chosen architectures, ``joint_spec`` gives
    them, of the new tasks or of the inherited one. ``trained`` says what is trained:

    - ``specific``, the default: the new tasks' own weights and heads (the paper's "(S)");
    - ``scores``: these, and the mask policy's scores, of which the task has a copy ("(D)");
    - ``head``: the heads alone;
    - ``all``: everything. The result can then not be added to the base.

    ``trust`` names classes of a deposit that are no known ones, see ``mdl_nas_mm.trust``. A part
    (``parts``) may be that of a task of the base, ``of='seg'``: its weights are then frozen as
    well, and a deposit that has them already gets no others.

    Args:
        cfg: the joint config, changed in place.
        folder: what the path of a ``joint_spec`` starts from; else the current folder.

    Returns:
        The tasks of the base; None without one.

    Raises:
        ValueError: the base has no such task, or has one of a new task's name; the config says
            something else of the backbone than the base; or see ``open_base``.
        FileNotFoundError: the base is not there.
    """
    if cfg.get('base') is None:
        for key in ('inherit', 'trained', 'trust'):
            if cfg.get(key) is not None:
                raise ValueError(f"{key}: of no use without 'base', a deposit or a supernet")
        return None
    inherit = cfg.get('inherit')
    trusted = cfg.get('trust_checkpoint', False), cfg.get('trust') or ()
    base, init_cfg = open_base(cfg.base, inherit, *trusted)
    where = f'base {cfg.base}'
    if inherit not in base.tasks:
        given = "'inherit' names none" if inherit is None else f'it has no {inherit!r}'
        raise ValueError(f'{where}: which task to start from? {given} of {sorted(base.tasks)}')
    for name in cfg.tasks:
        if name in base.tasks:
            raise ValueError(f'{where} has a task {name!r} already; give the new one another name')
    cfg.trained = cfg.get('trained') or TRAINED[0]
    _check_trained(cfg, base, where)
    specs = _specs(cfg, base, where, folder)
    # Which parts the new tasks have is known to their configs, which are read later.
    parts = {} if cfg.get('joint_spec') is None else read_given_parts(cfg.joint_spec, folder)
    cfg.joint_spec = {
        name: dict(spec.to_dict(), **(dict(parts=parts[name]) if name in parts else {}))
        for name, spec in specs.items()
    }
    _take_backbone(cfg, base.backbone, inherit, where)
    cfg.backbone.init_cfg = init_cfg
    return base.tasks


def _check_trained(cfg: Config, base: Base, where: str) -> None:
    if cfg.trained not in TRAINED:
        raise ValueError(f'trained: {cfg.trained!r} is not one of {TRAINED}')
    if cfg.trained != 'scores':
        return
    if not sharing_of(base.backbone, where).has_scores:
        raise ValueError(f"{where} has no layer under the mask policy; trained='scores' is for it")
    if not base.is_whole:
        raise ValueError(
            f"{where} has of each channel the shared or the specific weight; trained='scores' "
            'needs both, which the supernet that it was made from has'
        )
    if len(cfg.tasks) > 1:
        raise ValueError(
            f"trained='scores': {sorted(cfg.tasks)} would share one copy of the scores; add one "
            'task after the other'
        )


def _specs(cfg: Config, base: Base, where: str, folder: str) -> dict[str, SubnetSpec]:
    """The architecture of each new task."""
    joint = base.joint
    if cfg.get('joint_spec') is not None:
        dimensions = family_of(base.backbone, where).dimensions
        given = read_given_spec(cfg.joint_spec, dimensions, folder)
        own = None if joint is None else {joint[cfg.inherit]}
        if not base.is_whole and {*given.values()} != own:
            raise ValueError(
                f'{where} has the weights of its own architectures alone; remove joint_spec, or '
                'give the supernet that it was made from'
            )
        joint = given
    if joint is None:
        raise ValueError(
            f"{where} is a supernet; give 'joint_spec', the architectures that a search chose"
        )
    for name in cfg.tasks:
        if cfg.inherit not in joint and name not in joint:
            raise ValueError(
                f'joint_spec: no architecture for {name!r} nor {cfg.inherit!r}, it has '
                f'{sorted(joint)}'
            )
    return {name: joint[name if name in joint else cfg.inherit] for name in cfg.tasks}


def _take_backbone(cfg: Config, theirs: Mapping, inherit: str, where: str) -> None:
    """Makes the base's backbone the config's; each new task has the outputs of the inherited."""
    stated, family = dict(cfg.get('backbone') or {}), family_of(theirs, where)
    for key, value in stated.items():
        if key in OWN_SETTINGS:
            continue
        if _value(family, key, dict(theirs, **{key: value})) != _value(family, key, theirs):
            raise ValueError(f'backbone.{key} differs from that of {where}; remove it')
    left_out = ('tasks', 'task', 'arch', 'init_cfg')
    cfg.backbone = {key: value for key, value in theirs.items() if key not in left_out}
    cfg.backbone.update({key: stated[key] for key in OWN_SETTINGS if key in stated})
    for key, setting in family.task_settings.items():
        if isinstance(theirs.get(key), Mapping):
            cfg.backbone.pop(key)
        elif not setting.is_output:
            continue
        if key in theirs:
            value = theirs[key]
            usual = value[inherit] if isinstance(value, Mapping) else value
            for task in cfg.tasks.values():
                task.backbone = {key: usual, **task.get('backbone', {})}


def _value(family: Family, key: str, backbone: Mapping) -> Any:
    """A setting of a backbone's config in a form that can be compared."""
    value = backbone.get(key)
    if value is not None and key == 'space':
        return family.space(value, backbone)
    if key == 'sharing':
        return sharing_of(backbone)
    return tuple(value) if isinstance(value, list) else value


def check_inputs(cfg: Config) -> None:
    """Runs the new tasks' architectures, without memory, on images of their size.

    Raises:
        ValueError: an architecture cannot be used with the size; says why.
    """
    joint = given_spec(cfg)
    with task_scope('mdl_nas_mm'), torch.device('meta'):
        backbone = MODELS.build(cfg.model.backbone)
    channels = backbone.shape.in_channels
    for task, spec in joint.items():
        for key in ('train_dataloader', 'search_dataloader'):
            size = input_size(cfg[key][task])
            if size is None:
                continue
            try:
                with torch.no_grad(), activate(task, spec):
                    backbone(torch.empty(1, channels, *size, device='meta'))
            except ValueError as error:
                raise ValueError(
                    f'task {task!r}, images of {size[0]} x {size[1]}, architecture of '
                    f'{cfg.inherit!r}: {error}'
                ) from None
