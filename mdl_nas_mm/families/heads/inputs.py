"""What goes into and out of a decode head, by its arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mdl_nas_mm.elastic.backbone import check_sizes


@dataclass(frozen=True)
class Maps:
    """The maps that a decode head looks at; of several it makes one, resized and concatenated.

    Attributes:
        channels: of each at most.
        index: which of the backbone's each is.
    """

    channels: tuple[int, ...]
    index: tuple[int, ...]

    def __post_init__(self) -> None:
        # JSON has lists.
        object.__setattr__(self, 'channels', tuple(self.channels))
        object.__setattr__(self, 'index', tuple(self.index))
        check_sizes(in_channels=self.channels)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Maps:
        """Those of a head with these arguments, or ValueError."""
        channels, transform = settings['in_channels'], settings.get('input_transform')
        if transform not in (None, 'resize_concat'):
            raise ValueError(
                f'input_transform is {transform!r}: a slimmable head takes one map, or '
                "'resize_concat'"
            )
        index = settings.get('in_index', -1)
        if isinstance(channels, Sequence):
            return cls(tuple(channels), tuple(index))
        return cls((channels,), (index,))

    @property
    def names(self) -> tuple[str, ...]:
        """What layers that read them call them."""
        return tuple(f'inputs.{i}' for i in range(len(self.channels)))

    def fixed(self) -> dict[str, int]:
        """Name -> channels."""
        return dict(zip(self.names, self.channels))

    def given(self, widths: Sequence[int]) -> dict[str, int]:
        """Name -> channels in use, where the backbone's maps have so many."""
        return {name: widths[i] for name, i in zip(self.names, self.index)}


def classes_of(settings: Mapping[str, Any]) -> int:
    """Channels of a decode head's output, or ValueError."""
    given = settings.get('out_channels')
    if given is None and 'num_classes' not in settings:
        raise ValueError(
            "'num_classes' is missing; with a DenseEstimator it is the channels of its target"
        )
    return settings['num_classes'] if given is None else given
