"""Drawing of the demonstration domains, in numpy and pillow only.

Each ``render_*`` function takes real 8 x 8 digits and an explicit random
generator and returns one image (H, W, 3) uint8 with what is known about it.
Nothing here reads or writes files.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter

CLS_CANVAS = 20
DET_CANVAS = 48
SEG_CANVAS = 32
SKETCH_CANVAS = 24
POSE_CANVAS = 40


class DigitScene(NamedTuple):
    """Several digits on one background.

    Attributes:
        image: (H, W, 3) uint8.
        masks: One (H, W) bool array a digit, no two of which overlap.
        placed: Which of the given digits the masks belong to, as positions in
            the given list; a digit for which there is no room is left out.
    """

    image: np.ndarray
    masks: list[np.ndarray]
    placed: list[int]


def render_digit(pixels: np.ndarray, height: float, angle: float = 0.0) -> np.ndarray:
    """Renders one digit larger, with soft edges, and crops it tightly.

    Args:
        pixels: (8, 8) with values 0 (paper) to 16 (ink).
        height: What the eight rows become, in pixels.
        angle: Counter-clockwise rotation in degrees.

    Returns:
        Opacity (h, w) float in [0, 1]; at least 0.5 is the digit's mask.
    """
    alpha = _enlarge(pixels, height, angle)
    (top, bottom), (left, right) = _extent(alpha)
    return alpha[top:bottom, left:right]


def _enlarge(pixels: np.ndarray, height: float, angle: float = 0.0) -> np.ndarray:
    """Opacity (side, side) of ``render_digit`` before it is cropped."""
    framed = np.pad(pixels, 2) * (255.0 / 16.0)
    side = max(round(height * framed.shape[0] / pixels.shape[0]), 1)
    image = Image.fromarray(framed.round().astype(np.uint8))
    image = image.resize((side, side), Image.Resampling.BICUBIC)
    if angle:
        image = image.rotate(angle, Image.Resampling.BICUBIC)
    ink = np.asarray(image, dtype=np.float64) / 255.0
    return np.clip((ink - 0.15) / 0.4, 0.0, 1.0)


def _extent(alpha: np.ndarray) -> tuple[tuple[int, int], tuple[int, int]]:
    """(first, end) row and column of the digit's mask."""
    rows, cols = np.nonzero(alpha >= 0.5)
    return (int(rows.min()), int(rows.max() + 1)), (int(cols.min()), int(cols.max() + 1))


