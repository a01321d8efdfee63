"""Tasks and frames of a deposit that take over what was computed already."""

import cv2
import numpy as np
import pytest
import torch
from apis.rooms_deposits import IMAGES, TASKS, pack_rooms, room_images, rooms_config
from refusals import raises_naming

from mdl_nas_mm.apis import MultiTaskInferencer
from mdl_nas_mm.apis.input_images import open_inputs, read_images


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return room_images(tmp_path_factory.mktemp('data'))


@pytest.fixture(scope='module')
def images(root):
    return sorted(map(str, root.rglob('images/*.*g')))[:IMAGES]


@pytest.fixture(scope='module', params=['ViT', 'Swin'])
def deposit(request, root, tmp_path_factory, quick_mmengine):
    """Tasks of one architecture with weights of their own."""
    cfg = rooms_config(root, request.param, sharing='Sequential')
    return pack_rooms(tmp_path_factory.mktemp('deposit') / 'a.safetensors', cfg)


@pytest.fixture(scope='module')
def video(images, tmp_path_factory):
    """A still room in which a bright square wanders; lossless, so that all else stays."""
    path, room = tmp_path_factory.mktemp('video') / 'a.avi', cv2.imread(images[0])
    height, width = room.shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'FFV1'), 10, (width, height))
    for t in range(6):
        frame = room.copy()
        frame[16:32, 8 * t : 8 * t + 16] = 255
        writer.write(frame)
    writer.release()
    return str(path)


def predictions(deposit, inputs, **settings):
    """Task -> the arrays of all images, and the inferencer."""
    inferencer = MultiTaskInferencer(deposit, device='cpu', show_progress=False, **settings)
    return {k: v['predictions'] for k, v in inferencer(inputs).items()}, inferencer


@pytest.mark.parametrize('reuse', ['tasks', 'frames', 'both'])
def test_exact_reuse_changes_no_prediction(deposit, images, video, reuse):
    inputs = [*images, video]
    plain, without = predictions(deposit, inputs)
    found, inferencer = predictions(deposit, inputs, reuse=reuse)
    for task in TASKS:
        for ours, theirs in zip(found[task], plain[task], strict=True):
            np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=1e-4, atol=1e-5)
    assert without.saved is None and inferencer.saved.passes == len(plain['seg'])
    executed = inferencer.saved.executed
    assert set(executed) == set(TASKS) and max(executed.values()) <= 1


@pytest.mark.parametrize('reuse', ['frames', 'both'])
def test_frames_that_have_nothing_in_common_are_computed_plainly(deposit, images, tmp_path, reuse):
    """Each is another scene, as behind a cut or while the camera moves."""
    rooms = [cv2.imread(path) for path in images] * 2
    path, (height, width) = tmp_path / 'cuts.avi', rooms[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'FFV1'), 10, (width, height))
    for room in rooms:
        writer.write(room)
    writer.release()
    plain, _ = predictions(deposit, str(path))
    found, inferencer = predictions(deposit, str(path), reuse=reuse)
    assert inferencer.saved.key_frames == inferencer.saved.passes == len(rooms)
    for task in TASKS:
        for ours, theirs in zip(found[task], plain[task], strict=True):
            np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=1e-4, atol=1e-5)


def test_a_task_with_convolutions_between_its_blocks_reuses_nothing(root, video, tmp_path):
    cfg = rooms_config(root)
    cfg.backbone.update(window_size=2)
    cfg.backbone.propagation = dict.fromkeys(TASKS, 'none') | dict(depth='basic')
    path = pack_rooms(tmp_path / 'a.safetensors', cfg)
    plain, _ = predictions(path, video)
    found, inferencer = predictions(path, video, reuse='both')
    assert set(inferencer.saved.executed) == {*TASKS} - {'depth'}
    for task in TASKS:
        for ours, theirs in zip(found[task], plain[task], strict=True):
            np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=1e-4, atol=1e-5)


def test_a_threshold_saves_and_is_near(deposit, video):
    plain, _ = predictions(deposit, video)
    found, inferencer = predictions(deposit, video, reuse='both', threshold=0.1)
    saved = inferencer.saved
    assert saved.key_frames < saved.passes == 6
    assert all(part < 0.9 for part in saved.executed.values())
    depths = (np.stack(list(map(np.asarray, x['depth']))) for x in (plain, found))
    first, second = depths
    assert np.abs(first - second).mean() < 0.1 * np.abs(first).mean()


def test_each_video_begins_with_a_key_frame(deposit, video):
    _, inferencer = predictions(deposit, [video, video], reuse='frames', threshold=0.1)
    assert inferencer.saved.passes == 12 and inferencer.saved.key_frames == 2
    assert str(inferencer.saved).startswith('computation sharing: 12 passes, 2 ')


def test_the_frames_of_a_video_come_one_after_the_other(deposit, video):
    frames = list(read_images(open_inputs(video)))
    inferencer = MultiTaskInferencer(
        deposit, device='cpu', show_progress=False, reuse='frames', threshold=0.1
    )
    found = list(inferencer.stream(video, batch_size=4))
    assert len(found) == len(frames) == inferencer.saved.passes
    assert torch.is_grad_enabled()


def test_an_unknown_way_of_reuse_is_refused(deposit):
    with raises_naming(ValueError, 'reuse', "'all'"):
        MultiTaskInferencer(deposit, reuse='all')
    for threshold in (-1, float('nan')):
        with raises_naming(ValueError, 'threshold', threshold):
            MultiTaskInferencer(deposit, reuse='tasks', threshold=threshold)
    with raises_naming(ValueError, 'threshold', 'reuse'):
        MultiTaskInferencer(deposit, threshold=0.1)
