"""Loading labels, and images that are arrays."""

from __future__ import annotations

import numpy as np
from mmcv.transforms import BaseTransform, LoadImageFromFile

from mdl_nas_mm.registry import TRANSFORMS

from ..checks import label_error
from ..encodings import read_array, read_label, unit_normals
from ..labels import NORMALS, SEGMENTATION, LabelKind, is_of_data_set, kind_named
from .resize import resize_label
from .view import add_view


@TRANSFORMS.register_module()
class LoadSceneLabel(BaseTransform):
    """Loads the labels that a data info names in ``labels``, whatever their encoding.

    Reads ``labels``, ``seg_fields`` and, to compare sizes, ``ori_shape``. Adds each label
    under the key of its kind, see ``mdl_nas_mm.scenes.labels``, and maps to ``seg_fields``. With
    labels that not every transform can take (depth, normals, regression, vanishing points) comes
    the map ``scene_view``, by which ``PackScene`` knows what the transforms did.

    Of an image that no data set has given, as one to predict, nothing is loaded.

    Args:
        resize: whether a label of another size than its image is resized, instead of refused.
        backend_args: of mmengine's file backends.

    Raises:
        ValueError: a file is not what its data set says; it names the file.
    """

    def __init__(self, resize: bool = False, backend_args: dict | None = None) -> None:
        self.resize = resize
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        """Adds the labels to ``results``."""
        if 'labels' not in results:
            if is_of_data_set(results):
                raise ValueError(
                    'LoadSceneLabel: the data set names no labels; it reads those of '
                    "mdl_nas_mm's data sets of scenes"
                )
            return results
        for name, source in results['labels'].items():
            kind = kind_named(name)
            label = read_label(name, source, self.backend_args)
            classes = source.get('num_classes')
            if _is_hard(kind) and (wrong := label_error(name, label, classes)):
                raise ValueError(f'{name} {source["path"]!r} {wrong}')
            if kind is NORMALS:
                label = unit_normals(label)
            if kind.is_map:
                label = self._of_size(label, kind, results, f'{name} {source["path"]!r}')
                results['seg_fields'].append(kind.key)
            results[kind.key] = label
            add_view(results, kind)
        return results

    def _of_size(self, label: np.ndarray, kind: LabelKind, results: dict, what: str) -> np.ndarray:
        size = results['ori_shape'][:2]
        if label.shape[:2] == tuple(size):
            return label
        if not self.resize:
            raise ValueError(
                f'{what} is {label.shape[0]} x {label.shape[1]}, its image {size[0]} x {size[1]} '
                '(height x width); LoadSceneLabel(resize=True) resizes it'
            )
        return resize_label(label, kind, (size[1], size[0]))

    def __repr__(self) -> str:
        return f'{type(self).__name__}(resize={self.resize})'


def _is_hard(kind: LabelKind) -> bool:
    """Whether every label is checked: a wrong class is an error of the loss far from here."""
    return kind is SEGMENTATION


@TRANSFORMS.register_module()
class LoadSceneImage(LoadImageFromFile):
    """Loads images, also such that are .npy files: floats from 0 to 1, or bytes, (H, W, 3) RGB.

    What comes out is as of ``LoadImageFromFile``: BGR, 0 to 255, so that the pipeline and the
    preprocessor are those of any data set; float32 for floats. Arguments are those of it.
    """

    def transform(self, results: dict) -> dict | None:
        """Adds ``img``, ``img_shape`` and ``ori_shape``."""
        path = results['img_path']
        if not path.endswith('.npy'):
            return super().transform(results)
        image = read_array(path, backend_args=self.backend_args)
        if image.ndim != 3 or image.shape[-1] != 3:
            raise ValueError(f'image {path!r} is of shape {image.shape}, not (H, W, 3)')
        if np.issubdtype(image.dtype, np.floating):
            lowest, highest = image.min(), image.max()
            if not (lowest > -0.01 and highest < 1.01):
                raise ValueError(
                    f'image {path!r} has floats from {lowest:g} to {highest:g}, not from 0 to 1'
                )
            image = image.astype(np.float32) * 255
        elif image.dtype != np.uint8:
            raise ValueError(f'image {path!r} is of {image.dtype}, neither of floats nor of bytes')
        results['img'] = np.ascontiguousarray(image[..., ::-1])
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results
