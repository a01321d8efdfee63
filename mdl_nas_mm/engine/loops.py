"""The training and validation loops over all tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mmengine.runner import BaseLoop, Runner

from mdl_nas_mm.registry import LOOPS
from mdl_nas_mm.spec import JointSpec, SubnetSpec
from mdl_nas_mm.tasks import (
    Evaluation,
    build_eval_loader,
    build_train_loader,
    drawn_space,
    evaluate,
    fixed_spec,
    score_of,
)

from .grad_sync import sync_buffers
from .groups import TaskGroups
from .losses import LossGatherer
from .preemption import StopRequest
from .step import StepPlan, draw_specs, train_step

# All ranks have to agree to stop, which takes them an exchange.
_ITERS_BETWEEN_STOPS = 5


class JointLoader:
    """All tasks' loaders as the one loader that mmengine's hooks expect.

    Args:
        loaders: task -> its loader.
        length: joint batches.
        counts: task -> batches of its loader in a joint one.
    """

    def __init__(
        self, loaders: Mapping, length: int, counts: Mapping[str, int] | None = None
    ) -> None:
        self.loaders = dict(loaders)
        self.length = length
        self.counts = dict(counts or dict.fromkeys(loaders, 1))
        self.dataset = next(iter(self.loaders.values())).dataset

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[dict[str, list]]:
        """Joint batches: task -> its batches."""
        iterators = {task: iter(loader) for task, loader in self.loaders.items()}
        while True:
            yield {
                task: [next(iterator) for _ in range(self.counts[task])]
                for task, iterator in iterators.items()
            }


@LOOPS.register_module()
class MultiTaskTrainLoop(BaseLoop):
    """Iteration-based training of all tasks that live on this rank.

    Subnets are drawn from the backbone's space, or from the config's ``subspace`` of it. With a
    ``joint_spec`` in the config each task trains its architecture of it and nothing else.

    Args:
        dataloader: task -> config of its training loader.
        max_iters: joint steps; each has one batch of every task.
        val_begin, val_interval: as in mmengine's ``IterBasedTrainLoop``.
        num_random: random subnets a task and step, beside the smallest and the largest.
        freeze_rest: keep weights and optimizer states that no subnet of a step used.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: Mapping[str, Mapping],
        max_iters: int,
        val_begin: int = 1,
        val_interval: int = 1000,
        num_random: int = 2,
        freeze_rest: bool = True,
    ) -> None:
        self._runner = runner
        self._max_iters = int(max_iters)
        self.val_begin, self.val_interval = val_begin, val_interval
        self.num_random = num_random
        self.joint_spec = fixed_spec(runner.cfg)
        self.space = drawn_space(runner.cfg, runner.model.backbone.space)
        # Set by mmengine's EarlyStoppingHook.
        self.stop_training = False
        self.ranks: TaskGroups = runner.ranks
        self.configs = {task: dataloader[task] for task in self.ranks.tasks}
        self.freeze_rest = freeze_rest
        self.gather_losses = LossGatherer(self.ranks)
        self.restore(0)

    def _plan(self) -> StepPlan:
        runner = self.runner
        return StepPlan.make(
            self.ranks.dealing,
            self.ranks.rank,
            {task: config['batch_size'] for task, config in self.configs.items()},
            {task: info.loss_weight for task, info in runner.cfg.tasks.items()},
            runner.seed,
            self.freeze_rest,
        )

    def _loader(self, start: int) -> JointLoader:
        info, dealing, loaders = self.runner.cfg.tasks, self.ranks.dealing, {}
        for task, config in self.configs.items():
            pieces = [(piece.unit, piece.part, piece.parts) for piece in self.plan.pieces[task]]
            settings = (info[task].scope, config, self.runner.seed, start)
            loaders[task] = build_train_loader(task, *settings, dealing.units[task], pieces)
        counts = {task: len(pieces) for task, pieces in self.plan.pieces.items()}
        return JointLoader(loaders, self._max_iters, counts)

    @property
    def max_epochs(self) -> int:
        """The whole training counts as one epoch."""
        return 1

    @property
    def max_iters(self) -> int:
        """Joint steps in all."""
        return self._max_iters

    @property
    def epoch(self) -> int:
        """Always 0."""
        return 0

    @property
    def iter(self) -> int:
        """Joint steps done."""
        return self._iter

    def restore(self, iteration: int) -> None:
        """Goes on after ``iteration`` steps, with the runner's present seed."""
        self._iter, self.plan = iteration, self._plan()
        self.dataloader = self._loader(start=iteration)

    def run(self):
        """Trains to the end."""
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        batches, request = iter(self.dataloader), StopRequest()
        with request.listening():
            while self._iter < self._max_iters and not self.stop_training:
                self.runner.model.train()
                self.run_iter(next(batches))
                asking = self.ranks.alone or self._iter % _ITERS_BETWEEN_STOPS == 0
                if asking and self.ranks.any(request.asked):
                    self._save_and_stop()
                due = self._iter % self.val_interval == 0 or self._iter == self._max_iters
                if self.runner.val_loop is not None and self._iter >= self.val_begin and due:
                    self.runner.val_loop.run()
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def _save_and_stop(self) -> None:
        name = f'iter_{self._iter}.pth'
        self.runner.save_checkpoint(
            self.runner.work_dir, name, meta=dict(iter=self._iter), by_epoch=False
        )
        raise SystemExit(f'stopped by SIGTERM after iteration {self._iter}; go on with --resume')

    def run_iter(self, batches: dict[str, list]) -> None:
        """One joint step.

        Args:
            batches: task -> a batch for each of this rank's pieces.
        """
        runner, index = self.runner, self._iter
        runner.call_hook('before_train_iter', batch_idx=index, data_batch=batches)
        outputs = train_step(
            runner.model,
            runner.optim_wrapper,
            batches,
            self._specs(index),
            self.plan,
            index,
            runner.reducer,
        )
        outputs = self.gather_losses(outputs)
        runner.call_hook('after_train_iter', batch_idx=index, data_batch=batches, outputs=outputs)
        self._iter += 1

    def _specs(self, index: int) -> dict[str, list[SubnetSpec]]:
        """Each task's subnets of one step; all ranks draw the same."""
        if self.joint_spec is not None:
            return {task: [self.joint_spec[task]] for task in self.ranks.dealing.tasks}
        tasks = self.ranks.dealing.tasks
        return draw_specs(self.space, tasks, self.runner.seed, index, self.num_random)


