"""Rooms on the disk, and what sensors make of them."""

import hashlib

import cv2
import numpy as np
import pytest
from PIL import Image
from refusals import raises_naming

from mdl_nas_mm.datasets.rooms import (
    LABELS,
    expose,
    label,
    measure,
    view_of,
    write_room_videos,
    write_rooms,
)

SIZE = dict(height=24, width=32)
COUNTS = dict(train=3, search=1, val=2)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp('data') / 'rooms'
    write_rooms(path, images=COUNTS, progress=False, **SIZE)
    return path


def digest(root):
    files = sorted(path for path in root.rglob('*') if path.is_file())
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def read(root, part, name):
    return np.asarray(Image.open(root / part / f'{name}.png'))


def test_names_of_the_splits_are_those_of_the_files(root):
    names = {split: (root / 'gt_sets' / f'{split}.txt').read_text().split() for split in COUNTS}
    assert {split: len(found) for split, found in names.items()} == COUNTS
    everything = sorted(name for found in names.values() for name in found)
    for part, ending in dict(images='png', **LABELS).items():
        assert sorted(path.name for path in (root / part).iterdir()) == [
            f'{name}.{ending}' for name in everything
        ]


@pytest.mark.parametrize('name', ['train_0002', 'val_0001'])
def test_files_hold_the_labels_of_the_view(root, name):
    split, number = name.split('_')
    exact = label(view_of(split, int(number), **SIZE))
    assert read(root, 'images', name).shape == (24, 32, 3)
    assert np.array_equal(read(root, 'segmentation', name), exact.segmentation + 1)
    assert np.array_equal(read(root, 'edge', name), exact.edges * 255)
    assert np.array_equal(read(root, 'saliency', name), exact.saliency * 255)
    depth = np.load(root / 'depth' / f'{name}.npy')
    known = depth > 0
    assert depth.dtype == np.float32 and 0.8 < known.mean() < 1
    assert np.array_equal(depth[known], exact.depth[known])
    coded = read(root, 'normals', name)
    assert (coded[~known] == 128).all()
    decoded = coded[known] / 127.5 - 1
    decoded /= np.linalg.norm(decoded, axis=-1, keepdims=True)
    assert np.rad2deg(np.arccos((decoded * exact.normals[known]).sum(-1).min())) < 0.5


def test_same_arguments_give_the_same_bytes_and_are_written_once(root, tmp_path):
    path = tmp_path / 'rooms'
    manifest = write_rooms(path, images=COUNTS, progress=False, **SIZE)
    assert digest(path) == digest(root) and manifest['images'] == COUNTS
    before = {file: file.stat().st_mtime_ns for file in path.rglob('*')}
    write_rooms(path, images=COUNTS, progress=False, **SIZE)
    assert {file: file.stat().st_mtime_ns for file in path.rglob('*')} == before
    for lost in ('depth/val_0000.npy', 'gt_sets/train.txt'):
        (path / lost).unlink()
        write_rooms(path, images=COUNTS, progress=False, **SIZE)
        assert digest(path) == digest(root)
    write_rooms(path, seed=1, images=COUNTS, progress=False, **SIZE)
    assert digest(path) != digest(root)


def test_a_foreign_folder_is_refused(tmp_path):
    (tmp_path / 'thesis.txt').write_text('mine')
    with raises_naming(FileExistsError, tmp_path):
        write_rooms(tmp_path, images=COUNTS, progress=False, **SIZE)


def test_videos_are_folders_of_frames(tmp_path):
    write_room_videos(
        tmp_path / 'videos',
        videos=dict(val=1),
        frames=5,
        labelled_every=3,
        avi=True,
        progress=False,
        **SIZE,
    )
    for kind in ('still', 'moving'):
        clip = tmp_path / 'videos' / 'val' / f'{kind}_0'
        frames = [read(clip, 'images', f'{frame:06d}').astype(float) for frame in range(5)]
        assert len(list((clip / 'depth').iterdir())) == 5
        # The last frame counts as labelled.
        assert (clip / 'gt_sets' / 'labelled.txt').read_text().split() == ['000001', '000004']
        video = cv2.VideoCapture(str(clip / 'video.avi'))
        for frame in frames:
            found, shown = video.read()
            assert found and np.abs(shown[..., ::-1] - frame).mean() < 25
        assert not video.read()[0]


def test_labelled_every_must_be_positive(tmp_path):
    with raises_naming(ValueError, 'labelled_every', 0):
        write_room_videos(tmp_path / 'videos', labelled_every=0)


def test_noise_grows_with_the_light():
    rng = np.random.default_rng(0)
    for value in (0.1, 0.8):
        image = expose(np.full((64, 64, 3), value, np.float32), rng) / 255
        assert abs(image.mean() - value) < 1e-3
        assert image.std() == pytest.approx(np.sqrt(2e-5 + 4e-4 * value), rel=0.05)


def test_a_few_pixels_are_not_measured():
    shares = []
    for number in range(5):
        view = view_of('train', number)
        exact = label(view)
        measured = measure(exact, view.camera, np.random.default_rng(number))
        missing = measured.depth == 0
        assert np.array_equal(missing, (measured.normals == 0).all(-1))
        assert np.array_equal(measured.depth[~missing], exact.depth[~missing])
        assert np.array_equal(measured.normals[~missing], exact.normals[~missing])
        shares.append(missing.mean())
    assert 0.005 < np.mean(shares) < 0.08
