"""Labels and answers of dense tasks for upstream's visualization hooks."""

from __future__ import annotations

from typing import Any

import cv2
import mmcv
import numpy as np
from mmengine.structures import BaseDataElement
from mmseg.visualization import SegLocalVisualizer

from mdl_nas_mm.registry import VISUALIZERS

from .pictures import depth_span, drawn_fields, picture


@VISUALIZERS.register_module()
class SceneVisualizer(SegLocalVisualizer):
    """mmseg's visualizer, also for depth, normals, edges and what else ``scenes`` predicts.

    A segmentation is drawn as mmseg does. Others have the label, where there is one, and the answer
    beside the image; depth in the colours of the label's span.
    """

    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: BaseDataElement | None = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | None = None,
        step: int = 0,
        **others: Any,
    ) -> None:
        """As mmseg's.

        Args:
            name: of the image.
            image: (H, W, 3), RGB.
            data_sample: with labels, predictions or both.
            draw_gt, draw_pred: whether these are drawn.
            show, wait_time: for a window.
            out_file: where the drawing goes; by default to the back ends.
            step: of the training.
            others: of mmseg's alone.
        """
        fields = [] if data_sample is None else drawn_fields(data_sample)
        kinds = {field.partition('_')[2] for field in fields}
        if not kinds - {'sem_seg'}:
            given = (draw_gt, draw_pred, show, wait_time, out_file, step)
            super().add_datasample(name, image, data_sample, *given, **others)
            return
        assert data_sample is not None
        height, width = image.shape[:2]
        panels = [image]
        for kind in sorted(kinds):
            label = f'gt_{kind}'
            settings = {}
            if kind == 'depth_map' and label in data_sample:
                settings = dict(span=depth_span(data_sample, label))
            for field, wanted in ((label, draw_gt), (f'pred_{kind}', draw_pred)):
                if wanted and field in data_sample:
                    drawn = picture(data_sample, field, **settings)
                    size = (width, height)
                    panels.append(cv2.resize(drawn, size, interpolation=cv2.INTER_NEAREST))
        drawing = np.concatenate(panels, 1)
        if show:
            self.show(drawing, win_name=name, wait_time=wait_time)
        if out_file is not None:
            mmcv.imwrite(mmcv.rgb2bgr(drawing), out_file)
        else:
            self.add_image(name, drawing, step)
