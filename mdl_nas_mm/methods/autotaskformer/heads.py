"""A head for each skeleton of a task."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from mmengine.model import BaseModule, ModuleList
from mmseg.registry import MODELS as SEG_MODELS
from torch import Tensor

from mdl_nas_mm.families.swin_unet.skeletons import Skeleton, in_order, level_of, read_skeletons
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.trust.values import plain

# Skeleton -> what its loss counts; those that are not there are not computed.
Weights = Mapping[str, Tensor]

_WEIGHTS: ContextVar[Weights | None] = ContextVar('mdl_nas_mm_skeleton_weights', default=None)
# Before a skeleton's name: its loss, beside the weighted ones. Upstream adds what is called a loss.
VALUE = 'of_'


@contextmanager
def weighing(weights: Weights) -> Generator[None]:
    """Makes the losses of ``SkeletonHeads`` inside the block count so much (Eq. 5).

    Args:
        weights: skeleton -> its weight. Heads of others are not run.
    """
    token = _WEIGHTS.set(weights)
    try:
        yield
    finally:
        _WEIGHTS.reset(token)


@MODELS.register_module()
class SkeletonHeads(BaseModule):
    """A decode head of mmseg's for each skeleton; one of them answers.

    Each has the inputs of its skeleton: a map, or the maps of several cells, the largest first.
    In training all are run; outside of ``weighing`` their losses count alike. Beside the weighted
    losses, under upstream's names, there is each skeleton's own as ``of_<skeleton>``.

    Args:
        in_channels: channels of the maps at 1/4, 1/8, 1/16 and 1/32.
        head: config of a decode head, without inputs; each skeleton has a copy.
        heads: skeleton -> a config of its own in place of that.
        skeletons: those that the backbone has for the task, said in the same way.
        chosen: the skeleton that answers; by default the first, until a training says another.
        init_cfg: see ``mmengine.model.BaseModule``.
        num_classes, out_channels, threshold: of all heads, as of mmseg's ``BaseDecodeHead``.

    Attributes:
        cells: those whose maps it is given, in this order.
        chosen: the number of the skeleton that answers; in checkpoints.

    Raises:
        ValueError: a skeleton has no head, or ``heads`` or ``chosen`` name no skeleton.
    """

    chosen: Tensor
    # Cells have a dot in their names.
    file_rules = dict(skeletons=plain, chosen=plain)

    def __init__(
        self,
        in_channels: Sequence[int],
        head: Mapping[str, Any] | None = None,
        heads: Mapping[str, Mapping[str, Any]] | None = None,
        skeletons: str | Sequence[str] = 'single-scale',
        chosen: str | None = None,
        init_cfg: Mapping | None = None,
        num_classes: int | None = None,
        out_channels: int | None = None,
        threshold: float | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        said = dict(num_classes=num_classes, out_channels=out_channels, threshold=threshold)
        common = common_settings(said)
        self.skeletons = read_skeletons(skeletons)
        self.names = tuple(skeleton.name for skeleton in self.skeletons)
        if len(in_channels) != 4:
            raise ValueError(
                f'SkeletonHeads: in_channels {tuple(in_channels)}, expected those of the maps at '
                '1/4, 1/8, 1/16 and 1/32'
            )
        self.cells = in_order({c for skeleton in self.skeletons for c in skeleton.outputs})
        configs = self._configs(head, heads or {})
        self.heads = ModuleList(
            SEG_MODELS.build(head_of(configs[s.name] | common, s, self.cells, in_channels))
            for s in self.skeletons
        )
        self._first = 0 if chosen is None else self._index(chosen, 'chosen')
        self.register_buffer('chosen', torch.tensor(self._first))
        self.align_corners = self.heads[0].align_corners
        self.num_classes = self.heads[0].num_classes
        self.out_channels = self.heads[0].out_channels

    def _configs(
        self, head: Mapping[str, Any] | None, heads: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, dict[str, Any]]:
        for name in heads:
            self._index(name, 'heads')
        missing = [name for name in self.names if head is None and name not in heads]
        if missing:
            raise ValueError(
                f'SkeletonHeads: no head for skeleton {missing[0]!r}; give it one under heads, or '
                'all of them under head'
            )
        return {name: copy.deepcopy(dict(heads.get(name, head or {}))) for name in self.names}

    def _index(self, name: str, key: str) -> int:
        if name not in self.names:
            raise ValueError(
                f'SkeletonHeads: {key}: {name!r} is not one of the skeletons '
                f'{", ".join(self.names)}'
            )
        return self.names.index(name)

    @property
    def answering(self) -> Any:
        """The head of the chosen skeleton; of one without memory that of its config."""
        return self.heads[self._first if self.chosen.is_meta else int(self.chosen)]

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits by the chosen skeleton of the maps of all ``cells``, each (B, C, H, W)."""
        return self.answering(inputs)

    def predict(self, inputs: Sequence[Tensor], batch_img_metas: list, test_cfg: Any) -> Tensor:
        """As ``BaseDecodeHead``, by the chosen skeleton."""
        return self.answering.predict(inputs, batch_img_metas, test_cfg)

    def loss(
        self, inputs: Sequence[Tensor], batch_data_samples: list, train_cfg: Any
    ) -> dict[str, Tensor]:
        """As ``BaseDecodeHead``, weighted over the skeletons."""
        return self.weighed(lambda head: head.loss(inputs, batch_data_samples, train_cfg))

    def weighed(self, losses_of: Callable[[Any], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """The losses of all heads by name, weighted, and that of each skeleton.

        Args:
            losses_of: gives those of one head.
        """
        weights = _WEIGHTS.get()
        found: dict[str, Tensor] = {}
        values: dict[str, Tensor] = {}
        for name, head in zip(self.names, self.heads):
            if weights is not None and name not in weights:
                continue
            weight = 1 / len(self.names) if weights is None else weights[name]
            losses = losses_of(head)
            for key, loss in losses.items():
                found[key] = found[key] + weight * loss if key in found else weight * loss
            own = [loss.detach() for key, loss in losses.items() if 'loss' in key]
            values[VALUE + name] = torch.stack(own).sum()
        return found | values


def common_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a config of ``SkeletonHeads`` says of all heads."""
    keys = ('num_classes', 'out_channels', 'threshold')
    return {key: config[key] for key in keys if config.get(key) is not None}


def head_of(
    config: Mapping[str, Any], skeleton: Skeleton, cells: Sequence[str], channels: Sequence[int]
) -> dict[str, Any]:
    """The config of one skeleton's head among the maps of some cells.

    Args:
        config: without inputs.
        skeleton: whose maps it is given, the largest first.
        cells: whose maps there are, in this order.
        channels: of the maps at 1/4, 1/8, 1/16 and 1/32.
    """
    own = sorted(skeleton.outputs, key=level_of)
    index, widths = [cells.index(c) for c in own], [channels[level_of(c) - 1] for c in own]
    if len(own) == 1 and config.get('input_transform') is None:
        return dict(config, in_index=index[0], in_channels=widths[0])
    return dict(config, in_index=index, in_channels=widths)
