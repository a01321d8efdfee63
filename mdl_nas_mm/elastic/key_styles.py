"""In which keys, and in which order of rows and columns, published checkpoints hold weights."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor


def _nothing(backbone: Any) -> str | None:
    return None


def _as_it_is(key: str, value: Tensor) -> Tensor:
    return value


@dataclass(frozen=True)
class KeyStyle:
    """The keys of one library or paper.

    Attributes:
        marks: keys that together tell the style.
        renames: (regex, replacement) pairs, applied one after another, that give our keys.
        convert: our key and a tensor -> the tensor in our order of rows and columns.
        grouped: ends of our keys whose rows, once converted, are ``groups`` groups (all of q, then
            of k, then of v), each of which is cut by itself.
        computed: ends of keys that follow from sizes, which nobody learned.
        unlike: a backbone with such weights -> in one line what of its settings makes it compute
            something else than the published model, and what to do, or None.
    """

    name: str
    marks: tuple[str, ...]
    renames: tuple[tuple[str, str], ...] = ()
    convert: Callable[[str, Tensor], Tensor] = _as_it_is
    grouped: tuple[str, ...] = ()
    groups: int = 3
    computed: tuple[str, ...] = ()
    unlike: Callable[[Any], str | None] = _nothing

    def rename(self, key: str) -> str:
        """Our key for one of this style."""
        for pattern, replacement in self.renames:
            key = re.sub(pattern, replacement, key)
        return key


def find_style(styles: Iterable[KeyStyle], keys: Iterable[str]) -> tuple[KeyStyle, str] | None:
    """The style of a state dict, and what stands before its keys (``backbone.``), or None."""
    keys = dict.fromkeys(keys)
    for style in styles:
        for key in keys:
            prefix = key.removesuffix(style.marks[0])
            if prefix == key or (prefix and not prefix.endswith('.')):
                continue
            if all(prefix + mark in keys for mark in style.marks):
                return style, prefix
    return None
