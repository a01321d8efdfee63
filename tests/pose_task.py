"""A task of mmpose's, by its own config and data set, on drawn persons: for tests."""

from __future__ import annotations

from pathlib import Path

from helpers import joint_config, only
from mmengine.config import Config

UPSTREAM = (
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_ViTPose-small_8xb64-210e_coco-256x192.py'
)
WIDTH = 96


def classifier(data: Path) -> Config:
    """A joint config of digits alone, whose backbone takes images of persons too."""
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
    return cfg


def pose_task(persons: Path) -> dict:
    """mmpose's own config, without augmentation, on the four images of ``write_persons``."""
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
    return dict(
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
