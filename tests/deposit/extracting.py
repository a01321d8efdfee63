"""Deposits whose tasks can be taken out: with their data, and of chosen architectures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from helpers import build_model, joint_config
from mmengine.config import Config

from mdl_nas_mm.apis.tasks import task_infos
from mdl_nas_mm.deposit import pack
from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import resolve_joint_config, task_scope

# Heads of 8 channels: three fill the widest embedding, two the other.
VIT_SPACE = dict(
    embed_dim=(16, 24), depth=(1, 2), num_heads=(1, 2, 3), mlp_ratio=(1, 2), share_ratio=0.5
)
VIT = dict(max_relative_position=0)
NARROW = dict(embed_dim=16, depth=2, num_heads=2, mlp_ratio=[2, 1], share_ratio=0.5)
WIDE = dict(embed_dim=24, depth=2, num_heads=3, mlp_ratio=2, share_ratio=0.5)
FEW_HEADS = dict(embed_dim=24, depth=2, num_heads=[3, 2], mlp_ratio=2, share_ratio=0.5)

SWIN_SPACE = [
    dict(embed_dim=widths, depth=(1, 2), num_heads=heads, mlp_ratio=(1, 2), share_ratio=0.5)
    for widths, heads in [((8, 16), (1, 2)), ((16, 24, 32), (2, 3, 4))]
]


def swin_arch(widths: tuple[int, int], mlp_ratio=2, depths: tuple[int, int] = (2, 2)) -> dict:
    """An architecture of ``SWIN_SPACE`` whose heads, of 8 channels, fill the embeddings."""
    return dict(
        stages=[
            dict(
                embed_dim=width,
                depth=depth,
                num_heads=width // 8,
                mlp_ratio=mlp_ratio,
                share_ratio=0.5,
            )
            for width, depth in zip(widths, depths)
        ]
    )


def vit_config(data: Path, changes: dict | None = None) -> Config:
    """The tests' joint config with an ``ElasticViT`` that a stock class can be."""
    cfg = joint_config(data, 'Mask')
    cfg.backbone.update(VIT, space=VIT_SPACE)
    cfg.merge_from_dict(changes or {})
    return resolve_joint_config(cfg)


def swin_config(data: Path, changes: dict | None = None) -> Config:
    """The tests' joint config with an ``ElasticSwin`` of two stages."""
    cfg = joint_config(data, 'Mask')
    cfg.backbone = dict(
        type='ElasticSwin',
        space=SWIN_SPACE,
        sharing='Mask',
        patch_size=4,
        head_dim=8,
        window_size=3,
        pad_small_map=True,
    )
    for task, indices in dict(cls=(1,), det=(1,), seg=(0, 1)).items():
        cfg.tasks[task].backbone = dict(out_indices=indices)
    cfg.tasks.cls.model.update(
        neck=dict(type='GlobalAveragePooling'), head=dict(cfg.tasks.cls.model.head, in_channels=32)
    )
    cfg.tasks.det.model.neck.in_channels = [32]
    cfg.tasks.seg.model.decode_head.in_channels = [16, 32]
    cfg.merge_from_dict(changes or {})
    return resolve_joint_config(cfg)


def write_pose_deposit(path: Path) -> Path:
    """Deposits a top-down pose estimator, of 5 key points and without data."""
    backbone = dict(
        type='ElasticSwin',
        space=SWIN_SPACE,
        patch_size=4,
        head_dim=8,
        window_size=3,
        pad_small_map=True,
        out_indices=(1,),
        tasks=('pose',),
    )
    codec = dict(type='MSRAHeatmap', input_size=(24, 24), heatmap_size=(6, 6), sigma=1)
    estimator = dict(
        type='TopdownPoseEstimator',
        backbone=dict(type='mdl_nas_mm.BackboneSlot'),
        head=dict(
            type='HeatmapHead',
            in_channels=32,
            out_channels=5,
            deconv_out_channels=(8,),
            deconv_kernel_sizes=(4,),
            decoder=codec,
        ),
    )
    tasks = dict(pose=dict(scope='mmpose', model=estimator))
    torch.manual_seed(0)
    with task_scope('mdl_nas_mm'):
        model = MODELS.build(dict(type='MultiTaskModel', backbone=backbone, tasks=tasks))
    spec = TRANSFORMER.read(swin_arch((8, 16), depths=(2, 1)))
    pack(path, model, JointSpec(dict(pose=spec)), backbone, tasks)
    return path


def write_deposit(
    path: Path, cfg: Config, archs: Mapping[str, Mapping], trust: tuple[str, ...] = ()
) -> Path:
    """Deposits one architecture a task of a model with random weights, and the tasks' data."""
    joint = JointSpec({task: TRANSFORMER.read(arch) for task, arch in archs.items()})
    pack(path, build_model(cfg), joint, cfg.model.backbone, task_infos(cfg, {}), trust=trust)
    return path
