"""From files to labels: one function for each encoding.

A data set says for each label of an image which file it is in and how it is encoded, as a dict:
``path``, ``encoding`` (a name in ``ENCODINGS``) and the options of that function. ``read_label``
reads it. All functions get the file's array as it is, and give values in the units of ``labels``;
``key`` names the variable of a .mat file, and ``bits``, 8 or 16, is how many a value has to have.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from mmengine import fileio
from PIL import Image, UnidentifiedImageError

from mdl_nas_mm.utils.one_line import first_line

from .labels import DEPTH, kind_named
from .thinning import thin

# Lengths of 8-bit normals: beside rounding and JPEG they are 1; greys, white and black are far off.
_SHORTEST, _LONGEST = 0.1, 1.4
DEPTH_UNITS = dict(m=1.0, cm=1e-2, mm=1e-3)
# What an encoding raises for content that it is not made for.
_MISFITS = (ValueError, LookupError, TypeError, AttributeError)
# What a source says that its function does not take.
_NOT_OPTIONS = ('path', 'encoding', 'key', 'num_classes', 'mask', 'bits')


def read_label(
    name: str, source: Mapping[str, Any], backend_args: dict | None = None
) -> np.ndarray:
    """Reads one label.

    Args:
        name: of the label, such as ``depth``.
        source: ``path``, ``encoding`` and its options. Where it has a ``mask``, the source of a
            depth map, there is no label where there is no depth.
        backend_args: of mmengine's file backends.

    Returns:
        What ``labels`` says of its kind; normals as they are encoded, see ``unit_normals``.

    Raises:
        ValueError: the file is not of that encoding.
    """
    options = {key: value for key, value in source.items() if key not in _NOT_OPTIONS}
    path, encoding = source['path'], source['encoding']
    array = read_array(path, source.get('key'), backend_args)
    if encoding not in ENCODINGS:
        raise ValueError(
            f'{name} {path!r}: encoding {encoding!r} is none of {", ".join(ENCODINGS)}'
        )
    try:
        _check_numbers(array, source.get('bits'))
        label = ENCODINGS[encoding](array, **options)
    except _MISFITS as error:
        raise ValueError(f'{name} {path!r} is not as {encoding!r} says: {error}') from error
    if source.get('mask'):
        has_depth = DEPTH.valid(read_label('depth', source['mask'], backend_args))
        if has_depth.shape != label.shape[:2]:
            raise ValueError(f'{name} {path!r} and {source["mask"]["path"]!r} differ in size')
        label[~has_depth] = kind_named(name).invalid
    return label


def _check_numbers(array: Any, bits: int | None) -> None:
    """Raises ValueError for complex numbers, and where 8 bits are meant and there are more."""
    if not isinstance(array, np.ndarray):
        return
    if array.dtype.kind == 'c':
        raise ValueError('it has complex numbers')
    # 16 bits of a file may come in 32.
    if bits is not None and (bits == 8) != (array.dtype == np.uint8):
        raise ValueError(f'it has {8 * array.dtype.itemsize} bits a value, {bits} were expected')


def read_array(path: str, key: str | None = None, backend_args: dict | None = None) -> Any:
    """The content of an image (RGB; indices of one with a palette), .npy, .mat or .json file.

    Args:
        path: of the file.
        key: variable of a .mat file; the only one of the file if None.
        backend_args: see mmengine's file backends.

    Raises:
        ValueError: the file is none of these; it names the file.
    """
    content = fileio.get(path, backend_args=backend_args)
    try:
        return _READERS.get(path.rpartition('.')[2].lower(), _read_image)(content, key)
    except Exception as error:
        # Decoders raise anything for what is cut off, or of another kind, such as SyntaxError.
        raise ValueError(f'{path!r} cannot be read: {first_line(error)}') from error


def _read_image(content: bytes, key: str | None) -> np.ndarray:
    try:
        image = Image.open(io.BytesIO(content))
    except UnidentifiedImageError as error:
        raise ValueError('it is no image') from error
    with image:
        return np.array(image)


def _read_npy(content: bytes, key: str | None) -> np.ndarray:
    return np.load(io.BytesIO(content), allow_pickle=False)


def _read_json(content: bytes, key: str | None) -> Any:
    return json.loads(content)


def _read_mat(content: bytes, key: str | None) -> Any:
    from scipy.io import loadmat

    try:
        variables = loadmat(io.BytesIO(content), squeeze_me=True, struct_as_record=False)
    except NotImplementedError as error:
        raise ValueError('it is of MATLAB 7.3; save it with -v7') from error
    names = [name for name in variables if not name.startswith('__')]
    if key is None and len(names) == 1:
        key = names[0]
    if key is None or key not in variables:
        raise ValueError(f'it has {", ".join(names)}, not {key}')
    return variables[key]


_READERS = dict(npy=_read_npy, mat=_read_mat, json=_read_json)


def classes(
    array: np.ndarray, zero_ignored: bool = False, ignored: Sequence[int] = ()
) -> np.ndarray:
    """Classes of pixels.

    Args:
        array: (H, W) whole numbers.
        zero_ignored: 0 is ignored, and class k is written as k + 1.
        ignored: other values that are ignored; 255 and negative ones always are.

    Returns:
        (H, W) uint8, 255 where ignored.
    """
    values = _one_channel(array)
    if values.dtype != np.uint8:
        found = np.rint(values).astype(np.int64)
        if np.any(found != values):
            raise ValueError('classes are whole numbers')
        found[(found < 0) | np.isin(found, ignored)] = 255
        if found.max() > 255:
            raise ValueError(f'there may be 255 classes, it has a class {found.max()}')
        values = found.astype(np.uint8)
    # What each of 256 values means.
    meant = np.arange(256)
    if zero_ignored:
        meant -= 1
    meant[[255, *(value for value in ignored if 0 <= value < 256)]] = 255
    return np.where(meant < 0, 255, meant).astype(np.uint8)[values]


def depth(
    array: np.ndarray, unit: str | float = 'm', invalid: float | Sequence[float] = 0
) -> np.ndarray:
    """Distances of pixels.

    Args:
        array: (H, W).
        unit: of a step: 'm', 'cm', 'mm' or metres.
        invalid: values of the file that are no measurement; nan and infinite ones never are.

    Returns:
        (H, W) float32 metres, 0 where there is none.
    """
    values = _one_channel(array).astype(np.float32)
    lost = ~np.isfinite(values) | np.isin(values, np.asarray(invalid, np.float32))
    scale = DEPTH_UNITS.get(unit) if isinstance(unit, str) else unit
    if not (isinstance(scale, (int, float)) and 0 < scale < np.inf):
        raise ValueError(f"unit is 'm', 'cm', 'mm' or a number of metres, not {unit!r}")
    return np.where(lost, 0, values * np.float32(scale)).astype(np.float32)


def cityscapes_disparity(array: np.ndarray) -> np.ndarray:
    """Cityscapes' 16-bit disparity: p > 0 is (p - 1) / 256 pixels.

    Returns:
        (H, W) float32 pixels, 0 where there is none.
    """
    values = _one_channel(array).astype(np.float32)
    return np.maximum(values - 1, 0) / np.float32(256)


def cityscapes_depth(array: np.ndarray) -> np.ndarray:
    """Metres from Cityscapes' disparity: baseline 0.22 m times focal length 2262 over it."""
    disparity = cityscapes_disparity(array)
    found = disparity > 0
    return np.where(found, np.float32(0.22 * 2262) / np.where(found, disparity, 1), 0)


