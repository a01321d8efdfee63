"""Dense tasks on upstream data, in a config of mmseg's own and in a joint one with a deposit."""

import copy
import random

import cv2
import numpy as np
import pytest
import torch
from dense_models import BACKBONES, fcn
from helpers import (
    PIXELS,
    SPACE,
    WIDTH,
    build_runner,
    differences,
    joint_config,
    plain,
    predict,
    random_joint,
)
from mmengine.config import Config
from mmengine.runner import Runner
from scenes.files import image, save, slanted

from mdl_nas_mm.apis import evaluate_deposit, load_task, save_deposit
from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.families import ElasticViT
from mdl_nas_mm.tasks import build_eval_loader, resolve_joint_config
from mdl_nas_mm.trust import refusals
from mdl_nas_mm.trust.known import known_classes


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Four images with depth in millimetres, as mmseg's ``NYUDataset`` reads them."""
    root, rng = tmp_path_factory.mktemp('nyu'), np.random.default_rng(0)
    for name in ('images', 'annotations'):
        (root / name).mkdir()
    for i in range(4):
        depth = rng.integers(1000, 5000, (20, 28)).astype(np.uint16)
        depth[:4] = 0
        cv2.imwrite(str(root / f'annotations/office_{i}.png'), depth)
        image = rng.integers(0, 256, (20, 28, 3)).astype(np.uint8)
        cv2.imwrite(str(root / f'images/office_{i}.jpg'), image)
    return root


def loader(folder, is_training):
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadDepthAnnotation', depth_rescale_factor=1e-3),
        dict(type='PackSegInputs'),
    ]
    # The image is enlarged before the label of a validation is loaded.
    pipeline.insert(2 if is_training else 1, dict(type='Resize', scale=(40, 32)))
    dataset = dict(type='NYUDataset', data_root=f'{folder}/', pipeline=pipeline)
    shuffled = dict(type='DefaultSampler', shuffle=is_training)
    return dict(batch_size=2, num_workers=0, sampler=shuffled, dataset=dataset)


def task(folder, activation):
    """Depth, with upstream's data."""
    return dict(
        scope='mmseg',
        score='d1',
        backbone=dict(out_type='featmap', out_indices=(0, -1)),
        model=dict(
            type='mdl_nas_mm.DenseEstimator',
            data_preprocessor=dict(type='SegDataPreProcessor', size_divisor=16, **PIXELS),
            backbone=dict(type='ResNet', depth=18),
            decode_head=dict(
                type='mdl_nas_mm.ConvNeXtHead', in_channels=WIDTH, in_index=1, channels=32
            ),
            auxiliary_head=dict(
                type='FCNHead', in_channels=WIDTH, in_index=0, channels=8, num_convs=1
            ),
            target=dict(type='mdl_nas_mm.DepthTarget', activation=activation),
        ),
        train_dataloader=loader(folder, True),
        val_dataloader=loader(folder, False),
        val_evaluator=[
            dict(type='mdl_nas_mm.DepthErrorMetric', prefix='ours'),
            dict(type='DepthMetric'),
        ],
    )


def test_a_config_of_mmsegs_own_trains_and_validates(folder, tmp_path):
    """By mmengine's runner, with a stock backbone."""
    found = task(folder, 'softplus')
    model = dict(found['model'])
    backbone, widths = BACKBONES['stock ResNet']
    model.update(backbone=backbone, decode_head=fcn(widths), auxiliary_head=None)
    cfg = dict(
        default_scope='mmseg',
        custom_imports=dict(imports=['mdl_nas_mm.scenes'], allow_failed_imports=False),
        model=model,
        train_dataloader=found['train_dataloader'],
        val_dataloader=found['val_dataloader'],
        val_evaluator=found['val_evaluator'],
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=2, val_interval=2),
        val_cfg=dict(type='ValLoop'),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        experiment_name='dense',
        work_dir=str(tmp_path),
    )
    runner = Runner.from_cfg(Config(cfg))
    runner.train()
    assert runner.iter == 2
    assert all(parameter.isfinite().all() for parameter in runner.model.parameters())
    metrics = runner.val_loop.run()
    assert metrics['ours/rmse_image'] == pytest.approx(metrics['rmse'], rel=1e-4)


def test_a_dense_task_is_trained_deposited_and_loaded(data, folder, tmp_path):
    cfg = joint_config(data, changes={'train_cfg.max_iters': 2})
    cfg.tasks = dict(near=task(folder, 'exp'), far=task(folder, 'softplus'))
    cfg.backbone.space = SPACE
    build_runner(copy.deepcopy(cfg), tmp_path).train()
    resolved = resolve_joint_config(cfg)
    model = load_supernet(resolved, tmp_path / 'iter_2.pth')
    joint = random_joint(model, random.Random(3))
    path = tmp_path / 'dense.safetensors'
    save_deposit(resolved, tmp_path / 'iter_2.pth', joint, path, scored=True)
    batch = next(iter(build_eval_loader('near', 'mmseg', resolved.val_dataloader['near'])))
    loaded = load_task(path, 'near')
    with torch.no_grad():
        found = loaded.test_step(copy.deepcopy(batch))
        expected = predict(model, 'near', joint['near'], copy.deepcopy(batch))
    assert differences(plain(found), plain(expected)) == []
    assert found[0].pred_depth_map.data.shape == (1, 20, 28)
    ((_, metrics),) = evaluate_deposit(path, ['far']).values()
    assert metrics['ours/rmse_image'] == pytest.approx(metrics['rmse'], rel=1e-4)


