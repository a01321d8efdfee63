"""What counting, freezing and storing ask of a sharing policy; no torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from .layout import ParamUse
from .owners import Owners


class SharingPolicy:
    """Which output channels of a layer all tasks share, and which each owns by itself.

    The kinds lie in ``mdl_nas_mm.sharing``, which adds to this how weights are merged. One of
    ``prefix``, ``levels`` and ``shared_channels`` has to be given; the first two are closed forms
    that let many architectures be counted at once.

    Attributes:
        has_shared: whether its layers own weights that all tasks use.
        has_specific: whether its layers own weights of single tasks.
        has_scores: whether its layers own a score a channel, common to all tasks and learned,
            by which channels are chosen. A deposit stores what was chosen.
    """

    has_shared = True
    has_specific = True
    has_scores = False

    def prefix(self, share_ratio: float, channels: int) -> int | None:
        """How many of the first channels are shared; None for a kind that shares others."""
        return None

    def levels(self, scores: np.ndarray) -> np.ndarray | None:
        """The levels of a kind that shares a channel if its level is at least the share ratio.

        Args:
            scores: (groups * max_channels,).

        Returns:
            (groups * max_channels,); None for another kind.
        """
        return None

    def shared_channels(
        self, share_ratio: float, channels: int, groups: int, scores: np.ndarray | None
    ) -> np.ndarray:
        """Which of the first ``channels`` of each group are shared.

        Args:
            share_ratio: the part of the channels that is shared.
            channels: how many of each group are used, the first ones.
            groups: number of groups that the channels are in.
            scores: (groups * max_channels,) of a kind that has any.

        Returns:
            Boolean (groups, channels).
        """
        count = self.prefix(share_ratio, channels)
        if count is not None:
            return np.broadcast_to(np.arange(channels) < count, (groups, channels))
        levels = None if scores is None else self.levels(scores)
        if levels is None:
            raise NotImplementedError(f'{type(self).__name__} does not say what it shares')
        return levels.reshape(groups, -1)[:, :channels] >= np.float32(share_ratio)

    def scores_for(self, shared: np.ndarray) -> np.ndarray:
        """Scores by which just the given channels are shared, whatever the share ratio."""
        raise NotImplementedError(f'{type(self).__name__} has no scores')

    def used_scores(self, use: ParamUse, owners: Owners) -> Iterator[tuple[str, np.ndarray]]:
        """What a task uses of a layer's parameters that are no weights.

        Args:
            use: one of the parameters of the layer, as the layout gives it.
            owners: whose specific weights the task uses.

        Yields:
            The entry's name, and how many first elements of each of its rows.
        """
        yield from ()


class Policies(Protocol):
    """The policy of each role of layers: a mapping, or ``mdl_nas_mm.sharing.Sharing``."""

    def __getitem__(self, role: str, /) -> SharingPolicy: ...
