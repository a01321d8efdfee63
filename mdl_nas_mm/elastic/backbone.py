"""The root of every elastic backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from mdl_nas_mm.spec import SubnetSpec

from .active import active
from .family import Family
from .importance import reorder_by_importance
from .inherit import (
    Heir,
    InheritanceReport,
    inherit_pretrained,
    inherit_weights,
    is_pretrained,
)
from .part import ElasticPart
from .shared_pass import SharedPass, shared_pass


class ElasticBackbone(ElasticPart):
    """What all elastic backbones have in common.

    Beside what an ``ElasticPart`` defines, a subclass defines ``forward_subnet``,
    ``active_channels``, ``depth_of``, ``map_widths`` and ``trial_sizes``. Its arguments that are
    ``task_settings`` of the family are attributes of the same name. Buffers are common to all
    tasks; an architecture uses the first elements along each of their dimensions, if any.
    """

    family: ClassVar[Family]
    file_rules = {
        **ElasticPart.file_rules,
        'arch': 'may be a file',
        'init_cfg': 'loads a checkpoint that it is told',
    }

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
        largest = self.space.largest()
        return Heir(self, self.family, self.shape, largest, self.reorder_by_importance)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features of the active architecture, or of ``arch`` where none is active."""
        task, spec = self.chosen(active())
        shared = shared_pass()
        if shared is None:
            return self.forward_subnet(x, task, spec)
        key = self.pass_key(task, spec)
        return shared.features(key, x, lambda x: self.forward_shared(x, task, spec, shared))

    def pass_key(self, task: str | None, spec: SubnetSpec) -> tuple:
        """What its features depend on beside images and weights, for ``SharedPass``."""
        return type(self), spec, self.settings_of(task, spec)

    def forward_subnet(self, x: Tensor, task: str | None, spec: SubnetSpec) -> tuple[Tensor, ...]:
        """Features of images (B, C, H, W) by one architecture with one task's weights."""
        raise NotImplementedError

    def forward_shared(
        self, x: Tensor, task: str | None, spec: SubnetSpec, shared: SharedPass
    ) -> tuple[Tensor, ...]:
        """As ``forward_subnet``, in a pass with other tasks, which may know parts of it."""
        return self.forward_subnet(x, task, spec)

    def needed(self, tasks: Sequence[str | None], spec: SubnetSpec) -> SubnetSpec:
        """An architecture without the stages that none of some tasks uses, where there are any."""
        return spec

    def active_channels(self, task: str | None, spec: SubnetSpec) -> tuple[int, ...]:
        """Channels that each of a task's outputs has; those beyond are padding."""
        raise NotImplementedError

    def depth_of(self, name: str) -> int | None:
        """How many blocks a parameter's own one is from the images, 0 before the first of them.

        None for what comes after the last block.
        """
        raise NotImplementedError

    def depth_count(self) -> int:
        """How many blocks follow on each other in the deepest architecture."""
        return sum(stage.depth[-1] for stage in self.space.stages)

    def map_widths(self) -> list[tuple[int, int]]:
        """For each map that ``arch`` returns, its width and that without the zeros behind it."""
        raise NotImplementedError

    def trial_sizes(self) -> list[tuple[int, int]]:
        """(height, width) of images with and without padding inside, to try it with."""
        raise NotImplementedError

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Where a parameter lies, as mmpretrain's layer-wise decay of learning rates asks for it.

        Args:
            param_name: name of the parameter, with its ``prefix``.
            prefix: what names of this backbone's parameters start with; others come after it.

        Returns:
            The layer and how many there are: one before the blocks, the blocks of the deepest
            architecture, one after them.
        """
        count = self.depth_count() + 2
        inside = param_name.startswith(prefix)
        depth = self.depth_of(param_name.removeprefix(prefix)) if inside else None
        return count - 1 if depth is None else depth, count

    def flops(
        self,
        task: str | None,
        spec: SubnetSpec,
        input_size: tuple[int, int],
        attention_products: bool = True,
        others: Sequence[str] = (),
    ) -> int:
        """Multiply-adds of one image of ``input_size`` (height, width) as a task runs it.

        With ``others``, those of the pass that it shares with these tasks.
        """
        root = self.needed((task, *others), spec.root)
        settings = self.settings_of(task, root)
        return self.layout.flops(root, input_size, attention_products, settings)


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
