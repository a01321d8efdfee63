"""A trained supernet as the base of new tasks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mdl_nas_mm.elastic import ElasticBackbone
from mdl_nas_mm.elastic.known import backbone_class, family_of
from mdl_nas_mm.elastic.plain import statistics_of
from mdl_nas_mm.registry import BASES, WEIGHT_INITIALIZERS
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.spec.layout import names_of_some
from mdl_nas_mm.spec.owners import (
    BACKBONE,
    backbone_name,
    in_backbone,
    name_in_task,
    owners_of,
    read_name,
    specific_name,
)
from mdl_nas_mm.utils.jsonable import from_json

from .checkpoint import read_checkpoint


@BASES.register_module()
@WEIGHT_INITIALIZERS.register_module()
class SupernetBase:
    """Starts new tasks from a checkpoint of a joint training; see ``mdl_nas_mm.tasks.Base``.

    Args:
        path: the checkpoint.
        inherit: the task whose own weights the new ones start from.
        trust_checkpoint: whether it may hold anything, and so run any code.
    """

    file_refusal = 'loads a checkpoint that it is told'

    what = "a supernet's checkpoint (.pth)"
    is_whole = True

    def __init__(self, path: str, inherit: str | None, trust_checkpoint: bool = False) -> None:
        self.path, self.inherit, self.trusts = path, inherit, trust_checkpoint

    @staticmethod
    def reads(path: str) -> bool:
        """By its name."""
        return Path(path).suffix == '.pth'

    @staticmethod
    def init_cfg(
        path: str, inherit: str | None, trust_checkpoint: bool, trust: Collection[str]
    ) -> dict[str, Any]:
        """See ``Base``."""
        init_cfg = dict(type='mdl_nas_mm.SupernetBase', path=path, inherit=inherit)
        return {**init_cfg, 'trust_checkpoint': True} if trust_checkpoint else init_cfg

    @property
    def backbone(self) -> Mapping:
        """Config of the supernet's backbone."""
        config = from_json(self._training['backbone'])
        backbone_class(config, f'base {self.path}')
        return config

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that it was trained on."""
        return tuple(self._training['tasks'])

    @property
    def joint(self) -> JointSpec | None:
        """The architectures that it was trained with, where each task had one."""
        spec = self._training['joint_spec']
        return None if spec is None else family_of(self.backbone).dimensions.read_joint(spec)

    @torch.no_grad()
    def __call__(self, module: ElasticBackbone) -> None:
        """Fills the shared weights, and every task's own with those of the inherited task.

        Raises:
            FileNotFoundError, ValueError: see ``read_checkpoint``; or a weight is missing, or
                of another shape.
        """
        state = self._checkpoint['state_dict']
        for name, values in statistics_of(module).items():
            values.copy_(state[backbone_name(name)])
        inherited, some = self._specific_names(state), names_of_some(module.layout)
        for name, parameter in module.named_parameters():
            # What some tasks own is there, where any of them was trained.
            if not owners_of(name).are_all and backbone_name(name) not in state:
                plain = read_name(name).plain
                if plain in some and plain not in inherited:
                    continue  # It begins as in a new backbone.
                name = inherited.get(plain) or specific_name(plain, str(self.inherit))
            value = state.get(backbone_name(name))
            if value is None or value.shape != parameter.shape:
                found = 'is missing' if value is None else f'has shape {tuple(value.shape)}'
                raise ValueError(
                    f'base {self.path}: {name!r} {found}, the new task needs '
                    f'{tuple(parameter.shape)}; give it the outputs of {self.inherit!r}'
                )
            parameter.copy_(value)

    def entries(self, task: str, module: str) -> dict[str, Tensor]:
        """See ``Base``."""
        found: dict[str, Tensor] = {}
        for name, value in self._checkpoint['state_dict'].items():
            key = name_in_task(name) if task in owners_of(name) else None
            if key is None or not key.startswith(f'{module}.'):
                continue
            if key in found:
                raise ValueError(f'base {self.path}: {key!r} of task {task!r} is shared in part')
            found[key] = value
        return found

    def _specific_names(self, state: Mapping) -> dict[str, str]:
        """Shared parameter -> the inherited task's counterpart of it, of all that there are."""
        names = [name.removeprefix(f'{BACKBONE}.') for name in state if in_backbone(name)]
        return {
            read_name(name).plain: name
            for name in names
            if not owners_of(name).are_all and self.inherit in owners_of(name)
        }

    @cached_property
    def _checkpoint(self) -> dict:
        return read_checkpoint(self.path, self.trusts)

    @cached_property
    def _training(self) -> Mapping:
        """What the supernet was trained with; see ``describe_training``."""
        meta = self._checkpoint.get('meta') or {}
        if 'frozen' in meta:
            raise ValueError(
                f'base {self.path} has the weights of a new task alone; add it to a deposit, and '
                'give that'
            )
        training = meta.get('joint')
        kinds = dict(backbone=Mapping, tasks=list, joint_spec=(Mapping, type(None)))
        if not isinstance(training, Mapping) or not all(
            isinstance(training.get(key), kind) for key, kind in kinds.items()
        ):
            raise ValueError(f'base {self.path} is no checkpoint of a joint training')
        return training
