"""One model for all dense tasks: any backbone, any decode head of mmseg, any target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.structures import LabelData, PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.models.utils import resize
from mmseg.structures import SegDataSample
from mmseg.utils import add_prefix
from torch import Tensor, nn
from torch.nn import functional as F

from mdl_nas_mm.registry import MODELS

from .target import Target


@MODELS.register_module()
class DenseEstimator(EncoderDecoder):
    """mmseg's ``EncoderDecoder`` whose target says what its logits mean.

    The target sets the head's ``num_classes``, which only elastic heads have to say. Logits are
    resized to the label, or to the image as it was loaded, before they become a prediction.

    Args:
        backbone: config of the backbone.
        decode_head: config of a ``BaseDecodeHead`` that gives one map of logits, or of such heads
            in one, which then has ``weighed``: it is given what gives the losses of one of them,
            and returns those of all. Their own losses are not used.
        target: config of a ``Target``.
        neck: config of a neck.
        auxiliary_head: config of another such head, or of several, for training alone.
        auxiliary_weight: what their losses are multiplied by.
        test_cfg: ``mode`` is ``'whole'`` or ``'slide'``, as in ``EncoderDecoder``.
        kwargs: the others of ``EncoderDecoder``.
    """

    def __init__(
        self,
        backbone: Mapping[str, Any],
        decode_head: Mapping[str, Any],
        target: Mapping[str, Any],
        neck: Mapping[str, Any] | None = None,
        auxiliary_head: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        auxiliary_weight: float = 0.4,
        test_cfg: Mapping[str, Any] | None = None,
        **kwargs,
    ) -> None:
        built: Target = MODELS.build(target)
        if (test_cfg or {}).get('mode') == 'slide' and not built.is_map:
            raise ValueError('DenseEstimator: a prediction for the whole image has no mode slide')
        if isinstance(auxiliary_head, Mapping):
            auxiliary_head = [auxiliary_head]
        super().__init__(
            backbone=backbone,
            decode_head=_answering(decode_head, built.channels),
            neck=neck,
            auxiliary_head=[_answering(head, built.channels) for head in auxiliary_head or ()]
            or None,
            test_cfg=test_cfg,
            **kwargs,
        )
        self.target = built
        self.auxiliary_weight = auxiliary_weight

    def loss(self, inputs: Tensor, data_samples: Sequence[SegDataSample]) -> dict[str, Tensor]:
        """Losses by name, of images (B, 3, H, W) and samples with the target's label.

        Each is a mean over images of the mean over an image's labelled pixels.

        Raises:
            ValueError: a sample has no such label, or one of another size or number of channels.
        """
        features = self.extract_feat(inputs)
        label = self._labels(data_samples, tuple(inputs.shape[2:])).to(inputs.device)
        losses = add_prefix(self._losses(self.decode_head, features, label), 'decode')
        for i, head in enumerate(getattr(self, 'auxiliary_head', ())):
            found = self._losses(head, features, label)
            weighted = {name: self.auxiliary_weight * loss for name, loss in found.items()}
            losses.update(add_prefix(weighted, f'aux_{i}'))
        return losses

    def inference(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits of whole images, or of windows of them; upstream's needs a ``test_cfg``."""
        if (self.test_cfg or {}).get('mode') == 'slide':
            return self.slide_inference(inputs, batch_img_metas)
        return self.whole_inference(inputs, batch_img_metas)

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits of the size of the images, or (B, C, 1, 1) where they are of whole images."""
        return self._logits(self.decode_head, self.extract_feat(inputs), tuple(inputs.shape[2:]))

    def postprocess_result(
        self, seg_logits: Tensor, data_samples: Sequence[SegDataSample] | None = None
    ) -> list[SegDataSample]:
        """Adds predictions to samples, each of the size that its image was loaded with.

        Padding is cut off and a flip undone, as ``EncoderDecoder`` does it.
        """
        samples = data_samples or [SegDataSample() for _ in seg_logits]
        for logits, sample in zip(seg_logits, samples):
            prediction = self._prediction(logits[None], sample.metainfo)[0]
            field = PixelData(data=prediction) if self.target.is_map else LabelData(data=prediction)
            sample.set_data({self.target.prediction: field})
        return list(samples)

    def _prediction(self, logits: Tensor, meta: Mapping[str, Any]) -> Tensor:
        """The prediction of one image, from logits of the size of its batch."""
        if not self.target.is_map:
            return self.target.predict(logits).flatten(1)
        left, right, top, bottom = meta.get('img_padding_size', meta.get('padding_size', [0] * 4))
        height, width = logits.shape[2:]
        logits = logits[:, :, top : height - bottom, left : width - right]
        direction = meta.get('flip_direction') if meta.get('flip') else None
        if direction:
            logits = logits.flip(dict(horizontal=3, vertical=2)[direction])
        if 'ori_shape' in meta:
            logits = self._resized(logits, tuple(meta['ori_shape'][:2]))
        prediction = self.target.predict(logits)
        return self.target.mirrored(prediction, direction) if direction else prediction

    def _losses(self, head: nn.Module, features: Any, label: Tensor) -> dict[str, Tensor]:
        weighed: Any = getattr(head, 'weighed', None)
        if weighed is not None:
            return weighed(lambda each: self._losses(each, features, label))
        return self.target.losses(self._logits(head, features, tuple(label.shape[2:])), label)

    def _logits(self, head: nn.Module, features: Any, size: tuple[int, ...]) -> Tensor:
        """A head's logits, resized, or averaged over the image where the target is no map."""
        logits = head(features)
        if self.target.is_map:
            return self._resized(logits, size)
        return logits.mean((2, 3), keepdim=True)

    def _resized(self, logits: Tensor, size: tuple[int, ...]) -> Tensor:
        return resize(
            logits, size=size, mode='bilinear', align_corners=self.align_corners, warning=False
        )

    def _labels(self, samples: Sequence[SegDataSample], size: tuple[int, ...]) -> Tensor:
        """The labels of a batch (B, C, H, W), nan where an image was padded."""
        key = self.target.label
        for sample in samples:
            if key not in sample:
                raise ValueError(
                    f'image {sample.get("img_path")}: it has no {key!r}, which '
                    f'{type(self.target).__name__} is trained with'
                )
        labels = [_float(sample.get(key).data) for sample in samples]
        if self.target.is_map:
            labels = [_padded(*each, size) for each in zip(labels, samples)]
        else:
            labels = [label.reshape(-1, 1, 1) for label in labels]
        if len({label.shape for label in labels}) > 1:
            shapes = ', '.join(str(tuple(label.shape)) for label in labels)
            raise ValueError(f'{key!r} of the images of a batch have other sizes: {shapes}')
        return torch.stack(labels)


def _answering(head: Mapping[str, Any], channels: int) -> dict[str, Any]:
    """The config of a head with this many channels, whose hints for two classes mean nothing.

    Raises:
        ValueError: it says that it has others.
    """
    if head.get('num_classes', channels) != channels:
        raise ValueError(
            f'DenseEstimator: num_classes of {head.get("type")} is {head["num_classes"]}, the '
            f'target has {channels} channels'
        )
    return dict(threshold=0.5) | dict(head, num_classes=channels, out_channels=channels)


def _float(label: Tensor) -> Tensor:
    return label if label.is_floating_point() else label.float()


def _padded(label: Tensor, sample: SegDataSample, size: tuple[int, ...]) -> Tensor:
    """A label (C, H, W) of an image that was padded on the right and below, padded with nan.

    Upstream pads some labels with 255, which is a depth, and others not at all. One that is neither
    of the image's size nor of the batch's stays as it is.
    """
    height, width = sample.metainfo.get('img_shape', size)[:2]
    if tuple(label.shape[-2:]) == size:
        label = label[..., :height, :width]
    if tuple(label.shape[-2:]) != (height, width):
        return label
    return F.pad(label, (0, size[1] - width, 0, size[0] - height), value=torch.nan)
