"""Dense tasks in mmseg's inferencer: a label, or some numbers, for each pixel."""

from __future__ import annotations

from typing import Any

import mmcv
import numpy as np
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement

from mdl_nas_mm.utils.private import inferencer_around

from .task_inferencers import TaskInferencer


class Segmentor(TaskInferencer):
    """``MMSegInferencer`` of mmseg, also for what ``DenseEstimator`` predicts."""

    visualizer = 'SegLocalVisualizer'

    def build(self, model: BaseModel, device: str) -> Any:
        """The upstream inferencer."""
        from mmseg.apis import MMSegInferencer

        for transform in self.config.test_dataloader.dataset.pipeline:
            # Upstream replaces its own by what takes arrays as well; ours adds .npy files to that.
            if str(transform['type']).endswith('LoadSceneImage'):
                transform['type'] = 'LoadImageFromFile'
        model.dataset_meta = {key: self.metainfo.get(key) for key in ('classes', 'palette')}
        return inferencer_around(MMSegInferencer, model)(
            self.config, device=device, scope=self.scope
        )

    def prediction(self, sample: BaseDataElement) -> np.ndarray:
        """The label of every pixel (H, W), or values (H, W) or (H, W, C); (C,) of an image."""
        values = sample.get(f'pred_{self.kind(sample)}').data.detach().cpu().numpy()
        if values.ndim < 3:
            return values
        return values[0] if len(values) == 1 else np.ascontiguousarray(values.transpose(1, 2, 0))

    def kind(self, sample: BaseDataElement) -> str:
        """What is predicted: ``sem_seg``, ``depth_map``, ``normals`` ..., ``point``."""
        from mdl_nas_mm.scenes.pictures import drawn_fields

        return next((field.removeprefix('pred_') for field in drawn_fields(sample)), 'point')

    def draw(
        self,
        pixels: np.ndarray,
        sample: BaseDataElement,
        score_thr: float,
        first: BaseDataElement | None = None,
        **show: Any,
    ) -> np.ndarray:
        """A segmentation over the image, as upstream has it; others as pictures of their own."""
        from mdl_nas_mm.scenes.pictures import depth_span, numbers_picture, picture

        kind = self.kind(sample)
        if kind == 'sem_seg':
            return super().draw(pixels, sample, score_thr, first, **show)
        if kind == 'point':
            drawing = numbers_picture(mmcv.bgr2rgb(pixels), self.prediction(sample))
        else:
            field, settings = f'pred_{kind}', {}
            if kind == 'depth_map' and first is not None:
                settings = dict(span=depth_span(first, field))
            drawing = picture(sample, field, **settings)
        if show.get('show'):
            self.upstream.visualizer.show(drawing, wait_time=show.get('wait_time', 0))
        return drawing
