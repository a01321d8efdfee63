"""From configs to one deposited multi-task model, in stages that can be interrupted."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import RUNNERS

from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.elastic.arch_source import read_joint_spec
from mdl_nas_mm.elastic.known import family_of
from mdl_nas_mm.engine.checkpoint import latest_checkpoint, resume_from
from mdl_nas_mm.engine.launch import backend_of
from mdl_nas_mm.header.contents import metric_of, unit_of
from mdl_nas_mm.search import check_search, run_search
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import build_eval_loader, resolve_joint_config, task_scope
from mdl_nas_mm.tasks.scores import finite_numbers
from mdl_nas_mm.utils.config_file import plain_text
from mdl_nas_mm.utils.files import write_json
from mdl_nas_mm.utils.quiet import quiet
from mdl_nas_mm.utils.strict_json import read_json

from .tasks import evaluate_deposit, save_deposit
from .workers import run_on_processes

_DEPOSIT = 'deposit.safetensors'


class Stages:
    """Runs stages in a row, skips those that are done, and adds up their time.

    A stage counts as done only for the settings that it ran with; when they change, it and all
    later ones start anew.

    Args:
        work_dir: each stage has a folder of its own name in it; ``stages.json`` says how far
            they are.
        expected: stage -> seconds that it took elsewhere, to tell how long the rest may take; all
            0 where that is not known.

    Raises:
        ValueError: ``stages.json`` is damaged.
    """

    def __init__(self, work_dir: str | Path, expected: Mapping[str, float]) -> None:
        self.work_dir = Path(work_dir)
        self.expected = expected
        self.file = self.work_dir / 'stages.json'
        self.state: dict[str, dict] = {}
        if self.file.is_file():
            self.state = _state_of(self.file)
        self.fingerprint = ''

    def run(self, name: str, settings: str, action: Callable[[Path], object]) -> Path:
        """Runs one stage, unless it is done.

        Args:
            name: of the stage and of its folder.
            settings: everything that the stage depends on, beside the stages before it.
            action: called with the folder of the stage.

        Returns:
            The folder of the stage.
        """
        text = f'{self.fingerprint}\n{name}\n{settings}'
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()
        folder = self.work_dir / name
        if self.state.get(name, {}).get('fingerprint') != self.fingerprint:
            shutil.rmtree(folder, ignore_errors=True)
            # What later stages took belongs to the settings of before.
            stages = list(self.expected)
            for stage in stages[stages.index(name) :]:
                self.state.pop(stage, None)
            self.state[name] = dict(fingerprint=self.fingerprint, seconds=0.0, done=False)
        folder.mkdir(parents=True, exist_ok=True)
        # Before it runs: what a killed process left of the stage is known to be of these settings.
        write_json(self.file, self.state)
        state = self.state[name]
        number = f'[{list(self.expected).index(name) + 1}/{len(self.expected)}] {name}'
        if state['done']:
            print(f'{number}: done before, in {_minutes(state["seconds"])}', flush=True)
            return folder
        print(f'{number}: {self._left(name)}', flush=True)
        before, started = state['seconds'], time.monotonic()
        try:
            action(folder)
            state['done'] = True
        finally:
            state['seconds'] = before + time.monotonic() - started
            write_json(self.file, self.state)
        print(f'{number}: done in {_minutes(state["seconds"])}', flush=True)
        return folder

    def seconds(self) -> dict[str, float]:
        """Stage that has run -> seconds that it took, interruptions left out."""
        names = [name for name in self.expected if name in self.state]
        return {name: round(self.state[name]['seconds'], 1) for name in names}

    def _left(self, name: str) -> str:
        names = list(self.expected)
        if not any(self.expected.values()):
            return 'begins'
        done = [stage for stage in names[: names.index(name)] if stage in self.state]
        # Data that were there already say nothing of the machine.
        done = [s for s in done if self.state[s]['seconds'] > self.expected[s] / 10]
        left = names[names.index(name) :]
        took = sum(self.state[stage]['seconds'] for stage in done)
        planned = sum(self.expected[stage] for stage in done)
        pace = took / planned if planned and took else 1.0
        stage, rest = self.expected[name] * pace, sum(self.expected[s] for s in left) * pace
        return f'about {_minutes(stage)}; about {_minutes(rest)} until all is done'


def _state_of(file: Path) -> dict[str, dict]:
    """Stage -> its fingerprint, its seconds, and whether it is done."""
    state = read_json(file, str(file))
    stages = list(state.values()) if isinstance(state, dict) else [state]
    kinds = dict(fingerprint=str, seconds=float, done=bool)
    for stage in stages:
        if not isinstance(stage, dict) or {k: type(v) for k, v in stage.items()} != kinds:
            raise ValueError(f'{file} is damaged; remove it to run all stages anew')
    return state


def _minutes(seconds: float) -> str:
    return f'{int(seconds) // 60}:{int(seconds) % 60:02d} min'


def usual_processes() -> int:
    """How many processes train a small model: up to two, each on a GPU or a core of its own."""
    return min(2, torch.cuda.device_count() or os.cpu_count() or 1)


def train_stage(cfg: Config, folder: Path, processes: int = 1) -> None:
    """Trains a joint config in a folder, or goes on where it stopped there.

    Args:
        cfg: the config.
        folder: of logs and checkpoints.
        processes: of this machine, which share the batches of a step; see docs/distributed.md.

    Raises:
        ValueError: there are more processes than GPUs; or one of several has failed, and has
            said why.
    """
    cfg.work_dir = str(folder)
    if processes > 1:
        _run_on_processes(processes, cfg, folder, 'train', '--resume')
        return
    resume_from(cfg, 'auto')
    RUNNERS.build(cfg).train()


def search_stage(cfg: Config, supernet: Path, folder: Path, processes: int = 1) -> None:
    """Searches in a folder as ``run_search`` does, or goes on where it stopped there.

    Args:
        cfg: a resolved joint config with ``search_cfg``.
        supernet: the checkpoint of the trained supernet.
        folder: of the history and the results.
        processes: of this machine, which share the tasks and the architectures to score.

    Raises:
        ValueError: see ``run_search`` and ``train_stage``.
    """
    if processes > 1:
        _run_on_processes(processes, cfg, folder, 'search', '--checkpoint', supernet)
        return
    run_search(cfg, supernet, folder)


def _check_gpus(cfg: Config, processes: int) -> None:
    """Raises ValueError where processes would have to share a GPU, which NCCL cannot."""
    gpus = torch.cuda.device_count()
    if 0 < gpus < processes and backend_of(cfg) == 'nccl':
        raise ValueError(
            f'processes: {processes}, and the machine has {gpus} GPUs; NCCL needs one for each '
            "process, env_cfg=dict(dist_cfg=dict(backend='gloo')) does not"
        )


def _run_on_processes(processes: int, cfg: Config, folder: Path, *command: str | Path) -> None:
    """Runs ``mdl-nas COMMAND`` of a config in a folder, on several processes of this machine."""
    _check_gpus(cfg, processes)
    path = folder / 'config.py'
    # A training writes it there once more, formatted.
    path.write_text(plain_text(cfg), encoding='utf-8')
    name, *options = command
    given = (path, '--launcher', 'pytorch', '--work-dir', folder, *options)
    if not run_on_processes(processes, str(name), *map(str, given)):
        raise ValueError(f'{folder}: mdl-nas {name} has failed, as said above')


def trained_checkpoint(folder: Path) -> Path:
    """The last checkpoint of a stage that is done, or FileNotFoundError."""
    found = latest_checkpoint(folder)
    if found is None:
        raise FileNotFoundError(
            f'{folder}: the stage is done, but has no checkpoint; remove '
            f'{folder.parent / "stages.json"} to run the stages again'
        )
    return found


def run_pipeline(
    pretrain: Config | None, joint: Config, stages: Stages, processes: int = 1
) -> dict:
    """Pre-training, joint fine-tuning, search, deposit, evaluation.

    Started again after an interruption, it goes on where it was.

    Args:
        pretrain: config of the supernet's pre-training; None for a joint training from scratch.
        joint: config of the joint fine-tuning, with ``search_cfg``.
        stages: runs each stage in its folder, and knows those that are done.
        processes: see ``train_stage`` and ``search_stage``.

    Returns:
        The summary; see ``summarise``.

    Raises:
        ValueError: see ``resolve_joint_config`` and ``check_search``, or there is no validation.
    """
    # Resolved, since a stage depends on the upstream configs as well; and checked, so that what is
    # wrong with a later stage is said before an earlier one has run.
    pretrain = None if pretrain is None else resolve_joint_config(pretrain)
    joint = resolve_joint_config(joint)
    check_search(joint)
    if joint.get('val_dataloader') is None:
        raise ValueError('the joint config has no validation, which its deposit is scored on')
    joint.load_from = None
    settings = plain_text(joint)
    if pretrain is not None:
        train = partial(train_stage, pretrain, processes=processes)
        first = stages.run('pretrain', plain_text(pretrain), train)
        joint.load_from = str(trained_checkpoint(first))
    second = stages.run('joint', settings, partial(train_stage, joint, processes=processes))
    supernet = trained_checkpoint(second)
    found = stages.run('search', '', lambda f: search_stage(joint, supernet, f, processes))
    dimensions = family_of(joint.model.backbone).dimensions
    spec = read_joint_spec(found / 'joint_spec.json', dimensions)
    packed = stages.run('deposit', 'scored', lambda f: _deposit(joint, supernet, spec, f))
    deposit = packed / _DEPOSIT
    evaluated = stages.run('evaluate', '', lambda f: write_json(f / 'tasks.json', score(deposit)))
    summary = summarise(read_json(evaluated / 'tasks.json', 'the scores'), deposit)
    summary['seconds'] = stages.seconds()
    write_json(stages.work_dir / 'summary.json', summary)
    return summary


def _deposit(cfg: Config, supernet: Path, spec: JointSpec, folder: Path) -> None:
    print('  every task on its validation split', flush=True)
    with quiet():
        save_deposit(cfg, supernet, spec, folder / _DEPOSIT, scored=True)


def score(deposit: str | Path) -> dict[str, dict]:
    """Every task on its validation split, out of a deposit that has scores.

    Returns:
        Task -> ``metric``, ``score`` (percent), ``score_in_supernet`` (as it was deposited),
        ``metrics`` (all numbers of the evaluator), ``params`` (with head) and ``flops``
        (multiply-adds of the backbone on one validation image).
    """
    opened, results = Deposit(deposit), {}
    print('  every task on its validation split', flush=True)
    with quiet():
        scored = evaluate_deposit(deposit, device=get_device())
    for task, info in opened.tasks.items():
        outside, metrics = scored[task]
        with quiet(), task_scope(info['scope']):
            loader = build_eval_loader(task, info['scope'], opened.validation(task)[0])
            backbone = opened.build_backbone(task)
            prepare = opened.build_model(task, backbone).data_preprocessor
            images = prepare(next(iter(loader)), False)['inputs']
        results[task] = dict(
            metric=metric_of(info),
            score=outside,
            score_in_supernet=info['scored'],
            metrics=finite_numbers(metrics),
            params=opened.counts.backbones[task] + opened.counts.head_of(task),
            flops=backbone.flops(None, backbone.arch, tuple(images.shape[-2:])),
        )
    return results


def summarise(tasks: dict[str, dict], deposit: str | Path) -> dict:
    """What ``summary.json`` holds: the tasks' results and the deposit's sizes.

    Each task has the ``unit`` in which its scores are shown, see ``unit_of``.
    Detection scores are given in percent beside the main one, as ``bbox_mAP_50`` and
    ``segm_mAP``.
    """
    opened, results = Deposit(deposit), {}
    counts = opened.counts
    for task, result in tasks.items():
        metrics = result['metrics']
        results[task] = {key: value for key, value in result.items() if key != 'metrics'}
        results[task]['unit'] = unit_of(opened.tasks[task])
        for key in ('bbox_mAP_50', 'segm_mAP'):
            if f'coco/{key}' in metrics:
                results[task][key] = 100 * metrics[f'coco/{key}']
    return dict(
        tasks=results,
        **counts.with_totals(),
        deposit=str(deposit),
        deposit_bytes=Path(deposit).stat().st_size,
    )
