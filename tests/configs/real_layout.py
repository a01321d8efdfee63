"""A few images in the folders and files of ImageNet, COCO and ADE20K."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import ROOT
from mmdet.datasets import CocoDataset
from mmengine.config import Config

from mdl_nas_mm.datasets.hold_out import hold_out

# (height, width) of every image.
SIZE = (72, 96)
# Images of a split of COCO and ADE20K; two of the training images are left beside those set aside.
IMAGES = dict(train=3, val=2)
HELD_OUT = dict(cls=2, det=1, seg=1)


def write_data(root: Path) -> None:
    """Writes ``data/imagenet``, ``data/coco`` and ``data/ade`` below a folder."""
    rng = np.random.default_rng(0)
    _imagenet(root / 'data' / 'imagenet', rng)
    _coco(root / 'data' / 'coco', rng)
    _ade(root / 'data' / 'ade' / 'ADEChallengeData2016', rng)
    cfg = Config.fromfile(ROOT / 'configs' / 'mdl_nas' / 'mdl-nas-t_seq_joint-1x.py')
    cfg.held_out_images = HELD_OUT
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert [part.task for part in hold_out(cfg)] == list(HELD_OUT)


def _write(path: Path, rng: np.random.Generator, highest: int, *channels: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), rng.integers(0, highest, (*SIZE, *channels), dtype=np.uint8))


def _imagenet(root: Path, rng: np.random.Generator) -> None:
    """With lists of files under ``meta``, as OpenMMLab's copy of ImageNet has."""
    for split, count in dict(train=2, val=1).items():
        lines = []
        for label in (0, 999):
            for number in range(count):
                name = f'class_{label}/{split}_{label}_{number}.JPEG'
                _write(root / split / name, rng, 255, 3)
                lines.append(f'{name} {label}')
        (root / 'meta').mkdir(exist_ok=True)
        (root / 'meta' / f'{split}.txt').write_text('\n'.join(lines))


def _coco(root: Path, rng: np.random.Generator) -> None:
    (root / 'annotations').mkdir(parents=True)
    for split in ('train2017', 'val2017'):
        images, annotations = [], []
        for number in range(1, IMAGES[split.removesuffix('2017')] + 1):
            name = f'{number:012d}.jpg'
            _write(root / split / name, rng, 255, 3)
            images.append(dict(id=number, file_name=name, height=SIZE[0], width=SIZE[1]))
            x, y, width, height = 10 * number, 8, 50, 40
            corners = [x, y, x + width, y, x + width, y + height, x, y + height]
            annotations.append(
                dict(
                    id=number,
                    image_id=number,
                    category_id=1 + number % 2,
                    bbox=[x, y, width, height],
                    area=width * height,
                    segmentation=[corners],
                    iscrowd=0,
                )
            )
        names = CocoDataset.METAINFO['classes']
        categories = [dict(id=number, name=name) for number, name in enumerate(names, 1)]
        content = dict(images=images, annotations=annotations, categories=categories)
        (root / 'annotations' / f'instances_{split}.json').write_text(json.dumps(content))


def _ade(root: Path, rng: np.random.Generator) -> None:
    for split, count in dict(training=IMAGES['train'], validation=IMAGES['val']).items():
        for number in range(1, count + 1):
            name = f'ADE_{split}_{number:08d}'
            _write(root / 'images' / split / f'{name}.jpg', rng, 255, 3)
            _write(root / 'annotations' / split / f'{name}.png', rng, 151)


def shrink_images(cfg: Config, root: Path) -> None:
    """Makes a resolved config train on batches of two small images of ``write_data`` a task.

    Classification keeps its image size, which the windows of a Swin need.
    """
    smaller = {
        'CocoDataset': {'RandomResize': dict(scale=[(128, 96), (128, 112)])},
        'ADE20KDataset': {
            'RandomResize': dict(scale=(256, 64)),
            'RandomCrop': dict(crop_size=(64, 64)),
        },
    }
    cfg.groups = dict.fromkeys(cfg.tasks, 1)
    for loader in cfg.train_dataloader.values():
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
        loader.dataset.data_root = str(root / loader.dataset.data_root)
        for step in loader.dataset.pipeline:
            step.update(smaller.get(loader.dataset.type, {}).get(step.type, {}))
    if 'det' in cfg.tasks:
        # Most of the time would go into regions of such images.
        settings = cfg.model.tasks.det.model.train_cfg
        settings.rpn_proposal.max_per_img, settings.rcnn.sampler.num = 40, 16
    if 'seg' in cfg.tasks:
        cfg.model.tasks.seg.model.data_preprocessor.size = (64, 64)