def normals(array: np.ndarray, invalid: Sequence[float] = (0, 0, 0)) -> np.ndarray:
    """Normals as numbers.

    Args:
        array: (H, W, 3), or (3, H, W).
        invalid: the vector that is no normal; one with nan never is.

    Returns:
        (H, W, 3) float32, the zero vector where there is none.
    """
    vectors = _three_channels(array).astype(np.float32)
    lost = np.isnan(vector_lengths(vectors))
    if any(invalid):
        lost |= (vectors == np.asarray(invalid, np.float32)).all(axis=-1)
    vectors[lost] = 0
    return vectors


def normals_8bit(array: np.ndarray, centre: float = 127.5) -> np.ndarray:
    """Normals as colours, n = v / centre - 1; with 127.5 that is 2 v / 255 - 1.

    No normal are the mid-greys (127 or 128 in all channels, and what JPEG makes of them), white and
    black: all colours that are nowhere near the length of a normal.

    Args:
        array: (H, W, 3) uint8.
        centre: the value of a component that is 0.

    Returns:
        (H, W, 3) float32, the zero vector where there is none.
    """
    colours = _three_channels(array)
    if colours.dtype != np.uint8:
        raise ValueError(f'8-bit normals are uint8, not {colours.dtype}')
    vectors = colours.astype(np.float32) / np.float32(centre) - 1
    lengths = vector_lengths(vectors)
    vectors[(lengths < _SHORTEST) | (lengths > _LONGEST)] = 0
    return vectors


