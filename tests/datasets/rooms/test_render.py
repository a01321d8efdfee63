"""The renderer against what follows from geometry alone."""

from dataclasses import replace

import numpy as np
import pytest

from mdl_nas_mm.datasets.rooms import (
    CLASSES,
    Ball,
    Box,
    Camera,
    Digits,
    Photo,
    RoomScene,
    View,
    label,
    material_of,
    render,
    view_of,
)
from mdl_nas_mm.datasets.rooms.textures import tile_of

PLAIN = Photo(0, (0, 0, 64, 64), (0.8, 0.6, 0.4), contrast=0.0)
ROOM = Box('room', (0.0, 0.0, 0.0), (1.3, 1.0, 3.0), (PLAIN,) * 6)
CAMERA = Camera(60, 80, 70.0, (40.0, 30.0))
LAMP = (0.0, -0.8, 0.0)
VIEWS = [view_of('train', number) for number in range(6)]


def places(camera):
    """Points of the image plane at distance 1 that the pixels' rays go through, (H, W, 3)."""
    rows, columns = np.mgrid[: camera.height, : camera.width] + 0.5
    x, y = camera.centre
    return np.stack(
        ((columns - x) / camera.focal, (rows - y) / camera.focal, np.ones(rows.shape)), -1
    )


def points(view):
    """What the pixels show, in the camera's axes."""
    return places(view.camera) * label(view).depth[..., None]


def test_walls_floor_and_ceiling_of_an_empty_room():
    labels = label(View(RoomScene((ROOM,), LAMP), CAMERA))
    x, y, _ = np.moveaxis(places(CAMERA), -1, 0)
    # The nearest of the planes that a ray runs towards.
    depth = np.minimum(3.0, np.minimum(1.3 / np.abs(x), 1.0 / np.abs(y)))
    assert np.allclose(labels.depth, depth, rtol=1e-6)
    middle = labels.depth == 3.0
    assert middle.any() and (labels.normals[middle] == (0, 0, -1)).all()
    floor, ceiling = (labels.segmentation == CLASSES.index(name) for name in ('floor', 'ceiling'))
    assert np.array_equal(floor, (1.0 / np.abs(y) == depth) & (y > 0))
    assert (labels.normals[floor] == (0, -1, 0)).all()
    assert (labels.normals[ceiling] == (0, 1, 0)).all()
    assert (labels.normals[30, 0] == (1, 0, 0)).all() and (
        labels.normals[30, -1] == (-1, 0, 0)
    ).all()
    assert not labels.saliency.any()


def test_a_ball_and_its_outline():
    ball = Ball((0.2, -0.1, 2.0), 0.4, PLAIN)
    view = View(RoomScene((ROOM, ball), LAMP), CAMERA)
    labels = label(view)
    on_ball = labels.segmentation == CLASSES.index('ball')
    # A ray meets it if it passes its middle at less than the radius.
    ways = places(CAMERA)
    ways /= np.linalg.norm(ways, axis=-1, keepdims=True)
    passing = np.linalg.norm(np.cross(ways, ball.centre), axis=-1)
    assert np.array_equal(on_ball, passing < ball.radius)
    outward = (points(view) - ball.centre)[on_ball]
    assert np.allclose(np.linalg.norm(outward, axis=-1), ball.radius, atol=1e-5)
    assert np.allclose(labels.normals[on_ball], outward / ball.radius, atol=1e-5)
    assert ((labels.normals * ways).sum(-1)[on_ball] < 0).all()
    assert np.array_equal(labels.saliency > 0, on_ball)
    # The outline lies on the ball: its pixels that have a neighbour that is not of it.
    framed = np.pad(on_ball, 1)
    around = framed[:-2, 1:-1] & framed[2:, 1:-1] & framed[1:-1, :-2] & framed[1:-1, 2:]
    assert np.array_equal((labels.edges > 0) & on_ball, on_ball & ~around)
    beside = framed[:-2, 1:-1] | framed[2:, 1:-1] | framed[1:-1, :-2] | framed[1:-1, 2:]
    assert not labels.edges[beside & ~on_ball].any()


