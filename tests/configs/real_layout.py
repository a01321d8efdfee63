"""A few images in the folders and files of ImageNet, COCO and ADE20K."""

import json
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config

# (height, width) of every image.
SIZE = (72, 96)


def write_data(root: Path) -> None:
    """Writes ``data/imagenet``, ``data/coco`` and ``data/ade`` below a folder."""
    rng = np.random.default_rng(0)
    _imagenet(root / 'data' / 'imagenet', rng)
    _coco(root / 'data' / 'coco', rng)
    _ade(root / 'data' / 'ade' / 'ADEChallengeData2016', rng)


def _write(path: Path, rng: np.random.Generator, highest: int, *channels: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), rng.integers(0, highest, (*SIZE, *channels), dtype=np.uint8))


def _imagenet(root: Path, rng: np.random.Generator) -> None:
    """With lists of files under ``meta``, as OpenMMLab's copy of ImageNet has."""
    for split in ('train', 'val'):
        lines = []
        for label in (0, 999):
            name = f'class_{label}/{split}_{label}.JPEG'
            _write(root / split / name, rng, 255, 3)
            lines.append(f'{name} {label}')
        (root / 'meta').mkdir(exist_ok=True)
        (root / 'meta' / f'{split}.txt').write_text('\n'.join(lines))


def _coco(root: Path, rng: np.random.Generator) -> None:
    (root / 'annotations').mkdir(parents=True)
    for split in ('train2017', 'val2017'):
        images, annotations = [], []
        for number in (1, 2):
            name = f'{number:012d}.jpg'
            _write(root / split / name, rng, 255, 3)
            images.append(dict(id=number, file_name=name, height=SIZE[0], width=SIZE[1]))
            x, y, width, height = 10 * number, 8, 50, 40
            corners = [x, y, x + width, y, x + width, y + height, x, y + height]
            annotations.append(
                dict(
                    id=number,
                    image_id=number,
                    category_id=number,
                    bbox=[x, y, width, height],
                    area=width * height,
                    segmentation=[corners],
                    iscrowd=0,
                )
            )
        categories = [dict(id=1, name='person'), dict(id=2, name='bicycle')]
        content = dict(images=images, annotations=annotations, categories=categories)
        (root / 'annotations' / f'instances_{split}.json').write_text(json.dumps(content))


def _ade(root: Path, rng: np.random.Generator) -> None:
    for split in ('training', 'validation'):
        for number in (1, 2):
            name = f'ADE_{split}_{number:08d}'
            _write(root / 'images' / split / f'{name}.jpg', rng, 255, 3)
            _write(root / 'annotations' / split / f'{name}.png', rng, 151)


def shrink_images(cfg: Config, root: Path) -> None:
    """Makes a resolved config train on one batch of two small images of ``write_data`` a task.

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