def render_classification(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One light digit that nearly fills a plain dark canvas."""
    size = CLS_CANVAS
    alpha = render_digit(pixels, rng.uniform(16, 19), rng.uniform(-8, 8))[:size, :size]
    top = _centred(size, alpha.shape[0], rng)
    left = _centred(size, alpha.shape[1], rng)
    canvas = np.tile(rng.uniform(10, 60, 3), (size, size, 1))
    _blend(canvas, alpha, top, left, rng.uniform(200, 255, 3))
    return _to_uint8(canvas)


def render_detection(
    photo: np.ndarray, digits: list[np.ndarray], rng: np.random.Generator
) -> DigitScene:
    """Coloured digits of varied size on a dim, soft crop of a photograph.

    Args:
        photo: (H, W, 3) uint8, at least as large as the canvas.
        digits: One to three (8, 8) digits.
        rng: Source of all randomness.
    """
    size = DET_CANVAS
    top = rng.integers(photo.shape[0] - size + 1)
    left = rng.integers(photo.shape[1] - size + 1)
    crop = Image.fromarray(photo[top : top + size, left : left + size])
    crop = crop.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 1.5)))
    canvas = np.asarray(crop, dtype=np.float64) * rng.uniform(0.35, 0.6)
    largest = 26 if len(digits) < 3 else 20
    heights = rng.uniform(14, largest, len(digits))
    colours = [_bright_colour(rng) for _ in digits]
    return _compose(canvas, digits, heights, colours, rng)


def render_segmentation(digits: list[np.ndarray], rng: np.random.Generator) -> DigitScene:
    """Large dark digits on a bright background of gradient, stripes and noise."""
    size = SEG_CANVAS
    rows, cols = np.mgrid[0:size, 0:size] / size
    turn = rng.uniform(0, 2 * np.pi)
    along = rows * np.sin(turn) + cols * np.cos(turn)
    first, second = rng.uniform(170, 250, (2, 3))
    weight = (along - along.min())[..., None] / np.ptp(along)
    canvas = first * (1 - weight) + second * weight
    if rng.random() < 0.5:
        turn, waves = rng.uniform(0, np.pi), rng.uniform(3, 8)
        wave = np.sin(2 * np.pi * waves * (rows * np.sin(turn) + cols * np.cos(turn)))
        canvas += wave[..., None] * rng.uniform(5, 20)
    canvas += rng.normal(0, rng.uniform(3, 12), canvas.shape)
    span = (24, 30) if len(digits) == 1 else (16, 20)
    heights = rng.uniform(*span, len(digits))
    colours = [rng.uniform(0, 90, 3) for _ in digits]
    return _compose(canvas, digits, heights, colours, rng)


def render_sketch(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One dark digit on light squared paper."""
    size = SKETCH_CANVAS
    alpha = render_digit(pixels, rng.uniform(18, 22), rng.uniform(-12, 12))[:size, :size]
    canvas = np.tile(rng.uniform(190, 250, 3), (size, size, 1))
    spacing, shade = rng.integers(4, 7), rng.uniform(15, 40)
    canvas[rng.integers(spacing) :: spacing] -= shade
    canvas[:, rng.integers(spacing) :: spacing] -= shade
    top = _centred(size, alpha.shape[0], rng)
    left = _centred(size, alpha.shape[1], rng)
    _blend(canvas, alpha, top, left, rng.uniform(0, 110, 3))
    return _to_uint8(canvas)


def render_pose(pixels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One turned digit somewhere on a noisy background, and where its frame is.

    The frame is the smallest upright rectangle around the digit before it is turned.

    Returns:
        The image (H, W, 3) uint8, and (5, 2) the frame's corners and centre as (x, y) in pixels:
        top left, top right, bottom right, bottom left as the digit is read, centre.
    """
    size = POSE_CANVAS
    height, angle = rng.uniform(16, 24), rng.uniform(-40, 40)
    alpha, points = turned_digit(pixels, height, angle)
    low = np.floor(np.minimum(points.min(0), 0)).astype(int)
    high = np.ceil(np.maximum(points.max(0), alpha.shape[::-1])).astype(int)
    left, top = (int(rng.integers(-low[i], size - high[i] + 1)) for i in range(2))
    canvas = np.tile(rng.uniform(60, 120, 3), (size, size, 1))
    canvas += rng.normal(0, rng.uniform(4, 14), canvas.shape)
    colour = _bright_colour(rng) if rng.random() < 0.5 else rng.uniform(0, 30, 3)
    _blend(canvas, alpha, top, left, colour)
    return _to_uint8(canvas), points + (left, top)


def turned_digit(pixels: np.ndarray, height: float, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """``render_digit``, and the corners and the centre of the digit's frame, (5, 2) as (x, y)."""
    upright, turned = _enlarge(pixels, height), _enlarge(pixels, height, angle)
    (top, bottom), (left, right) = _extent(upright)
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    points = np.array([*corners, ((left + right) / 2, (top + bottom) / 2)], dtype=np.float64)
    middle, turn = len(upright) / 2, np.deg2rad(angle)
    x, y = (points - middle).T
    # Counter-clockwise as one sees it: y points down.
    points[:, 0] = middle + x * np.cos(turn) + y * np.sin(turn)
    points[:, 1] = middle - x * np.sin(turn) + y * np.cos(turn)
    (top, bottom), (left, right) = _extent(turned)
    return turned[top:bottom, left:right], points - (left, top)


def _compose(
    canvas: np.ndarray,
    digits: list[np.ndarray],
    heights: np.ndarray,
    colours: list[np.ndarray],
    rng: np.random.Generator,
) -> DigitScene:
    """Renders digits, largest first, wherever their boxes do not meet."""
    size = canvas.shape[0]
    taken = np.zeros((size, size), dtype=bool)
    masks, placed = [], []
    for i in np.argsort(-heights):
        alpha = render_digit(digits[i], heights[i], rng.uniform(-8, 8))[:size, :size]
        height, width = alpha.shape
        corner = _free_corner(taken, (height, width), rng)
        if corner is None:
            continue
        top, left = corner
        box = np.s_[top : top + height, left : left + width]
        _blend(canvas, alpha, top, left, colours[i])
        taken[box] = True
        mask = np.zeros_like(taken)
        mask[box] = alpha >= 0.5
        masks.append(mask)
        placed.append(int(i))
    return DigitScene(_to_uint8(canvas), masks, placed)


def _free_corner(
    taken: np.ndarray, shape: tuple[int, int], rng: np.random.Generator
) -> tuple[int, int] | None:
    """A random corner at which a box of that shape meets nothing, if any."""
    counts = np.pad(taken.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    h, w = shape
    inside = counts[h:, w:] - counts[:-h, w:] - counts[h:, :-w] + counts[:-h, :-w]
    free = np.argwhere(inside == 0)
    if not len(free):
        return None
    top, left = free[rng.integers(len(free))]
    return int(top), int(left)


def _blend(canvas: np.ndarray, alpha: np.ndarray, top: int, left: int, colour: np.ndarray) -> None:
    """Paints a colour onto the canvas in place, as opaque as alpha says."""
    h, w = alpha.shape
    box = canvas[top : top + h, left : left + w]
    box += alpha[..., None] * (colour - box)


def _centred(size: int, extent: int, rng: np.random.Generator) -> int:
    """An offset near the one that centres, by at most one pixel."""
    room = size - extent
    low, high = max(room // 2 - 1, 0), min(room // 2 + 1, room)
    return int(rng.integers(low, high + 1))


def _bright_colour(rng: np.random.Generator) -> np.ndarray:
    """A random colour, light enough to stand out from a dim photograph."""
    colour = rng.uniform(0, 255, 3)
    luminance = colour @ np.array([0.299, 0.587, 0.114])
    lift = max(rng.uniform(170, 220) - luminance, 0.0) / (255.0 - luminance)
    return colour + lift * (255.0 - colour)


def _to_uint8(canvas: np.ndarray) -> np.ndarray:
    return canvas.round().clip(0, 255).astype(np.uint8)
