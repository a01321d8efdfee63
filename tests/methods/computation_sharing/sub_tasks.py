"""A deposit of three tasks, and trainings of a fourth as its base's weights and a difference."""

from __future__ import annotations

from pathlib import Path

import torch
from helpers import build_runner
from new_tasks import architectures, base_config, new_config, train_base

from mdl_nas_mm.apis import save_deposit
from mdl_nas_mm.engine.checkpoint import read_checkpoint
from mdl_nas_mm.tasks import resolve_joint_config

OWN = dict(attn='AllSpecific', ffn='AllSpecific')
OPTIMIZER = dict(
    optimizer=dict(type='AdamW', lr=1e-2, weight_decay=1e-6),
    paramwise_cfg=dict(custom_keys={'gates': dict(lr_mult=20, decay_mult=0)}),
)
STEPS = 4


def base_deposit(data, folder: Path, sharing=None, backbone: str = 'ViT') -> Path:
    """A deposit of classification, detection and segmentation."""
    cfg = base_config(data, sharing or OWN, backbone)
    supernet = train_base(cfg, folder)
    path = folder / 'base.safetensors'
    save_deposit(resolve_joint_config(cfg), supernet, architectures(backbone), path)
    return path


def sub_task(data, base: Path, step: dict, changes: dict | None = None, backbone: str = 'ViT'):
    """The config of one stage; its base task is classification."""
    step = dict(optim_wrapper=OPTIMIZER, **step)
    settings = {
        'train_cfg.step': step,
        'train_cfg.max_iters': STEPS,
        'default_hooks.checkpoint.interval': 2,
        'default_hooks.logger.interval': 1,
        'log_processor': dict(window_size=1),
    }
    cfg = new_config(data, base, None, name='more', backbone=backbone)
    cfg.merge_from_dict({**settings, **(changes or {})})
    return cfg


def gated(**settings) -> dict:
    """The first stage."""
    return dict(type='GatedDifference', **(settings or dict(lambda_w=1e-4)))


def fixed(path: Path, **settings) -> dict:
    """The second and the third."""
    return dict(type='FixedDifference', difference=str(path), **settings)


def train(cfg, folder: Path) -> dict:
    """Trains; the checkpoint at the end."""
    runner = build_runner(cfg, folder)
    runner.train()
    return read_checkpoint(folder / f'iter_{runner.max_iters}.pth')


def own_of(checkpoint: dict) -> dict[str, torch.Tensor]:
    """The new task's own weights of a checkpoint."""
    return {name: w for name, w in checkpoint['state_dict'].items() if '.specific.' in name}
