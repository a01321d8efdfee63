"""The tiny joint config with one feature pyramid for detection and segmentation."""

from pathlib import Path

from helpers import WIDTH, joint_config
from mmengine.config import Config

CHANNELS = 8
LABEL = 'det+seg'
PYRAMID = dict(
    type='mdl_nas_mm.SimpleFeaturePyramid',
    in_channels=WIDTH,
    out_channels=CHANNELS,
    num_outs=4,
    norm_cfg=dict(type='BN'),
)


def with_pyramids(data: Path, changes: dict | None = None, sharing='Sequential') -> Config:
    """Both tasks have the same pyramid, each its own one."""
    cfg = joint_config(data, sharing)
    det, seg = cfg.tasks.det.model, cfg.tasks.seg.model
    det.neck = dict(PYRAMID, _delete_=True)
    det.rpn_head.anchor_generator.strides = [1, 2, 4, 8]
    cfg.tasks.seg.backbone.out_indices = (-1,)
    seg.neck = dict(PYRAMID)
    seg.decode_head.update(in_channels=[CHANNELS] * 4, in_index=[0, 1, 2, 3])
    cfg.merge_from_dict(changes or {})
    return cfg


def with_shared_pyramid(data: Path, changes: dict | None = None, sharing='Sequential') -> Config:
    """Both tasks have the same pyramid, once."""
    cfg = with_pyramids(data, changes, sharing)
    cfg.parts = dict(pyramid=dict(module='neck', tasks=('seg', 'det')))
    return cfg
