"""What all readers have in common: which labels, missing files, a look at the first image."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.logging import print_log
from mmseg.datasets import BaseSegDataset

from mdl_nas_mm.utils.amounts import check_count

from ..checks import emptiness, label_error
from ..encodings import read_array, read_label
from ..labels import SEGMENTATION, kind_named
from .clips import with_clips
from .listing import Listing, named
from .scene import Scene

# So many images are looked at until one has a depth, say, somewhere; of most labels, all of them.
_LOOKED_AT = 5


class SceneDataset(BaseSegDataset):
    """Base of data sets whose labels are maps of pixels of several kinds.

    A data info has ``img_path``, ``seg_fields`` (empty) and ``labels``, from which
    ``LoadSceneLabel`` reads; with segmentation ``seg_map_path`` as upstream's. The meta information
    has the classes and the palette of a segmentation; other labels have none.

    When the data set is built, the files of all images are looked for, and the labels of the first
    one are read and checked: their sizes, units and values.

    Args:
        label: which label, such as ``depth``; may be left out where there is just one.
        labels: several, in place of ``label``.
        allow_missing: leave images out that lack their file or that of a label.
        clip_length: with more than 1 a data info has ``clip_paths`` as well: so many frames of the
            image's folder, in the order of their names, the last being the image, whose labels they
            are. Images with too few frames around them are left out. ``LoadClip`` loads clips.
        clip_step: distance of the frames of a clip.
        clip_after: how many frames of a clip come after the image.
        metainfo: ``classes`` renames the classes, all of them.
        **kwargs: of mmseg's ``BaseSegDataset``.

    Raises:
        FileNotFoundError: files are missing; says in which folder, how many, and one of them.
        ValueError: there is no such label, or the first image's is not what it should be.
    """

    # label -> classes and palette.
    LABEL_METAINFO: Mapping[str, Mapping[str, Sequence]] = {}
    # Where the images lie below ``data_root``, if ``ann_file`` lists their names without endings.
    image_folder: str | None = None
    # Which of several layouts was found, and why, as an unknown label depends on it.
    layout = ''

    def __init__(
        self,
        label: str | None = None,
        labels: Sequence[str] = (),
        allow_missing: bool = False,
        clip_length: int = 1,
        clip_step: int = 1,
        clip_after: int = 0,
        metainfo: dict | None = None,
        **kwargs: Any,
    ) -> None:
        clip = dict(clip_length=clip_length, clip_step=clip_step, clip_after=clip_after)
        for key, least in dict(clip_length=1, clip_step=1, clip_after=0).items():
            check_count(named(self), key, clip[key], least)
        if clip_after >= clip_length:
            raise ValueError(
                f'{named(self)}: clip_after={clip_after} of clip_length={clip_length} frames '
                'leaves none for the image itself'
            )
        self.allow_missing = allow_missing
        self.clip_length = clip_length
        self.clip_step = clip_step
        self.clip_after = clip_after
        known = self.known_labels()
        chosen = tuple(labels) if labels else (label,) if label else tuple(known)
        self.labels = self._check_labels(chosen, known, bool(label or labels))
        super().__init__(metainfo=self._with_classes(metainfo), **kwargs)

    @abstractmethod
    def known_labels(self) -> Sequence[str]:
        """The labels that such data can have."""

    @abstractmethod
    def scenes(self) -> Iterator[Scene]:
        """All images, with the sources of ``self.labels``."""

    def name_of(self, image: str) -> str:
        """How ``ann_file`` lists an image.

        Args:
            image: its file.

        Raises:
            ValueError: it lists no images.
        """
        if self.image_folder is None:
            raise ValueError(f'{named(self)} does not read a list of images by ann_file')
        folder = os.path.join(self.data_root or '', self.image_folder)
        return os.path.splitext(os.path.relpath(image, folder))[0]

    def label_classes(self, label: str) -> Mapping[str, Sequence]:
        """``classes`` and, where known, ``palette`` of a segmentation."""
        return self.LABEL_METAINFO.get(label, {})

    def load_data_list(self) -> list[dict]:
        """Looks for all files, and reads and checks the labels of the first image."""
        scenes = self._with_files(list(self.scenes()))
        if not scenes:
            of = f', of those that {self.ann_file!r} names' if self.ann_file else ''
            folder = os.path.join(self.data_root or '', self.image_folder or '')
            raise FileNotFoundError(
                f'{named(self)}: there are no images with {self._names()} in {folder!r}{of}'
            )
        if self.clip_length > 1:
            clip = self.clip_length, self.clip_step, self.clip_after
            scenes = list(with_clips(scenes, *clip))
            if not scenes:
                raise ValueError(
                    f'{named(self)}: no image has the frames around it of a clip of '
                    f'clip_length={clip[0]}, clip_step={clip[1]}, clip_after={clip[2]}'
                )
        self._check_first(scenes)
        return [self._data_info(scene) for scene in scenes]

    def _check_labels(
        self, chosen: tuple[str, ...], known: Sequence[str], is_told: bool
    ) -> tuple[str, ...]:
        if not is_told and len(known) > 1:
            raise ValueError(f'{named(self)}: say which label, of {", ".join(known)}')
        for name in chosen:
            if name not in known:
                layout = f' ({self.layout})' if self.layout else ''
                raise ValueError(
                    f'{named(self)}: label {name!r} is not one of {", ".join(known) or "any"}'
                    f'{layout}'
                )
        keys = [kind_named(name).key for name in chosen]
        for name, key in zip(chosen, keys):
            if keys.count(key) > 1:
                raise ValueError(
                    f'{named(self)}: {name!r} and another label are both {key}; '
                    'write a data set for each'
                )
        return chosen

    def _with_classes(self, metainfo: dict | None) -> dict:
        found: dict = {'classes': ()}
        for label in self.labels:
            found |= self.label_classes(label)
        given = dict(metainfo or {})
        if (
            'classes' in given
            and found['classes']
            and len(given['classes']) != len(found['classes'])
        ):
            raise ValueError(
                f'{named(self)}: metainfo has {len(given["classes"])} classes, the data '
                f'{len(found["classes"])}'
            )
        if 'classes' in given and len(given['classes']) != len(found.get('palette', ())):
            found.pop('palette', None)
        return found | given

    def _with_files(self, scenes: list[Scene]) -> list[Scene]:
        """Those whose files are all there."""
        listing, complete, lost = Listing(), [], []
        for scene in scenes:
            paths = [scene.img_path, *_paths(scene.labels)]
            missing = [path for path in paths if not listing.has(path)]
            lost += missing
            if not missing:
                complete.append(scene)
        if lost and not self.allow_missing:
            folder = os.path.commonpath([os.path.dirname(path) for path in lost])
            raise FileNotFoundError(
                f'{named(self)}: {folder!r} lacks {len(lost)} files for {len(scenes)} images, '
                f'such as {os.path.relpath(lost[0], folder)!r}; allow_missing=True leaves such '
                'images out'
            )
        if lost:
            count = len(scenes) - len(complete)
            print_log(f'{named(self)}: {count} of {len(scenes)} images lack files', 'current')
        return complete

    def _check_first(self, scenes: list[Scene]) -> None:
        """Raises ValueError for what the labels of the first image do not fit."""
        size = image_size(scenes[0].img_path, self.backend_args)
        for label in self.labels:
            kind, empty = kind_named(label), None
            # Many images may have no person, but not no depth or normals.
            for scene in scenes[:_LOOKED_AT] if kind.smooth else scenes:
                source = scene.labels[label]
                found = read_label(label, source, self.backend_args)
                wrong = label_error(label, found, source.get('num_classes'))
                if wrong is None and kind.is_map and scene is scenes[0]:
                    wrong = self.size_misfit(found.shape[:2], size)
                if wrong:
                    raise ValueError(f'{named(self)}: {label} {source["path"]!r} {wrong}')
                empty = emptiness(label, found)
                if not empty:
                    break
            else:
                raise ValueError(
                    f'{named(self)}: {label} {scenes[0].labels[label]["path"]!r} {empty}, nor have '
                    'the next ones; is the encoding another one?'
                )

    def size_misfit(self, of_label: tuple[int, ...], of_image: tuple[int, ...]) -> str | None:
        """What is wrong with the size (H, W) of a label, if anything is."""
        if of_label == of_image:
            return None
        return (
            f'is {of_label[0]} x {of_label[1]}, its image {of_image[0]} x {of_image[1]} '
            '(height x width)'
        )

    def _data_info(self, scene: Scene) -> dict:
        info = dict(
            img_path=scene.img_path,
            labels=scene.labels,
            seg_fields=[],
            label_map=self.label_map,
            reduce_zero_label=self.reduce_zero_label,
            **scene.extra,
        )
        for label, source in scene.labels.items():
            if kind_named(label) is SEGMENTATION:
                info['seg_map_path'] = source['path']
                info['reduce_zero_label'] = source.get('zero_ignored', False)
        return info

    def _names(self) -> str:
        return ', '.join(self.labels)


def image_size(path: str, backend_args: dict | None = None) -> tuple[int, ...]:
    """(H, W) of an image file or of a .npy file (H, W, C)."""
    return np.shape(read_array(path, backend_args=backend_args))[:2]


def _paths(labels: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for source in labels.values():
        yield source['path']
        if source.get('mask'):
            yield source['mask']['path']
