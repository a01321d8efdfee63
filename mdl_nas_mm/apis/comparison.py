"""Several tasks in one pass, compared with a model for each."""

from __future__ import annotations

import copy
import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from mdl_nas_mm.deposit import Deposit, load_around_one
from mdl_nas_mm.elastic.shared_pass import SharedPass
from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.tasks import (
    build_eval_loader,
    delta_t,
    given_spec,
    relative_change,
    resolve_joint_config,
    task_scope,
)
from mdl_nas_mm.tasks.scores import finite_numbers
from mdl_nas_mm.utils.config_file import plain_text
from mdl_nas_mm.utils.files import write_json
from mdl_nas_mm.utils.quiet import quiet
from mdl_nas_mm.utils.strict_json import read_json

from .analyze import analyze
from .pipeline import Stages, train_stage, trained_checkpoint
from .tasks import estimated_subnets

_METRICS = 'metrics.json'


def train_alone(
    joint: Config, joint_spec: str | Path, stages: Stages, processes: int = 2
) -> dict[str, dict[str, float]]:
    """Trains each task of a joint config by itself, as the config says it of all.

    Args:
        joint: the config, not resolved.
        joint_spec: the file with the architecture of each task.
        stages: have one of the name ``alone``.
        processes: trainings at a time, each in a process of its own; a single one runs here.

    Returns:
        Task -> its metrics on the validation split.
    """
    configs = {}
    for task in joint.tasks:
        cfg = copy.deepcopy(joint)
        cfg.tasks = {task: cfg.tasks[task]}
        # One architecture, and nothing else that chooses some.
        cfg.joint_spec = str(joint_spec)
        cfg.pop('search_cfg', None)
        cfg.train_cfg.pop('sampler', None)
        configs[task] = cfg
    text = '\n'.join(plain_text(resolve_joint_config(cfg)) for cfg in configs.values())
    folder = stages.run('alone', text, lambda f: _train_and_evaluate(configs, f, processes))
    return {task: read_json(folder / task / _METRICS, 'the metrics') for task in configs}


def _train_and_evaluate(configs: Mapping[str, Config], folder: Path, processes: int) -> None:
    """Trains configs of one task each, and writes the metrics of each in a folder of its name."""
    if processes == 1:
        for task, cfg in configs.items():
            _one(cfg, folder / task)
        return
    # Threads of the mm libraries' own do not survive a fork.
    spawned = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(min(processes, len(configs)), spawned) as pool:
        for done in [pool.submit(_one, cfg, folder / task) for task, cfg in configs.items()]:
            done.result()


def _one(joint: Config, folder: Path) -> None:
    """Trains a config of one task, unless it was trained, and writes its metrics."""
    if (folder / _METRICS).is_file():
        return
    cfg = resolve_joint_config(joint)
    train_stage(cfg, folder)
    model = load_supernet(cfg, trained_checkpoint(folder))
    ((name, task),) = cfg.tasks.items()
    if task.val is None:
        raise ValueError(f'task {name!r} has no validation')
    with quiet():
        subnet = estimated_subnets(cfg, model, given_spec(cfg))[name]
        _, metrics = task.evaluate(subnet, task.val)
    write_json(folder / _METRICS, finite_numbers(metrics))


def compare(
    joint: Config,
    deposit: str | Path,
    together: dict[str, dict],
    alone: dict[str, dict],
    repeats: int = 30,
) -> dict[str, Any]:
    """What tasks score together and alone, and what one pass for all saves.

    Args:
        joint: the config, not resolved.
        deposit: of its tasks.
        together: task -> metrics out of the deposit.
        alone: task -> metrics of its single-task model.
        repeats: timed runs of an image, of which the median counts.

    Returns:
        ``tasks``: task -> ``metric``, ``together``, ``alone``, as the evaluator gives it, the
        ``unit`` that it is shown in, ``delta_t``, and of a model of its own ``params`` and
        ``flops``; ``delta_t``; ``params`` and ``flops`` of ``one`` pass for all and of ``each`` by
        itself; ``ms``, the same of the time for an image.
    """
    cfg = resolve_joint_config(joint)
    opened = Deposit(deposit)
    spec, sample = opened.joint, _validation_sample(opened)
    height, width = sample['inputs'].shape[-2:]
    counted = analyze(cfg, spec, dict.fromkeys(spec, (height, width)))
    tasks, changes = {}, []
    for name, task in cfg.tasks.items():
        assert task.val is not None
        scoring, sizes = task.scoring(task.val), counted['tasks'][name]
        first, second = (metrics[scoring.key] for metrics in (together[name], alone[name]))
        changes.append(relative_change(first, second, scoring.greater))
        tasks[name] = dict(
            metric=scoring.key,
            together=first,
            alone=second,
            unit=scoring.unit / scoring.factor,
            delta_t=changes[-1],
            params=sizes['backbone_params'] + sizes['head_params'],
            flops=sizes['flops'],
        )
    each = sum(task['flops'] for task in tasks.values())
    return dict(
        tasks=tasks,
        delta_t=delta_t([change] for change in changes),
        params=dict(one=counted['total'], each=counted['separate']),
        flops=dict(one=counted['flops'], each=each),
        ms=_image_times(opened, sample, repeats),
    )


def _validation_sample(opened: Deposit) -> dict[str, Any]:
    """The first validation image of the first task, which all have."""
    task, info = next(iter(opened.tasks.items()))
    with quiet():
        loader = build_eval_loader(task, info['scope'], opened.validation(task)[0])
    return loader.dataset[0]


def _image_times(opened: Deposit, sample: dict[str, Any], repeats: int) -> dict[str, float]:
    """Milliseconds for all tasks on an image, medians.

    Returns:
        ``one``, with features that several tasks share computed once, and ``each``, with a pass for
        each task.
    """
    with quiet():
        models = load_around_one(opened, list(opened.tasks))
    batch = {key: [value] for key, value in sample.items()}

    def predict() -> None:
        for task, model in models.items():
            with task_scope(opened.tasks[task]['scope']):
                prepared = model.data_preprocessor(copy.deepcopy(batch), False)
                model(**prepared, mode='predict')

    def in_one() -> None:
        with SharedPass():
            predict()

    with torch.no_grad():
        return dict(one=_median_ms(in_one, repeats), each=_median_ms(predict, repeats))


def _median_ms(run: Callable[[], None], repeats: int) -> float:
    run()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)
