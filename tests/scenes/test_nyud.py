"""``NYUDScenes``: three layouts of one data set, told apart by what lies there."""

import numpy as np
import pytest
from refusals import raises_naming
from scenes.files import slanted
from scenes.layouts import NYUD_VARIANTS, write_nyud

from mdl_nas_mm.registry import DATASETS
from mdl_nas_mm.scenes.transforms import LoadSceneLabel

LABELS = ('semseg', 'depth', 'normals', 'edges')
SIZE = (16, 24)


@pytest.fixture(params=NYUD_VARIANTS)
def root(request, tmp_path):
    write_nyud(tmp_path, request.param, size=SIZE)
    return tmp_path


def build(root, **options):
    config = dict(type='mdl_nas_mm.NYUDScenes', data_root=str(root), ann_file='gt_sets/train.txt')
    return DATASETS.build(config | options)


def test_all_labels(root):
    dataset = build(root, labels=LABELS)
    assert len(dataset) == 2 and len(dataset.metainfo['classes']) == 40
    found = LoadSceneLabel()(dict(dataset.get_data_info(0), ori_shape=SIZE))
    raw = np.arange(SIZE[0] * SIZE[1]).reshape(SIZE) % 41
    np.testing.assert_array_equal(found['gt_seg_map'], np.where(raw == 0, 255, raw - 1))
    depth = found['gt_depth_map']
    assert not depth[:2].any() and 0.7 <= depth[2:].min() and depth.max() < 9
    np.testing.assert_array_equal(found['gt_edges'], np.eye(*SIZE))
    normals, is_jpg = found['gt_normals'], str(found['labels']['normals']['path']).endswith('jpg')
    assert not normals[10:, 10:14].any()
    cosines = (normals * slanted(*SIZE)).sum(-1)[:, :6]
    assert np.rad2deg(np.arccos(cosines.clip(-1, 1))).max() < (15 if is_jpg else 0.5)
    if not found['labels']['normals']['path'].endswith('npy'):
        assert not normals[2:6, 10:14].any()


def test_the_background_may_be_a_class(root):
    dataset = build(root, label='semseg', background=True)
    found = LoadSceneLabel()(dict(dataset.get_data_info(0), ori_shape=SIZE))
    assert len(dataset.metainfo['classes']) == 41 and dataset.metainfo['classes'][1] == 'wall'
    assert found['gt_seg_map'].min() == 0 and found['gt_seg_map'].max() == 40


def test_a_label_is_chosen(root):
    for label in LABELS:
        dataset = build(root, label=label)
        assert list(dataset.get_data_info(0)['labels']) == [label]
    with raises_naming(ValueError, 'NYUDScenes', *LABELS):
        build(root)
    with raises_naming(ValueError, 'ann_file'):
        build(root, label='depth', ann_file='')
    with raises_naming(ValueError, '3 classes', '40'):
        build(root, label='semseg', metainfo=dict(classes=('a', 'b', 'c')))


def test_missing_files_are_named(root):
    for path in (root / 'depth').iterdir():
        path.unlink()
    with raises_naming(FileNotFoundError, f'{root}/depth', '2 files', '0001'):
        build(root, label='depth')
    assert len(build(root, label='edges')) == 2


def test_lists_may_end_in_any_way(root):
    (root / 'gt_sets' / 'train.txt').write_bytes(b'0001\r0002\r')
    assert len(build(root, label='depth')) == 2


@pytest.mark.parametrize('every', [0, -1, 'x', 1.5, 5])
def test_every_is_a_number_of_frames(root, every):
    with raises_naming((ValueError, FileNotFoundError), 'NYUDScenes', 'every', every):
        build(root, label='depth', ann_file='', every=every)
