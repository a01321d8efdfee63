"""Tiny images that several tasks have in common, and the loaders that upstream's configs give.

The labels are the colours of the image: a segmentation is its first channel, the depth its second
one, the parts are the third. So whatever moves the image has to keep them equal.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import mmcv
import numpy as np
import torch
from helpers import ROOT
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from mmengine.registry import TRANSFORMS
from shared_images import BACKBONES, segmentor

from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.tasks import ResolvedConfig, resolve_joint_config, task_scope
from mdl_nas_mm.utils.randomness import seeded

SIZE = 16
SCOPES = dict(seg='mmseg', depth='mmseg', parts='mmseg', cls='mmpretrain', det='mmdet')
LABELS = dict(
    seg=dict(type='LoadAnnotations'),
    depth=dict(type='LoadDepthAnnotation', decode_backend='cv2', depth_rescale_factor=0.5),
    parts=dict(type='LoadAnnotations'),
    det=dict(type='LoadAnnotations', with_bbox=True),
)
PACK = dict(mmseg='PackSegInputs', mmpretrain='PackInputs', mmdet='PackDetInputs')
CROP = [
    dict(type='mmseg.RandomCrop', crop_size=(12, 12)),
    dict(type='mmseg.RandomFlip', prob=0.5),
]
EVALUATORS = dict(
    seg=dict(type='IoUMetric'),
    depth=dict(type='DepthMetric'),
    parts=dict(type='IoUMetric'),
    cls=dict(type='Accuracy'),
)


@TRANSFORMS.register_module()
class CountedLoad(LoadImageFromFile):
    """Counts the images that are decoded."""

    decoded: list[str] = []

    def transform(self, results: dict) -> dict:
        self.decoded.append(results['img_path'])
        return super().transform(results)


def write_images(root: Path, count: int = 6) -> Path:
    """Images and labels of all kinds, and the lists of those that a task has."""
    generator = np.random.default_rng(0)
    for i in range(count):
        image = generator.integers(0, 5, (SIZE, SIZE, 3), np.uint8)
        image[..., 1] += 1
        for folder, value in dict(
            images=image,
            seg=image[..., 0],
            depth=image[..., 1].astype(np.uint16) * 2,
            parts=image[..., 2],
        ).items():
            mmcv.imwrite(value, str(root / folder / f'{i}.png'))
    write_list(root, 'all', range(count))
    box = dict(bbox=[2, 3, 6, 8], area=48, iscrowd=0, category_id=1)
    coco = dict(
        images=[dict(id=i, file_name=f'{i}.png', width=SIZE, height=SIZE) for i in range(count)],
        annotations=[dict(box, id=i, image_id=i) for i in range(count)],
        categories=[dict(id=1, name='thing')],
    )
    (root / 'det.json').write_text(json.dumps(coco))
    return root


def write_list(root: Path, name: str, images: Sequence[int]) -> None:
    """Lists of some of the images, as mmseg and mmpretrain read them."""
    (root / f'{name}.txt').write_text(''.join(f'{i}\n' for i in images))
    (root / f'{name}_cls.txt').write_text(''.join(f'{i}.png {i % 3}\n' for i in images))


def dataset(root: Path, task: str, listed: str = 'all') -> dict:
    """Upstream's data set of a task, over the images of a list."""
    if task == 'cls':
        return dict(
            type='CustomDataset',
            data_root=str(root),
            ann_file=f'{listed}_cls.txt',
            data_prefix='images',
            metainfo=dict(classes=('a', 'b', 'c')),
        )
    if task == 'det':
        return dict(
            type='CocoDataset',
            data_root=str(root),
            ann_file='det.json',
            data_prefix=dict(img='images'),
            metainfo=dict(classes=('thing',)),
        )
    if task == 'depth':
        prefix = dict(img_path='images', depth_map_path='depth')
        return dict(type='NYUDataset', data_root=str(root), data_prefix=prefix, img_suffix='.png')
    return dict(
        type='BaseSegDataset',
        data_root=str(root),
        ann_file=f'{listed}.txt',
        data_prefix=dict(img_path='images', seg_map_path=task),
        img_suffix='.png',
        metainfo=dict(classes=tuple('abcdefg')),
    )


def pipeline(task: str, moves: Sequence[dict] = CROP, load: str = 'LoadImageFromFile') -> list:
    """Image, label, what moves both, packing."""
    labels = [LABELS[task]] if task in LABELS else []
    return [dict(type=load), *labels, *moves, dict(type=PACK[SCOPES[task]])]


def loaders(root: Path, *tasks: str, moves: Sequence[dict] = CROP, **settings) -> dict[str, dict]:
    """Task -> config of its loader; ``settings`` are of all of them."""
    return {
        task: dict(
            batch_size=4,
            num_workers=0,
            dataset=dict(dataset(root, task), pipeline=pipeline(task, moves)),
        )
        | settings
        for task in tasks
    }


def scopes(configs: dict) -> dict[str, str]:
    """Task -> its library."""
    return {task: SCOPES[task] for task in configs}


def joint_config(root: Path, images: str | None = 'scene') -> Config:
    """Four steps of two segmentations in an image group, half of one's labels, and one alone."""
    moves = [dict(type='RandomFlip', prob=0.5), dict(type='PhotoMetricDistortion')]
    write_list(root, 'half', (0, 3, 4))
    cfg = Config.fromfile(ROOT / 'configs' / '_base_' / 'joint_runtime.py')
    cfg.backbone = BACKBONES['ViT'] | dict(sharing='AllShared')
    cfg.tasks = {}
    for name, task in dict(seg='seg', parts='parts', alone='seg').items():
        data = loaders(root, task, moves=moves)[task]
        model = segmentor(7)
        model['decode_head']['dropout_ratio'] = 0.1
        cfg.tasks[name] = dict(
            scope='mmseg',
            score='mIoU',
            model=model,
            train_dataloader=data,
            val_dataloader=dict(
                data,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dict(dataset(root, task), pipeline=pipeline(task, ())),
            ),
            val_evaluator=dict(type='IoUMetric'),
        )
        if images and name != 'alone':
            cfg.tasks[name].images = images
    cfg.tasks.parts.train_dataloader.dataset.ann_file = 'half.txt'
    cfg.train_cfg = dict(type='MultiTaskTrainLoop', max_iters=4)
    cfg.val_cfg = dict(type='MultiTaskValLoop')
    cfg.optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01))
    cfg.default_hooks.checkpoint.update(interval=2)
    return cfg


def saved_supernet(folder: Path) -> tuple[ResolvedConfig, Path]:
    """A resolved config of an image group and a task of its own, and a checkpoint."""
    cfg = joint_config(write_images(folder / 'data'))
    for task in cfg.tasks.values():
        task.model.decode_head.norm_cfg = dict(type='BN')
    cfg.recalibrate_images = 4
    resolved = resolve_joint_config(cfg)
    with task_scope('mdl_nas_mm'), seeded(0):
        model = MODELS.build(resolved.model)
        model.init_weights()
    space = dict(space=model.backbone.space.to_config(), sharing=model.backbone.sharing.to_config())
    path = folder / 'supernet.pth'
    torch.save(dict(state_dict=model.state_dict(), meta={}, backbone=space), path)
    return resolved, path
