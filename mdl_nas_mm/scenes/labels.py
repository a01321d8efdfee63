"""The kinds of dense labels: keys, what a pixel without a label holds, what transforms do to them.

In a pipeline's results a label map is an array (H, W) or (H, W, C) that ``seg_fields`` lists:

| key | values | no label | packed as |
|---|---|---|---|
| ``gt_seg_map`` | integers, classes | 255 | ``gt_sem_seg`` |
| ``gt_depth_map`` | float32, metres along the optical axis | 0 | ``gt_depth_map`` |
| ``gt_disparity`` | float32, larger is nearer; unit of the data | 0 | ``gt_depth_map`` |
| ``gt_normals`` | float32 (H, W, 3), unit vectors | zero vector | ``gt_normals`` |
| ``gt_edges`` | float32, 1 on edges and 0 elsewhere | 255 | ``gt_edges`` |
| ``gt_saliency`` | float32, 1 on what stands out and 0 elsewhere | 255 | ``gt_saliency`` |
| ``gt_regression`` | float32 (H, W, C), image-to-image regression | nan | ``gt_regression`` |

Labels of a whole image are float32 (C,) and no maps: ``gt_point`` (class probabilities, say) and
``gt_vanishing_points``, nine numbers that are packed as ``gt_point``.

The first component of a normal goes along the rows of the image, the second along its columns, the
third along the optical axis. Whether they count to the right or left, down or up, towards the
camera or away from it is the data's choice; no transform depends on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np


@dataclass(frozen=True)
class LabelKind:
    """What all labels under one key have in common.

    Attributes:
        key: where the label is in a pipeline's results.
        field: its name in a data sample.
        invalid: what a pixel without a label holds.
        smooth: whether values between two neighbours mean something.
        dtype: of the packed tensor.
        is_map: whether there is a value for every pixel.
        depth_power: what a division of depth by s does to the label: times s ** -depth_power.
    """

    key: str
    field: str
    invalid: float = 255
    smooth: bool = False
    dtype: type = np.float32
    is_map: bool = True
    depth_power: int = 0

    def valid(self, label: np.ndarray) -> np.ndarray:
        """Which pixels have a label: (H, W) bool of a map (H, W) or (H, W, C)."""
        channels = [label] if label.ndim == 2 else list(np.moveaxis(label, -1, 0))
        if np.isnan(self.invalid):
            return ~reduce(np.logical_or, map(np.isnan, channels))
        return reduce(np.logical_or, [channel != self.invalid for channel in channels])


SEGMENTATION = LabelKind('gt_seg_map', 'gt_sem_seg', dtype=np.int64)
DEPTH = LabelKind('gt_depth_map', 'gt_depth_map', invalid=0, smooth=True, depth_power=1)
DISPARITY = LabelKind('gt_disparity', 'gt_depth_map', invalid=0, smooth=True, depth_power=-1)
NORMALS = LabelKind('gt_normals', 'gt_normals', invalid=0, smooth=True)
EDGES = LabelKind('gt_edges', 'gt_edges')
SALIENCY = LabelKind('gt_saliency', 'gt_saliency')
REGRESSION = LabelKind('gt_regression', 'gt_regression', invalid=np.nan, smooth=True)
POINT = LabelKind('gt_point', 'gt_point', is_map=False)
VANISHING_POINTS = LabelKind('gt_vanishing_points', 'gt_point', is_map=False)
# Upstream's ``GenerateEdge``.
_EDGE_MAP = LabelKind('gt_edge_map', 'gt_edge_map', dtype=np.int64)

KINDS = {
    kind.key: kind
    for kind in (
        *(SEGMENTATION, DEPTH, DISPARITY, NORMALS, EDGES, SALIENCY, REGRESSION, _EDGE_MAP),
        *(POINT, VANISHING_POINTS),
    )
}
# Names of labels in configs that are not of image-to-image regression.
_NAMES = dict(
    semseg=SEGMENTATION,
    human_parts=SEGMENTATION,
    segment_unsup2d=SEGMENTATION,
    segment_unsup25d=SEGMENTATION,
    depth=DEPTH,
    disparity=DISPARITY,
    normals=NORMALS,
    edges=EDGES,
    saliency=SALIENCY,
    class_object=POINT,
    class_scene=POINT,
    vanishing_points=VANISHING_POINTS,
)


def kind_of(key: str) -> LabelKind | None:
    """The kind of label under a key; what follows a dot tells labels of one kind apart."""
    return KINDS.get(key.partition('.')[0])


def kind_named(label: str) -> LabelKind:
    """The kind of a label by its name in configs, such as ``depth``; regression by default."""
    return _NAMES.get(label, REGRESSION)


def is_of_data_set(results: Mapping[str, Any]) -> bool:
    """Whether a data set, which numbers its images, has given an image; else it is to be predicted.

    Args:
        results: of the image, in a pipeline.
    """
    return 'sample_idx' in results
