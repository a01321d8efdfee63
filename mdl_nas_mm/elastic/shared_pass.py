"""One backbone pass for several tasks that look at the same images.

Upstream models of several tasks each call ``self.backbone(x)``. Inside ``with SharedPass():`` the
root of the backbone, or of plain copies of it, gives them features that it has computed for the
same images already. As with ``activate``, only the root reads what is entered, and nothing is
kept in a layer, or after the block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar, Token
from dataclasses import dataclass

import torch
from torch import Tensor

from mdl_nas_mm.utils.private import version_of

_SHARED: ContextVar[SharedPass | None] = ContextVar('mdl_nas_mm_shared_pass', default=None)


@dataclass(frozen=True)
class _Known:
    """Features of some images, and what else they depend on."""

    key: tuple
    images: Tensor
    features: tuple[Tensor, ...]
    versions: tuple[int, ...]

    def is_of(self, images: Tensor) -> bool:
        """Whether these are the same images, and nothing was changed in place since."""
        if _versions(self.images, self.features) != self.versions:
            return False
        return images is self.images or _are_equal(images, self.images)


class SharedPass:
    """Features that are computed once inside of a ``with`` block.

    They are those of equal images by the same architecture with the same settings. Whoever enters
    it answers for the weights: tasks whose layers have weights of their own do not share a pass,
    see ``mdl_nas_mm.tasks.units``.
    """

    def __init__(self) -> None:
        self._known: list[_Known] = []
        self._token: Token[SharedPass | None] | None = None

    def __enter__(self) -> SharedPass:
        self._token = _SHARED.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._token is not None
        _SHARED.reset(self._token)
        self._known.clear()

    def features(
        self, key: tuple, images: Tensor, compute: Callable[[], tuple[Tensor, ...]]
    ) -> tuple[Tensor, ...]:
        """The known features of images, or what ``compute`` gives.

        Features that need a gradient are known only if they were ``put``: a backward pass frees
        what led to them.

        Args:
            key: ``ElasticBackbone.pass_key``, what the features depend on beside the images.
            images: preprocessed, (B, C, H, W).
            compute: runs the backbone.
        """
        for known in self._known:
            if known.key == key and known.is_of(images):
                return known.features
        features = compute()
        if not any(feature.requires_grad for feature in features):
            self.put(key, images, features)
        return features

    def put(self, key: tuple, images: Tensor, features: Sequence[Tensor]) -> None:
        """Makes features known; see ``features``."""
        versions = _versions(images, features)
        self._known.append(_Known(key, images, tuple(features), versions))


def shared_pass() -> SharedPass | None:
    """What is entered now; for the root of a backbone only."""
    return _SHARED.get()


def _are_equal(first: Tensor, second: Tensor) -> bool:
    alike = first.dtype == second.dtype and first.device == second.device
    return alike and torch.equal(first, second)


def _versions(images: Tensor, features: Sequence[Tensor]) -> tuple[int, ...]:
    return tuple(version_of(tensor) for tensor in (images, *features))
