"""Clips: several frames as one image of many channels."""

from __future__ import annotations

import numpy as np
from mmcv.transforms import LoadImageFromFile

from mdl_nas_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadClip(LoadImageFromFile):
    """Loads the frames of ``clip_paths`` into ``img`` (H, W, 3 T), the oldest first.

    So all frames go through the same resizing, cropping and flipping; the labels are those of the
    last one, or of one before it (``clip_after`` of the data set). ``ScenePreProcessor`` takes
    clips as well; upstream's photometric transforms are for three channels. Arguments are those of
    ``LoadImageFromFile``.
    """

    def transform(self, results: dict) -> dict | None:
        """Adds ``img``, ``img_shape`` and ``ori_shape``."""
        frames = []
        for path in results['clip_paths']:
            loaded = super().transform(dict(img_path=path))
            if loaded is None:
                return None
            frames.append(loaded['img'])
        sizes = {frame.shape for frame in frames}
        if len(sizes) > 1:
            raise ValueError(
                f'frames of the clip that ends in {results["img_path"]!r} differ in size'
            )
        results['img'] = np.concatenate(frames, axis=2)
        results['img_shape'] = results['ori_shape'] = frames[0].shape[:2]
        return results
