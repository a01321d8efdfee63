"""Human poses as a new task, by mmpose's own config and data set: a test that the way works.

Trained and evaluated on the same twelve persons, so the score says nothing of other images.
"""

import pytest
from helpers import ROOT, build_runner
from mmengine.config import Config
from new_tasks import train_base
from persons import write_persons
from pose_task import classifier, pose_task
from refusals import raises_naming

ITERATIONS = 250


def base(data, folder):
    """A supernet that has seen one batch of digits."""
    cfg = classifier(data)
    cfg.train_cfg.max_iters, cfg.val_cfg = 1, None
    return train_base(cfg, folder)


@pytest.fixture(scope='module')
def persons(tmp_path_factory):
    return write_persons(tmp_path_factory.mktemp('persons'))


def poses(supernet, persons):
    """Poses as a new task, trained long enough to learn them."""
    cfg = Config.fromfile(ROOT / 'configs' / '_base_' / 'joint_runtime.py')
    cfg.base, cfg.inherit, cfg.tasks = str(supernet), 'cls', dict(pose=pose_task(persons))
    cfg.train_cfg = dict(type='MultiTaskTrainLoop', max_iters=ITERATIONS, val_interval=ITERATIONS)
    cfg.val_cfg = dict(type='MultiTaskValLoop')
    cfg.optim_wrapper = dict(
        type='OptimWrapper', optimizer=dict(type='Adam', lr=2e-3), clip_grad=dict(max_norm=1.0)
    )
    cfg.param_scheduler = [
        dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=20),
        dict(type='CosineAnnealingLR', by_epoch=False, begin=20, T_max=ITERATIONS - 20),
    ]
    return cfg


@pytest.mark.slow
def test_poses_of_the_twelve_persons_are_learned(data, persons, tmp_path):
    runner = build_runner(poses(base(data, tmp_path / 'base'), persons), tmp_path)
    before = runner.val_loop.run()['pose/coco/AP']
    runner.train()
    after = runner.message_hub.get_scalar('val/pose/coco/AP').current()
    assert before < 0.1 and after > 0.8


def test_poses_take_a_step(data, persons, tmp_path):
    cfg = poses(base(data, tmp_path / 'base'), persons)
    cfg.train_cfg.max_iters, cfg.param_scheduler = 1, []
    cfg.tasks.pose.train_dataloader.batch_size = 2
    runner = build_runner(cfg, tmp_path)
    assert len(runner.val_loop.evaluations['pose'].loader.dataset) == 12
    runner.train()
    assert 0 <= runner.message_hub.get_scalar('val/pose/coco/AP').current() < 0.5


def test_keypoints_that_do_not_match_are_refused(data, persons, tmp_path):
    cfg = poses(base(data, tmp_path / 'base'), persons)
    cfg.tasks.pose.model.head.out_channels = 5
    with raises_naming(ValueError, "'pose'", 'keypoints', 17, 'head.out_channels', 5):
        build_runner(cfg, tmp_path).train()
