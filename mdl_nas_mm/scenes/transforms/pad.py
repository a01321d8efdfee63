"""Padding that knows its labels."""

from __future__ import annotations

import numpy as np
from mmcv.transforms import Pad

from mdl_nas_mm.registry import TRANSFORMS

from ..labels import kind_of


@TRANSFORMS.register_module()
class ScenePad(Pad):
    """mmcv's ``Pad`` for all maps of ``seg_fields``; upstream's pads ``gt_seg_map`` alone.

    What is added has no label. Arguments are those of ``Pad``; ``pad_val`` is that of the image.
    """

    def _pad_seg(self, results: dict) -> None:
        height, width = results['pad_shape'][:2]
        for key in results.get('seg_fields', []):
            label, kind = results[key], kind_of(key)
            added = [(0, height - label.shape[0]), (0, width - label.shape[1])]
            added += [(0, 0)] * (label.ndim - 2)
            if kind is None:
                # The map of coordinates goes on where it ends.
                results[key] = np.pad(label, added, mode='edge')
            else:
                results[key] = np.pad(label, added, constant_values=kind.invalid)
