"""What metrics of dense tasks have in common: a prediction, its label, and few numbers an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from torch import Tensor

from ..labels import KINDS

# By name in a data sample; kinds that share one have the same value for no label.
_MAPS = {kind.field: kind for kind in KINDS.values() if kind.is_map}


class DenseMetric(BaseMetric):
    """Compares predictions with labels image by image.

    Subclasses define ``compare`` and ``compute_metrics``. What ``compare`` gives of each image is
    kept and sent to other processes, so it is small.

    Args:
        collect_device, prefix: see mmengine's ``BaseMetric``.

    Attributes:
        prediction, label: keys of both in a data sample.
    """

    prediction = ''
    label = ''

    def __init__(self, collect_device: str = 'cpu', prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Compares the predictions of a batch.

        Raises:
            ValueError: an image has no label or no prediction, or they are of different sizes.
        """
        for sample in data_samples:
            prediction, label = (self._of(sample, key) for key in (self.prediction, self.label))
            if prediction.shape[-2:] != label.shape[-2:]:
                raise ValueError(
                    f'{self._where(sample)}: {self.label!r} is {_size(label)} and '
                    f'{self.prediction!r} {_size(prediction)}; in a pipeline of validation labels '
                    'are loaded after the image is resized'
                )
            self.results.append(self.compare(prediction, label.to(prediction.device)))

    def compare(self, prediction: Tensor, label: Tensor) -> Any:
        """What an image adds to the metrics.

        Args:
            prediction: (C, H, W), in float32, or float64 where it is predicted so.
            label: (C, H, W), as it is in the data sample.
        """
        raise NotImplementedError

    def summed(self, results: Sequence[Any]) -> np.ndarray:
        """The sum of what all images gave."""
        return np.sum(results, axis=0)

    def _of(self, sample: Mapping[str, Any], key: str) -> Tensor:
        if key not in sample:
            raise ValueError(
                f'{self._where(sample)}: it has no {key!r}, which {type(self).__name__} compares'
            )
        return sample[key]['data']

    def _where(self, sample: Mapping[str, Any]) -> str:
        return f'image {sample.get("img_path")}'


def has_label(label: Tensor, field: str) -> Tensor:
    """Which elements of a label are of a pixel that has one, booleans of its shape.

    Args:
        label: (C, H, W), or (C,) of an image.
        field: its name in a data sample, which says what a pixel without a label holds.
    """
    found = label.isfinite()
    kind = _MAPS.get(field)
    return found if kind is None else found & (label != kind.invalid).any(0)


def _size(value: Tensor) -> str:
    return ' x '.join(map(str, value.shape[-2:]))


def ratio(part: Any, whole: Any) -> Any:
    """part / whole, nan where there is nothing."""
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.divide(part, whole)