@pytest.mark.parametrize('view', VIEWS)
def test_every_point_lies_on_its_solid_and_normals_look_at_the_camera(view):
    labels = label(view)
    normals = labels.normals.astype(float)
    assert np.allclose(np.linalg.norm(normals, axis=-1), 1, atol=1e-6)
    assert ((normals * places(view.camera)).sum(-1) < 1e-6).all()
    axes = np.array(view.camera.axes)
    world = points(view) @ axes + view.camera.position
    room = view.scene.solids[0]
    kinds = np.array(CLASSES)[labels.segmentation]
    for kind, axis, end in (('floor', 1, 1), ('ceiling', 1, -1)):
        mine = kinds == kind
        assert np.allclose(world[mine][:, axis], end * room.half[axis], atol=1e-4)
        assert np.allclose((normals @ axes)[mine][:, axis], -end, atol=1e-6)
    off = [np.abs(np.abs(world) - room.half).min(-1)]
    for solid in view.scene.solids[1:]:
        local = (world - solid.centre) @ np.array(solid.axes).T
        if isinstance(solid, Ball):
            off.append(np.abs(np.linalg.norm(local, axis=-1) - solid.radius))
        else:
            off.append(np.abs((np.abs(local) / solid.half).max(-1) - 1))
    assert np.min(off, axis=0).max() < 1e-4


@pytest.mark.parametrize('view', VIEWS[:3])
def test_normals_are_those_of_the_surface_that_the_depth_describes(view):
    """By differences of neighbouring points, on planes and balls."""
    view = replace(view, camera=view.camera.scaled(4))
    labels, shown = label(view), points(view)
    across = shown[1:-1, 2:] - shown[1:-1, :-2]
    down = shown[2:, 1:-1] - shown[:-2, 1:-1]
    found = np.cross(down, across)
    found /= np.linalg.norm(found, axis=-1, keepdims=True)
    normals = labels.normals[1:-1, 1:-1]
    angle = np.rad2deg(np.arccos(np.clip((found * normals).sum(-1), -1, 1)))
    # Smooth is where no neighbour is of another thing, and normals of neighbours differ little.
    shifts = [(shift, axis) for shift in (-1, 1) for axis in (0, 1)]
    edges = sum(np.roll(labels.edges, *shift) for shift in shifts)[1:-1, 1:-1]
    bends = [(normals * np.roll(labels.normals, *shift)[1:-1, 1:-1]).sum(-1) for shift in shifts]
    smooth = (edges == 0) & (np.min(bends, axis=0) > np.cos(np.deg2rad(4)))
    assert smooth.mean() > 0.9 and np.quantile(angle[smooth], 0.999) < 1


@pytest.mark.parametrize('axis', [0, 1])
@pytest.mark.parametrize('view', VIEWS)
def test_a_mirrored_view_is_the_flipped_image(view, axis):
    mirrored, flip = view.mirrored(axis), np.s_[:, ::-1] if axis == 0 else np.s_[::-1]
    assert np.allclose(render(mirrored), render(view)[flip], atol=1e-6)
    flipped, labels = label(mirrored), label(view)
    for name in ('segmentation', 'edges', 'saliency'):
        assert np.array_equal(getattr(flipped, name), getattr(labels, name)[flip])
    assert np.allclose(flipped.depth, labels.depth[flip])
    signs = (-1, 1, 1) if axis == 0 else (1, -1, 1)
    assert np.allclose(flipped.normals, labels.normals[flip] * signs, atol=1e-6)
    assert mirrored.mirrored(axis) == view


def test_a_crop_is_the_view_with_its_principal_point_shifted():
    view = VIEWS[1]
    part = replace(view, camera=view.camera.cropped(13, 20, 50, 60))
    assert part.camera.centre == (44.0, 35.0) and part.camera.focal == view.camera.focal
    inside = np.s_[13:63, 20:80]
    assert np.allclose(render(part), render(view)[inside], atol=1e-6)
    for mine, whole in zip(label(part), label(view)):
        assert np.allclose(mine, whole[inside], atol=1e-6)


