"""The bundled demonstration data, made from what scikit-learn ships.

1,797 handwritten digits and two photographs become domains that differ in
canvas, background, contrast and scale: three to begin with, and two to add
later, a new data set for an old kind of task and a new kind of task::

    cls/{train,search,val}/<class>/*.png              light on plain dark, 20 x 20
    det/images/{train,search,val}/*.png               coloured on photographs, 48 x 48
    det/annotations/{train,search,val}.json           COCO instances with masks
    seg/images/{training,search,validation}/*.png     dark on bright texture, 32 x 32
    seg/annotations/{training,search,validation}/*.png
    sketch/{train,search,val}/<class>/*.png           dark on light squared paper, 24 x 24
    pose/images/{train,search,val}/*.png              turned, anywhere, on noise, 40 x 40
    pose/annotations/{train,search,val}.json          COCO keypoints: corners and centre
    sources.json     which source digits every image shows
    manifest.json    version, seed, scale, number of images

The digits are first divided into three splits, common to all domains: a digit
that is in one split of one domain is in no other split of any. ``search`` is
for choosing architectures, held out of training.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mdl_nas_mm.utils.files import write_json

from .formats import (
    ADE_NAMES,
    Originals,
    write_class_folders,
    write_coco,
    write_keypoints,
    write_label_maps,
)
from .render import render_classification, render_sketch
from .written_once import ImageCounter, write_once

VERSION = 2
DOMAINS = ('cls', 'det', 'seg', 'sketch', 'pose')
SPLITS = ('train', 'search', 'val')
SPLIT_DIGITS = dict(train=1200, search=250, val=347)
IMAGES = dict(
    cls=dict(train=2400, search=250, val=347),
    det=dict(train=1200, search=100, val=150),
    seg=dict(train=1600, search=80, val=120),
    sketch=dict(train=2400, search=250, val=347),
    pose=dict(train=1200, search=100, val=150),
)
PHOTO_COLUMNS = dict(train=(0.0, 0.62), search=(0.62, 0.78), val=(0.78, 1.0))


def write_demo_data(
    root: str | Path, seed: int = 0, scale: float = 1.0, progress: bool = True
) -> dict:
    """Writes the demonstration data, unless it is already there.

    The data appears under ``root`` only when complete: it is written beside it
    and renamed. Data of another version, seed or scale is replaced. The same
    arguments give the same bytes.

    Args:
        root: Folder of the data; created, with its parents.
        seed: Seeds the splits and everything that is random in the images.
        scale: Multiplies the number of images, for quick tests; at least ten
            images a split are written, so that every class occurs.
        progress: Whether to show progress on stderr.

    Returns:
        The content of ``manifest.json``.

    Raises:
        FileExistsError: ``root`` holds something that this function did not write.
        ValueError: ``scale`` is not positive.
    """
    if scale <= 0:
        raise ValueError(f'scale must be positive, got {scale}')
    images = {
        domain: {split: max(round(count * scale), 10) for split, count in counts.items()}
        for domain, counts in IMAGES.items()
    }
    manifest = dict(version=VERSION, seed=seed, scale=scale, images=images)
    write_once(
        root, manifest, _needed(images), lambda folder: _write_all(folder, seed, images, progress)
    )
    return manifest


def split_digits(labels: np.ndarray, seed: int) -> dict[str, list[int]]:
    """Divides the digits into the three splits.

    Args:
        labels: (1797,) class of each digit.
        seed: Seeds the division.

    Returns:
        Split -> indices, in an order in which the classes take turns, so that
        every beginning of it is balanced.
    """
    rng = np.random.default_rng([seed, 0])
    turns = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        turns[rng.permutation(members)] = np.arange(len(members))
    order = np.lexsort((rng.random(len(labels)), turns)).tolist()
    splits, start = {}, 0
    for split, count in SPLIT_DIGITS.items():
        splits[split] = order[start : start + count]
        start += count
    return splits


def _write_all(folder: Path, seed: int, images: dict, progress: bool) -> None:
    """Renders and writes all domains and ``sources.json`` into a new folder."""
    originals = _load_originals()
    splits = split_digits(originals.labels, seed)
    total = sum(sum(counts.values()) for counts in images.values())
    tick = ImageCounter(total, progress)
    sources: dict = {}
    for number, split in enumerate(SPLITS):
        cls_rng, det_rng, seg_rng, sketch_rng, pose_rng = (
            np.random.default_rng([seed, 1 + number, domain]) for domain in range(len(DOMAINS))
        )
        digits = splits[split]
        folders = dict(cls=(cls_rng, render_classification), sketch=(sketch_rng, render_sketch))
        for domain, (rng, render_one) in folders.items():
            shown = [digits[i % len(digits)] for i in range(images[domain][split])]
            written = write_class_folders(
                folder / domain, split, shown, originals, rng, tick, render_one
            )
            sources |= _below(domain, written)
        groups = _groups(digits, images['det'][split], (0.3, 0.4, 0.3), det_rng)
        photos = _photo_parts(originals.photos, split)
        sources |= _below(
            'det', write_coco(folder / 'det', split, groups, originals, photos, det_rng, tick)
        )
        groups = _groups(digits, images['seg'][split], (0.7, 0.3), seg_rng)
        sources |= _below(
            'seg', write_label_maps(folder / 'seg', split, groups, originals, seg_rng, tick)
        )
        shown = [digit for (digit,) in _groups(digits, images['pose'][split], (1.0,), pose_rng)]
        sources |= _below(
            'pose', write_keypoints(folder / 'pose', split, shown, originals, pose_rng, tick)
        )
    write_json(folder / 'sources.json', sources)


def _load_originals() -> Originals:
    """The digits and photographs out of the installed scikit-learn."""
    from sklearn.datasets import load_digits, load_sample_images

    digits = load_digits()
    return Originals(digits.images, digits.target, load_sample_images().images)


def _groups(
    digits: list[int],
    count: int,
    chances: tuple[float, ...],
    rng: np.random.Generator,
) -> list[list[int]]:
    """Groups of digits, one an image; all digits are used about equally often.

    ``chances[k]`` is the probability of k + 1 digits in a group.
    """
    endless = _reshuffled(digits, rng)
    sizes = rng.choice(len(chances), size=count, p=chances) + 1
    return [[next(endless) for _ in range(size)] for size in sizes]


def _reshuffled(digits: list[int], rng: np.random.Generator) -> Iterator[int]:
    while True:
        yield from rng.permutation(digits).tolist()


def _photo_parts(photos: list[np.ndarray], split: str) -> list[np.ndarray]:
    """The columns of the photographs that belong to a split and no other."""
    first, last = PHOTO_COLUMNS[split]
    return [p[:, round(p.shape[1] * first) : round(p.shape[1] * last)] for p in photos]


def _below(domain: str, sources: dict) -> dict:
    return {f'{domain}/{name}': digits for name, digits in sources.items()}


def _needed(images: dict[str, dict[str, int]]) -> dict[str, tuple[str, int]]:
    """What there must be for the folder to be complete, as ``write_once`` wants to know it."""
    needed = {'sources.json': ('', 1)}
    for split in SPLITS:
        for domain in ('cls', 'sketch'):
            needed[f'{domain}/{split}'] = ('*/*.png', images[domain][split])
        for domain in ('det', 'pose'):
            needed[f'{domain}/images/{split}'] = ('*.png', images[domain][split])
            needed[f'{domain}/annotations/{split}.json'] = ('', 1)
        for kind in ('images', 'annotations'):
            needed[f'seg/{kind}/{ADE_NAMES[split]}'] = ('*.png', images['seg'][split])
    return needed
