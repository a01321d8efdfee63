"""The validation loop over all tasks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from mmengine.evaluator import Evaluator
from mmengine.hooks import EMAHook
from mmengine.runner import BaseLoop, Runner

from mdl_nas_mm.registry import LOOPS
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import (
    Evaluation,
    JointEvaluation,
    NoScore,
    Split,
    delta_t,
    fixed_spec,
    joint_evaluations,
    pass_groups_of,
    recalibrated,
    recalibrations,
    sampled_spaces,
)
from mdl_nas_mm.tasks.pass_groups import PassGroup
from mdl_nas_mm.tasks.recalibrate import BatchNormRecalibration

from .grad_sync import sync_buffers
from .groups import TaskGroups
from .joint_loader import JointLoader
from .log_lines import kept_records
from .preemption import Stopped, StopRequest


@dataclass(frozen=True)
class Evaluated:
    """Which batch a validation is at, for hooks.

    Attributes:
        task: whose batch it is.
        index: its number in the task.
        evaluator: the task's.
    """

    task: str
    index: int
    evaluator: Evaluator


@LOOPS.register_module()
class MultiTaskValLoop(BaseLoop):
    """Evaluates every task that lives on this rank with its upstream evaluator.

    Metrics are named ``<task>/<metric>``; ``s_score`` is the weighted sum of the tasks' scores
    (Eq. 10), errors counting negatively, and nan where a task has none. Where tasks have a
    ``reference`` there are ``<task>/delta_t``, and ``delta_t`` where all have one. Each task is
    evaluated with its architecture in the config's ``joint_spec``, without one with the largest of
    what is trained.

    Args:
        runner: the runner that the loop is of.
        dataloader: task -> config of its validation loader.
        evaluator: task -> config of its evaluator.

    Attributes:
        at: the batch that was evaluated last.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: Mapping[str, Mapping],
        evaluator: Mapping[str, Mapping],
    ) -> None:
        # Its loaders are made below.
        super().__init__(runner, None)
        self.ranks: TaskGroups = runner.ranks
        cfg, groups = runner.cfg, self.ranks.groups
        splits = {task: Split(dataloader[task], evaluator[task]) for task in self.ranks.tasks}
        self.evaluations = joint_evaluations(cfg.tasks, splits, pass_groups_of(cfg), groups)
        self._say_how_metrics_count()
        loaders = {name: evaluation.loader for name, evaluation in self.evaluations.items()}
        length = sum(len(each.loader) * len(each.tasks) for each in self.evaluations.values())
        self.dataloader = JointLoader(loaders, length, groups=cfg.image_groups)
        spaces = sampled_spaces(runner.cfg, runner.model.backbone.space)
        largest = JointSpec({task: space.largest() for task, space in spaces.items()})
        self.joint_spec = fixed_spec(runner.cfg) or largest
        self.at: Evaluated | None = None
        # Made with the first validation: it keeps images.
        self.norms: Mapping[PassGroup, BatchNormRecalibration] | None = None

    def _say_how_metrics_count(self) -> None:
        evaluations = self.evaluations.values()
        notes = [own.scoring.note for each in evaluations for own in each.tasks.values()]
        for of_rank in self.ranks.all_gather(notes):
            for note in filter(None, of_rank):
                self.runner.logger.warning(note)

    def run(self, request: StopRequest | None = None) -> dict[str, float]:
        """Evaluates all tasks and returns their metrics.

        Args:
            request: whether to stop in the middle of it.

        Raises:
            Stopped: a rank was asked to; on all ranks.
        """
        runner = self.runner
        runner.call_hook('before_val')
        runner.call_hook('before_val_epoch')
        runner.model.eval()
        if self.norms is None:
            own = [group for each in self.evaluations.values() for group in each.pass_groups]
            solo = runner.model.own_group
            self.norms = recalibrations(runner.cfg, runner.model, solo, own)
        sync_buffers(runner.model, self.ranks)
        said: list[str] = []
        try:
            own = self._evaluated(request or StopRequest(), said)
        except Stopped:
            own = None
        of_ranks = self.ranks.all_gather((own, said))
        if any(own is None for own, _ in of_ranks):
            self._put_weights_back()
            raise Stopped
        for line in (line for _, lines in of_ranks for line in lines):
            runner.logger.info(line)
        results = self._joined([own for own, _ in of_ranks])
        runner.call_hook('after_val_epoch', metrics=results)
        runner.call_hook('after_val')
        return results

    def _evaluated(self, request: StopRequest, said: list[str]) -> dict[str, tuple]:
        """Metrics, score, its part of the S-Score, and why there is none, of each own task.

        Tables of metrics that another process has to show are added to ``said``.
        """
        own, done = {}, itertools.count()

        def on_batch(task: str, index: int, batch: dict, outputs: list) -> None:
            self.at = Evaluated(task, index, evaluation.tasks[task].evaluator)
            self.runner.call_hook(
                'after_val_iter', batch_idx=next(done), data_batch=batch, outputs=outputs
            )

        for evaluation in self.evaluations.values():
            with self._predictors(evaluation.pass_groups) as predict:
                if len(self.ranks.assignment.ranks[next(iter(predict))]) == 1:
                    with request.leaving():
                        evaluation.process(predict, on_batch)
                        metrics = self._measured(evaluation, predict, said)
                else:
                    self._process_together(predict, evaluation, on_batch, request)
                    metrics = self._measured(evaluation, predict, said)
            for task, of_task in metrics.items():
                own[task] = of_task, *_scored(evaluation.tasks[task], of_task)
        return own

    @contextmanager
    def _predictors(
        self, pass_groups: Sequence[PassGroup]
    ) -> Generator[dict[str, Callable[[dict], list]]]:
        """Task -> what predicts with its subnet; those of a pass group have one backbone.

        Batch norms have the statistics of just these architectures inside of the block, where
        ``recalibrate_images`` says from how many images.
        """
        found = {}
        with ExitStack() as stack:
            for group in pass_groups:
                subnets = self.runner.model.subnets({task: self.joint_spec[task] for task in group})
                stack.enter_context(recalibrated(self.norms or {}, group, subnets))
                found.update({task: subnet.val_step for task, subnet in subnets.items()})
            yield found

    def _measured(
        self, evaluation: JointEvaluation, tasks: Iterable[str], said: list[str]
    ) -> dict[str, dict[str, float]]:
        """Each task's metrics; what evaluators log of them is kept where nobody would see it."""
        with kept_records(self.runner.logger, self.ranks.rank > 0) as kept:
            metrics = evaluation.measure(tasks)
        said += kept
        return metrics

    def _process_together(
        self,
        predict: Mapping[str, Callable],
        evaluation: JointEvaluation,
        on_batch: Callable,
        request: StopRequest,
    ) -> None:
        """Predicts, or Stopped on all ranks: none waits for one that has left."""
        task = next(iter(predict))

        def unless_asked(task: str, index: int, batch: dict, outputs: list) -> None:
            on_batch(task, index, batch, outputs)
            if request.asked:
                raise Stopped

        try:
            evaluation.process(predict, unless_asked)
        except Stopped:
            self.ranks.any_of(task, True)
            raise
        if self.ranks.any_of(task, request.asked):
            raise Stopped

    def _put_weights_back(self) -> None:
        """Undoes what was done to the model for a validation that does not end."""
        for hook in self.runner.hooks:
            if isinstance(hook, EMAHook):
                hook.after_val_epoch(self.runner)

    def _joined(self, of_ranks: Sequence[Mapping[str, tuple]]) -> dict[str, float]:
        """All tasks' metrics, the same on every rank, from those of each rank's tasks."""
        evaluated = {}
        for theirs in of_ranks:
            evaluated.update(theirs)
        results, info = {'s_score': 0.0}, self.runner.cfg.tasks
        for task in self.ranks.assignment.tasks:
            metrics, score, gain, failure = evaluated[task]
            results.update({f'{task}/{name}': value for name, value in metrics.items()})
            if failure is not None:
                self.runner.logger.warning(
                    f'{failure}. This validation has no s_score, and is not the best one'
                )
            # A metric that is not there counts as zero, also for keeping the best checkpoint.
            results.setdefault(f'{task}/{info[task].score.metric}', score)
            results['s_score'] += info[task].score_weight * gain
        return {**results, **self._compared(evaluated)}

    def _compared(self, evaluated: Mapping[str, tuple]) -> dict[str, float]:
        """Delta_T of the tasks that have single-task metrics, and of all if all have."""
        tasks = self.runner.cfg.tasks
        references = {task: tasks[task].single_task() for task in evaluated}
        changes = {
            task: reference.changes(evaluated[task][0])
            for task, reference in references.items()
            if reference is not None
        }
        found = {f'{task}/delta_t': delta_t([each]) for task, each in changes.items()}
        if len(changes) == len(references):
            found['delta_t'] = delta_t(changes.values())
        return found


def _scored(evaluation: Evaluation, metrics: Mapping) -> tuple[float, float, str | None]:
    """A task's score and what it adds to the S-Score.

    Both are nan, and it is said why, where there is none: one validation does not end a training.
    """
    try:
        score = evaluation.scoring.score(metrics)
    except NoScore as error:
        return math.nan, math.nan, str(error)
    return score, evaluation.scoring.gain(score), None