def test_scaling_is_a_longer_focal_length():
    """Three times as large, every second of three pixels has the ray of one."""
    view = VIEWS[2]
    large = label(replace(view, camera=view.camera.scaled(3)))
    labels = label(view)
    for name in ('segmentation', 'depth', 'normals', 'saliency'):
        assert np.allclose(getattr(large, name)[1::3, 1::3], getattr(labels, name), atol=1e-5)


def test_the_nearest_thing_is_salient_and_boards_are_not():
    things = (
        Box('board', (0.0, 0.0, 1.0), (0.1, 0.1, 0.01), (PLAIN,) * 6),
        Box('box', (-0.7, 0.0, 2.2), (0.3, 0.3, 0.3), (PLAIN,) * 6),
        Ball((0.8, 0.0, 2.0), 0.4, PLAIN),
    )
    labels = label(View(RoomScene((ROOM, *things), LAMP), CAMERA))
    assert (labels.segmentation[labels.saliency > 0] == CLASSES.index('ball')).all()
    assert (labels.segmentation == CLASSES.index('ball')).sum() == labels.saliency.sum() > 0


def test_light_and_shadow():
    """Straight below the lamp the floor has all of its light, unless a ball is between."""
    camera = replace(CAMERA, position=(0.0, 0.0, -1.0))
    floor = (0.0, 1.0, 0.0)
    row, column = 70 + 30, 40  # where its middle would be seen, below the image
    camera = camera.cropped(row - 5, column - 5, 10, 10)
    scene = RoomScene((ROOM,), LAMP, ambient=0.3)
    light = 0.3 + 1 / (1 + (floor[1] - LAMP[1]) ** 2 / 16)
    assert np.allclose(
        render(View(scene, camera))[5, 5], np.multiply(PLAIN.colour, light), atol=2e-3
    )
    ball = Ball((0.0, -0.3, 0.0), 0.2, PLAIN)
    dark = render(View(replace(scene, solids=(ROOM, ball)), camera))
    assert np.allclose(dark[5, 5], np.multiply(PLAIN.colour, 0.3), atol=1e-6)


def test_digits_are_read_from_left_to_right():
    digits = Digits(((5, 12, 37),), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    board = Box('board', (0.0, 0.0, 2.0), (1.2, 0.4, 0.01), (digits,) * 6)
    camera = Camera(32, 96, 80.0, (48.0, 16.0))
    image = render(View(RoomScene((ROOM, board), LAMP, ambient=1.0), camera)).mean(-1)
    tile = tile_of(digits).mean(-1)
    # The board's front is 1.99 away: 96.5 by 32.2 pixels.
    assert np.corrcoef(image.ravel(), tile.ravel())[0, 1] > 0.9
    assert np.corrcoef(image.ravel(), tile[:, ::-1].ravel())[0, 1] < 0.5


def test_a_view_is_a_value():
    assert view_of('val', 3) == view_of('val', 3) and hash(view_of('val', 3))
    assert view_of('val', 3) != view_of('val', 4)
    assert view_of('val', 3, seed=1) != view_of('val', 3)


def test_splits_have_no_digit_and_no_column_in_common():
    train, search, val = (material_of(split) for split in ('train', 'search', 'val'))
    assert not set(train.digits) & set(search.digits) | set(search.digits) & set(val.digits)
    assert train.columns[1] <= search.columns[0] and search.columns[1] <= val.columns[0]
    for number in range(20):
        scene = view_of('search', number).scene
        textures = [
            t for s in scene.solids for t in (s.faces if isinstance(s, Box) else [s.texture])
        ]
        for texture in textures:
            if isinstance(texture, Digits):
                assert set(texture.rows[0]) <= set(search.digits)
            else:
                left, _, right, _ = texture.part
                assert 640 * search.columns[0] - 1 <= left < right <= 640 * search.columns[1] + 1
