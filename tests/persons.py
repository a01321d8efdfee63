"""Drawn persons in the layout of COCO's keypoints: the tests' own, in place of photographs."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from sklearn.datasets import load_sample_images

_SIDES = ('eye', 'ear', 'shoulder', 'elbow', 'wrist', 'hip', 'knee', 'ankle')
KEYPOINTS = ('nose', *(f'{side}_{name}' for name in _SIDES for side in ('left', 'right')))
# Pairs of places in KEYPOINTS, and the colour (BGR) of what joins them: left and right differ.
_LIMBS = (
    *(((5, 7), (0, 0, 220)), ((7, 9), (60, 60, 255)), ((11, 13), (0, 120, 220))),
    *(((13, 15), (60, 170, 255)), ((6, 8), (220, 0, 0)), ((8, 10), (255, 80, 80))),
    *(((12, 14), (220, 120, 0)), ((14, 16), (255, 190, 60))),
)
# Height and the middle of the hips of each person of an image, in pixels.
_PLACES = (
    ((330, 300, 210),),
    ((210, 130, 220), (190, 330, 230), (60, 450, 90)),
    ((300, 330, 230), (120, 580, 160), (40, 60, 60), (190, 500, 290), (110, 70, 170)),
    ((240, 240, 220), (170, 330, 140), (220, 590, 160), (215, 480, 270), (200, 60, 150)),
)
# So many labels have persons less than this high: none.
_TOO_SMALL = 65


def write_persons(root: Path) -> Path:
    """Four images with 14 persons, of which twelve have keypoints; the same every time.

    Args:
        root: gets ``images/`` and ``person_keypoints.json``.
    """
    rng = np.random.default_rng(0)
    (root / 'images').mkdir(parents=True)
    photos, images, annotations = load_sample_images().images, [], []
    for number, persons in enumerate(_PLACES, 1):
        picture = np.ascontiguousarray(photos[number % 2][..., ::-1] // 2)
        for place in persons:
            note = _draw(picture, *place, rng)
            annotations.append(dict(note, id=len(annotations) + 1, image_id=number))
        height, width = picture.shape[:2]
        name = f'{number:012d}.png'
        cv2.imwrite(str(root / 'images' / name), picture)
        images.append(dict(id=number, file_name=name, height=height, width=width))
    skeleton = [[a + 1, b + 1] for (a, b), _ in _LIMBS]
    person = dict(id=1, name='person', keypoints=list(KEYPOINTS), skeleton=skeleton)
    content = dict(
        info={}, licenses=[], categories=[person], images=images, annotations=annotations
    )
    (root / 'person_keypoints.json').write_text(json.dumps(content))
    return root


def _draw(picture: np.ndarray, size: int, x: int, y: int, rng: np.random.Generator) -> dict:
    """Draws a person into a picture (H, W, 3), and returns its annotation.

    Points outside of the picture are not labelled.
    """
    points = np.array([x, y]) + size * _pose(rng)
    pixels, thick = points.round().astype(int).tolist(), max(size // 16, 2)
    body = np.array([pixels[i] for i in (5, 6, 12, 11)])
    cv2.fillConvexPoly(picture, body, (90, 200, 90))
    for (a, b), colour in _LIMBS:
        cv2.line(picture, pixels[a], pixels[b], colour, thick, cv2.LINE_AA)
    cv2.circle(picture, pixels[0], size // 13, (170, 200, 240), -1, cv2.LINE_AA)
    for place, colour in zip(range(5), ((40, 40, 40), *((0, 0, 255), (255, 0, 0)) * 2)):
        cv2.circle(picture, pixels[place], max(size // 60, 1), colour, -1, cv2.LINE_AA)
    height, width = picture.shape[:2]
    inside = ((points >= 0) & (points < (width, height))).all(1) & (size > _TOO_SMALL)
    labelled = [(*p, 2) if seen else (0, 0, 0) for p, seen in zip(points.round(1).tolist(), inside)]
    low = np.clip(points.min(0) - size / 12, 0, (width - 2, height - 2))
    high = np.clip(points.max(0) + size / 12, low + 1, (width - 1, height - 1))
    box = [*low.round(1).tolist(), *(high - low).round(1).tolist()]
    return dict(
        category_id=1,
        iscrowd=0,
        bbox=box,
        area=box[2] * box[3] / 2,
        segmentation=[[v for point in body.tolist() for v in point]],
        num_keypoints=int(inside.sum()),
        keypoints=[v for point in labelled for v in point],
    )


def _pose(rng: np.random.Generator) -> np.ndarray:
    """Keypoints (17, 2), x right and y down, of a person of height 1 around its hips."""
    found = np.zeros((17, 2))
    found[0] = -0.02, -0.43
    found[1:5] = (0.0, -0.45), (-0.04, -0.45), (0.05, -0.44), (-0.07, -0.44)
    for side, sign in enumerate((1, -1)):
        shoulder, hip = found[5 + side], found[11 + side]
        shoulder[:], hip[:] = (0.12 * sign, -0.33), (0.07 * sign, 0.0)
        arm, leg = rng.uniform(-0.2, 1.4, 2), rng.uniform(-0.1, 0.35, 2)
        found[7 + side] = shoulder + 0.16 * np.array([sign * np.sin(arm[0]), np.cos(arm[0])])
        found[9 + side] = found[7 + side] + 0.15 * np.array([sign * np.sin(arm[1]), np.cos(arm[1])])
        found[13 + side] = hip + 0.23 * np.array([sign * np.sin(leg[0]), np.cos(leg[0])])
        found[15 + side] = found[13 + side] + 0.22 * np.array(
            [sign * np.sin(leg[1]), np.cos(leg[1])]
        )
    return found
