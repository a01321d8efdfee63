"""Differences of activations: between a sub-task and its base, and between frames (Eq. 8 and 9)."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mdl_nas_mm.utils.amounts import check_at_least
from mdl_nas_mm.utils.arguments import check_arguments

from .layers import linear_layers

GRAINS = ('elements', 'tokens')
REDUCTIONS = ('sum', 'mean')
OFFSETS = ('sum', 'one')
# Of a frame.
CHANNELS = 3


@contextmanager
def inputs_of(backbone: nn.Module) -> Generator[dict[str, Tensor]]:
    """Collects what every linear layer in the blocks is given inside the block.

    Yields:
        Name of the layer -> its last input, (..., tokens, channels).
    """
    found: dict[str, Tensor] = {}

    def keep(name: str):
        return lambda module, args: found.__setitem__(name, args[0])

    handles = [
        layer.register_forward_pre_hook(keep(name))
        for name, layer in linear_layers(backbone).items()
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True)
class ActivationPenalty:
    """L1 on differences of the inputs of linear layers.

    Attributes:
        coefficient: what one element costs.
        grain: ``elements`` adds their absolute values (Eq. 8); ``tokens`` adds the Euclidean
            norms of tokens, times the square root of the channels (group lasso): as much for
            differences of one size everywhere, and zero for whole tokens.
        reduction: ``sum`` over layers, tokens and channels, ``mean`` over them; both are means
            over the images of a batch, as the task's loss is.
    """

    coefficient: float
    grain: str = 'elements'
    reduction: str = 'sum'

    def __post_init__(self) -> None:
        for key, values in dict(grain=GRAINS, reduction=REDUCTIONS).items():
            if getattr(self, key) not in values:
                raise ValueError(
                    f'train_cfg.step: {key} {getattr(self, key)!r} of activations, expected one '
                    f'of {values}'
                )
        check_at_least(self.coefficient, 0, 'train_cfg.step: of activations, coefficient')

    @classmethod
    def of(cls, config: Mapping[str, Any], where: str = 'activations') -> ActivationPenalty:
        """From a config; ``where`` is the setting of the step that it is."""
        check_arguments(f'train_cfg.step: {where}', config, cls)
        return cls(**config)

    def __call__(
        self, ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], images: int
    ) -> Tensor:
        """The penalty, ().

        Args:
            ours, theirs: layer -> its input, (..., tokens, channels).
            images: how many there are.
        """
        totals, elements = [], 0
        for name, own in ours.items():
            # In half precision such sums would overflow.
            difference = (own - theirs[name]).float()
            if self.grain == 'tokens':
                totals.append(difference.norm(dim=-1).sum() * difference.shape[-1] ** 0.5)
            else:
                totals.append(difference.abs().sum())
            elements += difference.numel()
        total = torch.stack(totals).sum()
        return self.coefficient * total / (elements if self.reduction == 'mean' else images)


@dataclass(frozen=True)
class Frames:
    """Frames of a clip beside the labelled one, as channels of one image.

    Attributes:
        penalty: of differences between the labelled frame and another.
        offsets: the other frames, from ``first`` to ``last``, the labelled one being 0.
        use: ``sum`` adds up all of them, as Eq. 9 does; ``one`` takes one other than 0, sampled
            anew for each batch, times their number.
    """

    penalty: ActivationPenalty
    first: int
    last: int
    use: str = 'sum'

    def __post_init__(self) -> None:
        if self.use not in OFFSETS:
            raise ValueError(
                f'train_cfg.step: use {self.use!r} of frames, expected one of {OFFSETS}'
            )
        if not all(isinstance(offset, int) for offset in (self.first, self.last)) or (
            not self.first <= 0 <= self.last or self.first == self.last
        ):
            raise ValueError(
                f'train_cfg.step: frames from {self.first} to {self.last}, expected others before '
                'or behind the labelled one, 0'
            )

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Frames:
        """From ``coefficient``, ``grain`` and ``reduction`` of the penalty, and the rest."""
        settings = dict(config)
        offsets = {key: settings.pop(key) for key in ('first', 'last', 'use') if key in settings}
        given: dict[str, Any] = dict(offsets, penalty=ActivationPenalty.of(settings, 'frames'))
        check_arguments('train_cfg.step: frames', given, cls)
        return cls(**given)

    @property
    def others(self) -> list[int]:
        """The offsets other than 0."""
        return [offset for offset in range(self.first, self.last + 1) if offset]

    def split(self, clip: Tensor) -> dict[int, Tensor]:
        """Offset -> frame (B, C, H, W) of clips (B, T * C, H, W).

        Raises:
            ValueError: the clips have other frames.
        """
        count = self.last - self.first + 1
        if clip.shape[1] != CHANNELS * count:
            raise ValueError(
                f'train_cfg.step: frames from {self.first} to {self.last} are {count} frames of '
                f'{CHANNELS} channels, images have {clip.shape[1]}; give the data set '
                f'clip_length={count}, clip_after={self.last}, and its pipeline LoadClip'
            )
        frames = clip.chunk(count, dim=1)
        return {self.first + i: frame for i, frame in enumerate(frames)}

    def chosen(self, generator: torch.Generator) -> tuple[list[int], float]:
        """The offsets of one batch, and what each of them counts."""
        others = self.others
        if self.use == 'sum':
            return others, 1.0
        place = int(torch.randint(len(others), (), generator=generator))
        return [others[place]], float(len(others))
