"""NYUD-v2 with segmentation, depth, normals and edges, in the layouts of three benchmarks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from mdl_nas_mm.registry import DATASETS
from mdl_nas_mm.utils.amounts import check_count

from .base import SceneDataset
from .listing import Listing, images_below, named, names_in
from .scene import Scene

NYU_CLASSES = (
    *('wall', 'floor', 'cabinet', 'bed', 'chair', 'sofa', 'table', 'door', 'window'),
    *('bookshelf', 'picture', 'counter', 'blinds', 'desk', 'shelves', 'curtain', 'dresser'),
    *('pillow', 'mirror', 'floor mat', 'clothes', 'ceiling', 'books', 'refrigerator'),
    *('television', 'paper', 'towel', 'shower curtain', 'box', 'whiteboard', 'person'),
    *('night stand', 'toilet', 'sink', 'lamp', 'bathtub', 'bag', 'other structure'),
    *('other furniture', 'other prop'),
)
_IMAGES = ('.jpg', '.png', '.ppm')
# Folder, and for each ending how the files are read.
_SOURCES: dict[str, tuple[str, dict[str, dict[str, Any]]]] = dict(
    semseg=('segmentation', {'.png': {}, '.mat': dict(key='segmentation')}),
    depth=('depth', {'.npy': {}, '.mat': dict(key='depth')}),
    normals=(
        'normals',
        {
            '.npy': dict(encoding='normals'),
            '.png': dict(encoding='normals_8bit'),
            '.jpg': dict(encoding='normals_8bit'),
        },
    ),
    edges=('edge', {'.npy': {}, '.png': {}}),
    saliency=('saliency', {'.npy': {}, '.png': {}}),
)
_ENCODINGS = dict(semseg='classes', depth='depth', edges='binary', saliency='binary')


@DATASETS.register_module()
class NYUDScenes(SceneDataset):
    """NYUD-v2: 795 images for training, 654 for testing.

    .. code-block:: none

        data_root
        ├── images        NAME.jpg or NAME.png
        ├── segmentation  NAME.png, or NAME.mat with `segmentation`
        ├── depth         NAME.npy, or NAME.mat with `depth`
        ├── normals       NAME.npy, NAME.png or NAME.jpg
        ├── edge          NAME.npy or NAME.png
        └── gt_sets       train.txt, val.txt: names, one a line

    Three benchmarks share these folders and differ in the endings of their files, which say how
    they are read: ASTMT's (jpg, mat, jpg normals) and the one of the multi-task survey (jpg, png,
    npy) of 480 x 640 pixels, and that of ATRC and InvPT (png, npy, png normals) of 425 x 560.

    - ``semseg``: 40 classes; 0 in the file is ignored, k is class k - 1. With ``background`` there
      are 41, 0 as one more, the first.
    - ``depth``: metres, 0 is no measurement.
    - ``normals``: unit vectors as numbers, or 8-bit 2 v / 255 - 1, where mid-grey (127 or 128 in
      all channels), white and black are none.
    - ``edges``: 0 or 1, as 0 and 255.
    - ``saliency``: 0 or 1; not of NYUD-v2, but of other data in its layout, from a folder of that
      name.

    Raw frames are such a folder as well, in which few have labels. Names may have folders in them,
    such as ``kitchen_0001/r-1294886362.238178-1``; with ``clip_length`` an image comes with the
    frames before it in its folder.

    Args:
        label: ``semseg``, ``depth``, ``normals``, ``edges`` or ``saliency``.
        ann_file: the list of names, such as ``gt_sets/train.txt``.
        every: in place of ``ann_file``, the n-th frame, the 2 n-th and so on of each folder are the
            images, all others are only frames of clips.
        background: keep class 0 of the segmentation.
        classes: other classes, of other data in this layout.
        **kwargs: of ``SceneDataset``: ``data_root``, ``pipeline`` and so on.
    """

    image_folder = 'images'

    def __init__(
        self,
        label: str | None = None,
        ann_file: str = '',
        every: int | None = None,
        background: bool = False,
        classes: Sequence[str] = NYU_CLASSES,
        **kwargs: Any,
    ) -> None:
        self.every = every
        self.classes = ('background', *classes) if background else tuple(classes)
        self.background = background
        if bool(ann_file) == (every is not None):
            raise ValueError(f'{named(self)}: say ann_file, such as gt_sets/train.txt, or every')
        if every is not None:
            check_count(named(self), 'every', every, 1)
        super().__init__(label=label, ann_file=ann_file, **kwargs)

    def known_labels(self) -> Sequence[str]:
        return tuple(_SOURCES)

    def label_classes(self, label: str) -> dict:
        return dict(classes=self.classes) if label == 'semseg' else {}

    def scenes(self) -> Iterator[Scene]:
        root, listing = self.data_root or '', Listing()
        for name in self._names_of(os.path.join(root, 'images')):
            labels = {label: self._source(root, label, name, listing) for label in self.labels}
            image = listing.with_stem(os.path.join(root, 'images'), name, _IMAGES)
            yield Scene(image or os.path.join(root, 'images', f'{name}.jpg'), labels)

    def _names_of(self, folder: str) -> Iterator[str]:
        if self.every is None:
            yield from names_in(self.ann_file)
            return
        places: dict[str, int] = {}
        for path in images_below(folder, _IMAGES):
            video = os.path.dirname(path)
            places[video] = places.get(video, 0) + 1
            if places[video] % self.every == 0:
                yield os.path.splitext(path)[0]
        if max(places.values(), default=0) < self.every:
            raise FileNotFoundError(
                f'{named(self)}: no folder in {folder!r} has as many frames as every={self.every}'
            )

    def _source(self, root: str, label: str, name: str, listing: Listing) -> dict:
        folder, endings = _SOURCES[label]
        path = listing.with_stem(os.path.join(root, folder), name, tuple(endings))
        path = path or os.path.join(root, folder, name + next(iter(endings)))
        source = dict(encoding=_ENCODINGS.get(label), path=path)
        source |= endings[os.path.splitext(path)[1]]
        if label == 'semseg':
            source |= dict(zero_ignored=not self.background, num_classes=len(self.classes))
        return source
