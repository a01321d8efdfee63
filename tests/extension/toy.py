"""The joint config of the toy family and method, as a user's own package would name them."""

from __future__ import annotations

from pathlib import Path

from helpers import WIDTH, joint_config, only, write_config
from mmengine.config import Config

FAMILY, METHOD = 'extension.toy_family', 'extension.toy_method'
TRUST = (f'{FAMILY}.ToyMixer',)
TASKS = ('cls', 'seg')
_HEAD = dict(
    _delete_=True,
    type='FCNHead',
    in_channels=WIDTH,
    in_index=-1,
    channels=8,
    num_convs=1,
    concat_input=False,
    num_classes=11,
    norm_cfg=dict(type='GN', num_groups=2),
    align_corners=False,
    loss_decode=dict(type='CrossEntropyLoss'),
)


def toy_config(data: Path, folder: Path, changes: dict | None = None) -> Config:
    """Two tiny tasks, four steps; read from a file, whose ``custom_imports`` import the toys."""
    cfg = only(joint_config(data), *TASKS)
    cfg.custom_imports = dict(imports=[FAMILY, METHOD], allow_failed_imports=False)
    cfg.backbone = dict(type='ToyMixer', space='toy-mixer', sharing='Sequential')
    cfg.tasks.cls.backbone, cfg.tasks.seg.backbone = dict(pooled=True), dict(pooled=False)
    cfg.tasks.seg.model.decode_head = _HEAD
    cfg.train_cfg.update(
        max_iters=4, sampler=dict(type='CuriousSampler'), step=dict(type='WeighedStep')
    )
    cfg.default_hooks.checkpoint.interval = 2
    cfg.search_cfg = dict(
        budget='1G',
        score=dict(type='NearestScore', samples=3, finalists=2),
        evolution=dict(population=4, generations=2, parents=2, crossovers=1, mutations=2),
    )
    cfg.merge_from_dict(changes or {})
    folder.mkdir(parents=True, exist_ok=True)
    return Config.fromfile(write_config(cfg, folder / 'toy.py'))
