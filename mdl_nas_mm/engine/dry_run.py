"""One batch of training and one of validation of each task, before the first step.

What does not fit is known then, and not after hours: channels of a neck or a head, labels, a
transform, a metric that an evaluator does not give. All of it runs on copies, with random numbers
of its own, so that the training is the same to the bit with it and without. Each process tries the
tasks that it works for by itself, and none begins before all have passed.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from mmengine.evaluator import Evaluator
from torch.utils.data import DataLoader

from mdl_nas_mm.tasks import (
    Evaluation,
    JointEvaluation,
    MultiTaskModel,
    NoScore,
    fixed_spec,
    task_scope,
)
from mdl_nas_mm.tasks.data import part_of
from mdl_nas_mm.tasks.evaluate import metrics_of
from mdl_nas_mm.utils.quiet import quiet
from mdl_nas_mm.utils.randomness import derive_seed, seeded

from .labels import count_labels
from .pass_batch import PassBatch
from .passes import Passes

if TYPE_CHECKING:
    from .runner import MultiTaskRunner


def dry_run(runner: MultiTaskRunner) -> None:
    """Passes the beginning of each task's data through a copy of the model.

    Args:
        runner: with its loops built and its weights loaded. With several processes every one has
            to call this.

    Raises:
        TaskError, ValueError, FloatingPointError: something fails; names the task.
    """
    start = time.monotonic()
    with seeded(derive_seed(runner.seed, 'dry run')):
        model = copy.deepcopy(runner.model)
        model.leave_groups()
        unlabelled = _train(runner, model.train())
        if runner.val_loop is not None:
            # Upstream's metrics print tables, here of a single batch.
            with quiet():
                _validate(runner, model.eval())
    # It waits for all, too.
    for task in sorted({task for own in runner.ranks.all_gather(unlabelled) for task in own}):
        runner.logger.warning(
            f'task {task!r}: there is nothing to learn in its first training batch, as where no '
            'image has a label or all labels are ignored'
        )
    took = time.monotonic() - start
    runner.logger.info(f'dry run: a batch of every task has passed, {took:.1f} s')


@torch.no_grad()
def _train(runner: MultiTaskRunner, model: MultiTaskModel) -> list[str]:
    """The losses of the largest architectures; gives the tasks that have none or one of 0."""
    loop, without = runner.train_loop, []
    given_specs = fixed_spec(runner.cfg) or {}
    for name, loader in loop.dataloader.loaders.items():
        pass_groups = loop.pass_groups.of[name]
        lead = pass_groups[0][0]
        first = loop.plan.parts[lead][0]
        own = part_of(loop.configs[lead]['batch_size'], first.part, first.parts)
        with loop.dataloader.named(name, f'iteration {loop.iter}'):
            # Images in their own order, each with the augmentation of its place.
            places = [(i % len(loader.dataset), i) for i in range(own.stop - own.start)]
            batch = next(_batches(loader, places))
        given = {name: [batch]}
        passes = Passes(model, runner.optim_wrapper, given, loop.plan, loop.iter)
        for group in pass_groups:
            pass_batch = PassBatch.of(group, first, batch, count_labels(given))
            without += [task for task in group if task not in pass_batch.tasks]
            if not pass_batch.tasks:
                continue
            with passes.prepared(pass_batch) as data:
                for task in pass_batch.tasks:
                    spec = given_specs.get(task) or loop.spaces[task].largest()
                    loss, _ = loop.step.loss(passes, task, spec, data[task])
                    if not loss:
                        without.append(task)
    return without


def _validate(runner: MultiTaskRunner, model: MultiTaskModel) -> None:
    """Predictions of the architectures that are validated, and the names of their metrics."""
    loop = runner.val_loop
    for evaluation in loop.evaluations.values():
        first = _of_first_batch(evaluation, runner.cfg.val_evaluator, model.own_group)
        predict: dict[str, Any] = {}
        for group in evaluation.pass_groups:
            subnets = model.subnets({task: loop.joint_spec[task] for task in group})
            predict.update({task: subnet.val_step for task, subnet in subnets.items()})
        first.process(predict)
        for own in first.tasks.values():
            _check_score(own)


def _of_first_batch(
    evaluation: JointEvaluation, evaluators: Mapping[str, Any], group: dist.ProcessGroup | None
) -> JointEvaluation:
    """The same evaluation of the first batch alone, with evaluators of its own."""
    loader: Any = evaluation.loader
    size = getattr(loader.batch_sampler, 'batch_size', None) or 1
    places = range(min(size, len(loader.dataset)))
    loader = _batches(loader, places)
    tasks = {}
    for task, own in evaluation.tasks.items():
        with task_scope(own.scope, group):
            evaluator = Evaluator(copy.deepcopy(evaluators[task]))
        evaluator.dataset_meta = own.evaluator.dataset_meta
        given = dict(loader=loader, evaluator=evaluator, size=len(places), group=group)
        tasks[task] = replace(own, **given)
    return replace(evaluation, loader=loader, tasks=tasks)


def _check_score(own: Evaluation) -> None:
    """Raises ValueError where the evaluator gives other metrics than the score's.

    A detector gives none where it has found nothing, as at the beginning; the names of those are
    known without it (``mdl_nas_mm.tasks.metric_kinds``).
    """
    if own.scoring.metric.detections:
        return
    metrics: dict[str, float] = {}
    # Some metrics can do nothing with a part of their data.
    with suppress(Exception):
        metrics = metrics_of(own)
    if metrics:
        with suppress(NoScore):
            own.scoring.score(metrics)


def _batches(loader: DataLoader, places: Sequence[Any]) -> Any:
    """One batch, of these samples of a copy of the data set: some transforms have a memory."""
    dataset, collate = copy.deepcopy(loader.dataset), loader.collate_fn
    yield collate([dataset[place] for place in places])
