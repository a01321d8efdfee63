"""The root of every elastic backbone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from mmengine.model import BaseModule
from torch import Tensor

from mdl_nas_mm.sharing import Sharing, TaskParameters
from mdl_nas_mm.spec import Layout, Ledger, SearchSpace, SubnetSpec
from mdl_nas_mm.spec.owners import scores_in

from .active import Active, active
from .arch_source import read_arch
from .family import Family
from .importance import reorder_by_importance
from .inherit import (
    Heir,
    InheritanceReport,
    inherit_pretrained,
    inherit_weights,
    is_pretrained,
)


class ElasticBackbone(BaseModule):
    """What all elastic backbones have in common.

    A subclass names its ``family``, sets ``layout`` in its constructor, and defines
    ``forward_subnet``, ``active_channels``, ``settings_of``, ``depth_of``, ``map_widths`` and
    ``trial_sizes``. Its arguments that are ``task_settings`` of the family are attributes of the
    same name. It takes the family's ``derived_settings``, ``layout.uses`` names all of its
    parameters, and buffers do not depend on the space, so that a subnet can be taken out of it.

    Args:
        space: the search space's name or config; see ``Family.space``. None for a backbone of
            just ``arch``, without weights that it does not use.
        sharing: the sharing policies' config; see ``Sharing.from_config``.
        tasks: names of the tasks that own specific weights.
        arch: architecture outside of ``activate``: a dict as ``Dimensions.read`` reads it, or the
            path of a JSON file or of a deposit; see ``read_arch``. Without it the largest
            of the space.
        task: whose specific weights to use outside of ``activate``, and whose architecture,
            where ``arch`` has one a task.

    Attributes:
        is_fixed: whether ``arch`` was given.

    Raises:
        ValueError: the space, the sharing, the task or the architecture is not valid.
        FileNotFoundError: ``arch`` is a path of nothing.
    """

    family: ClassVar[Family]
    layout: Layout

    def __init__(
        self,
        space: str | Mapping | Sequence[Mapping] | None = None,
        sharing: str | Mapping | None = None,
        tasks: Sequence[str] = (),
        arch: Mapping | str | os.PathLike | None = None,
        task: str | None = None,
        init_cfg: Mapping | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.is_fixed = arch is not None
        dimensions = self.family.dimensions
        given = None if arch is None else read_arch(arch, dimensions, task)
        if space is not None:
            self.space = self.family.space(space)
        elif given is not None:
            self.space = SearchSpace.fixed(given, dimensions)
        else:
            raise ValueError('a backbone needs a space, an arch, or both')
        self.sharing = Sharing.from_config(sharing, dimensions.roles)
        self.tasks = tuple(tasks)
        repeated = [name for name in self.tasks if self.tasks.count(name) > 1]
        if repeated:
            raise ValueError(f'two tasks are named {repeated[0]!r}')
        # Where no task owns weights, its name may still choose the architecture.
        if task is not None and task not in self.tasks and (self.tasks or not self.is_fixed):
            raise ValueError(f'task {task!r} is not one of {self.tasks}')
        self.task = task
        self.arch = given or self.space.largest()
        self.space.check(self.arch)

    def init_weights(self) -> None:
        """As mmengine does, but ``Pretrained`` weights may be in any published style of keys.

        See ``inherit_pretrained`` for the settings in ``init_cfg``.
        """
        if self.is_init or not is_pretrained(self.init_cfg):
            super().init_weights()
            return
        inherit_pretrained(self._heir(), self.init_cfg)
        self.is_init = True

    def inherit(
        self, state_dict: Mapping[str, Any], reorder: bool = False, prefix: str | None = None
    ) -> InheritanceReport:
        """Takes over the weights of a published model; see ``inherit_weights``."""
        return inherit_weights(self._heir(), state_dict, reorder, prefix)

    def reorder_by_importance(self) -> None:
        """Puts the most important channels first; see ``reorder_by_importance``."""
        reordered = self.family.reorderings(self.space.largest(), self.shape)
        reorder_by_importance(self, reordered)

    def _heir(self) -> Heir:
        return Heir(self, self.family, self.shape, self.space.largest())

    @property
    def shape(self) -> Any:
        """What is fixed in all architectures, of the family's own class."""
        return self.layout.shape

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features of the active architecture, or of ``arch`` where none is active."""
        task, spec = active() or Active(self.task, self.arch)
        return self.forward_subnet(x, task, spec)

    def forward_subnet(self, x: Tensor, task: str | None, spec: SubnetSpec) -> tuple[Tensor, ...]:
        """Features of images (B, C, H, W) by one architecture with one task's weights."""
        raise NotImplementedError

    def active_channels(self, task: str | None, spec: SubnetSpec) -> tuple[int, ...]:
        """Channels that each of a task's outputs has; those beyond are padding."""
        raise NotImplementedError

    def settings_of(self, task: str | None, spec: SubnetSpec) -> dict[str, Any]:
        """Arguments for a backbone of this class that gives what one task's subnet gives here."""
        raise NotImplementedError

    def depth_of(self, name: str) -> int | None:
        """How many blocks a parameter's own one is from the images, 0 before the first of them.

        None for what comes after the last block.
        """
        raise NotImplementedError

    def map_widths(self) -> list[tuple[int, int]]:
        """For each map that ``arch`` returns, its width and that without the zeros behind it."""
        raise NotImplementedError

    def trial_sizes(self) -> list[tuple[int, int]]:
        """(height, width) of images with and without padding inside, to try it with."""
        raise NotImplementedError

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Where a parameter lies, as mmpretrain's layer-wise decay of learning rates asks for it.

        Args:
            prefix: what names of this backbone's parameters start with; others come after it.

        Returns:
            The layer and how many there are: one before the blocks, the blocks of the deepest
            architecture, one after them.
        """
        count = sum(stage.depth[-1] for stage in self.space.stages) + 2
        inside = param_name.startswith(prefix)
        depth = self.depth_of(param_name.removeprefix(prefix)) if inside else None
        return count - 1 if depth is None else depth, count

    def scores(self) -> dict[str, np.ndarray]:
        """State-dict prefix -> mask scores (groups * max_channels,) of the layers that have any."""
        return {
            layer: score.detach().float().cpu().numpy()
            for layer, score in scores_in(dict(self.named_parameters())).items()
        }

    def ledger(self, heads: Mapping[str, int] | None = None) -> Ledger:
        """The ledger of this backbone with its present scores."""
        owner_sets = {
            name: layer.owner_sets
            for name, layer in self.named_modules()
            if isinstance(layer, TaskParameters) and layer.owner_sets
        }
        return Ledger(self.layout, self.sharing, self.scores(), heads, owner_sets)

    def flops(
        self,
        task: str | None,
        spec: SubnetSpec,
        input_size: tuple[int, int],
        attention_products: bool = True,
    ) -> int:
        """Multiply-adds of one image of ``input_size`` (height, width) as a task runs it."""
        return self.layout.flops(spec, input_size, attention_products, self.settings_of(task, spec))


def of_task(value: Any, task: str | None, key: str) -> Any:
    """The value of a task, where there is one a task."""
    if not isinstance(value, Mapping):
        return value
    if task not in value:
        raise ValueError(f'{key}: nothing for task {task!r}, only for {sorted(value)}')
    return value[task]


def check_sizes(**sizes: int | Sequence[int] | None) -> None:
    """Raises ValueError, naming it, for a size, or a side of one, that is no number from 1."""
    for name, value in sizes.items():
        sides = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        if value is not None and not all(type(side) is int and side >= 1 for side in sides):
            raise ValueError(f'{name} is {value!r}, expected at least 1')
