"""The domains as files: class folders, COCO JSON, label maps.

Each ``write_*`` function writes one split below one folder and returns which
source digits each image shows: image path relative to the folder -> indices
into scikit-learn's digits.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from mdl_nas_mm.utils.files import write_json

from . import render

CLASSES = tuple(str(digit) for digit in range(10))
KEYPOINTS = ('top_left', 'top_right', 'bottom_right', 'bottom_left', 'centre')
ADE_NAMES = {'train': 'training', 'search': 'search', 'val': 'validation'}

Sources = dict[str, list[int]]
Tick = Callable[[], None]


class Originals(NamedTuple):
    """What the demonstration data is made of.

    Attributes:
        digits: (1797, 8, 8) float, values 0 to 16.
        labels: (1797,) int, 0 to 9.
        photos: Two (427, 640, 3) uint8 photographs.
    """

    digits: np.ndarray
    labels: np.ndarray
    photos: list[np.ndarray]


def write_class_folders(
    folder: Path,
    split: str,
    shown: list[int],
    originals: Originals,
    rng: np.random.Generator,
    tick: Tick,
    render_one: Callable[[np.ndarray, np.random.Generator], np.ndarray],
) -> Sources:
    """Writes ``<split>/<class>/<digit>_<copy>.png``, one image for each of ``shown``.

    Args:
        folder: of the domain.
        split: such as ``train``.
        shown: indices of the digits, one for each image; a digit may come again.
        originals: the digits and photographs that images are made of.
        rng: of everything that is random in them.
        tick: called after each image.
        render_one: makes the image of a digit.
    """
    for name in CLASSES:
        (folder / split / name).mkdir(parents=True, exist_ok=True)
    sources: Sources = {}
    copies: dict[int, int] = {}
    for digit in shown:
        copy = copies[digit] = copies.get(digit, -1) + 1
        name = f'{split}/{originals.labels[digit]}/{digit:04d}_{copy}.png'
        save_png(folder / name, render_one(originals.digits[digit], rng))
        sources[name] = [digit]
        tick()
    return sources


def write_coco(
    folder: Path,
    split: str,
    shown: list[list[int]],
    originals: Originals,
    photos: list[np.ndarray],
    rng: np.random.Generator,
    tick: Tick,
) -> Sources:
    """Writes ``images/<split>/*.png`` and ``annotations/<split>.json``.

    Masks are uncompressed COCO run-length codes, not polygons, because digits
    have holes; each annotation also names its ``source_digit``.
    """
    (folder / 'images' / split).mkdir(parents=True)
    (folder / 'annotations').mkdir(exist_ok=True)
    images: list[dict] = []
    annotations: list[dict] = []
    sources: Sources = {}
    for image_id, digits in enumerate(shown, start=1):
        photo = photos[rng.integers(len(photos))]
        scene = render.render_detection(photo, [originals.digits[i] for i in digits], rng)
        name = f'{image_id:06d}.png'
        height, width = scene.image.shape[:2]
        save_png(folder / 'images' / split / name, scene.image)
        images.append(dict(id=image_id, file_name=name, height=height, width=width))
        placed = [digits[i] for i in scene.placed]
        for digit, mask in zip(placed, scene.masks):
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image_id,
                    category_id=int(originals.labels[digit]) + 1,
                    bbox=_coco_box(mask),
                    area=int(mask.sum()),
                    iscrowd=0,
                    segmentation=_run_lengths(mask),
                    source_digit=digit,
                )
            )
        sources[f'images/{split}/{name}'] = placed
        tick()
    categories = [dict(id=i, name=name) for i, name in enumerate(CLASSES, start=1)]
    write_json(
        folder / 'annotations' / f'{split}.json',
        dict(images=images, annotations=annotations, categories=categories),
        indent=None,
    )
    return sources


def write_keypoints(
    folder: Path,
    split: str,
    shown: list[int],
    originals: Originals,
    rng: np.random.Generator,
    tick: Tick,
) -> Sources:
    """Writes ``images/<split>/*.png`` and ``annotations/<split>.json``, one digit an image.

    Annotations are COCO's of persons: a box, and (x, y, 2) for each of ``KEYPOINTS``.
    """
    (folder / 'images' / split).mkdir(parents=True)
    (folder / 'annotations').mkdir(exist_ok=True)
    images: list[dict] = []
    annotations: list[dict] = []
    sources: Sources = {}
    for image_id, digit in enumerate(shown, start=1):
        pixels, points = render.render_pose(originals.digits[digit], rng)
        name = f'{image_id:06d}.png'
        save_png(folder / 'images' / split / name, pixels)
        height, width = pixels.shape[:2]
        images.append(dict(id=image_id, file_name=name, height=height, width=width))
        points = points.round(2)
        (left, top), (right, bottom) = points.min(0), points.max(0)
        box = [round(float(v), 2) for v in (left, top, right - left, bottom - top)]
        annotations.append(
            dict(
                id=image_id,
                image_id=image_id,
                category_id=1,
                bbox=box,
                area=round(box[2] * box[3], 2),
                iscrowd=0,
                num_keypoints=len(points),
                keypoints=[value for x, y in points.tolist() for value in (x, y, 2)],
                source_digit=digit,
            )
        )
        sources[f'images/{split}/{name}'] = [digit]
        tick()
    category = dict(id=1, name='digit', keypoints=list(KEYPOINTS), skeleton=[])
    write_json(
        folder / 'annotations' / f'{split}.json',
        dict(images=images, annotations=annotations, categories=[category]),
        indent=None,
    )
    return sources


def write_label_maps(
    folder: Path,
    split: str,
    shown: list[list[int]],
    originals: Originals,
    rng: np.random.Generator,
    tick: Tick,
) -> Sources:
    """Writes ``images/<split>/*.png`` and ``annotations/<split>/*.png`` as ADE20K does.

    Label 0 is the background, digit d is d + 1; every pixel has a label.
    """
    split = ADE_NAMES[split]
    (folder / 'images' / split).mkdir(parents=True)
    (folder / 'annotations' / split).mkdir(parents=True)
    sources: Sources = {}
    for number, digits in enumerate(shown, start=1):
        scene = render.render_segmentation([originals.digits[i] for i in digits], rng)
        placed = [digits[i] for i in scene.placed]
        labels = np.zeros(scene.image.shape[:2], dtype=np.uint8)
        for digit, mask in zip(placed, scene.masks):
            labels[mask] = originals.labels[digit] + 1
        name = f'{split}/{number:06d}.png'
        save_png(folder / 'images' / name, scene.image)
        save_png(folder / 'annotations' / name, labels)
        sources[f'images/{name}'] = placed
        tick()
    return sources


def _coco_box(mask: np.ndarray) -> list[int]:
    """Left, top, width, height in pixels."""
    rows, cols = np.nonzero(mask)
    left, top = cols.min(), rows.min()
    return [int(left), int(top), int(cols.max() - left + 1), int(rows.max() - top + 1)]


def _run_lengths(mask: np.ndarray) -> dict:
    """COCO's uncompressed code: lengths of runs down the columns, zeros first."""
    flat = np.concatenate(([0], mask.ravel(order='F').astype(np.int8), [0]))
    changes = np.flatnonzero(np.diff(flat))
    edges = np.concatenate(([0], changes, [mask.size]))
    counts = np.diff(edges).tolist()
    return dict(size=list(mask.shape), counts=counts)


def save_png(path: Path, pixels: np.ndarray) -> None:
    """Writes pixels (H, W) or (H, W, 3), uint8."""
    Image.fromarray(pixels).save(path, format='PNG', compress_level=6)
