"""Bases of new tasks, as far as their configs ask: nothing is trained, and no weight is there."""

from dataclasses import asdict

import torch
from safetensors.torch import save_file

from mdl_nas_mm.header.manifest import encode
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.spec import Counts
from mdl_nas_mm.tasks import task_scope


def build(cfg):
    """The joint model of a resolved config, without memory for its weights."""
    with torch.device('meta'), task_scope('mdl_nas_mm'):
        return MODELS.build(cfg.model)


def describe_deposit(cfg, joint, path):
    """A deposit of architectures as far as a config of new tasks asks for it."""
    backbone = build(cfg).backbone
    regions = {
        task: dict(spec=spec.to_dict(), settings=backbone.settings_of(task, spec))
        for task, spec in joint.items()
    }
    zeros = dict.fromkeys(joint, 0)
    manifest = dict(
        backbone=cfg.model.backbone,
        tasks={
            task: dict(spec=spec.to_dict(), region=task, scope='mmdet', model={})
            for task, spec in joint.items()
        },
        history=[dict(regions=regions, base_segments=[])],
        counts=asdict(Counts(0, zeros, zeros, zeros)),
        hashes={},
        provenance={},
    )
    save_file({}, path, encode(manifest))
