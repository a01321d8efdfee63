"""Making a deposit, and using the tasks in it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from torch import nn

from mdl_nas_mm.deposit import Deposit, pack
from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.spec import Counts, JointSpec
from mdl_nas_mm.tasks import (
    Evaluation,
    MultiTaskModel,
    build_eval_loader,
    evaluate,
    recalibrations,
)
from mdl_nas_mm.tasks.data_files import check_kind
from mdl_nas_mm.utils.fetch import local_file
from mdl_nas_mm.utils.files import sha256_of

from .metainfo import data_metainfo, self_contained


def load_task(
    deposit: str | Path,
    task: str,
    device: str | torch.device = 'cpu',
    trust: Collection[str] = (),
) -> nn.Module:
    """A task's upstream model out of a deposit, in eval mode, ready to predict.

    Args:
        trust: see ``Deposit``.
    """
    return Deposit(deposit, trust).load_task(task, device)


def save_deposit(
    cfg: Config,
    checkpoint: str | Path,
    joint: JointSpec,
    path: str | Path,
    scored: bool = False,
    trust: Collection[str] = (),
) -> Counts:
    """Deposits the chosen subnets of a trained supernet.

    Args:
        cfg: a resolved joint config.
        scored: whether to evaluate the subnets first, and to store their scores.
        trust: see ``mdl_nas_mm.deposit.pack``.

    Raises:
        ValueError: the checkpoint does not fit the config, or the joint spec not the space; or
            scores are asked for without a validation.
    """
    model = load_supernet(cfg, checkpoint)
    model.backbone.space.check_joint(joint, tuple(model.tasks))
    for task, norms in recalibrations(cfg, model).items():
        norms.apply(model.subnet(task, joint[task]))
    scores = score_supernet(cfg, model, joint) if scored else {}
    provenance = dict(checkpoint=sha256_of(local_file(checkpoint)))
    infos = task_infos(cfg, scores)
    return pack(path, model, joint, cfg.model.backbone, infos, provenance, trust)


def task_infos(cfg: Config, scores: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """Task -> what a deposit keeps of it beside its weights.

    Args:
        cfg: a resolved joint config.
        scores: task -> percent on the validation split, of those that were evaluated.
    """
    infos = {}
    for task in cfg.tasks:
        info = dict(cfg.tasks[task], model=self_contained(cfg.model.tasks[task].model))
        info |= {key: cfg[key][task] for key in ('val_dataloader', 'val_evaluator') if key in cfg}
        if 'val_dataloader' in info:
            loader = info['val_dataloader'] = self_contained(info['val_dataloader'])
            info['metainfo'] = data_metainfo(task, info['scope'], loader)
        if task in scores:
            info['scored'] = scores[task]
        infos[task] = info
    return infos


def score_supernet(cfg: Config, model: MultiTaskModel, joint: JointSpec) -> dict[str, float]:
    """Task -> its subnet's score in percent on the validation split.

    Raises:
        ValueError: the config has no validation, or a task no score.
    """
    if cfg.get('val_dataloader') is None:
        raise ValueError('scores need a validation: the joint config has no val_cfg')
    scores = {}
    for task, info in cfg.tasks.items():
        data = cfg.val_dataloader[task], cfg.val_evaluator[task]
        scores[task], _ = _scored(task, info, model.subnet(task, joint[task]), *data)
    return scores


def evaluate_deposited(
    deposit: str | Path,
    task: str,
    device: str | torch.device = 'cpu',
    trust: Collection[str] = (),
) -> tuple[float, dict[str, float]]:
    """A deposited task's score in percent, and all metrics, on its validation split.

    Args:
        trust: see ``Deposit``.

    Raises:
        ValueError: see ``Deposit.load_task``; its data are no files; or the task has no score.
    """
    opened = Deposit(deposit, trust)
    data = opened.validation(task)
    check_kind(data, f'deposit {deposit}: task {task!r}')
    return _scored(task, opened.tasks[task], opened.load_task(task, device), *data)


def _scored(
    task: str, info: Mapping[str, Any], model: nn.Module, dataloader: Mapping, evaluator: Any
) -> tuple[float, dict[str, float]]:
    """A task's score in percent, and all metrics."""
    loader = build_eval_loader(task, info['scope'], dataloader)
    evaluation = Evaluation.build(task, info['scope'], info['score'], loader, evaluator)
    if evaluation.scoring.note is not None:
        print_log(evaluation.scoring.note, 'current', logging.WARNING)
    metrics = evaluate(model.val_step, evaluation)
    return evaluation.scoring.score(metrics), metrics