@LOOPS.register_module()
class MultiTaskValLoop(BaseLoop):
    """Evaluates every task that lives on this rank with its upstream evaluator.

    Metrics are named ``<task>/<metric>``; ``s_score`` is the weighted sum of the tasks' scores
    in percent (Eq. 10). Each is evaluated with its architecture in the config's ``joint_spec``,
    without one with the largest of what is trained.

    Args:
        dataloader: task -> config of its validation loader.
        evaluator: task -> config of its evaluator.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: Mapping[str, Mapping],
        evaluator: Mapping[str, Mapping],
    ) -> None:
        self._runner = runner
        self.ranks: TaskGroups = runner.ranks
        tasks = self.ranks.tasks
        self.evaluations = {}
        for task in tasks:
            scope, group = runner.cfg.tasks[task].scope, self.ranks.groups[task]
            loader = build_eval_loader(task, scope, dataloader[task], group)
            self.evaluations[task] = Evaluation.build(task, scope, loader, evaluator[task], group)
        loaders = {task: evaluation.loader for task, evaluation in self.evaluations.items()}
        self.dataloader = JointLoader(loaders, sum(len(loader) for loader in loaders.values()))
        largest = drawn_space(runner.cfg, runner.model.backbone.space).largest()
        self.joint_spec = fixed_spec(runner.cfg) or JointSpec(dict.fromkeys(tasks, largest))

    def run(self) -> dict[str, float]:
        """Evaluates all tasks and returns their metrics."""
        runner = self.runner
        runner.call_hook('before_val')
        runner.call_hook('before_val_epoch')
        runner.model.eval()
        sync_buffers(runner.model, self.ranks)
        own, done = {}, 0
        for task, evaluation in self.evaluations.items():

            def on_batch(index: int, batch: dict, outputs: list, offset: int = done) -> None:
                runner.call_hook(
                    'after_val_iter', batch_idx=offset + index, data_batch=batch, outputs=outputs
                )

            spec = self.joint_spec[task]
            own[task] = evaluate(runner.model.subnet(task, spec).val_step, evaluation, on_batch)
            done += len(evaluation.loader)
        results = self._joined(own)
        runner.call_hook('after_val_epoch', metrics=results)
        runner.call_hook('after_val')
        return results

    def _joined(self, own: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
        """All tasks' metrics, the same on every rank, from those of each rank's tasks."""
        metrics = {}
        for theirs in self.ranks.all_gather(dict(own)):
            metrics.update(theirs)
        results, info = {'s_score': 0.0}, self.runner.cfg.tasks
        for task in self.ranks.dealing.tasks:
            results.update({f'{task}/{name}': value for name, value in metrics[task].items()})
            score = score_of(task, metrics[task], info[task].score)
            # A metric that is not there counts as zero, also for keeping the best checkpoint.
            results.setdefault(f'{task}/{info[task].score}', score)
            results['s_score'] += info[task].score_weight * score
        return results
