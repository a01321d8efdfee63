"""Making a deposit, and using the tasks in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mdl_nas_mm.deposit import Deposit, pack
from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.spec import Counts, JointSpec, check_joint
from mdl_nas_mm.tasks import ResolvedConfig, Split, Task, recalibrations
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
        deposit: the file.
        task: its name in the deposit.
        device: where the model goes.
        trust: see ``Deposit``.
    """
    return Deposit(deposit, trust).load_task(task, device)


def save_deposit(
    cfg: ResolvedConfig,
    checkpoint: str | Path,
    joint: JointSpec,
    path: str | Path,
    scored: bool = False,
    trust: Collection[str] = (),
) -> Counts:
    """Deposits the chosen subnets of a trained supernet.

    Args:
        cfg: the resolved joint config of the supernet.
        checkpoint: its trained weights.
        joint: the chosen architectures.
        path: the file to write.
        scored: whether to evaluate the subnets first, and to store their scores.
        trust: see ``mdl_nas_mm.deposit.pack``.

    Raises:
        ValueError: the checkpoint does not fit the config, or the joint spec not the space; or
            scores are asked for without a validation.
    """
    model = load_supernet(cfg, checkpoint)
    check_joint(joint, model.spaces)
    subnets = {task: model.subnet(task, spec) for task, spec in joint.items()}
    for unit, norms in recalibrations(cfg, model).items():
        norms.apply({task: subnets[task] for task in unit})
    scores = score_subnets(cfg, subnets) if scored else {}
    provenance = dict(checkpoint=sha256_of(local_file(checkpoint)))
    infos = task_infos(cfg, scores)
    return pack(path, model, joint, cfg.model.backbone, infos, provenance, trust, subnets)


def task_infos(cfg: ResolvedConfig, scores: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """Task -> what a deposit keeps of it beside its weights.

    Args:
        cfg: the resolved joint config of the tasks.
        scores: task -> score on the validation split, of those that were evaluated.
    """
    infos = {}
    for name, task in cfg.tasks.items():
        info = dict(cfg['tasks'][name], model=self_contained(task.model))
        if task.val is not None:
            loader = self_contained(task.val.dataloader)
            info |= dict(val_dataloader=loader, val_evaluator=task.val.evaluator)
            info['metainfo'] = data_metainfo(name, task.scope, loader)
        if name in scores:
            info['scored'] = scores[name]
        infos[name] = info
    return infos


def score_subnets(cfg: ResolvedConfig, subnets: Mapping[str, nn.Module]) -> dict[str, float]:
    """Task -> its subnet's score on the validation split.

    Raises:
        ValueError: the config has no validation, or a task no score.
    """
    if cfg.get('val_dataloader') is None:
        raise ValueError('scores need a validation: the joint config has no val_cfg')
    scores = {}
    for name, task in cfg.tasks.items():
        assert task.val is not None
        scores[name], _ = task.evaluate(subnets[name], task.val)
    return scores


def metric_of(info: Mapping[str, Any]) -> str:
    """Name of the metric that is a deposited task's score; ``'-'`` where the deposit names none.

    Args:
        info: see ``Deposit.tasks``.
    """
    score = info.get('score', '-')
    return score if isinstance(score, str) else score['metric']


def evaluate_deposited(
    deposit: str | Path,
    task: str,
    device: str | torch.device = 'cpu',
    trust: Collection[str] = (),
) -> tuple[float, dict[str, float]]:
    """A deposited task's score and all metrics, on its validation split.

    Args:
        deposit: the file.
        task: its name in the deposit.
        device: where the model runs.
        trust: see ``Deposit``.

    Raises:
        ValueError: see ``Deposit.load_task``; its data are no files; or the task has no score.
    """
    opened = Deposit(deposit, trust)
    data = opened.validation(task)
    check_kind(data, f'deposit {deposit}: task {task!r}')
    split = Split(*data)
    known = Task.of_deposit(task, opened.tasks[task], split)
    return known.evaluate(opened.load_task(task, device), split)
