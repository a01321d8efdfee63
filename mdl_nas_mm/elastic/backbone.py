"""The root of every elastic backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.model import BaseModule
from torch import Tensor

from mdl_nas_mm.sharing import TaskParameters
from mdl_nas_mm.spec import Layout, Ledger, SearchSpace, Sharing, SubnetSpec

from .active import active


class ElasticBackbone(BaseModule):
    """What all elastic backbones have in common.

    A subclass sets ``layout`` and defines ``forward_subnet``.

    Args:
        space: the search space's config; see ``SearchSpace.from_config``.
        sharing: the sharing policies' config; see ``Sharing.from_config``.
        tasks: names of the tasks that own specific weights.
        arch: architecture outside of ``activate``; a dict as ``SubnetSpec.from_dict`` reads it.
            Without it the largest of the space.
        task: whose specific weights to use outside of ``activate``.

    Raises:
        ValueError: the space, the sharing, the task or the architecture is not valid.
    """

    layout: Layout

    def __init__(
        self,
        space: str | Mapping | Sequence[Mapping],
        sharing: str | Mapping | None = None,
        tasks: Sequence[str] = (),
        arch: Mapping | None = None,
        task: str | None = None,
        init_cfg: Mapping | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.space = SearchSpace.from_config(space)
        self.sharing = Sharing.from_config(sharing)
        self.tasks = tuple(tasks)
        repeated = [name for name in self.tasks if self.tasks.count(name) > 1]
        if repeated:
            raise ValueError(f'two tasks are named {repeated[0]!r}')
        if task is not None and task not in self.tasks:
            raise ValueError(f'task {task!r} is not one of {self.tasks}')
        self.task = task
        self.arch = self.space.largest() if arch is None else SubnetSpec.from_dict(arch)
        self.space.check(self.arch)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features of the active architecture, or of ``arch`` where none is active."""
        task, spec = active() or (self.task, self.arch)
        return self.forward_subnet(x, task, spec)

    def forward_subnet(self, x: Tensor, task: str | None, spec: SubnetSpec) -> tuple[Tensor, ...]:
        """Features of images (B, C, H, W) by one architecture with one task's weights."""
        raise NotImplementedError

    def scores(self) -> dict[str, np.ndarray]:
        """State-dict prefix -> mask scores (groups * max_channels,) of the layers that have any."""
        return {
            name: layer.score.detach().float().cpu().numpy()
            for name, layer in self.named_modules()
            if isinstance(layer, TaskParameters) and layer.policy.has_scores
        }

    def ledger(self, heads: Mapping[str, int] | None = None) -> Ledger:
        """The ledger of this backbone with its present scores."""
        return Ledger(self.layout, self.sharing, self.scores(), heads)

    def flops(
        self,
        task: str | None,
        spec: SubnetSpec,
        input_size: tuple[int, int],
        attention_products: bool = True,
    ) -> int:
        """Multiply-adds of one image of ``input_size`` (height, width) as a task runs it."""
        return self.layout.flops(spec, input_size, attention_products)


def of_task(value: Any, task: str | None, key: str) -> Any:
    """The value of a task, where there is one a task."""
    if not isinstance(value, Mapping):
        return value
    if task not in value:
        raise ValueError(f'{key}: nothing for task {task!r}, only for {sorted(value)}')
    return value[task]
