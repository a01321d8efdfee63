"""Supernets of three tasks, and configs of a fourth one for them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers import WIDTH, build_runner, joint_config, only
from mmengine.config import Config

from mdl_nas_mm.engine.checkpoint import describe_training
from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import resolve_joint_config

POOLING = dict(type='GlobalAveragePooling')
SHARINGS = {
    'AllShared': 'AllShared',
    'AllSpecific': 'AllSpecific',
    'Sequential': 'Sequential',
    'Mask': 'Mask',
    'Mask by ratio': dict(type='Mask', threshold='ratio'),
}
# Every policy on a ViT; on a Swin the others in the slow part.
policies_and_backbones = pytest.mark.parametrize(
    ('sharing', 'backbone'),
    [
        pytest.param(
            sharing,
            backbone,
            id=f'{name} {backbone}',
            marks=[pytest.mark.slow] if backbone == 'Swin' and name != 'Mask' else [],
        )
        for name, sharing in SHARINGS.items()
        for backbone in ('ViT', 'Swin')
    ],
)
# One for each task; they differ in widths, depths and share ratios.
_VIT = [(16, 2, 1, 2, 0.6), (WIDTH, 1, 2, 1, 0.3), (WIDTH, 2, 2, 2, 0.3)]
_SWIN_SPACE = [
    dict(embed_dim=(12, 16), depth=(1, 2), num_heads=(1, 2), mlp_ratio=(1, 2)),
    dict(embed_dim=(20, WIDTH), depth=(1, 2), num_heads=(2, 3), mlp_ratio=(1, 2)),
]
_SWIN = [
    ((12, 16)[i % 2], (20, WIDTH)[i // 2], 1 + i % 2, 0.6 if i == 0 else 0.3) for i in range(3)
]


def base_config(data: Path, sharing='Sequential', backbone: str = 'ViT') -> Config:
    """A supernet of classification, detection and segmentation, one training step long."""
    cfg = joint_config(data, sharing, {'train_cfg.max_iters': 1, 'val_cfg': None})
    if backbone == 'Swin':
        cfg.backbone = dict(
            type='ElasticSwin',
            space=[dict(stage, share_ratio=(0.3, 0.6), per_stage=True) for stage in _SWIN_SPACE],
            sharing=sharing,
            patch_size=4,
            head_dim=4,
            window_size=(3, 2),
            pad_small_map=True,
        )
        for task, indices in dict(cls=(1,), det=(1,), seg=(0, 1)).items():
            cfg.tasks[task].backbone = dict(out_indices=indices)
        cfg.tasks.seg.model.decode_head.in_channels = [16, WIDTH]
        cfg.tasks.cls.model.neck = POOLING
    return cfg


def architectures(backbone: str = 'ViT') -> JointSpec:
    """What a search might have chosen for the three tasks."""
    if backbone == 'ViT':
        keys = ('embed_dim', 'depth', 'num_heads', 'mlp_ratio', 'share_ratio')
        specs = [TRANSFORMER.read(dict(zip(keys, values))) for values in _VIT]
    else:
        specs = [
            TRANSFORMER.read(
                dict(
                    stages=[
                        dict(embed_dim=a, depth=n, num_heads=1, mlp_ratio=2, share_ratio=ratio),
                        dict(embed_dim=b, depth=n, num_heads=2, mlp_ratio=1, share_ratio=ratio),
                    ]
                )
            )
            for a, b, n, ratio in _SWIN
        ]
    return JointSpec(dict(zip(('cls', 'det', 'seg'), specs)))


def train_base(cfg: Config, folder: Path) -> Path:
    """A checkpoint of the supernet, in which no two tasks' own weights are equal."""
    runner = build_runner(cfg, folder)
    runner.train()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in runner.model.named_parameters():
            noise = torch.rand(parameter.shape, generator=generator)
            if not name.endswith('.score'):
                parameter.add_(noise - 0.5, alpha=0.1)
    runner.save_checkpoint(str(folder), 'supernet.pth', by_epoch=False)
    return folder / 'supernet.pth'


def new_config(
    data: Path,
    base: Path,
    joint: JointSpec | None,
    name: str = 'more',
    like: str = 'cls',
    backbone: str = 'ViT',
    changes: dict | None = None,
) -> Config:
    """A new task for a base: what one of its tasks is, with a head and a name of its own.

    Args:
        joint: the architectures, where the base is a supernet.
        like: the task to inherit from.
        backbone: that of the base.
    """
    cfg = only(joint_config(data), like)
    task = cfg.tasks[like]
    task.pop('backbone')
    if backbone == 'Swin':
        task.model.neck = POOLING
    cfg.tasks = {name: task}
    for key in ('backbone', 'search_cfg'):
        cfg.pop(key)
    cfg.train_cfg.pop('sampler')
    cfg.train_cfg.max_iters = 4
    cfg.val_cfg = None
    cfg.base, cfg.inherit = str(base), like
    if joint is not None:
        cfg.joint_spec = joint.to_dict()
    cfg.merge_from_dict(changes or {})
    return cfg


def describe_base(cfg: Config, path: Path) -> Path:
    """A supernet's checkpoint as far as a config of new tasks asks for it: without weights."""
    meta = dict(joint=describe_training(resolve_joint_config(cfg)))
    torch.save(dict(meta=meta, state_dict={}), path)
    return path
