"""The training and validation loops over all tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mmengine.dist import get_rank, get_world_size
from mmengine.runner import BaseLoop, Runner

from mdl_nas_mm.registry import LOOPS
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import (
    Evaluation,
    build_eval_loader,
    build_train_loader,
    evaluate,
    score_of,
)

from .groups import tasks_of_rank
from .step import draw_specs, train_step


class JointLoader:
    """All tasks' loaders as the one loader that mmengine's hooks expect."""

    def __init__(self, loaders: Mapping, length: int) -> None:
        self.loaders = dict(loaders)
        self.length = length
        self.dataset = next(iter(self.loaders.values())).dataset

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[dict]:
        """Joint batches: task -> its batch."""
        iterators = {task: iter(loader) for task, loader in self.loaders.items()}
        while True:
            yield {task: next(iterator) for task, iterator in iterators.items()}


@LOOPS.register_module()
class MultiTaskTrainLoop(BaseLoop):
    """Iteration-based training of all tasks that live on this rank.

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
        self._max_iters, self._iter = int(max_iters), 0
        self.val_begin, self.val_interval = val_begin, val_interval
        self.num_random, self.freeze_rest = num_random, freeze_rest
        # Set by mmengine's EarlyStoppingHook.
        self.stop_training = False
        self.tasks = tasks_of_rank(tuple(dataloader), get_rank(), get_world_size())
        self.configs = {task: dataloader[task] for task in self.tasks}
        self.dataloader = self._loader(start=0)

    def _loader(self, start: int) -> JointLoader:
        info, seed = self.runner.cfg.tasks, self.runner.seed
        loaders = {
            task: build_train_loader(task, info[task].scope, config, seed, start)
            for task, config in self.configs.items()
        }
        return JointLoader(loaders, self._max_iters)

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
        """Goes on after ``iteration`` steps."""
        self._iter = iteration
        self.dataloader = self._loader(start=iteration)

    def run(self):
        """Trains to the end."""
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        batches = iter(self.dataloader)
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(batches))
            due = self._iter % self.val_interval == 0 or self._iter == self._max_iters
            if self.runner.val_loop is not None and self._iter >= self.val_begin and due:
                self.runner.val_loop.run()
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_iter(self, batches: dict[str, dict]) -> None:
        """One joint step.

        Args:
            batches: task -> its batch.
        """
        runner, index = self.runner, self._iter
        runner.call_hook('before_train_iter', batch_idx=index, data_batch=batches)
        space = runner.model.backbone.space
        outputs = train_step(
            runner.model,
            runner.optim_wrapper,
            batches,
            draw_specs(space, self.tasks, runner.seed, index, self.num_random),
            {task: runner.cfg.tasks[task].loss_weight for task in self.tasks},
            runner.seed,
            index,
            self.freeze_rest,
        )
        runner.call_hook('after_train_iter', batch_idx=index, data_batch=batches, outputs=outputs)
        self._iter += 1


@LOOPS.register_module()
class MultiTaskValLoop(BaseLoop):
    """Evaluates every task that lives on this rank with its upstream evaluator.

    Metrics are named ``<task>/<metric>``; ``s_score`` is the weighted sum of the tasks' scores
    in percent (Eq. 10).

    Args:
        dataloader: task -> config of its validation loader.
        evaluator: task -> config of its evaluator.
        joint_spec: the architecture to evaluate a task with, as ``JointSpec.to_dict`` gives it;
            the largest of the space by default.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: Mapping[str, Mapping],
        evaluator: Mapping[str, Mapping],
        joint_spec: Mapping | None = None,
    ) -> None:
        self._runner = runner
        tasks = tasks_of_rank(tuple(dataloader), get_rank(), get_world_size())
        scopes = {task: runner.cfg.tasks[task].scope for task in tasks}
        loaders = {t: build_eval_loader(t, scopes[t], dataloader[t]) for t in tasks}
        self.evaluations = {
            task: Evaluation.build(task, scopes[task], loaders[task], evaluator[task])
            for task in tasks
        }
        self.dataloader = JointLoader(loaders, sum(len(loader) for loader in loaders.values()))
        space = runner.model.backbone.space
        if joint_spec is None:
            self.joint_spec = JointSpec(dict.fromkeys(tasks, space.largest()))
        else:
            self.joint_spec = JointSpec.from_dict(joint_spec)
            space.check_joint(self.joint_spec, tuple(tasks))

    def run(self) -> dict[str, float]:
        """Evaluates all tasks and returns their metrics."""
        runner, info = self.runner, self.runner.cfg.tasks
        runner.call_hook('before_val')
        runner.call_hook('before_val_epoch')
        runner.model.eval()
        results, done = {'s_score': 0.0}, 0
        for task, evaluation in self.evaluations.items():
            spec = self.joint_spec[task]

            def on_batch(index: int, batch: dict, outputs: list, offset: int = done) -> None:
                runner.call_hook(
                    'after_val_iter', batch_idx=offset + index, data_batch=batch, outputs=outputs
                )

            metrics = evaluate(
                lambda batch, task=task, spec=spec: runner.model.predict(task, spec, batch),
                evaluation,
                on_batch,
            )
            done += len(evaluation.loader)
            results.update({f'{task}/{name}': value for name, value in metrics.items()})
            score = score_of(task, metrics, info[task].score)
            results['s_score'] += info[task].score_weight * score
        runner.call_hook('after_val_epoch', metrics=results)
        runner.call_hook('after_val')
        return results
