"""A metric that needs a label which is not loaded is named before training, in groups or not."""

import image_group
import pytest
from helpers import build_runner
from image_group import LABELS, SCOPES, joint_config, loaders, write_images
from refusals import raises_naming

from mdl_nas_mm.tasks import Split
from mdl_nas_mm.tasks.failures import TaskError
from mdl_nas_mm.tasks.scores import Score
from mdl_nas_mm.tasks.task import Task

SCORED = dict(IoUMetric='mIoU', DepthMetric='d1', DepthErrorMetric='d1')


@pytest.fixture
def root(tmp_path):
    return write_images(tmp_path / 'images')


def evaluation(task, loader, metric):
    loader['sampler'] = dict(type='DefaultSampler', shuffle=False)
    score = Score.read(task, SCORED[metric['type'].rpartition('.')[2]])
    return Task(task, SCOPES[task], {}, score).evaluation(Split(loader, metric))


@pytest.mark.parametrize(('task', 'label'), [('seg', 'gt_sem_seg'), ('depth', 'gt_depth_map')])
def test_a_label_that_is_not_loaded_is_named(root, task, label):
    loader, metric = loaders(root, task, moves=())[task], image_group.EVALUATORS[task]
    assert evaluation(task, loader, metric).size == 6
    loader['dataset']['pipeline'].remove(LABELS[task])
    with raises_naming(ValueError, repr(task), metric['type'], label):
        evaluation(task, loader, metric)


def test_labels_of_another_kind_do_not_do(root):
    loader = loaders(root, 'seg', moves=())['seg']
    with raises_naming(ValueError, "'seg'", 'DepthErrorMetric', 'gt_depth_map'):
        evaluation('seg', loader, dict(type='mdl_nas_mm.DepthErrorMetric'))


def test_a_first_image_that_cannot_be_read_is_named(root):
    loader = loaders(root, 'seg', moves=())['seg']
    (root / 'images' / '0.png').write_bytes(b'')
    with raises_naming(TaskError, "'seg'", 'first sample', '0.png', 'empty'):
        evaluation('seg', loader, image_group.EVALUATORS['seg'])


def test_it_is_refused_before_the_first_step(root, tmp_path):
    cfg = joint_config(root, images=None)
    cfg.tasks.parts.val_dataloader.dataset.pipeline.remove(LABELS['parts'])
    runner = build_runner(cfg, tmp_path / 'work')
    with raises_naming(ValueError, "'parts'", 'IoUMetric', 'gt_sem_seg'):
        runner.train()
    assert runner.iter == 0
