"""Writes a deposit; ``format.md`` describes the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from mdl_nas_mm.spec import Counts, JointSpec, Ledger, footprint
from mdl_nas_mm.tasks import MultiTaskModel
from mdl_nas_mm.utils.files import written_whole
from mdl_nas_mm.version import __version__

from .manifest import encode, tensor_hash
from .rows import cut_rows


def pack(
    path: str | Path,
    model: MultiTaskModel,
    joint: JointSpec,
    backbone: Mapping,
    tasks: Mapping[str, Mapping],
    provenance: Mapping | None = None,
) -> Counts:
    """Stores the chosen subnet of every task in one file.

    Args:
        path: the file; appears under this name when complete.
        joint: the architecture of each task.
        backbone: the config that the backbone was built from.
        tasks: task -> what to keep of it: its ``scope`` and upstream ``model`` config, and
            whatever else shall be known of it (score, data loaders, class names).
        provenance: whatever shall be known of how this came about.

    Returns:
        The ledger's counts of what was stored.

    Raises:
        ValueError: the joint spec lacks a task or is outside the space.
    """
    model.backbone.space.check_joint(joint, tuple(model.tasks))
    ledger = model.backbone.ledger(model.head_sizes())
    tensors = _backbone_tensors(model, joint, ledger)
    for task, head in model.tasks.items():
        for key, value in head.state_dict().items():
            tensors[f'head/{task}/{key}'] = value.detach().cpu().clone().contiguous()
    counts = ledger.count(joint)
    manifest = dict(
        backbone=backbone,
        tasks={
            task: dict(tasks[task], spec=joint[task].to_dict(), params=counts.backbones[task])
            for task in joint
        },
        counts=asdict(counts),
        sha256={name: tensor_hash(tensor) for name, tensor in tensors.items()},
        provenance=dict(provenance or {}, mdl_nas_mm=__version__),
    )
    with written_whole(path) as temporary:
        save_file(tensors, temporary, encode(manifest))
    return counts


def _backbone_tensors(model: MultiTaskModel, joint: JointSpec, ledger: Ledger) -> dict[str, Tensor]:
    parameters = {key: value.cpu() for key, value in model.backbone.named_parameters()}
    tensors = {}
    for name, lengths in footprint(ledger, joint.items()).items():
        flat = cut_rows(parameters[name], lengths)
        if flat.numel():
            tensors[f'backbone/{name}'] = flat
    for task, spec in joint.items():
        for use in ledger.layout.uses(spec):
            if ledger.sharing[use.role].has_scores:
                bits = np.packbits(ledger.shared_rows(use).reshape(-1))
                tensors[f'mask/{task}/{use.layer}'] = torch.from_numpy(bits)
    return tensors