SIZE = (24, 32)
LABELS = dict(
    depth=(dict(folder='depth', unit='m'), 'DepthTarget', 'DepthErrorMetric', 'd1'),
    normals=(dict(folder='normals'), 'NormalsTarget', 'NormalsMetric', 'within_30'),
    edges=(dict(folder='edges'), 'EdgesTarget', 'EdgeMetric', 'odsF'),
    saliency=(dict(folder='saliency'), 'SaliencyTarget', 'SaliencyMetric', 'mIoU'),
)


@pytest.fixture(scope='module')
def scenes(tmp_path_factory):
    """Four images with four labels each, but for a normal map and two of edges."""
    root, rng = tmp_path_factory.mktemp('scenes'), np.random.default_rng(0)
    for i in range(4):
        save(root / f'images/{i}.png', image(*SIZE, seed=i))
        save(root / f'depth/{i}.npy', rng.uniform(1, 5, SIZE))
        save(root / f'saliency/{i}.png', (rng.random(SIZE) < 0.5).astype(np.uint8) * 255)
        if i:
            save(root / f'normals/{i}.npy', slanted(*SIZE, seed=i))
        if i > 1:
            save(root / f'edges/{i}.png', (rng.random(SIZE) < 0.2).astype(np.uint8) * 255)
    return root


def scene_task(scenes, label):
    """A task on the images of a group."""
    source, target, metric, score = LABELS[label]
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='mdl_nas_mm.LoadSceneLabel'),
        dict(type='RandomFlip', prob=0.5),
        dict(type='mdl_nas_mm.PackScene'),
    ]
    dataset = dict(type='mdl_nas_mm.SceneFolders', data_root=str(scenes), label=label)
    dataset |= {label: source, 'allow_missing': True}

    def of(pipeline):
        sampler = dict(type='DefaultSampler', shuffle=len(pipeline) == 4)
        dataset_ = dict(dataset, pipeline=pipeline)
        return dict(batch_size=2, num_workers=0, sampler=sampler, dataset=dataset_)

    model = dict(
        type='mdl_nas_mm.DenseEstimator',
        data_preprocessor=dict(type='mdl_nas_mm.ScenePreProcessor', size_divisor=16, **PIXELS),
        backbone=dict(type='ResNet', depth=18),
        decode_head=fcn((WIDTH,)),
        target=dict(type=f'mdl_nas_mm.{target}'),
    )
    return dict(
        scope='mmseg',
        images='scenes',
        score=score,
        backbone=dict(out_type='featmap', out_indices=(-1,)),
        model=model,
        train_dataloader=of(pipeline),
        val_dataloader=of(pipeline[:2] + pipeline[3:]),
        val_evaluator=[dict(type=f'mdl_nas_mm.{metric}')],
    )


def test_dense_tasks_share_images_and_a_pass(data, scenes, tmp_path, monkeypatch):
    """Also where images lack the labels of some."""
    cfg = joint_config(data, 'AllShared', {'train_cfg.max_iters': 4})
    cfg.tasks = {label: scene_task(scenes, label) for label in LABELS}
    passed, forward = [], ElasticViT.forward_subnet

    def counted(self, x, task, spec):
        passed.append((len(x), self.training))
        return forward(self, x, task, spec)

    monkeypatch.setattr(ElasticViT, 'forward_subnet', counted)
    runner = build_runner(cfg, tmp_path)
    runner.train()
    # The smallest and the largest subnet, with a batch of two images each step.
    assert [images for images, is_training in passed if is_training] == [2] * 2 * 4
    metrics = runner.val()
    for label, (*_, score) in LABELS.items():
        assert 0 <= metrics[f'{label}/{score}'] <= 1


OWN = 'mdl_nas_mm.'
CONFIGS = [
    *(
        dict(type='DenseEstimator', decode_head=dict(type='FCNHead', channels=8), target=target)
        for target in (
            dict(type='NormalsTarget', loss=dict(type='NormalsCosineLoss')),
            dict(type='EdgesTarget', loss=dict(type='BalancedBCELoss', pos_weight=None)),
            dict(type='SaliencyTarget'),
            dict(type='RegressionTarget', channels=2, loss=[dict(type='MaskedL2Loss')]),
            dict(type='EmbeddingTarget', channels=64, loss=dict(type='PixelEmbeddingLoss')),
            dict(type='SoftLabelTarget', channels=63, loss=dict(type='SoftCrossEntropyLoss')),
            dict(type='VectorTarget', channels=9),
        )
    ),
    dict(type='PooledMLPHead', num_layers=2, in_channels=8, channels=8),
    dict(type='NormalsMetric', prefix='a'),
    dict(type='EdgeMetric', max_distance=0.011, thresholds=9),
    dict(type='SaliencyMetric'),
    dict(type='SoftLabelMetric'),
    dict(type='RegressionErrorMetric', key='point', data_range=1.0),
    dict(type='StructuralSimilarityMetric', data_range=1.0, key='normals'),
    dict(type='EmbeddingMetric', pixels=100),
]


def prefixed(config):
    """A config with the scope before each of our classes."""
    if isinstance(config, list):
        return [prefixed(item) for item in config]
    if not isinstance(config, dict):
        return config
    found = {key: prefixed(value) for key, value in config.items()}
    if f'{OWN}{found["type"]}' in known_classes():
        found['type'] = OWN + found['type']
    return found


@pytest.mark.parametrize('config', CONFIGS, ids=lambda config: str(config)[7:60])
def test_a_deposit_may_name_all_that_dense_tasks_are_made_of(config):
    config = prefixed(config)
    assert config['type'].startswith(OWN)
    assert list(refusals('mmseg', config)) == []
    assert list(refusals('mmseg', dict(config, path='x.pkl')))
