"""Cityscapes with segmentation and depth from its stereo pairs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from mmseg.datasets import CityscapesDataset

from mdl_nas_mm.registry import DATASETS

from .base import SceneDataset
from .listing import images_below, named, names_in
from .scene import Scene

_IMAGE = '_leftImg8bit.png'
_SOURCES: dict[str, tuple[str, str, dict[str, Any]]] = dict(
    semseg=('gtFine', '_gtFine_labelTrainIds.png', dict(encoding='classes', num_classes=19)),
    depth=('disparity', '_disparity.png', dict(encoding='cityscapes_depth', bits=16)),
    disparity=('disparity', '_disparity.png', dict(encoding='cityscapes_disparity', bits=16)),
)


@DATASETS.register_module()
class CityscapesScenes(SceneDataset):
    """Cityscapes: 2,975 images for training, 500 for validation, 1024 x 2048 pixels.

    .. code-block:: none

        data_root
        ├── leftImg8bit/{train,val}/CITY  NAME_leftImg8bit.png
        ├── gtFine/{train,val}/CITY       NAME_gtFine_labelTrainIds.png
        └── disparity/{train,val}/CITY    NAME_disparity.png

    - ``semseg``: 19 classes, 255 is ignored. mmseg's tools write these files.
    - ``disparity``: pixels of the 16-bit files, p > 0 is (p - 1) / 256; 0 is none.
    - ``depth``: metres, 0.22 * 2262 / disparity (baseline and focal length); 0 is none.

    MTAN's arrays are read by ``MTANScenes``.

    Args:
        label: one of these.
        split: ``train`` or ``val``.
        ann_file: a list of names, such as ``aachen/aachen_000000_000019``; all of the split if
            empty.
        **kwargs: of ``SceneDataset``: ``data_root``, ``pipeline`` and so on.
    """

    LABEL_METAINFO = dict(
        semseg={key: CityscapesDataset.METAINFO[key] for key in ('classes', 'palette')}
    )

    def __init__(self, label: str | None = None, split: str = 'train', **kwargs: Any) -> None:
        self.split = split
        self.image_folder = os.path.join('leftImg8bit', split)
        super().__init__(label=label, **kwargs)

    def name_of(self, image: str) -> str:
        return f'{super().name_of(image)}.png'.removesuffix(_IMAGE)

    def known_labels(self) -> Sequence[str]:
        return tuple(_SOURCES)

    def scenes(self) -> Iterator[Scene]:
        root = self.data_root or ''
        folder = os.path.join(root, 'leftImg8bit', self.split)
        if not os.path.isdir(folder):
            raise FileNotFoundError(f'{named(self)}: there is no folder {folder!r}')
        for name in self._names_of(folder):
            labels = {}
            for label in self.labels:
                below, ending, options = _SOURCES[label]
                path = os.path.join(root, below, self.split, name + ending)
                labels[label] = dict(path=path, **options)
            yield Scene(os.path.join(folder, name + _IMAGE), labels)

    def _names_of(self, folder: str) -> list[str]:
        if self.ann_file:
            return names_in(self.ann_file)
        images = (name for name in images_below(folder) if name.endswith(_IMAGE))
        return [name.removesuffix(_IMAGE) for name in images]
