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

    def transform(self, results: dict) -> dict:
        """Pads the image, or the frames of a clip, then the labels to its size."""
        fields = results.get('seg_fields', [])
        labels = {key: results.pop(key) for key in fields}
        image, frames, padded = results['img'], [], results
        # OpenCV pads four channels at most.
        parts = np.split(image, image.shape[2] // 3, axis=2) if image[0, 0].size > 3 else [image]
        for frame in parts:
            padded = super().transform(dict(results, img=np.ascontiguousarray(frame)))
            frames.append(padded['img'])
        results.update(padded, **labels)
        results['img'] = np.concatenate(frames, axis=2) if len(frames) > 1 else frames[0]
        height, width = results['pad_shape'][:2]
        for key, label in labels.items():
            kind = kind_of(key)
            added = [(0, height - label.shape[0]), (0, width - label.shape[1])]
            added += [(0, 0)] * (label.ndim - 2)
            if kind is None:
                # The map of coordinates goes on where it ends.
                results[key] = np.pad(label, added, mode='edge')
            else:
                results[key] = np.pad(label, added, constant_values=kind.invalid)
        return results
