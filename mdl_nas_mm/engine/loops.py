"""The training loop over all tasks."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from mmengine.runner import BaseLoop, Runner

from mdl_nas_mm.registry import LOOPS
from mdl_nas_mm.tasks import (
    build_group_train_loader,
    build_train_loader,
    fixed_spec,
    pass_groups_of,
    sampled_spaces,
    tied,
)

from .dry_run import dry_run
from .groups import TaskGroups
from .joint_loader import JointLoader
from .labels import count_labels, synchronised, without_sync
from .losses import LossGatherer
from .method import build_sampler, build_step
from .passes import Passes
from .plan import StepPlan
from .preemption import Stopped, StopRequest
from .statistics import check_estimated
from .step import train_step

# All ranks have to agree to stop, which takes them an exchange.
_ITERS_BETWEEN_STOPS = 5


@LOOPS.register_module()
class MultiTaskTrainLoop(BaseLoop):
    """Iteration-based training of all tasks that live on this rank.

    Subnets are sampled from the backbone's space, or from the config's ``subspace`` of it. With a
    ``joint_spec`` in the config each task trains its architecture of it and nothing else.

    Args:
        runner: the runner that the loop is of.
        dataloader: task -> config of its training loader.
        max_iters: joint steps; each has one batch of every task.
        val_begin, val_interval: as in mmengine's ``IterBasedTrainLoop``.
        num_random: random subnets of the default sampler; short for
            ``sampler=dict(type='SandwichSampler', num_random=...)``.
        sampler: which subnets a step trains, of ``SUBNET_SAMPLERS``; by default the sandwich of
            MDL-NAS, or what ``joint_spec`` says.
        step: how its batches become gradients, of ``STEPS``; by default as in MDL-NAS.
        stop_timeout: seconds that a process has after SIGTERM to agree with the others, to save
            and to stop; then it ends without.
        dry_run: whether a batch of every task passes through a copy of the model before the first
            step; see ``mdl_nas_mm.engine.dry_run``.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: Mapping[str, Mapping],
        max_iters: float,
        val_begin: int = 1,
        val_interval: int = 1000,
        num_random: int | None = None,
        sampler: Mapping[str, Any] | None = None,
        step: Mapping[str, Any] | None = None,
        stop_timeout: float = 120.0,
        dry_run: bool = True,
    ) -> None:
        # Its loaders are made below.
        super().__init__(runner, None)
        self._max_iters = int(max_iters)
        self.val_begin, self.val_interval = val_begin, val_interval
        self.spaces = sampled_spaces(runner.cfg, runner.model.backbone.space)
        given = (runner.seed, runner.model, fixed_spec(runner.cfg))
        self.step = build_step(step, self.spaces, *given)
        if num_random is not None:
            if sampler is not None:
                raise ValueError(
                    'train_cfg.num_random: give it to train_cfg.sampler, which is there'
                )
            sampler = dict(type='SandwichSampler', num_random=num_random)
        self._sampler = sampler
        # Set by mmengine's EarlyStoppingHook.
        self.stop_training = False
        self.stop_timeout, self._runs_dry = stop_timeout, dry_run
        self.ranks: TaskGroups = runner.ranks
        self.configs = {task: dataloader[task] for task in self.ranks.tasks}
        self.pass_groups = pass_groups_of(runner.cfg)
        for note in self.pass_groups.notes:
            runner.logger.info(note)
        self.gather_losses = LossGatherer(self.ranks)
        self.synchronised = synchronised(runner.model, self.ranks)
        self.plan = self._plan()
        self.dataloader = self._loader()
        self.restore(0)
        self._check_norms()
        if not self.step.keeps_statistics:
            check_estimated(runner.model, runner.cfg, type(self.step).__name__)

    def _check_norms(self) -> None:
        """Raises ValueError for batch norms that would wait for batches without a label."""
        for task in self.synchronised:
            images = self.runner.cfg.tasks[task].images
            if images in self.dataloader.groups:
                # Of ``NamedSamples``, which has what the joined data set has.
                joined = self.dataloader.loaders[images].dataset.dataset
                if joined.labelled(task) < len(joined):
                    raise ValueError(without_sync(task))

    def _plan(self) -> StepPlan:
        runner = self.runner
        return StepPlan.make(
            self.ranks.assignment,
            self.ranks.rank,
            {task: config['batch_size'] for task, config in self.configs.items()},
            {task: info.loss_weight for task, info in runner.cfg.tasks.items()},
            runner.seed,
            self.pass_groups.of,
        )

    def _loader(self) -> JointLoader:
        cfg, assignment, loaders, counts = self.runner.cfg, self.ranks.assignment, {}, {}
        scopes, groups = {task: info.scope for task, info in cfg.tasks.items()}, cfg.image_groups
        for task, config in self.configs.items():
            name = cfg.tasks[task].images if cfg.tasks[task].images in groups else task
            if name in loaders:
                continue
            parts = [(part.batch, part.part, part.parts) for part in self.plan.parts[task]]
            steps = (assignment.batches_per_step[task], parts, self.ranks.groups[task])
            settings = (self.runner.seed, *steps)
            if name == task:
                loaders[name] = build_train_loader(task, scopes[task], config, *settings)
            else:
                members = {member: scopes[member] for member in groups[name]}
                loaders[name] = build_group_train_loader(name, members, self.configs, *settings)
            counts[name] = len(parts)
        return JointLoader(loaders, self._max_iters, counts, groups)

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

    def restore(self, iteration: int, validation_due: bool = False) -> None:
        """Goes on after ``iteration`` steps, with the runner's present seed.

        Args:
            iteration: steps that were completed.
            validation_due: whether the validation after them was not completed.
        """
        self.validation_due = validation_due
        cfg, seed = self.runner.cfg, self.runner.seed
        self._iter, self.plan = iteration, replace(self.plan, seed=seed)
        self.sampler = build_sampler(self._sampler, self.spaces, seed, fixed_spec(cfg))
        self.dataloader.restart(seed, iteration)

    def run(self):
        """Trains to the end."""
        if self._runs_dry:
            dry_run(self.runner)
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        request = StopRequest(self.stop_timeout)
        with request.listening():
            try:
                self._train(request)
            except Stopped:
                self._save_and_stop()
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def _train(self, request: StopRequest) -> None:
        """Steps and validations, left when all ranks stop."""
        batches = iter(self.dataloader)
        if self.validation_due:
            self._validate(request)
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            # With several ranks, others may be in a step already.
            with request.leaving() if self.ranks.alone else nullcontext():
                batch = next(batches)
            self.run_iter(batch)
            due = self._iter % self.val_interval == 0 or self._iter == self._max_iters
            self.validation_due = due and self._iter >= self.val_begin
            asking = self.ranks.alone or self._iter % _ITERS_BETWEEN_STOPS == 0
            if asking and self.ranks.any(request.asked):
                raise Stopped
            if self.validation_due:
                self._validate(request)

    def _validate(self, request: StopRequest) -> None:
        if self.runner.val_loop is not None:
            self.runner.val_loop.run(request)
        self.validation_due = False

    def _save_and_stop(self) -> None:
        if not self._iter:
            raise SystemExit('stopped by SIGTERM before the first iteration')
        name = f'iter_{self._iter}.pth'
        meta = dict(iter=self._iter, validation_due=self.validation_due)
        self.runner.save_checkpoint(self.runner.work_dir, name, meta=meta, by_epoch=False)
        raise SystemExit(f'stopped by SIGTERM after iteration {self._iter}; go on with --resume')

    def run_iter(self, batches: dict[str, list]) -> None:
        """One joint step.

        Args:
            batches: task, or image group -> a batch for each of this rank's parts.
        """
        runner, index = self.runner, self._iter
        runner.call_hook('before_train_iter', batch_idx=index, data_batch=batches)
        if self.step.optim_wrapper is not None:
            rate = self.step.optim_wrapper.get_lr()['lr'][0]
            runner.message_hub.update_scalar('train/step_lr', rate)
        given = (runner.model, runner.optim_wrapper, batches, self.plan, index, runner.reducer)
        labelled = count_labels(batches, self.ranks, self.synchronised)
        interval = self.step.grad_norm_interval
        # In the steps whose end is logged, where both intervals are alike.
        grad_norms = interval > 0 and (index + 1) % interval == 0
        passes = Passes(*given, labelled, self.step.balance, grad_norms)
        specs = tied(self.pass_groups.shared, self.sampler.propose(index))
        outputs = train_step(self.step, passes, specs)
        outputs = self.gather_losses(outputs)
        self.sampler.observe(index, outputs)
        if self.step.balance is not None:
            self.step.balance.observe(outputs)
        outputs |= self.step.logged(index)
        runner.call_hook('after_train_iter', batch_idx=index, data_batch=batches, outputs=outputs)
        self._iter += 1
