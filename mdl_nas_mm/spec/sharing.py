"""Which output channels of a layer are shared by all tasks, as a rule without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from .spec import shared_count

ROLES = ('norm', 'attn', 'ffn')
POLICIES = ('AllShared', 'AllSpecific', 'Sequential', 'Mask')
THRESHOLDS = ('score', 'ratio')


@dataclass(frozen=True)
class Policy:
    """How one kind of layer is shared.

    Attributes:
        type: ``AllShared``; ``AllSpecific``; ``Sequential``, which shares the first
            ``share_ratio`` of the channels (Eq. 4-6); ``Mask``, which decides by a learned score
            a channel (Eq. 8).
        threshold: for ``Mask``: ``score`` shares the channels whose score is at least the share
            ratio (Eq. 8); ``ratio`` shares the best-scored ``share_ratio`` of the channels, so
            that the ratio is exact.
    """

    type: str
    threshold: str = 'score'

    def __post_init__(self) -> None:
        if self.type not in POLICIES:
            raise ValueError(f'sharing policy {self.type!r} is not one of {POLICIES}')
        if self.threshold not in THRESHOLDS:
            raise ValueError(f'mask threshold {self.threshold!r} is not one of {THRESHOLDS}')

    @property
    def has_shared(self) -> bool:
        """Whether its layers own weights that all tasks use."""
        return self.type != 'AllSpecific'

    @property
    def has_specific(self) -> bool:
        """Whether its layers own weights of single tasks."""
        return self.type != 'AllShared'

    @property
    def has_scores(self) -> bool:
        """Whether its layers own a score a channel."""
        return self.type == 'Mask'

    def num_shared(self, share_ratio: float, channels: int) -> int:
        """Length of the shared prefix; for the policies other than ``Mask``."""
        if self.type == 'Sequential':
            return shared_count(share_ratio, channels)
        return channels if self.type == 'AllShared' else 0

    def shared_channels(
        self, share_ratio: float, channels: int, groups: int, scores: np.ndarray | None
    ) -> np.ndarray:
        """Boolean (groups, channels): which of the first ``channels`` of each group are shared.

        Args:
            scores: (groups * max_channels,) for ``Mask``; of no meaning for the others.
        """
        if self.type != 'Mask':
            shared = np.arange(channels) < self.num_shared(share_ratio, channels)
            return np.broadcast_to(shared, (groups, channels))
        scores = scores.reshape(groups, -1)[:, :channels]
        if self.threshold == 'score':
            return scores >= np.float32(share_ratio)
        best = np.argsort(-scores, axis=1, kind='stable')[:, : shared_count(share_ratio, channels)]
        shared = np.zeros(scores.shape, bool)
        np.put_along_axis(shared, best, True, axis=1)
        return shared


_WHOLLY_SHARED = Policy('AllShared')


@dataclass(frozen=True)
class Sharing:
    """One policy a kind of layer. What lies outside the blocks is wholly shared."""

    norm: Policy = _WHOLLY_SHARED
    attn: Policy = _WHOLLY_SHARED
    ffn: Policy = _WHOLLY_SHARED

    @classmethod
    def from_config(cls, config: str | Mapping | None) -> Sharing:
        """Builds from a policy's name or dict for all kinds, or a mapping kind -> policy.

        Examples of ``config``: ``'Mask'``, ``dict(type='Mask', threshold='ratio')``,
        ``dict(norm='AllSpecific', attn='AllShared', ffn='AllShared')``.

        Raises:
            ValueError: an unknown kind of layer, policy, key or threshold.
        """
        if config is None:
            return cls()
        if isinstance(config, str) or 'type' in config:
            policy = _policy(config)
            return cls(policy, policy, policy)
        for role in config:
            if role not in ROLES:
                raise ValueError(f'sharing: unknown kind of layer {role!r}, expected {ROLES}')
        return cls(**{role: _policy(policy) for role, policy in config.items()})

    def to_config(self) -> dict:
        """The JSON-able form that ``from_config`` reads."""
        return asdict(self)

    def __getitem__(self, role: str) -> Policy:
        """The policy of a role; ``stem`` is what lies outside the blocks."""
        return _WHOLLY_SHARED if role == 'stem' else getattr(self, role)

    @property
    def has_specific(self) -> bool:
        """Whether any layer owns weights of single tasks."""
        return any(self[role].has_specific for role in ROLES)

    @property
    def has_scores(self) -> bool:
        """Whether any layer owns a score a channel."""
        return any(self[role].has_scores for role in ROLES)


def _policy(config: str | Mapping) -> Policy:
    if isinstance(config, str):
        return Policy(config)
    for key in config:
        if key not in ('type', 'threshold'):
            raise ValueError(f"sharing: unknown key {key!r} of a policy, not 'type' or 'threshold'")
    if 'type' not in config:
        raise ValueError("sharing: a policy has no 'type'")
    return Policy(**config)
