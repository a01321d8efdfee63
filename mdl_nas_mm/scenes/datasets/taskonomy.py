"""Taskonomy: many labels of images of buildings."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.logging import print_log

from mdl_nas_mm.registry import DATASETS

from .base import SceneDataset
from .listing import Listing, named, names_in, read_list
from .scene import Scene

_OBJECTS = (
    *('background', 'bottle', 'chair', 'couch', 'potted plant', 'bed', 'dining table', 'toilet'),
    *('tv', 'microwave', 'oven', 'toaster', 'sink', 'refrigerator', 'book', 'clock', 'vase'),
)
_IMAGE = '_domain_rgb.png'
_DEPTH = dict(encoding='depth', unit=1 / 512, invalid=65535, bits=16)
_HEAT = dict(encoding='values', scale=65535, bits=16)
_GREY = dict(encoding='values', scale=255, channels=1, bits=8)
# Label: its folder, the domain in its files' names, how they are read, whether depth masks it.
_SOURCES: dict[str, tuple[str, str, dict[str, Any], bool]] = dict(
    semseg=(
        'segment_semantic',
        'segmentsemantic.png',
        dict(encoding='classes', zero_ignored=True, num_classes=len(_OBJECTS)),
        False,
    ),
    depth=('depth_zbuffer', 'depth_zbuffer.png', _DEPTH, False),
    depth_euclidean=(
        'depth_euclidean',
        'depth_euclidean.png',
        dict(encoding='values', scale=512, invalid=65535, bits=16),
        False,
    ),
    normals=('normal', 'normal.png', dict(encoding='normals_8bit', centre=127), True),
    curvature=(
        'principal_curvature',
        'principal_curvature.png',
        dict(encoding='values', centre=127, scale=127, channels=2, bits=8),
        True,
    ),
    reshading=('reshading', 'reshading.png', _GREY, True),
    keypoints2d=('keypoints2d', 'keypoints2d.png', _HEAT, False),
    keypoints3d=('keypoints3d', 'keypoints3d.png', _HEAT, True),
    edges2d=('edge_texture', 'edge_texture.png', _HEAT, False),
    edges3d=('edge_occlusion', 'edge_occlusion.png', _HEAT, True),
    autoencoding=('rgb', 'rgb.png', dict(encoding='values', scale=255, channels=3, bits=8), False),
    segment_unsup2d=('segment_unsup2d', 'segment_unsup2d.png', dict(encoding='classes'), False),
    segment_unsup25d=('segment_unsup25d', 'segment_unsup25d.png', dict(encoding='classes'), False),
    class_object=('class_object', 'class_object.npy', dict(encoding='probabilities'), False),
    class_scene=('class_scene', 'class_scene.npy', dict(encoding='probabilities'), False),
    vanishing_points=('point_info', 'point_info.json', dict(encoding='vanishing_points'), False),
)


@DATASETS.register_module()
class TaskonomyScenes(SceneDataset):
    """Taskonomy: images of 512 x 512 pixels (1024 in part), by buildings.

    .. code-block:: none

        data_root
        ├── rgb/BUILDING           point_P_view_V_domain_rgb.png
        ├── depth_zbuffer/BUILDING point_P_view_V_domain_depth_zbuffer.png
        ├── ...
        └── train_val_test_tiny.csv, or another of the official splits

    | label | folder | values |
    |---|---|---|
    | ``semseg`` | ``segment_semantic`` | 17 classes: 0 is uncertain, ignored; 1 is background |
    | ``depth`` | ``depth_zbuffer`` | metres; 16 bit in 1/512 m, 65535 is none |
    | ``normals`` | ``normal`` | unit vectors; 8 bit, n = v / 127 - 1 |
    | ``curvature`` | ``principal_curvature`` | 2 channels, (v - 127) / 127 |
    | ``reshading`` | ``reshading`` | 1 channel from 0 to 1 |
    | ``keypoints2d``, ``keypoints3d`` | the same | heat maps from 0 to 1, 16 bit |
    | ``edges2d``, ``edges3d`` | ``edge_texture``, ``edge_occlusion`` | the same |
    | ``autoencoding`` | ``rgb`` | the image from 0 to 1, RGB |
    | ``depth_euclidean`` | the same | metres from the camera's centre, a regression |
    | ``segment_unsup2d``, ``segment_unsup25d`` | the same | numbers of segments |
    | ``class_object``, ``class_scene`` | the same | probabilities of 1000 and 365 classes (.npy) |
    | ``vanishing_points`` | ``point_info`` | three points on the unit sphere (.json) |

    Normals, curvature, reshading, ``keypoints3d`` and ``edges3d`` come from a mesh: where there is
    no depth there is no label. Images of the mesh's holes need ``depth_zbuffer`` for that, unless
    ``masked`` is false.

    The official lists name one building that no download has. A single building without images is
    left out with a line in the log, several are an error.

    Args:
        label: one of these.
        ann_file: a .csv with the columns ``id,train,val,test``, lines ending in CR, LF or both; or
            a list of views, such as ``allensville/point_0_view_2``.
        split: ``train``, ``val`` or ``test``; of a .csv.
        masked: whether depth masks what comes from the mesh.
        kept_classes: of ``class_object`` or ``class_scene``, those that are kept; their
            probabilities are made to add up to 1. All if empty.
        **kwargs: of ``SceneDataset``: ``data_root``, ``pipeline`` and so on. With ``allow_missing``
            any number of buildings may be missing.
    """

    LABEL_METAINFO = dict(semseg=dict(classes=_OBJECTS))
    image_folder = 'rgb'

    def __init__(
        self,
        label: str | None = None,
        ann_file: str = '',
        split: str = 'train',
        masked: bool = True,
        kept_classes: Sequence[int] = (),
        **kwargs: Any,
    ) -> None:
        if not ann_file:
            raise ValueError(f'{named(self)}: say ann_file, such as train_val_test_tiny.csv')
        self.split = split
        self.masked = masked
        self.kept_classes = tuple(kept_classes)
        super().__init__(label=label, ann_file=ann_file, **kwargs)

    def known_labels(self) -> Sequence[str]:
        return tuple(_SOURCES)

    def scenes(self) -> Iterator[Scene]:
        root = self.data_root or ''
        for building, view in self._views(root):
            labels = {label: self._source(root, label, building, view) for label in self.labels}
            yield Scene(os.path.join(root, 'rgb', building, f'{view}{_IMAGE}'), labels)

    def name_of(self, image: str) -> str:
        return super().name_of(image).removesuffix(os.path.splitext(_IMAGE)[0])

    def _views(self, root: str) -> Iterator[tuple[str, str]]:
        if os.path.splitext(self.ann_file)[1] != '.csv':
            for name in names_in(self.ann_file):
                building, _, view = name.rpartition('/')
                yield building, view
            return
        listing = Listing()
        for building in self._buildings(root):
            for name in sorted(listing.files(os.path.join(root, 'rgb', building))):
                if name.endswith(_IMAGE):
                    yield building, name.removesuffix(_IMAGE)

    def _buildings(self, root: str) -> list[str]:
        """Those of the split that have images."""
        listed = buildings_in(self.ann_file, self.split)
        found = [name for name in listed if os.path.isdir(os.path.join(root, 'rgb', name))]
        lost = sorted(set(listed) - set(found))
        if len(lost) > 1 and not self.allow_missing:
            raise FileNotFoundError(
                f'{named(self)}: {os.path.join(root, "rgb")!r} lacks {len(lost)} of {len(listed)} '
                f'buildings of {self.split!r}, such as {lost[0]!r}; allow_missing=True leaves '
                'them out'
            )
        if lost:
            print_log(f'{named(self)}: without the buildings {", ".join(lost)}', 'current')
        return found

    def _source(self, root: str, label: str, building: str, view: str) -> dict[str, Any]:
        folder, domain, options, of_mesh = _SOURCES[label]
        source = dict(
            path=os.path.join(root, folder, building, f'{view}_domain_{domain}'), **options
        )
        if of_mesh and self.masked:
            source['mask'] = self._source(root, 'depth', building, view)
        if options['encoding'] == 'probabilities' and self.kept_classes:
            source['kept'] = self.kept_classes
        return source


def buildings_in(path: str, split: str) -> list[str]:
    """The buildings of a split, of an official list.

    Raises:
        ValueError: the list has no such column, a row of another length, or no building in it.
    """
    columns, *lines = csv.reader(read_list(path).split() or [''])
    for line in lines:
        if len(line) != len(columns):
            row, count = ','.join(line), len(columns)
            raise ValueError(f'{path!r}: {row!r} has {len(line)} values, expected {count}')
    if 'id' not in columns or split not in columns:
        raise ValueError(f'{path!r} has no column {split!r}, but {", ".join(columns) or "nothing"}')
    rows = (dict(zip(columns, line)) for line in lines)
    found = [row['id'] for row in rows if row[split] == '1']
    if not found:
        raise ValueError(f'{path!r} has no building of {split!r}')
    return found
