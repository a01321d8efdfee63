"""What fails in a task's data or loss names the task, the place and the file."""

import json
import shutil

import cv2
import numpy as np
import pytest
import torch
from helpers import joint_config, only, refusal_of_tool, write_config
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from refusals import assert_names, raises_naming

from mdl_nas_mm.tasks import build_eval_loader, build_train_loader, resolve_joint_config
from mdl_nas_mm.tasks.failures import TaskError, batches_of, in_task


@pytest.fixture
def own(data, tmp_path):
    """A copy of the demo's data that a test may spoil."""
    return shutil.copytree(data, tmp_path / 'demo')


def first_batch(cfg, task, workers):
    """A task's first batch for training."""
    cfg = resolve_joint_config(cfg)
    config = dict(cfg.train_dataloader[task], num_workers=workers)
    loader = build_train_loader(task, cfg.tasks[task].scope, config, seed=0)
    return next(batches_of(task, 'iteration', loader))


def empty(folder):
    for path in (folder / 'cls' / 'train').rglob('*.png'):
        path.write_bytes(b'')
    return ('.png', 'LoadImageFromFile', 'empty'), True


def cut(folder):
    for path in (folder / 'seg' / 'annotations' / 'training').glob('*.png'):
        path.write_bytes(path.read_bytes()[:40])
    return ('annotations/training/', '.png', 'LoadAnnotations'), True


def no_mask(folder):
    path = folder / 'det' / 'annotations' / 'train.json'
    content = json.loads(path.read_text())
    for note in content['annotations']:
        del note['segmentation']
    path.write_text(json.dumps(content))
    return ('.png', 'LoadAnnotations', "KeyError: 'mask'"), False


@pytest.mark.parametrize('workers', [0, 1])
@pytest.mark.parametrize(('task', 'spoil'), [('cls', empty), ('seg', cut), ('det', no_mask)])
def test_a_sample_that_cannot_be_had(own, task, spoil, workers):
    named, is_clear = spoil(own)
    with raises_naming(TaskError, f"'{task}'", 'iteration 0', *named) as error:
        first_batch(joint_config(own), task, workers)
    assert error.value.is_clear == is_clear
    assert error.value.__cause__ is not None


def test_an_image_of_an_evaluation(own):
    path = next((own / 'cls' / 'val').rglob('*.png'))
    path.write_bytes(b'')
    cfg = resolve_joint_config(joint_config(own))
    loader = build_eval_loader('cls', 'mmpretrain', cfg.val_dataloader.cls)
    with raises_naming(TaskError, "'cls'", 'batch ', path.name, 'empty'):
        list(batches_of('cls', 'batch', loader))


def test_labels_beyond_the_classes(own, tmp_path, monkeypatch):
    cfg = only(joint_config(own), 'cls', 'seg')
    for path in (own / 'seg' / 'annotations' / 'training').glob('*.png'):
        cv2.imwrite(str(path), np.full_like(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), 128))
    path = write_config(cfg, tmp_path / 'joint.py')
    says = refusal_of_tool(monkeypatch, 'train', path, '--work-dir', tmp_path / 'work')
    assert_names(says, "'seg'", 'iteration 0', '.png', 'label 128', 'num_classes', 11)


@pytest.mark.parametrize(
    ('shape', 'named'),
    [((1, 20, 24), ('20 x 24', '32 x 32')), ((32, 32, 3), ('channels', 3))],
)
def test_maps_that_do_not_fit_their_images(shape, named):
    labels = PixelData(data=torch.zeros(shape, dtype=torch.long))
    info = dict(img_path='a.jpg', seg_map_path='b.png', ori_shape=(32, 32), img_shape=(32, 32))
    batch = dict(data_samples=[SegDataSample(gt_sem_seg=labels, metainfo=info)])
    where = ("'seg'", 'iteration 3', 'a.jpg', 'b.png', 'RuntimeError: sizes differ')
    with raises_naming(TaskError, *where, *named) as error, in_task('seg', 'iteration 3', batch):
        raise RuntimeError('sizes differ')
    assert error.value.is_clear


def test_the_class_of_a_data_set_cannot_be_built(own):
    cfg = joint_config(own, changes={'tasks.cls.train_dataloader.dataset.typo': 1})
    with raises_naming(TaskError, "'cls'", 'CustomDataset', 'TypeError', 'typo') as error:
        first_batch(cfg, 'cls', 0)
    assert error.value.is_clear


def test_what_names_the_task_already_is_left_as_it_is():
    with pytest.raises(FloatingPointError, match='^loss is nan'), in_task('a', 'here'):
        raise FloatingPointError("loss is nan: task 'a'")
