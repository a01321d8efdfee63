"""Dense labels and predictions as pictures: a colour for each pixel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from mmengine.structures import BaseDataElement

# Of classes without a palette of their own; 255 and what is unknown elsewhere is black.
_PALETTE = (
    *((230, 25, 75), (60, 180, 75), (255, 225, 25), (0, 130, 200), (245, 130, 48)),
    *((145, 30, 180), (70, 240, 240), (240, 50, 230), (210, 245, 60), (250, 190, 212)),
    *((0, 128, 128), (220, 190, 255), (170, 110, 40), (255, 250, 200), (128, 0, 0)),
    *((170, 255, 195), (128, 128, 0), (255, 215, 180), (0, 0, 128), (128, 128, 128)),
)
Span = tuple[float, float]


def classes_picture(labels: np.ndarray, palette: Sequence[Sequence[int]] = ()) -> np.ndarray:
    """The colour of each class.

    Args:
        labels: (1, H, W) whole numbers; 255 and those beyond the palette are black.
        palette: RGB of each class, 0 to 255; without one, colours that repeat.
    """
    if not palette:
        palette = [_PALETTE[number % len(_PALETTE)] for number in range(255)]
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(palette)] = palette
    return colours[np.clip(labels[0], 0, 255).astype(np.intp)]


def depth_picture(depth: np.ndarray, span: Span | None = None) -> np.ndarray:
    """Near is yellow and far is blue (viridis, reversed); black where there is no depth.

    Args:
        depth: (1, H, W), 0 or less is none.
        span: depths of the first and the last colour; by default those of the picture.
    """
    known = np.isfinite(depth[0]) & (depth[0] > 0)
    shares = 1 - _shares(np.where(known, depth[0], 0), known, span)
    levels = (np.clip(shares, 0, 1) * 255).round().astype(np.uint8)
    picture = cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS)[..., ::-1]
    return np.where(known[..., None], picture, 0).astype(np.uint8)


def normals_picture(normals: np.ndarray) -> np.ndarray:
    """(n + 1) / 2 as red, green and blue, as 8-bit files hold them; black where there is none.

    Args:
        normals: (3, H, W), unit vectors; zero vectors are none.
    """
    known = np.linalg.norm(normals, axis=0) > 0
    levels = (np.clip((normals + 1) / 2, 0, 1) * 255).round()
    return np.where(known, levels, 0).transpose(1, 2, 0).astype(np.uint8)


def shares_picture(values: np.ndarray) -> np.ndarray:
    """Probabilities, or labels 0 and 1, from black to white; what is ignored (255) is red.

    Args:
        values: (1, H, W).
    """
    ignored = values[0] > 1.5
    levels = (np.clip(values[0], 0, 1) * 255).round().astype(np.uint8)
    picture = np.repeat(levels[..., None], 3, axis=2)
    picture[ignored] = (200, 40, 40)
    return picture


def regression_picture(values: np.ndarray) -> np.ndarray:
    """The first three channels, each from its smallest to its largest value; nan is black.

    Args:
        values: (C, H, W); one channel is grey, two are red and green.
    """
    known = np.asarray(np.isfinite(values).all(axis=0))
    levels = [np.clip(_shares(v, known, None), 0, 1) * 255 for v in np.where(known, values, 0)[:3]]
    if len(levels) == 1:
        levels *= 3
    levels += [np.zeros_like(levels[0])] * (3 - len(levels))
    return np.where(known[..., None], np.stack(levels, axis=-1).round(), 0).astype(np.uint8)


def numbers_picture(image: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """An image with numbers written on it, each below the one before.

    Args:
        image: (H, W, 3), RGB.
        numbers: (C,); of probabilities the five largest are written, with their places.
    """
    lines = [f'{number:.3g}' for number in numbers]
    if (numbers >= 0).all() and abs(numbers.sum() - 1) < 1e-3:
        largest = np.argsort(-numbers, kind='stable')[:5]
        lines = [f'{place}: {numbers[place]:.2f}' for place in largest.tolist()]
    picture, font = image.copy(), cv2.FONT_HERSHEY_SIMPLEX
    for row, line in enumerate(lines):
        place = 4, 14 * (row + 1)
        for colour, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.putText(picture, line, place, font, 0.4, colour, width, cv2.LINE_AA)
    return picture


def depth_span(sample: BaseDataElement, field: str) -> Span:
    """The smallest and the largest depth of a data sample; see ``depth_picture``."""
    depth = sample.get(field).data
    known = depth[depth.isfinite() & (depth > 0)]
    return (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)


# What follows ``gt_`` or ``pred_`` in a data sample -> how it is drawn.
PICTURES: dict[str, Callable[..., np.ndarray]] = dict(
    sem_seg=classes_picture,
    depth_map=depth_picture,
    normals=normals_picture,
    edges=shares_picture,
    saliency=shares_picture,
    regression=regression_picture,
    embedding=regression_picture,
)


def drawn_fields(sample: BaseDataElement, of: str = 'pred') -> list[str]:
    """The fields of a data sample that can be drawn.

    Args:
        sample: of a dense task.
        of: ``pred`` for predictions, ``gt`` for labels.
    """
    return [name for kind in PICTURES if (name := f'{of}_{kind}') in sample]


def picture(sample: BaseDataElement, field: str, **settings: Any) -> np.ndarray:
    """One dense label or prediction of a data sample, (H, W, 3) uint8, RGB.

    Args:
        sample: of mmseg.
        field: such as ``pred_normals``; see ``drawn_fields``.
        settings: ``palette`` of classes, ``span`` of depth.
    """
    draw = PICTURES[field.partition('_')[2]]
    return draw(sample.get(field).data.detach().cpu().numpy(), **settings)


def _shares(values: np.ndarray, known: np.ndarray, span: Span | None) -> np.ndarray:
    """Values as shares of a span, by default that of the known ones."""
    if span is None:
        there = values[known]
        span = (there.min(), there.max()) if there.size else (0.0, 1.0)
    return (values - span[0]) / max(span[1] - span[0], 1e-12)
