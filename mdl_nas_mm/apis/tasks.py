"""Making a deposit, and using the tasks in it."""

from __future__ import annotations

from pathlib import Path

import torch
from mmengine.config import Config
from torch import nn

from mdl_nas_mm.deposit import Deposit, pack
from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.spec import Counts, JointSpec
from mdl_nas_mm.tasks import Evaluation, build_eval_loader, evaluate, score_of
from mdl_nas_mm.utils.files import sha256_of


def load_task(deposit: str | Path, task: str, device: str | torch.device = 'cpu') -> nn.Module:
    """A task's upstream model out of a deposit, in eval mode, ready to predict."""
    return Deposit(deposit).load_task(task, device)


def save_deposit(cfg: Config, checkpoint: str | Path, joint: JointSpec, path: str | Path) -> Counts:
    """Deposits the chosen subnets of a trained supernet.

    Args:
        cfg: a resolved joint config.

    Raises:
        ValueError: the checkpoint does not fit the config, or the joint spec not the space.
    """
    model = load_supernet(cfg, checkpoint)
    keys = ('val_dataloader', 'val_evaluator')
    tasks = {
        task: dict(cfg.tasks[task], model=cfg.model.tasks[task].model)
        | {key: cfg[key][task] for key in keys if key in cfg}
        for task in cfg.tasks
    }
    provenance = dict(checkpoint=sha256_of(checkpoint))
    return pack(path, model, joint, cfg.model.backbone, tasks, provenance)


def evaluate_deposited(
    deposit: str | Path, task: str, device: str | torch.device = 'cpu'
) -> tuple[float, dict[str, float]]:
    """A deposited task's score in percent, and all metrics, on its validation split.

    Raises:
        ValueError: see ``Deposit.load_task``.
    """
    opened = Deposit(deposit)
    model, info = opened.load_task(task, device), opened.tasks[task]
    loader = build_eval_loader(task, info['scope'], info['val_dataloader'])
    evaluation = Evaluation.build(task, info['scope'], loader, info['val_evaluator'])
    metrics = evaluate(model.val_step, evaluation)
    return score_of(task, metrics, info['score']), metrics
