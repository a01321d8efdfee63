"""The last step of a pipeline: labels as the fields of mmseg's data samples."""

from __future__ import annotations

import numpy as np
import torch
from mmengine.structures import LabelData, PixelData
from mmseg.datasets.transforms import PackSegInputs

from mdl_nas_mm.registry import TRANSFORMS

from ..labels import NORMALS, SEGMENTATION, VANISHING_POINTS, LabelKind, kind_of
from .view import VIEW, TransformedView, read_view


@TRANSFORMS.register_module()
class PackScene(PackSegInputs):
    """mmseg's ``PackSegInputs`` for the labels of ``mdl_nas_mm.scenes.labels``.

    Each map becomes a ``PixelData`` (C, H, W) under the name of its kind, each label of the whole
    image a ``LabelData`` with ``data`` (C,). It gets right what upstream's transforms do not
    know: a horizontal flip negates the normals' x, a vertical one their y, however often the image
    was flipped. What they cannot get right is refused:

    - rotation, mosaic and what else turns, mixes or paints over pixels, with depth, normals and
      regressions (their padding, 255, would be a label);
    - a flip or a crop with vanishing points;
    - a flip with ``swap_seg_labels`` beside another map than a segmentation, as it swaps values
      there;
    - a map of another size than the image that goes in and the one that was loaded.

    Args:
        meta_keys: as of ``PackSegInputs``.

    Raises:
        ValueError: as above.
    """

    def transform(self, results: dict) -> dict:
        """Packs ``img`` and the labels."""
        labels = {key: kind for key in results if (kind := kind_of(key))}
        self._check(results, labels)
        view = self._view(results, labels)
        packed = super().transform({key: results[key] for key in results if key not in labels})
        sample = packed['data_samples']
        for key, kind in labels.items():
            label = np.asarray(results[key], dtype=kind.dtype)
            if kind is NORMALS:
                label = _turned(label, view)
            if kind.field in sample:
                raise ValueError(f'PackScene: {key} and another label are both {kind.field}')
            sample.set_data({kind.field: _field(label, kind)})
        return packed

    def _check(self, results: dict, labels: dict[str, LabelKind]) -> None:
        maps = {key: kind for key, kind in labels.items() if kind.is_map}
        sizes = {tuple(results[key].shape[:2]) for key in ('img',) if key in results}
        sizes |= {tuple(results['ori_shape'][:2])} if 'ori_shape' in results else set()
        for key in maps:
            size = tuple(results[key].shape[:2])
            if sizes and size not in sizes:
                raise ValueError(
                    f'PackScene: {key} is {size[0]} x {size[1]}, the image '
                    f'{" x ".join(map(str, results["img"].shape[:2]))}; a transform has moved one '
                    'and not the other (ScenePad pads both)'
                )
        if results.get('flip') and results.get('swap_seg_labels'):
            for key, kind in maps.items():
                if kind is not SEGMENTATION:
                    raise ValueError(f'PackScene: swap_seg_labels would swap values of {key} too')

    def _view(self, results: dict, labels: dict[str, LabelKind]) -> TransformedView:
        found = [results[key] for key in results if key.partition('.')[0] == VIEW]
        needs_view = [key for key, kind in labels.items() if kind in (NORMALS, VANISHING_POINTS)]
        if not found:
            if needs_view:
                raise ValueError(f'PackScene: {needs_view[0]} was not loaded by LoadSceneLabel')
            return TransformedView(False, False, True)
        view = read_view(found[0], results['ori_shape'][:2])
        if view is None:
            raise ValueError(
                'PackScene: a transform has turned, mixed or painted over the pixels of '
                f'{", ".join(labels)}, which is right for segmentation alone'
            )
        for key in needs_view:
            is_moved = view.flipped_x or view.flipped_y or not view.is_whole
            if labels[key] is VANISHING_POINTS and is_moved:
                raise ValueError(
                    f'PackScene: {key} are those of the whole image, not flipped or cut'
                )
        return view


def _turned(normals: np.ndarray, view: TransformedView) -> np.ndarray:
    """(H, W, 3) normals of the flipped scene."""
    signs = np.array([-1 if view.flipped_x else 1, -1 if view.flipped_y else 1, 1], np.float32)
    # Adding zero makes 0 of -0.
    return normals * signs + 0


def _field(label: np.ndarray, kind: LabelKind) -> PixelData | LabelData:
    if not kind.is_map:
        return LabelData(data=torch.from_numpy(label))
    channels_first = label[None] if label.ndim == 2 else label.transpose(2, 0, 1)
    return PixelData(data=torch.from_numpy(np.ascontiguousarray(channels_first)))
