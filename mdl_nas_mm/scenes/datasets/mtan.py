"""NYUD-v2 and Cityscapes as arrays, in the layout of MTAN and LibMTL."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from mdl_nas_mm.registry import DATASETS

from .base import SceneDataset
from .listing import images_below, named, names_in
from .scene import Scene

_NYU = (
    *('bed', 'books', 'ceiling', 'chair', 'floor', 'furniture', 'objects', 'picture', 'sofa'),
    *('table', 'tv', 'wall', 'window'),
)
_CITYSCAPES = ('flat', 'construction', 'object', 'nature', 'sky', 'human', 'vehicle')


@DATASETS.register_module()
class MTANScenes(SceneDataset):
    """NYUD-v2 or Cityscapes as MTAN published them; LibMTL has the same.

    .. code-block:: none

        data_root
        ├── train  image/N.npy, label/N.npy, depth/N.npy, normal/N.npy
        └── val

    With a folder ``normal`` it is NYUD-v2, 288 x 384 pixels and 13 classes, without it is
    Cityscapes, 128 x 256 or 256 x 512 and 7. Images are floats from 0 to 1, RGB: load them with
    ``LoadSceneImage``.

    - ``semseg``: -1 is ignored.
    - ``depth`` (NYUD-v2): metres, 0 is none.
    - ``disparity`` (Cityscapes): the file named ``depth`` holds the 16-bit disparity divided by
      65535, 0 is none. Published errors of about 0.01 are in that unit.
    - ``normals`` (NYUD-v2): unit vectors as numbers, the zero vector is none.

    Args:
        label: one of these.
        split: ``train`` or ``val``.
        ann_file: a list of numbers, such as ``17``; all of the split if empty.
        **kwargs: of ``SceneDataset``: ``data_root``, ``pipeline`` and so on.
    """

    def __init__(self, label: str | None = None, split: str = 'train', **kwargs: Any) -> None:
        self.split, self.image_folder = split, os.path.join(split, 'image')
        self.folder = os.path.join(kwargs.get('data_root') or '', split)
        if not os.path.isdir(os.path.join(self.folder, 'image')):
            raise FileNotFoundError(
                f'{named(self)}: there is no folder {self.folder!r} with image/'
            )
        normals = os.path.join(self.folder, 'normal')
        self.is_nyu = os.path.isdir(normals)
        there = 'a' if self.is_nyu else 'no'
        self.layout = f'{"NYUD-v2" if self.is_nyu else "Cityscapes"}: there is {there} {normals!r}'
        super().__init__(label=label, **kwargs)

    def known_labels(self) -> Sequence[str]:
        return ('semseg', 'depth', 'normals') if self.is_nyu else ('semseg', 'disparity')

    def label_classes(self, label: str) -> dict:
        return dict(classes=_NYU if self.is_nyu else _CITYSCAPES) if label == 'semseg' else {}

    def scenes(self) -> Iterator[Scene]:
        if self.ann_file:
            names = [f'{name}.npy' for name in names_in(self.ann_file)]
        else:
            names = images_below(os.path.join(self.folder, 'image'), ('.npy',))
        for name in sorted(names, key=lambda name: (len(name), name)):
            labels = {label: self._source(label, name) for label in self.labels}
            yield Scene(os.path.join(self.folder, 'image', name), labels)

    def _source(self, label: str, name: str) -> dict:
        folder, encoding, options = _SOURCES[label]
        source = dict(path=os.path.join(self.folder, folder, name), encoding=encoding, **options)
        if label == 'semseg':
            source['num_classes'] = len(self.label_classes(label)['classes'])
        return source


_SOURCES: dict[str, tuple[str, str, dict]] = dict(
    semseg=('label', 'classes', {}),
    depth=('depth', 'depth', {}),
    disparity=('depth', 'depth', {}),
    normals=('normal', 'normals', {}),
)
