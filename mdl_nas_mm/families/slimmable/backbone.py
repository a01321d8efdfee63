"""What slimmable backbones have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils import checkpoint as checkpointing

from mdl_nas_mm.elastic import ElasticBackbone
from mdl_nas_mm.elastic.backbone import of_task
from mdl_nas_mm.elastic.shared_pass import SharedPass
from mdl_nas_mm.spec import SubnetSpec
from mdl_nas_mm.utils.private import BatchNorm

from .dimensions import WidthsSpec
from .layout import SlimLayout
from .ranking import rank_channels


class SlimBackbone(ElasticBackbone):
    """A backbone that returns the maps of some stages, counted from 0.

    Stages behind the last one that any task takes are not there. A subclass defines ``run_stage``
    and ``output_widths``, and sets ``frozen_stages``, ``norm_eval`` and ``with_cp``, which mean
    what they do upstream.

    Args:
        space, sharing, tasks, arch, task, init_cfg: see ``ElasticPart``.
        shape: what is fixed.
        out_indices: which stages are returned.

    Attributes:
        returned: the stages that any task takes.
    """

    frozen_stages = -1
    norm_eval = False
    with_cp = False

    def __init__(
        self,
        space: Any,
        sharing: Any,
        tasks: Sequence[str],
        arch: Any,
        task: str | None,
        init_cfg: Mapping | None,
        shape: Any,
        out_indices: Sequence[int] | Mapping[str, Sequence[int]],
    ) -> None:
        settings = asdict(shape)
        super().__init__(space, sharing, tasks, arch, task, init_cfg, settings=settings)
        self.layout = self.slim = SlimLayout(self.space, shape)
        lists = out_indices.values() if isinstance(out_indices, Mapping) else [out_indices]
        count = len(self.output_widths())
        self.returned = sorted({i for indices in lists for i in indices})
        for index in self.returned:
            if not 0 <= index < count:
                raise ValueError(f'out_indices: {index} is none of {count} stages')
        for each in self.tasks:
            of_task(out_indices, each, 'out_indices')
        self.out_indices = out_indices
        # Widths of the first stages.
        self._widths = [len(shape.first(i + 1).widths()) for i in range(count)]

    def output_widths(self) -> list[str]:
        """The name of the width of each stage."""
        raise NotImplementedError

    def run_stage(self, stage: int, x: Tensor, counts: Mapping[str, int]) -> Tensor:
        """The map of a stage.

        Args:
            stage: its number.
            x: the map of the stage before; images (B, C, H, W) for the first.
            counts: width -> channels.
        """
        raise NotImplementedError

    def run_blocks(self, blocks: nn.Module, x: Tensor, counts: Mapping[str, int]) -> Tensor:
        """The map (B, C, h, w) behind blocks, computed anew in the backward pass ``with_cp``.

        Args:
            blocks: one after the other; each has ``writes``, the widths of its layers, and is
                called with the map and their channels.
            x: the map in front of them.
            counts: width -> channels.
        """
        for each in blocks.children():
            block: Any = each
            args = x, [counts[width] for width in block.writes]
            if self.with_cp and torch.is_grad_enabled():
                x = cast(Tensor, checkpointing.checkpoint(block, *args, use_reentrant=False))
            else:
                x = block(*args)
        return x

    def forward_subnet(self, x: Tensor, task: str | None, spec: SubnetSpec) -> tuple[Tensor, ...]:
        """Maps (B, C, h, w) of the wanted stages, with zeros behind the channels in use."""
        self.space.check(spec)
        wanted, counts, maps = self.wanted_stages(task), self.slim.counts(spec), []
        for stage in range(max(wanted) + 1):
            x = self.run_stage(stage, x, counts)
            maps.append(x)
        return tuple(self._padded(maps[stage], stage) for stage in wanted)

    def forward_shared(
        self, x: Tensor, task: str | None, spec: SubnetSpec, shared: SharedPass
    ) -> tuple[Tensor, ...]:
        """As ``forward_subnet``; of what other tasks have run, each stage is known."""
        self.space.check(spec)
        counts = self.slim.counts(spec)

        def run(stage: int, images: Tensor) -> Tensor:
            def compute(images: Tensor) -> tuple[Tensor]:
                x = run(stage - 1, images) if stage else images
                return (self.run_stage(stage, x, counts),)

            return shared.features((type(self), spec, stage), images, compute)[0]

        def output(stage: int) -> Tensor:
            key = type(self), spec, stage, 'padded'
            return shared.features(key, x, lambda x: (self._padded(run(stage, x), stage),))[0]

        return tuple(output(stage) for stage in self.wanted_stages(task))

    def needed(self, tasks: Sequence[str | None], spec: SubnetSpec) -> SubnetSpec:
        """An architecture up to the last stage that some tasks take."""
        last = max(stage for task in tasks for stage in self.wanted_stages(task))
        (stage,) = spec.stages
        return SubnetSpec((WidthsSpec(stage.blocks[: self._widths[last]]),))

    def wanted_stages(self, task: str | None) -> list[int]:
        """The stages that a task takes; without one, those of all tasks."""
        if task is None and isinstance(self.out_indices, Mapping):
            return self.returned
        return list(of_task(self.out_indices, task, 'out_indices'))

    def active_channels(self, task: str | None, spec: SubnetSpec) -> tuple[int, ...]:
        """Channels that each of a task's maps has; those beyond are padding."""
        counts, names = self.slim.counts(spec), self.output_widths()
        return tuple(counts[names[i]] for i in self.wanted_stages(task))

    def settings_of(self, task: str | None, spec: SubnetSpec) -> dict[str, Any]:
        """Arguments for a backbone of this class that gives what one task's subnet gives here."""
        return dict(out_indices=self.wanted_stages(task))

    def depth_of(self, name: str) -> int | None:
        """See ``ElasticBackbone``; what lies in no block is in front of the first."""
        blocks = enumerate(self.shape.block_names(), 1)
        return next((number for number, block in blocks if name.startswith(f'{block}.')), 0)

    def depth_count(self) -> int:
        """How many blocks follow on each other."""
        return len(self.shape.block_names())

    def reorder_by_importance(self) -> None:
        """See ``ElasticBackbone``; channels of the maps that it returns stay where they are."""
        names = self.output_widths()
        rank_channels(self, self.slim, {names[i] for i in self.returned})

    def map_widths(self) -> list[tuple[int, int]]:
        """For each map that ``arch`` returns, its width and that without the zeros behind it."""
        names = self.output_widths()
        whole = [self.slim.whole(names[i]) for i in self.wanted_stages(self.task)]
        return list(zip(whole, self.active_channels(self.task, self.arch)))

    def trial_sizes(self) -> list[tuple[int, int]]:
        """(height, width) of images with and without padding inside, to try it with."""
        return [(64, 64), (81, 65)]

    def train(self, mode: bool = True):
        """As upstream: frozen stages, and with ``norm_eval`` all norms, stay as in evaluation."""
        super().train(mode)
        for module in self.frozen_modules():
            module.eval().requires_grad_(False)
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, BatchNorm):
                    module.eval()
        return self

    def frozen_modules(self) -> list[Any]:
        """What ``frozen_stages`` keeps from being trained."""
        return []

    def _padded(self, x: Tensor, stage: int) -> Tensor:
        missing = self.slim.whole(self.output_widths()[stage]) - x.shape[1]
        return F.pad(x, (0, 0, 0, 0, 0, missing)) if missing else x
