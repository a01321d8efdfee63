"""One image and where its labels are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Scene(NamedTuple):
    """One image and its labels.

    Attributes:
        img_path: of the image.
        labels: label -> ``path``, ``encoding`` and its options, see ``encodings.read_label``.
        extra: further entries of the data info.
    """

    img_path: str
    labels: dict[str, dict[str, Any]]
    extra: Mapping[str, Any] = {}
