"""Human poses as a new task, by mmpose's own config and data set: a test that the way works.

Trained and evaluated on the same twelve persons, so the score says nothing of other images.
"""

import pytest
from helpers import ROOT, build_runner, joint_config, only
from mmengine.config import Config
from new_tasks import train_base
from persons import write_persons
from refusals import raises_naming

UPSTREAM = (
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_ViTPose-small_8xb64-210e_coco-256x192.py'
)
WIDTH = 96
ITERATIONS = 250


def base(data, folder):
    """A supernet that has seen one batch of digits."""
    cfg = only(joint_config(data), 'cls')
    cfg.backbone = dict(
        type='ElasticViT',
        space=dict(embed_dim=WIDTH, depth=3, num_heads=3, mlp_ratio=2, share_ratio=0.3),
        sharing='Sequential',
        img_size=(256, 192),
        patch_size=16,
        head_dim=32,
        position_std=0.5,
    )
    cfg.tasks.cls.backbone = dict(out_type='avg_featmap')
    cfg.tasks.cls.model.head.in_channels = WIDTH
    cfg.train_cfg.max_iters, cfg.val_cfg = 1, None
    return train_base(cfg, folder)


@pytest.fixture(scope='module')
def persons(tmp_path_factory):
    return write_persons(tmp_path_factory.mktemp('persons'))


def poses(supernet, persons):
    """mmpose's own config, without augmentation, on the four images."""
    codec = dict(type='UDPHeatmap', input_size=(192, 256), heatmap_size=(48, 64), sigma=2)
    load = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale')]
    load.append(dict(type='TopdownAffine', input_size=codec['input_size'], use_udp=True))
    target, pack = dict(type='GenerateTarget', encoder=codec), dict(type='PackPoseInputs')
    files = dict(
        data_root=f'{persons}/',
        ann_file='person_keypoints.json',
        data_prefix=dict(img='images/'),
        bbox_file=None,
    )
    loader = dict(num_workers=0, persistent_workers=False)
    task = dict(
        config=UPSTREAM,
        score='coco/AP',
        backbone=dict(out_type='featmap'),
        model=dict(
            head=dict(in_channels=WIDTH, deconv_out_channels=(64, 64), decoder=codec),
            test_cfg=dict(flip_test=False),
        ),
        train_dataloader=dict(
            batch_size=12, **loader, dataset=dict(pipeline=[*load, target, pack], **files)
        ),
        val_dataloader=dict(batch_size=7, **loader, dataset=dict(pipeline=[*load, pack], **files)),
        val_evaluator=dict(ann_file=str(persons / 'person_keypoints.json')),
    )
    cfg = Config.fromfile(ROOT / 'configs' / '_base_' / 'joint_runtime.py')
    cfg.base, cfg.inherit, cfg.tasks = str(supernet), 'cls', dict(pose=task)
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
