"""Dense labels that know their transforms keep to that in an image group."""

from itertools import islice

import mmcv
import numpy as np
import pytest
import torch
from helpers import differences, plain

from mdl_nas_mm.tasks import build_group_train_loader, build_train_loader

SIZE = (16, 20)
FOLDERS = dict(
    semseg=dict(folder='semseg', classes=('a', 'b', 'c')),
    depth=dict(folder='depth'),
    normals=dict(folder='normals'),
    edges=dict(folder='edges'),
)
MOVES = [
    dict(type='mdl_nas_mm.SceneResize', scale=(40, 32)),
    dict(type='mmseg.RandomFlip', prob=1.0),
    dict(type='mdl_nas_mm.ScenePad', size=(48, 40)),
]


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Four images; the first has no depth."""
    root, random = tmp_path_factory.mktemp('scenes'), np.random.default_rng(0)
    for i in range(4):
        mmcv.imwrite(random.integers(0, 255, (*SIZE, 3), np.uint8), str(root / f'images/{i}.png'))
        mmcv.imwrite(random.integers(0, 3, SIZE, np.uint8), str(root / f'semseg/{i}.png'))
        edges = (random.random(SIZE) < 0.1) * np.uint8(255)
        mmcv.imwrite(edges, str(root / f'edges/{i}.png'))
        normals = random.normal(size=(*SIZE, 3))
        arrays = dict(normals=normals / np.linalg.norm(normals, axis=-1, keepdims=True))
        arrays |= dict(depth=random.uniform(1, 5, SIZE)) if i else {}
        for label, value in arrays.items():
            (root / label).mkdir(exist_ok=True)
            np.save(root / label / f'{i}.npy', value.astype(np.float32))
    return root


def loader(root, label):
    load = dict(type='LoadImageFromFile')
    return dict(
        batch_size=4,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            type='SceneFolders',
            data_root=str(root),
            label=label,
            allow_missing=label == 'depth',
            **FOLDERS,
            pipeline=[load, dict(type='LoadSceneLabel'), *MOVES, dict(type='PackScene')],
        ),
    )


@pytest.fixture(scope='module')
def batch(root):
    configs = {label: loader(root, label) for label in FOLDERS}
    configs['image'] = loader(root, 'semseg')
    configs['image']['dataset']['pipeline'][1:2] = []
    configs['image']['dataset']['pipeline'].insert(-1, dict(type='ImageTarget'))
    built = build_group_train_loader('rooms', dict.fromkeys(configs, 'mdl_nas_mm'), configs, 0)
    return next(iter(built))


@pytest.mark.parametrize('label', list(FOLDERS))
def test_a_task_has_what_its_own_pipeline_gives(root, batch, label):
    alone = list(islice(iter(build_train_loader(label, 'mdl_nas_mm', loader(root, label), 0)), 1))
    count = len(batch.places[label])
    expected = {key: values[:count] for key, values in alone[0].items()}
    assert differences(plain(batch.batches[label]), plain(expected)) == []
    assert batch.places[label] == ((1, 2, 3) if label == 'depth' else (0, 1, 2, 3))


def test_a_target_that_is_made_of_the_image_is_of_one_task(batch):
    image = batch.batches['image']
    for sample, loaded in zip(image['data_samples'], image['inputs']):
        assert torch.equal(sample.gt_regression.data, loaded.flip(0) / 255)
    assert image['inputs'][0] is batch.batches['normals']['inputs'][0]
