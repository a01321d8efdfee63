"""What a report says of a search beside what was found: where it ran, costs, answers."""

from __future__ import annotations

import logging
import platform
import shlex
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import mmengine
import torch
from mmengine.logging import print_log

from mdl_nas_mm.engine.task_pictures import draw_sample, pixels_of, task_visualizer
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import JointEvaluation, ResolvedConfig
from mdl_nas_mm.tasks.input_size import input_size
from mdl_nas_mm.utils.quiet import quiet
from mdl_nas_mm.version import __version__

from .evaluator import SupernetEvaluator
from .scored import ScoredJoint

_ANSWERS, _OTHERS = 3, 400


def run_facts(cfg: ResolvedConfig, checkpoint: str | Path, seed: int) -> dict[str, Any]:
    """Config, checkpoint, date, command, seed and versions of a search."""
    return dict(
        config=cfg.filename or '',
        checkpoint=str(checkpoint),
        date=time.strftime('%Y-%m-%d %H:%M:%S'),
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        seed=seed,
        versions=dict(
            mdl_nas_mm=__version__,
            python=platform.python_version(),
            torch=torch.__version__,
            mmengine=mmengine.__version__,
        ),
    )


def others(candidates: list[ScoredJoint]) -> list[dict[str, float]]:
    """Cost and S-Score of joint specs that were proposed, at most 400, evenly out of all."""
    count = min(len(candidates), _OTHERS)
    chosen = [candidates[place * len(candidates) // count] for place in range(count)]
    return [dict(total=each.total, s_score=each.score) for each in chosen]


def image_sizes(
    evaluations: Mapping[str, JointEvaluation], cfg: ResolvedConfig
) -> dict[str, tuple[int, int]]:
    """Task -> (height, width) of its images: what its pipeline says, else that of the first one.

    Args:
        evaluations: task -> what it is evaluated with.
        cfg: the resolved joint config.
    """
    found = {}
    for task, evaluation in evaluations.items():
        size = input_size(cfg.search_dataloader[task]) or _size_of_first(evaluation, task)
        if size is not None:
            found[task] = size
    return found


def _size_of_first(evaluation: JointEvaluation, task: str) -> tuple[int, int] | None:
    """None where the first image of a group has no label of the task."""
    sample = evaluation.loader.dataset[0]
    sample = sample if len(evaluation.tasks) == 1 else sample.get(task)
    return None if sample is None else tuple(sample['inputs'].shape[-2:])


class _Enough(Exception):
    """Every task of an evaluation was drawn."""


def draw_answers(
    evaluator: SupernetEvaluator,
    evaluations: Mapping[str, JointEvaluation],
    cfg: ResolvedConfig,
    joint: JointSpec,
    folder: Path,
) -> dict[str, list[str]]:
    """Draws what the chosen architectures answer to some images that they were scored on.

    A drawing that fails is said and ends no search.

    Args:
        evaluator: what has scored them, of the tasks of this process.
        evaluations: task -> what it is evaluated with.
        cfg: the resolved joint config; ``search_cfg.answers`` says of how many images.
        joint: the chosen joint spec.
        folder: the drawings are ``answers/<task>_<number>.png`` in it.

    Returns:
        Task -> its files, from ``folder``.
    """
    found: dict[str, list[str]] = {}
    most = cfg.search_cfg.get('answers', _ANSWERS)
    if not most:
        return found
    for evaluation in {id(each): each for each in evaluations.values()}.values():
        try:
            specs = {task: joint[task] for task in evaluation.tasks}
            with quiet(), evaluator.predictors(specs) as predict:
                evaluation.process(predict, partial(_draw, evaluation, cfg, folder, most, found))
        except _Enough:
            continue
        except Exception as error:
            text = f'search: answers of {", ".join(evaluation.tasks)} are not drawn: {error}'
            print_log(text, 'current', logging.WARNING)
        finally:
            # What its metrics were given is no whole split.
            for own in evaluation.tasks.values():
                for metric in own.evaluator.metrics:
                    metric.results.clear()
    return found


def _draw(
    evaluation: JointEvaluation,
    cfg: ResolvedConfig,
    folder: Path,
    most: int,
    found: dict[str, list[str]],
    task: str,
    index: int,
    batch: dict,
    outputs: list,
) -> None:
    """Draws some of the first batch of a task, and adds their files to ``found``."""
    if not index:
        scope, meta = cfg.tasks[task].scope, evaluation.tasks[task].evaluator.dataset_meta
        visualizer = task_visualizer(task, scope, meta)
        for place, sample in enumerate(outputs[:most]):
            name = f'answers/{task}_{place}.png'
            draw_sample(visualizer, scope, sample, pixels_of(sample, batch, place), folder / name)
            found.setdefault(task, []).append(name)
    # Before another batch is predicted.
    if index or found.keys() >= set(evaluation.tasks):
        raise _Enough
