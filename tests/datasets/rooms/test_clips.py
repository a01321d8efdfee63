"""Videos: what moves and what stands."""

import numpy as np
import pytest
from refusals import raises_naming

from mdl_nas_mm.datasets.rooms import label, material_of, sample_clip
from mdl_nas_mm.datasets.rooms.scene import Ball


def clip(kind, seed, frames=6):
    return sample_clip(kind, material_of('train'), np.random.default_rng(seed), frames, 24, 32)


@pytest.mark.parametrize('seed', range(4))
def test_things_move_before_a_still_camera_without_meeting(seed):
    views = clip('still', seed)
    assert len({view.camera for view in views}) == 1 and len(set(views)) == 6
    for view in views:
        things = [solid for solid in view.scene.solids if solid.kind in ('box', 'ball')]
        for number, thing in enumerate(things):
            assert np.allclose(np.array(thing.axes) @ np.transpose(thing.axes), np.eye(3))
            for other in things[:number]:
                if isinstance(thing, Ball) and isinstance(other, Ball):
                    away = np.linalg.norm(np.subtract(thing.centre, other.centre))
                    assert away > thing.radius + other.radius
    first, last = views[0].scene.solids, views[-1].scene.solids
    moved = [a.kind for a, b in zip(first, last) if a != b]
    assert moved and set(moved) <= {'box', 'ball'}


def test_a_ball_rolls_without_slipping():
    """The point of it that touches the floor stands still for a moment."""
    for seed in range(20):
        first, second = clip('still', seed, frames=2001)[:2]
        for before, after in zip(first.scene.solids, second.scene.solids):
            if isinstance(before, Ball) and before != after:
                below = np.array(before.axes) @ (0.0, before.radius, 0.0)
                start = np.add(before.centre, below @ np.array(before.axes))
                end = np.add(after.centre, below @ np.array(after.axes))
                way = np.linalg.norm(np.subtract(after.centre, before.centre))
                assert way > 0 and np.linalg.norm(end - start) < 0.01 * way
                return
    raise AssertionError('no ball rolled')


def test_the_camera_moves_through_a_still_scene():
    views = clip('moving', 3)
    assert len({view.scene for view in views}) == 1
    assert len({view.camera for view in views}) == len(views)
    depths = [label(view).depth for view in views]
    changes = [np.abs(a - b).mean() for a, b in zip(depths, depths[1:])]
    assert all(0.01 < change < 0.5 for change in changes)


def test_another_kind_is_refused():
    with raises_naming(ValueError, 'still', 'moving', 'flying'):
        clip('flying', 0)
