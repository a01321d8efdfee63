"""PASCAL-Context with segmentation, human parts, saliency, normals and edges."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from mmseg.datasets import PascalVOCDataset

from mdl_nas_mm.registry import DATASETS

from .base import SceneDataset
from .listing import Listing, named, names_in
from .scene import Scene

_PARTS = ('background', 'head', 'torso', 'upper arm', 'lower arm', 'upper leg', 'lower leg')
_SOURCES: dict[str, tuple[str, str, dict[str, Any]]] = dict(
    human_parts=('human_parts', '.mat', dict(encoding='human_parts', key='anno', num_classes=7)),
    saliency=('sal_distill', '.png', dict(encoding='binary')),
    normals=('normals_distill', '.png', dict(encoding='normals_8bit')),
    edges=(
        'pascal-context/trainval',
        '.mat',
        dict(encoding='label_borders', key='LabelMap'),
    ),
)


@DATASETS.register_module()
class PASCALContextScenes(SceneDataset):
    """PASCAL-Context as ASTMT published it: 4,998 images for training, 5,105 for testing.

    .. code-block:: none

        data_root
        ├── JPEGImages              NAME.jpg
        ├── semseg/VOC12            NAME.png
        ├── semseg/pascal-context   NAME.png, of images that VOC12 lacks
        ├── human_parts             NAME.mat with `anno`
        ├── normals_distill         NAME.png
        ├── sal_distill             NAME.png
        ├── pascal-context/trainval NAME.mat with `LabelMap`
        └── ImageSets               Context/train.txt, Context/val.txt, Parts/train.txt ...

    - ``semseg``: PASCAL VOC's 21 classes, 255 is ignored.
    - ``human_parts``: background and six parts, joined of 24; an image without persons is all
      ignored.
    - ``saliency``: 1 above half of 255. Labels are of a model, not of persons.
    - ``normals``: 8-bit, 2 v / 255 - 1; mid-grey, white and black are none. Of a model as well.
    - ``edges``: where the class of ``LabelMap`` changes, by its thinned Laplacian.

    Images are those of PASCAL VOC 2010, at most 500 pixels a side and of many sizes; each label has
    the size of its image.

    mmseg's ``PascalContextDataset`` is another data set, of 59 classes.

    Args:
        label: one of these.
        ann_file: the list of names, such as ``ImageSets/Context/train.txt``.
        **kwargs: of ``SceneDataset``: ``data_root``, ``pipeline`` and so on.
    """

    LABEL_METAINFO = dict(
        semseg={key: PascalVOCDataset.METAINFO[key] for key in ('classes', 'palette')},
        human_parts=dict(classes=_PARTS),
    )
    image_folder = 'JPEGImages'

    def __init__(self, label: str | None = None, ann_file: str = '', **kwargs: Any) -> None:
        if not ann_file:
            raise ValueError(f'{named(self)}: say ann_file, such as ImageSets/Context/train.txt')
        super().__init__(label=label, ann_file=ann_file, **kwargs)

    def known_labels(self) -> Sequence[str]:
        return ('semseg', *_SOURCES)

    def scenes(self) -> Iterator[Scene]:
        root, listing = self.data_root or '', Listing()
        for name in names_in(self.ann_file):
            labels = {label: self._source(root, label, name, listing) for label in self.labels}
            yield Scene(os.path.join(root, 'JPEGImages', f'{name}.jpg'), labels)

    def _source(self, root: str, label: str, name: str, listing: Listing) -> dict[str, Any]:
        if label == 'semseg':
            paths = [
                os.path.join(root, 'semseg', folder, f'{name}.png')
                for folder in ('VOC12', 'pascal-context')
            ]
            path = next((path for path in paths if listing.has(path)), paths[0])
            return dict(path=path, encoding='classes', num_classes=21)
        folder, ending, options = _SOURCES[label]
        return dict(path=os.path.join(root, folder, name + ending), **options)
