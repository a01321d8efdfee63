"""The bundled rooms through the readers of NYUD-v2 and of own folders."""

import numpy as np
import pytest
from mmengine.registry import DATASETS, DefaultScope

from mdl_nas_mm.datasets.rooms import CLASSES, label, view_of, write_rooms

SIZE = dict(height=24, width=32)
FIELDS = dict(semseg='gt_sem_seg', depth='gt_depth_map', normals='gt_normals', edges='gt_edges')


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp('data') / 'rooms'
    write_rooms(path, images=dict(train=1, search=1, val=2), progress=False, **SIZE)
    return path


def sample_of(root, **settings):
    """The second image for validation, as a data set gives it."""
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='mdl_nas_mm.LoadSceneLabel'),
        dict(type='mdl_nas_mm.PackScene'),
    ]
    config = dict(data_root=str(root), ann_file='gt_sets/val.txt', pipeline=pipeline, **settings)
    with DefaultScope.overwrite_default_scope('mmseg'):
        dataset = DATASETS.build(config)
    assert len(dataset) == 2
    return dataset[1]['data_samples']


@pytest.mark.parametrize('name', FIELDS)
@pytest.mark.parametrize('kind', ['NYUDScenes', 'SceneFolders'])
def test_readers_give_the_labels_of_the_view(root, kind, name):
    folders = dict(
        semseg=dict(folder='segmentation', zero_ignored=True, classes=CLASSES),
        depth=dict(folder='depth'),
        normals=dict(folder='normals'),
        edges=dict(folder='edge'),
    )
    settings = folders if kind == 'SceneFolders' else {}
    sample = sample_of(root, type=f'mdl_nas_mm.{kind}', label=name, **settings)
    found = sample.get(FIELDS[name]).data.numpy()
    exact = label(view_of('val', 1, **SIZE))
    if name == 'semseg':
        assert np.array_equal(found[0], exact.segmentation)
    elif name == 'edges':
        assert np.array_equal(found[0], exact.edges)
    elif name == 'depth':
        known = found[0] > 0
        assert known.mean() > 0.8 and np.array_equal(found[0][known], exact.depth[known])
    else:
        known = np.linalg.norm(found, axis=0) > 0
        cosines = (found * exact.normals.transpose(2, 0, 1)).sum(0)[known]
        assert known.mean() > 0.8 and cosines.min() > np.cos(np.deg2rad(0.5))


def test_saliency_is_read_from_its_folder(root):
    sample = sample_of(
        root, type='mdl_nas_mm.SceneFolders', saliency=dict(folder='saliency'), images='images'
    )
    exact = label(view_of('val', 1, **SIZE)).saliency
    assert np.array_equal(sample.gt_saliency.data.numpy()[0], exact)
