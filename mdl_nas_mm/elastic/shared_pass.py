"""One backbone pass for several tasks that look at the same images.

Upstream models of several tasks each call ``self.backbone(x)``. Inside ``with SharedPass():`` the
root of the backbone, or of plain copies of it, gives them features that it has computed for the
same images already. As with ``activate``, only the root reads what is entered, and nothing is
kept in a layer, or after the block.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
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

    @property
    def is_unchanged(self) -> bool:
        """Whether nothing was changed in place since."""
        return _versions(self.images, self.features) == self.versions

    def is_of(self, images: Tensor) -> bool:
        """Whether these are the same images."""
        return images is self.images or _are_equal(images, self.images)

    def row(self, number: int) -> tuple[Tensor, ...]:
        """The features of one of the images."""
        return tuple(x[number] for x in self.features)

    def rows_of(self, images: Tensor) -> Iterator[tuple[int, int]]:
        """Which of the images are among these, in the same order: (number, number here)."""
        start = 0
        for number, image in enumerate(images):
            others = range(start, len(self.images))
            row = next((i for i in others if _are_equal(image, self.images[i])), None)
            if row is not None:
                yield number, row
                start = row + 1


class SharedPass:
    """Features that are computed once inside of a ``with`` block.

    They are those of equal images by the same architecture with the same settings. Whoever enters
    it answers for the weights: tasks whose layers have weights of their own do not share a pass,
    see ``mdl_nas_mm.tasks.pass_groups``.

    Args:
        trains: whether features that need a gradient are kept as well. A backward pass frees what
            led to them, so it may come only when all of them are computed.
    """

    def __init__(self, trains: bool = False) -> None:
        self._trains = trains
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
        self, key: tuple, images: Tensor, compute: Callable[[Tensor], tuple[Tensor, ...]]
    ) -> tuple[Tensor, ...]:
        """The known features of images, and what ``compute`` gives of the others.

        Where a task has no label of some images, the known ones are some of a batch, in its order.
        Features that need a gradient are known only if they were ``put``, or of a pass that
        ``trains``.

        Args:
            key: ``ElasticBackbone.pass_key``, what the features depend on beside the images.
            images: preprocessed, (B, C, H, W).
            compute: runs the backbone on images.
        """
        usable = [known for known in self._known if known.key == key and known.is_unchanged]
        for known in usable:
            if known.is_of(images):
                return known.features
        found = {i: known.row(row) for known in usable for i, row in known.rows_of(images)}
        new = [i for i in range(len(images)) if i not in found]
        if not found:
            return self._computed(key, images, compute)
        if new:
            found.update(zip(new, zip(*self._computed(key, images[new], compute))))
        return tuple(map(torch.stack, zip(*(found[i] for i in range(len(images))))))

    def _computed(
        self, key: tuple, images: Tensor, compute: Callable[[Tensor], tuple[Tensor, ...]]
    ) -> tuple[Tensor, ...]:
        features = compute(images)
        if self._trains or not any(feature.requires_grad for feature in features):
            self.put(key, images, features)
        return features

    def put(self, key: tuple, images: Tensor, features: Sequence[Tensor]) -> None:
        """Makes features known; see ``features``."""
        versions = _versions(images, features)
        self._known.append(_Known(key, images, tuple(features), versions))


@contextmanager
def no_shared_pass() -> Generator[None]:
    """Backbones run by themselves inside the block, whatever is entered around it."""
    token = _SHARED.set(None)
    try:
        yield
    finally:
        _SHARED.reset(token)


def shared_pass() -> SharedPass | None:
    """What is entered now; for the root of a backbone only."""
    return _SHARED.get()


def _are_equal(first: Tensor, second: Tensor) -> bool:
    alike = first.dtype == second.dtype and first.device == second.device
    return alike and torch.equal(first, second)


def _versions(images: Tensor, features: Sequence[Tensor]) -> tuple[int, ...]:
    return tuple(version_of(tensor) for tensor in (images, *features))
