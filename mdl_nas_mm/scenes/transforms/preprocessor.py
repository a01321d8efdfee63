"""Batches of images of several sizes, with all their labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmseg.models import SegDataPreProcessor
from torch import Tensor
from torch.nn import functional

from mdl_nas_mm.registry import MODELS

from ..labels import KINDS, SEGMENTATION

# By name in a data sample; kinds that share one have the same value for no label.
_FIELDS = {kind.field: kind for kind in KINDS.values() if kind.is_map and kind is not SEGMENTATION}


@MODELS.register_module()
class ScenePreProcessor(SegDataPreProcessor):
    """mmseg's ``SegDataPreProcessor`` for the labels of ``mdl_nas_mm.scenes.labels``.

    Upstream's pads segmentation, edges and depth with one value, 255, and nothing else; here each
    label is padded with what its kind has where there is none. Arguments are those of upstream's;
    ``seg_pad_val`` is that of the segmentation. Clips, (3 T, H, W), are normalised frame by frame.
    """

    def forward(self, data: dict, training: bool = False) -> dict[str, Any]:
        """As upstream's.

        Raises:
            ValueError: in training, a label has another size than its image, or clips differ in
                size.
        """
        if not training:
            return super().forward(data, training)
        data = self.cast_data(data)
        sizes = [tuple(image.shape[-2:]) for image in data['inputs']]
        taken = [self._take(sample, size) for sample, size in zip(data['data_samples'], sizes)]
        frames = data['inputs'][0].shape[0] // 3
        data['inputs'] = self._side_by_side(data['inputs'], frames)
        batch = super().forward(data, training)
        if frames > 1:
            clips = batch['inputs'].unflatten(2, (frames, -1))
            batch['inputs'] = clips.transpose(1, 2).flatten(1, 2)
        height, width = batch['inputs'].shape[-2:]
        for sample, size, labels in zip(batch['data_samples'], sizes, taken):
            added = (0, width - size[1], 0, height - size[0])
            for name, label in labels.items():
                label.set_data(
                    dict(data=functional.pad(label.pop('data'), added, value=_FIELDS[name].invalid))
                )
                sample.set_data({name: label})
            sample.set_metainfo(dict(pad_shape=torch.Size((height, width))))
        return batch

    def _side_by_side(self, images: Sequence[Tensor], frames: int) -> Sequence[Tensor]:
        """Clips as images of three channels, whose frames lie below each other."""
        if frames < 2:
            return images
        sizes = {tuple(image.shape[-2:]) for image in images}
        if len(sizes) > 1 or self.size not in (None, *sizes):
            raise ValueError(
                f'clips are of {sorted(sizes)}, expected one size, {self.size}; RandomCrop and '
                'ScenePad make it'
            )
        return [clip.unflatten(0, (frames, -1)).transpose(0, 1).flatten(1, 2) for clip in images]

    def _take(self, sample: Any, size: tuple[int, int]) -> dict:
        """Takes the labels that upstream cannot pad out of a data sample."""
        for name in (*_FIELDS, SEGMENTATION.field):
            if name in sample and tuple(sample.get(name).shape) != size:
                label = ' x '.join(map(str, sample.get(name).shape))
                raise ValueError(
                    f'{name} of {sample.get("img_path")!r} is {label}, its image '
                    f'{size[0]} x {size[1]}; ScenePad pads both'
                )
        return {name: sample.pop(name) for name in _FIELDS if name in sample}
