"""Images and labels of anyone's own: one folder a label."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mdl_nas_mm.registry import DATASETS
from mdl_nas_mm.trust import values

from ..labels import DEPTH, EDGES, NORMALS, REGRESSION, SALIENCY, SEGMENTATION, kind_named
from .base import SceneDataset
from .listing import Listing, images_below, named, names_in
from .scene import Scene

_ENCODINGS = {
    SEGMENTATION.key: 'classes',
    DEPTH.key: 'depth',
    EDGES.key: 'binary',
    SALIENCY.key: 'binary',
    REGRESSION.key: 'values',
}
_LABELS = ('semseg', 'human_parts', 'depth', 'normals', 'edges', 'saliency', 'regression')
_NOT_OPTIONS = ('folder', 'suffix', 'classes', 'palette')


@DATASETS.register_module()
class SceneFolders(SceneDataset):
    """A folder of images, and for each label a folder with files of the same names.

    .. code-block:: python

        dict(
            type='mdl_nas_mm.SceneFolders',
            data_root='data/mine',
            label='depth',
            images='images',
            ann_file='train.txt',  # names without endings, one a line; all images if left out
            semseg=dict(folder='masks', classes=('floor', 'wall', 'thing')),
            depth=dict(folder='depth', unit='mm', invalid=0),
            normals=dict(folder='normals'),
        )

    Files are images (.png, .jpg, .tif ...), .npy or .mat, also in folders within. Of a label are
    told:

    - ``folder``, below ``data_root``; ``suffix``, what the name of a label file has behind that of
      its image, such as ``_depth.png``, where it is not just another ending;
    - ``semseg``, ``human_parts``: ``classes``, the names; ``palette``; ``zero_ignored=True`` where
      0 is no class and k is class k - 1; ``ignored``, further values that are none (255 and
      negative ones never are);
    - ``depth``: ``unit``, 'm' (the default), 'cm', 'mm' or metres a step; ``invalid``, the value or
      values that are no measurement, 0 by default;
    - ``normals``: ``encoding='normals_8bit'``, the default for images, n = v / ``centre`` - 1 with
      ``centre=127.5``; ``encoding='normals'``, the default for .npy and .mat, are the numbers
      themselves, with ``invalid=(0, 0, 0)``;
    - ``edges``, ``saliency``: ``threshold=0.5``, above which part of the largest value is 1;
    - ``regression``: (v - ``centre``) / ``scale``; ``invalid``, a value that is none; ``channels``;
    - any of them: ``key``, the variable of .mat files; ``bits``, 8 or 16, which a value has to
      have; ``encoding``, another one of ``mdl_nas_mm.scenes.encodings``.

    A label has the size of its image.

    Args:
        label: which of the labels that follow; may be left out where there is one.
        images: the folder of images, below ``data_root``.
        ann_file: the list of names.
        semseg, human_parts, depth, normals, edges, saliency, regression: what is told of each.
        **kwargs: of ``SceneDataset``: ``data_root``, ``allow_missing``, ``pipeline`` and so on.
    """

    file_rules = dict(images=values.folder, **dict.fromkeys(_LABELS, values.label_files))

    def __init__(
        self,
        label: str | None = None,
        images: str = 'images',
        ann_file: str = '',
        semseg: Mapping | None = None,
        human_parts: Mapping | None = None,
        depth: Mapping | None = None,
        normals: Mapping | None = None,
        edges: Mapping | None = None,
        saliency: Mapping | None = None,
        regression: Mapping | None = None,
        **kwargs: Any,
    ) -> None:
        told = dict(
            zip(_LABELS, (semseg, human_parts, depth, normals, edges, saliency, regression))
        )
        told = {name: each for name, each in told.items() if each is not None}
        if not told:
            raise ValueError(f"{named(self)}: no label is told, such as depth=dict(folder='depth')")
        for name, each in told.items():
            if not isinstance(each, Mapping):
                raise ValueError(
                    f"{named(self)}: {name} is {each!r}, expected settings: dict(folder='depth')"
                )
            if 'folder' not in each:
                raise ValueError(f'{named(self)}: {name} has no folder')
            if kind_named(name) is SEGMENTATION and not _are_names(each.get('classes')):
                raise ValueError(
                    f'{named(self)}: {name} has no classes, which are names: '
                    f'{each.get("classes")!r}'
                )
        self.told = {name: dict(each) for name, each in told.items()}
        self.image_folder = images
        super().__init__(label=label, ann_file=ann_file, **kwargs)

    def known_labels(self) -> Sequence[str]:
        return tuple(self.told)

    def label_classes(self, label: str) -> dict:
        return {
            key: self.told[label][key] for key in ('classes', 'palette') if key in self.told[label]
        }

    def scenes(self) -> Iterator[Scene]:
        listing, folder = Listing(), os.path.join(self.data_root or '', self.image_folder or '')
        if not os.path.isdir(folder):
            raise FileNotFoundError(f'{named(self)}: there is no folder {folder!r}')
        for image in self._image_paths(folder, listing):
            stem = os.path.splitext(os.path.relpath(image, folder))[0]
            labels = {label: self._source(label, stem, listing) for label in self.labels}
            yield Scene(image, labels)

    def _image_paths(self, folder: str, listing: Listing) -> Iterator[str]:
        if not self.ann_file:
            yield from (os.path.join(folder, name) for name in images_below(folder))
            return
        for name in names_in(self.ann_file, with_spaces=True):
            path = os.path.join(folder, name)
            yield path if listing.has(path) else listing.with_stem(folder, name) or f'{path}.*'

    def _source(self, label: str, stem: str, listing: Listing) -> dict:
        told = self.told[label]
        folder = os.path.join(self.data_root or '', told['folder'])
        if 'suffix' in told:
            path = os.path.join(folder, stem + told['suffix'])
        else:
            path = listing.with_stem(folder, stem) or os.path.join(folder, f'{stem}.*')
        source = {key: value for key, value in told.items() if key not in _NOT_OPTIONS}
        source |= dict(path=path)
        if kind_named(label) is NORMALS:
            is_numbers = path.endswith(('.npy', '.mat'))
            source.setdefault('encoding', 'normals' if is_numbers else 'normals_8bit')
        source.setdefault('encoding', _ENCODINGS.get(kind_named(label).key))
        if 'classes' in told:
            source['num_classes'] = len(told['classes'])
        return source


def _are_names(classes: Any) -> bool:
    """Whether these are names of classes, and some."""
    is_list = isinstance(classes, Sequence) and not isinstance(classes, str)
    return is_list and len(classes) > 0 and all(isinstance(name, str) for name in classes)
