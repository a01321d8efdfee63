"""How four tasks of the bundled rooms are trained in the ways that are compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[1]
BASE, *SUBS = 'seg', 'depth', 'normals', 'edges'
SPACE = dict(embed_dim=96, depth=5, num_heads=3, mlp_ratio=3)
RATE = 2e-3
# Of the stages; the other ways have as many in all.
STEPS = dict(base=400, gates=60, places=30, activations=40)
SUM = sum(STEPS.values()) - STEPS['base']


def config_of(seed: int, steps: int, tasks: tuple[str, ...], **backbone: Any) -> Config:
    """Of the demo's rooms, for some tasks."""
    cfg = Config.fromfile(str(ROOT / 'configs/demo/demo_rooms.py'))
    cfg.pop('search_cfg')
    cfg.randomness = dict(seed=seed)
    cfg.tasks = {task: cfg.tasks[task] for task in tasks}
    cfg.backbone.update(dict(space=dict(SPACE, share_ratio=1.0), **backbone))
    # What is trained is scored out of its deposit.
    cfg.train_cfg.update(max_iters=steps, val_begin=steps + 1)
    cfg.param_scheduler = schedule(steps)
    return cfg


def schedule(steps: int) -> list[dict]:
    """Warm-up and cosine."""
    warm = min(30, steps // 10)
    return [
        dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=warm),
        dict(type='CosineAnnealingLR', by_epoch=False, begin=warm, T_max=steps - warm),
    ]


def new_tasks(cfg: Config, base: Path) -> Config:
    """The same of tasks that start from the base's deposit."""
    cfg.pop('backbone')
    cfg.train_cfg.pop('sampler')
    cfg.base, cfg.inherit = str(base), BASE
    return cfg


def sharing_config(seed: int, base: Path, with_activations: bool) -> Config:
    """Sub-tasks in three stages, or in two."""
    cfg = new_tasks(config_of(seed, SUM, tuple(SUBS)), base)
    differences = dict(
        optimizer=dict(type='AdamW', lr=RATE, weight_decay=1e-6),
        paramwise_cfg=dict(custom_keys=dict(gates=dict(lr_mult=100.0, decay_mult=0.0))),
    )
    steps = dict(
        gates=dict(type='GatedDifference', density=0.1, ramp=STEPS['gates'] // 2),
        places=dict(type='FixedDifference'),
        activations=dict(
            type='FixedDifference',
            activations=dict(coefficient=0.1, grain='tokens', reduction='mean'),
        ),
    )
    cfg.computation_sharing = dict(density=0.1)
    for stage, step in steps.items():
        if stage == 'activations' and not with_activations:
            continue
        count, own = STEPS[stage], dict(step, optim_wrapper=differences)
        own['param_scheduler'] = schedule(count)
        cfg.computation_sharing[stage] = dict(
            train_cfg=dict(max_iters=count, val_begin=count + 1, step=own),
            param_scheduler=schedule(count),
        )
    return cfg
