"""The ordinary demo configs: upstream's own classes read the data and train on it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, EVALUATOR, MODELS, DefaultScope
from mmengine.runner import Runner
from mmengine.utils import import_modules_from_strings

from mdl_nas_mm.datasets import CLASSES, write_demo_data
from mdl_nas_mm.datasets.formats import KEYPOINTS

CONFIGS = Path(__file__).parents[2] / 'configs' / 'demo' / 'tasks'
READERS = dict(
    cls='mmpretrain.datasets.custom.CustomDataset',
    det='mmdet.datasets.coco.CocoDataset',
    seg='mmseg.datasets.basesegdataset.BaseSegDataset',
    sketch='mmpretrain.datasets.custom.CustomDataset',
    pose='mmpose.datasets.datasets.body.coco_dataset.CocoDataset',
)
METRICS = dict(
    cls='accuracy/top1',
    det='coco/bbox_mAP',
    seg='mIoU',
    sketch='accuracy/top1',
    pose='coco/AP',
)
SIZES = dict(cls=20, det=48, seg=32, sketch=24, pose=32)


@pytest.fixture(scope='module')
def root(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp('data') / 'demo'
    write_demo_data(path, scale=0.03, progress=False)
    return path


def load(task: str, root: Path) -> Config:
    """The config of a task, with its data elsewhere and a batch of two."""
    text = Config.fromfile(CONFIGS / f'{task}.py').pretty_text
    config = Config.fromstring(
        text.replace('data/demo', str(root)).replace('configs/demo/tasks', str(CONFIGS)), '.py'
    )
    config.train_dataloader.batch_size = 2
    import_modules_from_strings(**config.custom_imports)
    return config


def name_of(thing: object) -> str:
    return f'{type(thing).__module__}.{type(thing).__qualname__}'


@pytest.mark.parametrize('task', READERS)
@pytest.mark.parametrize('loader', ['train_dataloader', 'val_dataloader'])
def test_upstream_data_sets_read_the_files(task, loader, root):
    config = load(task, root)
    with DefaultScope.overwrite_default_scope(config.default_scope):
        dataset = DATASETS.build(config[loader].dataset)
    assert name_of(dataset) == READERS[task]
    if task == 'pose':
        assert tuple(dataset.metainfo['keypoint_name2id']) == KEYPOINTS
    else:
        known = (*(('background',) if task == 'seg' else ()), *CLASSES)
        assert tuple(dataset.metainfo['classes']) == known
    assert len(dataset) >= 10
    item = dataset[0]
    image, sample = item['inputs'], item['data_samples']
    assert image.shape == (3, SIZES[task], SIZES[task])
    if task in ('cls', 'sketch'):
        assert CLASSES[int(sample.gt_label)] == Path(sample.img_path).parent.name
    elif task == 'seg':
        labels = sample.gt_sem_seg.data.unique().tolist()
        assert labels[0] == 0 and 2 <= len(labels) <= 3 and labels[-1] <= 10
    elif task == 'pose':
        points = sample.gt_instances.keypoints[0]
        assert points.shape == (5, 2) and sample.gt_instances.keypoints_visible.all()
        assert np.allclose(points[:4].mean(0), points[4], atol=0.02)
    elif loader == 'train_dataloader':
        boxes, masks = sample.gt_instances.bboxes.tensor, sample.gt_instances.masks
        for box, mask in zip(boxes, masks.masks):
            rows, cols = np.nonzero(mask)
            edges = (cols.min(), rows.min(), cols.max() + 1, rows.max() + 1)
            assert box.tolist() == [float(edge) for edge in edges]


@pytest.mark.parametrize('task', READERS)
def test_stock_model_takes_a_step_and_is_evaluated(task, root):
    config = load(task, root)
    if task == 'det':  # the metric gives no score where nothing is found
        config.model.test_cfg.rcnn.score_thr = 0.0
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(config.default_scope):
        model = MODELS.build(config.model)
        model.init_weights()
        train = Runner.build_dataloader(config.train_dataloader)
        batch = model.data_preprocessor(next(iter(train)), True)
        loss, _ = model.parse_losses(model(**batch, mode='loss'))
        loss.backward()
        val = Runner.build_dataloader(config.val_dataloader)
        evaluator = EVALUATOR.build(dict(type='Evaluator', metrics=config.val_evaluator))
        evaluator.dataset_meta = val.dataset.metainfo
        model.eval()
        for batch in val:
            with torch.no_grad():
                evaluator.process(model.val_step(batch), batch)
        scores = evaluator.evaluate(len(val.dataset))
    assert torch.isfinite(loss)
    assert model.backbone.patch_embed.projection.weight.grad.abs().sum() > 0
    assert METRICS[task] in scores
