"""A video in gives a video of the drawings out."""

import cv2
import mmcv
import numpy as np
import pytest
import torch
from apis.rooms_deposits import TASKS, pack_rooms, room_images, rooms_config
from mmengine.logging import MMLogger
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mdl_nas_mm.apis import MultiTaskInferencer
from mdl_nas_mm.apis.drawn_videos import DrawnVideos
from mdl_nas_mm.apis.input_images import InputImage, Video
from mdl_nas_mm.scenes.pictures import depth_span

FPS = 12.0


@pytest.fixture(scope='module')
def inferencer(tmp_path_factory, quick_mmengine):
    root = room_images(tmp_path_factory.mktemp('data'))
    path = pack_rooms(tmp_path_factory.mktemp('deposit') / 'a.safetensors', rooms_config(root))
    return MultiTaskInferencer(path, device='cpu', show_progress=False)


@pytest.fixture
def clip(tmp_path):
    return write_clip(tmp_path / 'clip.avi')


def write_clip(path, frames=4, size=(65, 48)):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'FFV1'), FPS, size)
    rng = np.random.default_rng(0)
    for _ in range(frames):
        writer.write(rng.integers(0, 256, (size[1], size[0], 3), np.uint8))
    writer.release()
    return path


def test_drawings_of_frames_and_of_the_whole(inferencer, clip, tmp_path):
    out = tmp_path / 'out'
    found = inferencer(clip, return_vis=True, out_dir=out, batch_size=3)
    assert len(found['seg']['predictions']) == 4
    for task in ('', *TASKS):
        video = mmcv.VideoReader(str(out / 'vis' / task / 'clip.mp4'))
        frames = [frame for frame in video]
        assert len(frames) == 4 and video.fps == FPS
        names = sorted(file.name for file in (out / 'vis' / task).glob('*.jpg'))
        assert names == [f'clip_{number:06d}.jpg' for number in range(4)]
        drawn = [mmcv.imread(out / 'vis' / task / name) for name in names]
        for frame, single in zip(frames, drawn):
            # Sides are made even, and the codec loses a little.
            height, width = single.shape[:2]
            assert frame.shape[:2] == (height + height % 2, width + width % 2)
            if task != 'edges':
                assert np.abs(frame[:height, :width].astype(int) - single).mean() < 25
    assert not list(out.rglob('.*'))


def test_depth_keeps_the_colours_of_the_first_frame(inferencer):
    tasks = inferencer.passes.inferencers['depth']

    def sample(depth):
        found = SegDataSample()
        found.pred_depth_map = PixelData(data=torch.tensor(depth).view(1, 1, -1))
        return found

    pixels = np.zeros((1, 3, 3), np.uint8)
    first, second = sample([1.0, 3.0, 5.0]), sample([3.0, 4.0, 5.0])
    assert depth_span(first, 'pred_depth_map') == (1.0, 5.0)
    alone = tasks.draw(pixels, second, 0.3)
    after = tasks.draw(pixels, second, 0.3, first)
    shown = tasks.draw(pixels, first, 0.3, first)
    assert (shown == tasks.draw(pixels, first, 0.3)).all()
    assert (after[0, 0] == shown[0, 1]).all() and (after[0, 2] == shown[0, 2]).all()
    assert (alone[0, 0] == shown[0, 0]).all()


def test_several_videos_and_images(inferencer, clip, tmp_path):
    (tmp_path / 'b').mkdir()
    image = tmp_path / 'one.png'
    mmcv.imwrite(np.zeros((48, 64, 3), np.uint8), str(image))
    other = write_clip(tmp_path / 'b' / 'clip.avi', frames=2)
    inferencer([clip, image, other, clip], out_dir=tmp_path / 'out', no_save_pred=True)
    counts = {
        path.name: len(mmcv.VideoReader(str(path))) for path in (tmp_path / 'out/vis').glob('*.mp4')
    }
    assert counts == {'clip.mp4': 4, 'clip_2.mp4': 2, 'clip_3.mp4': 4}


def test_what_is_left_early_leaves_no_half_of_a_video(inferencer, clip, tmp_path):
    stream = inferencer.stream(clip, out_dir=tmp_path / 'out')
    next(stream)
    stream.close()
    assert len(list((tmp_path / 'out').rglob('clip_000000.*'))) > 0
    assert not list((tmp_path / 'out').rglob('*.mp4'))
    inferencer(clip, out_dir=tmp_path / 'none', no_save_vis=True)
    assert not list((tmp_path / 'none').rglob('*.mp4'))


def test_a_video_that_cannot_be_written_is_warned_of(tmp_path, monkeypatch):
    warnings = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'warning', warnings.append)
    monkeypatch.setattr(cv2.VideoWriter, 'isOpened', lambda self: False, raising=True)
    frame = np.zeros((4, 4, 3), np.uint8)
    video = Video(tmp_path / 'clip.avi', 1, FPS)
    videos = DrawnVideos(tmp_path / 'vis')
    videos.add(InputImage('clip_000000', 'clip', frame, frame, True, video), {'': frame})
    videos.end(None, None, None)
    assert len(warnings) == 1 and 'clip.mp4' in warnings[0] and '4 x 4' in warnings[0]
    assert not list(tmp_path.rglob('*.mp4'))