def binary(array: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    """Edges or saliency: what is above a part of the largest value of its type (1 for floats).

    Integers of more than 16 bits, as which some libraries read any grey image, count as of the
    smallest type that holds them.

    Returns:
        (H, W) float32, 0 or 1.
    """
    values = _one_channel(array)
    if not values.min() >= 0:
        raise ValueError(f'edges and saliency are 0 and more, it has {values.min():g}')
    if values.dtype == bool or values.max() <= 1:
        return (values > threshold).astype(np.float32)
    largest = 255
    if np.issubdtype(values.dtype, np.integer):
        is_wide = values.dtype.itemsize > 2
        kind = np.min_scalar_type(int(values.max())) if is_wide else values.dtype
        largest = np.iinfo(kind).max
    return (values > threshold * largest).astype(np.float32)


def label_borders(array: np.ndarray) -> np.ndarray:
    """Edges where the classes of PASCAL-Context's ``LabelMap`` change: its thinned Laplacian.

    Returns:
        (H, W) float32, 0 or 1.
    """
    changes = cv2.Laplacian(_one_channel(array).astype(np.float64), cv2.CV_64F) != 0
    return thin(changes).astype(np.float32)


def values(
    array: np.ndarray,
    centre: float = 0,
    scale: float = 1,
    invalid: float | None = None,
    channels: int | None = None,
) -> np.ndarray:
    """Numbers to be regressed, (v - centre) / scale.

    Args:
        array: (H, W) or (H, W, C).
        centre, scale: of this formula.
        invalid: a value that is none, in all channels of a pixel; nan never is one.
        channels: how many of the first channels count; all if None.

    Returns:
        (H, W, C) float32, nan where there is none.
    """
    if not scale or not np.isfinite((centre, scale)).all():
        raise ValueError(f'centre and scale are {centre} and {scale}, numbers, the second not 0')
    found = array[..., None] if array.ndim == 2 else array
    if channels is not None and found.shape[-1] < channels:
        raise ValueError(f'it has {found.shape[-1]} channels, not {channels}')
    found = found[..., :channels]
    lost = np.isnan(found).any(axis=-1)
    if invalid is not None:
        lost = lost | (found == invalid).all(axis=-1)
    result = (found.astype(np.float32) - np.float32(centre)) / np.float32(scale)
    result[lost] = np.nan
    return result


def probabilities(array: np.ndarray, kept: Sequence[int] | None = None) -> np.ndarray:
    """Class probabilities of an image, those that are kept made to add up to 1.

    Returns:
        (C,) float32.
    """
    found = np.asarray(array, dtype=np.float32).ravel()
    if kept is not None:
        strange = [place for place in kept if place not in range(len(found))]
        if strange:
            raise ValueError(f'it has classes 0 to {len(found) - 1}, not {strange[0]!r}')
        found = found[list(kept)]
    total = found.sum()
    if not total > 0 or found.min() < 0:
        raise ValueError('its numbers are no probabilities')
    return found / total


def vanishing_points(content: np.ndarray | Mapping) -> np.ndarray:
    """Three points on the unit sphere, of a .npy file or of Taskonomy's ``point_info``.

    Returns:
        (9,) float32: x, y, z of the first, of the second, of the third.
    """
    if isinstance(content, Mapping):
        points = content['vanishing_points_gaussian_sphere']
        content = np.concatenate([points[axis] for axis in 'xyz'])
    found = np.asarray(content, dtype=np.float32).ravel()
    if found.shape != (9,):
        raise ValueError(f'vanishing points are nine numbers, not {found.size}')
    return found


# PASCAL-Part's 24 parts of a person; a part that is not there is background.
_PARTS = {
    **dict.fromkeys(
        (
            *('head', 'hair', 'lear', 'rear', 'leye', 'reye', 'lebrow', 'rebrow', 'nose'),
            'mouth',
        ),
        1,
    ),
    **dict.fromkeys(('torso', 'neck'), 2),
    **dict.fromkeys(('luarm', 'ruarm'), 3),
    **dict.fromkeys(('llarm', 'rlarm', 'lhand', 'rhand'), 4),
    **dict.fromkeys(('luleg', 'ruleg'), 5),
    **dict.fromkeys(('llleg', 'rlleg', 'lfoot', 'rfoot'), 6),
}


def human_parts(annotation: Any) -> np.ndarray:
    """PASCAL-Part's persons: 24 parts joined to six, and background.

    Args:
        annotation: ``anno`` of a .mat file: ``objects`` with ``class``, ``mask`` and ``parts``,
            which have ``part_name`` and ``mask``.

    Returns:
        (H, W) uint8: 0 background, 1 head, 2 torso, 3 upper and 4 lower arms, 5 upper and 6 lower
        legs; all 255 where there is no person with parts.
    """
    objects = np.atleast_1d(annotation.objects)
    if not len(objects):
        raise ValueError('it has no objects')
    found = np.full(np.shape(objects[0].mask), 255, dtype=np.uint8)
    for thing in objects:
        parts = np.atleast_1d(thing.parts)
        if getattr(thing, 'class') != 'person' or not len(parts):
            continue
        found[found == 255] = 0
        for part in parts:
            if str(part.part_name) not in _PARTS:
                raise ValueError(f'PASCAL-Part has no part {str(part.part_name)!r} of a person')
            found[np.asarray(part.mask, dtype=bool)] = _PARTS[str(part.part_name)]
    return found


ENCODINGS = dict(
    classes=classes,
    depth=depth,
    cityscapes_depth=cityscapes_depth,
    cityscapes_disparity=cityscapes_disparity,
    normals=normals,
    normals_8bit=normals_8bit,
    binary=binary,
    label_borders=label_borders,
    values=values,
    probabilities=probabilities,
    vanishing_points=vanishing_points,
    human_parts=human_parts,
)


def unit_normals(vectors: np.ndarray) -> np.ndarray:
    """(H, W, 3) with all that are not zero made to have length 1."""
    lengths = vector_lengths(vectors)
    return vectors / np.where(lengths > 0, lengths, 1)[..., None]


def vector_lengths(vectors: np.ndarray) -> np.ndarray:
    """(H, W) of (H, W, 3)."""
    return np.sqrt(np.einsum('hwc,hwc->hw', vectors, vectors))


def _one_channel(array: np.ndarray) -> np.ndarray:
    """(H, W), also of (H, W, 1), (1, H, W), and of greys that were saved as colours."""
    array = np.asarray(array)
    if array.ndim == 3 and 1 in (array.shape[0], array.shape[-1]):
        array = array[0] if array.shape[0] == 1 else array[..., 0]
    if array.ndim == 3 and array.shape[-1] == 3 and np.all(array == array[..., :1]):
        array = array[..., 0]
    if array.ndim != 2:
        raise ValueError(f'one channel was expected, it is of shape {array.shape}')
    return array


def _three_channels(array: np.ndarray) -> np.ndarray:
    """(H, W, 3), also of (3, H, W)."""
    if array.ndim == 3 and array.shape[0] == 3 and array.shape[-1] != 3:
        array = array.transpose(1, 2, 0)
    if array.ndim != 3 or array.shape[-1] != 3:
        raise ValueError(f'three channels were expected, it is of shape {array.shape}')
    return array
