"""A trained supernet as the base of new tasks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import torch
from mmengine.config import Config

from mdl_nas_mm.elastic import ElasticBackbone
from mdl_nas_mm.registry import WEIGHT_INITIALIZERS
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import fixed_spec

from .checkpoint import read_checkpoint


@WEIGHT_INITIALIZERS.register_module()
class SupernetBase:
    """Starts new tasks from a checkpoint of a joint training; see ``mdl_nas_mm.tasks.Base``.

    Args:
        path: the checkpoint.
        inherit: the task whose own weights the new ones start from.
    """

    is_whole = True

    def __init__(self, path: str, inherit: str | None) -> None:
        self.path, self.inherit = path, inherit

    @property
    def backbone(self) -> Mapping:
        """Config of the supernet's backbone."""
        return self._cfg.model.backbone

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that it was trained on."""
        return tuple(self._cfg.model.tasks)

    @property
    def joint(self) -> JointSpec | None:
        """The architectures that it was trained with, where each task had one."""
        return fixed_spec(self._cfg)

    @torch.no_grad()
    def __call__(self, module: ElasticBackbone) -> None:
        """Fills the shared weights, and every task's own with those of the inherited task.

        Raises:
            FileNotFoundError, ValueError: see ``read_checkpoint``; or a weight is missing, or
                of another shape.
        """
        state = self._checkpoint['state_dict']
        for name, parameter in module.named_parameters():
            layer, is_specific, leaf = name.partition('.specific.')
            if is_specific:
                name = f'{layer}.specific.{self.inherit}.{leaf.partition(".")[2]}'
            value = state.get(f'backbone.{name}')
            if value is None or value.shape != parameter.shape:
                found = 'is missing' if value is None else f'has shape {tuple(value.shape)}'
                raise ValueError(
                    f'base {self.path}: {name!r} {found}, the new task needs '
                    f'{tuple(parameter.shape)}; give it the outputs of {self.inherit!r}'
                )
            parameter.copy_(value)

    @cached_property
    def _checkpoint(self) -> dict:
        return read_checkpoint(self.path)

    @cached_property
    def _cfg(self) -> Config:
        """What the supernet was trained with."""
        meta = self._checkpoint.get('meta') or {}
        if 'frozen' in meta:
            raise ValueError(
                f'base {self.path} has the weights of a new task alone; add it to a deposit, and '
                'give that'
            )
        cfg = Config.fromstring(meta['cfg'], '.py') if 'cfg' in meta else Config()
        if (cfg.get('model') or {}).get('type') != 'MultiTaskModel':
            raise ValueError(f'base {self.path} is no checkpoint of a joint training')
        return cfg
