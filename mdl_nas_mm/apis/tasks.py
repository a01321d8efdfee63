"""Making a deposit, and using the tasks in it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from torch import nn

from mdl_nas_mm.deposit import Deposit, load_around_one, pack, stored_pass_groups
from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.spec import Counts, JointSpec, check_joint
from mdl_nas_mm.tasks import (
    JointEvaluation,
    MultiTaskModel,
    PassGroups,
    ResolvedConfig,
    Split,
    Task,
    pass_groups_of,
    recalibrations,
)
from mdl_nas_mm.tasks.data_files import check_kind
from mdl_nas_mm.utils.fetch import local_file
from mdl_nas_mm.utils.files import sha256_of

from .metainfo import data_metainfo, self_contained

# A score, and all metrics.
Evaluated = tuple[float, dict[str, Any]]


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
    subnets = estimated_subnets(cfg, model, joint)
    scores = score_subnets(cfg, subnets) if scored else {}
    provenance = dict(checkpoint=sha256_of(local_file(checkpoint)))
    infos = task_infos(cfg, scores)
    return pack(path, model, joint, cfg.model.backbone, infos, provenance, trust, subnets)


def estimated_subnets(
    cfg: ResolvedConfig, model: MultiTaskModel, joint: JointSpec
) -> dict[str, nn.Module]:
    """Task -> its subnet as it is deposited.

    Its batch norms have the statistics of this architecture, where ``recalibrate_images`` says from
    how many images.

    Args:
        cfg: the resolved joint config.
        model: with its trained weights; batch norms outside of the backbone are changed.
        joint: the architectures.
    """
    pass_groups = list(_pass_groups_with_one_backbone(cfg, joint))
    subnets: dict[str, nn.Module] = {}
    for group in pass_groups:
        subnets |= model.subnets({task: joint[task] for task in group})
    for group, norms in recalibrations(cfg, model, pass_groups=pass_groups).items():
        norms.apply({task: subnets[task] for task in group})
    return subnets


def _pass_groups_with_one_backbone(
    cfg: ResolvedConfig, joint: JointSpec
) -> Iterator[tuple[str, ...]]:
    """Tasks that share a pass and, in the joint spec, an architecture of the backbone."""
    for group in (group for groups in pass_groups_of(cfg).of.values() for group in groups):
        if len({joint[task].root for task in group}) == 1:
            yield group
        else:
            yield from ((task,) for task in group)


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
    found: dict[str, Evaluated] = {}
    for name in pass_groups_of(cfg).of:
        found |= _evaluate(cfg.tasks, pass_groups_of(cfg), name, lambda tasks: subnets)
    return {name: found[name][0] for name in cfg.tasks}


def evaluate_deposit(
    deposit: str | Path,
    tasks: Sequence[str] | None = None,
    device: str | torch.device = 'cpu',
    trust: Collection[str] = (),
    show_progress: bool = False,
) -> dict[str, Evaluated]:
    """Deposited tasks on their validation splits: task -> its score, and all of its metrics.

    Args:
        deposit: the file.
        tasks: all without it.
        device: where the models run.
        trust: see ``Deposit``.
        show_progress: whether to show a progress bar on stderr.

    Raises:
        ValueError: see ``Deposit.load_task``; data of a task are no files; or it has no score.
    """
    found = evaluated_groups(deposit, tasks, device, trust, show_progress)
    results = {task: result for group in found for task, result in group.items()}
    return {task: results[task] for task in (results if tasks is None else tasks)}


def evaluated_groups(
    deposit: str | Path,
    tasks: Sequence[str] | None = None,
    device: str | torch.device = 'cpu',
    trust: Collection[str] = (),
    show_progress: bool = False,
) -> Iterator[dict[str, Evaluated]]:
    """As ``evaluate_deposit``, one task or image group after the other.

    Images of a group are loaded once, and tasks that can share a pass have one.
    """
    opened = Deposit(deposit, trust)
    names = list(opened.tasks) if tasks is None else tasks
    for task in names:
        opened.check_task(task)
    pass_groups = stored_pass_groups(opened, names)
    load = partial(load_around_one, opened, device=device)
    for name, members in pass_groups.of.items():
        known = {task: _known(opened, task) for group in members for task in group}
        yield _evaluate(known, pass_groups, name, load, show_progress)


def _known(opened: Deposit, task: str) -> Task:
    """What a deposit says of a task and of its validation."""
    data = opened.validation(task)
    check_kind(data, f'deposit {opened.path}: task {task!r}')
    return Task.of_deposit(task, opened.tasks[task], Split(*data))


def _evaluate(
    tasks: Mapping[str, Task],
    pass_groups: PassGroups,
    name: str,
    load: Callable[[Sequence[str]], Mapping[str, Any]],
    show_progress: bool = False,
) -> dict[str, Evaluated]:
    """The tasks that have one loader on their validation split.

    Args:
        tasks: these and perhaps others.
        pass_groups: see ``PassGroups``.
        name: of the task, or of the image group.
        load: gives the upstream models of tasks, those of a pass group with the same backbone.
        show_progress: whether to show a bar on stderr.
    """
    members = [task for group in pass_groups.of[name] for task in group]
    splits = {task: split for task in members if (split := tasks[task].val) is not None}
    evaluation = JointEvaluation.build(name, pass_groups.of[name], tasks, splits)
    for own in evaluation.tasks.values():
        own.scoring.say_note()
    models = load(members)
    predict = {task: models[task].val_step for task in members}
    with Progress(console=Console(stderr=True), transient=True, disable=not show_progress) as bar:
        row = bar.add_task(', '.join(members), total=len(evaluation.loader) * len(members))
        metrics = evaluation.evaluate(predict, lambda *_: bar.advance(row))
    return {
        task: (evaluation.tasks[task].scoring.score(metrics[task]), metrics[task])
        for task in members
    }
