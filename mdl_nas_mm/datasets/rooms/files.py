"""Rooms as files, in the layout of NYUD-v2 as ATRC and InvPT have it::

    images/*.png         RGB, with a sensor's noise
    segmentation/*.png   0 is ignored (it does not occur), else 1 + position in ``CLASSES``
    depth/*.npy          (H, W) float32, metres along the optical axis; 0: not measured
    normals/*.png        2 * value / 255 - 1 is (x, y, z): right, down, forward; mid-grey: none
    edge/*.png           255 on edges, else 0
    saliency/*.png       255 on the nearest thing, else 0
    gt_sets/*.txt        names without endings: train, val, and search for choosing architectures

A video is a folder of the same layout, whose ``gt_sets/labelled.txt`` names the frames that count
as labelled.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..digits import PHOTO_COLUMNS, SPLITS, split_digits
from ..formats import save_png
from ..written_once import ImageCounter, write_once
from .clips import CLIPS, sample_clip
from .render import Labels, label, render
from .sampling import Material, sample_view
from .scene import View
from .sensor import expose, measure

VERSION = 1
IMAGES = dict(train=400, search=50, val=80)
VIDEOS = dict(train=4, val=2)
LABELS = dict(segmentation='png', depth='npy', normals='png', edge='png', saliency='png')


def write_rooms(
    root: str | Path,
    seed: int = 0,
    images: Mapping[str, int] = IMAGES,
    height: int = 96,
    width: int = 128,
    progress: bool = True,
) -> dict:
    """Writes images of rooms with their labels, unless they are there; see ``write_once``.

    The same arguments give the same bytes. No digit and no column of a photograph is in two splits.

    Args:
        root: folder of the data; created, with its parents.
        seed: seeds the splits and everything that is sampled.
        images: images of each split.
        height: of every image, in pixels.
        width: of every image, in pixels.
        progress: whether to show progress on stderr.

    Returns:
        The content of ``manifest.json``.

    Raises:
        FileExistsError: ``root`` holds something that was not written so.
    """
    images = dict(images)
    manifest = dict(version=VERSION, seed=seed, images=images, size=[height, width])
    total = sum(images.values())
    needed = {name: (f'*.{ending}', total) for name, ending in dict(images='png', **LABELS).items()}
    needed |= {f'gt_sets/{split}.txt': ('', 1) for split in images}

    def write(folder: Path) -> None:
        tick = ImageCounter(total, progress)
        for split, count in images.items():
            for number in range(count):
                view = view_of(split, number, seed, height, width)
                rng = np.random.default_rng([seed, SPLITS.index(split), number, 1])
                write_sample(folder, f'{split}_{number:04d}', view, rng)
                tick()
            write_names(folder, split, [f'{split}_{number:04d}' for number in range(count)])

    write_once(root, manifest, needed, write)
    return manifest


def write_room_videos(
    root: str | Path,
    seed: int = 0,
    videos: Mapping[str, int] = VIDEOS,
    frames: int = 24,
    labelled_every: int = 1,
    avi: bool = False,
    height: int = 96,
    width: int = 128,
    progress: bool = True,
) -> dict:
    """Writes videos of rooms, unless they are there: ``<split>/<kind>_<number>/``, see ``CLIPS``.

    Args:
        root: folder of the videos; created, with its parents.
        seed: seeds everything that is sampled.
        videos: videos of each kind in each split.
        frames: of each video.
        labelled_every: every so manieth frame, the last of the video among them, is named in
            ``gt_sets/labelled.txt``; all frames have label files.
        avi: whether to write ``video.avi`` (motion JPEG) as well, for players.
        height: of every frame, in pixels.
        width: of every frame, in pixels.
        progress: whether to show progress on stderr.

    Returns:
        The content of ``manifest.json``.

    Raises:
        FileExistsError: ``root`` holds something that was not written so.
        ValueError: ``labelled_every`` is not positive.
    """
    if labelled_every < 1:
        raise ValueError(f'labelled_every must be positive, got {labelled_every}')
    manifest = dict(
        version=VERSION,
        seed=seed,
        videos=dict(videos),
        frames=frames,
        labelled_every=labelled_every,
        avi=avi,
        size=[height, width],
    )
    names = [
        (split, kind, number)
        for split, count in videos.items()
        for kind in CLIPS
        for number in range(count)
    ]
    needed = {}
    for split, kind, number in names:
        clip = f'{split}/{kind}_{number}'
        endings = dict(images='png', **LABELS)
        needed |= {f'{clip}/{name}': (f'*.{end}', frames) for name, end in endings.items()}
        files = ['gt_sets/labelled.txt', *(['video.avi'] if avi else [])]
        needed |= {f'{clip}/{file}': ('', 1) for file in files}

    def write(folder: Path) -> None:
        tick = ImageCounter(len(names) * frames, progress)
        for split, kind, number in names:
            clip = folder / split / f'{kind}_{number}'
            rng = np.random.default_rng([seed, SPLITS.index(split), CLIPS.index(kind), number])
            pictures = []
            views = sample_clip(kind, material_of(split, seed), rng, frames, height, width)
            for frame, view in enumerate(views):
                pictures.append(write_sample(clip, f'{frame:06d}', view, rng))
                tick()
            labelled = range((frames - 1) % labelled_every, frames, labelled_every)
            write_names(clip, 'labelled', [f'{frame:06d}' for frame in labelled])
            if avi:
                write_avi(clip / 'video.avi', pictures)

    write_once(root, manifest, needed, write)
    return manifest


@lru_cache(maxsize=8)
def material_of(split: str, seed: int = 0) -> Material:
    """What textures of a split may show: its digits of ``write_demo_data``, its columns."""
    from sklearn.datasets import load_digits

    digits = split_digits(load_digits().target, seed)[split]
    return Material(tuple(digits), PHOTO_COLUMNS[split])


def view_of(split: str, number: int, seed: int = 0, height: int = 96, width: int = 128) -> View:
    """The view of an image that ``write_rooms`` writes; ``label`` gives its exact labels."""
    rng = np.random.default_rng([seed, SPLITS.index(split), number, 0])
    return sample_view(material_of(split, seed), rng, height, width)


def write_sample(folder: Path, name: str, view: View, rng: np.random.Generator) -> np.ndarray:
    """Renders a view and writes image and labels, as sensors give them.

    Returns:
        The image, (H, W, 3) uint8.
    """
    image = expose(render(view), rng)
    labels = measure(label(view), view.camera, rng)
    for part in ('images', *LABELS):
        (folder / part).mkdir(parents=True, exist_ok=True)
    save_png(folder / 'images' / f'{name}.png', image)
    np.save(folder / 'depth' / f'{name}.npy', labels.depth)
    for part, pixels in _as_png(labels).items():
        save_png(folder / part / f'{name}.png', pixels)
    return image


def write_names(folder: Path, split: str, names: list[str]) -> None:
    """Writes ``gt_sets/<split>.txt``."""
    (folder / 'gt_sets').mkdir(exist_ok=True)
    text = ''.join(f'{name}\n' for name in names)
    (folder / 'gt_sets' / f'{split}.txt').write_text(text, encoding='utf-8')


def write_avi(path: Path, images: list[np.ndarray], frames_per_second: float = 12) -> None:
    """Writes images (H, W, 3) uint8, RGB, as a video that OpenCV reads everywhere."""
    import cv2

    height, width = images[0].shape[:2]
    code = cv2.VideoWriter.fourcc(*'MJPG')
    writer = cv2.VideoWriter(str(path), code, frames_per_second, (width, height))
    for image in images:
        writer.write(image[..., ::-1])
    writer.release()


def _as_png(labels: Labels) -> dict[str, np.ndarray]:
    return dict(
        segmentation=labels.segmentation + 1,
        normals=((labels.normals + 1) / 2 * 255).round().astype(np.uint8),
        edge=labels.edges * 255,
        saliency=labels.saliency * 255,
    )
