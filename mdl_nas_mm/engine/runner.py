"""The runner: mmengine's, with joint configs, task groups and whole checkpoints."""

from __future__ import annotations

import os.path as osp
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import torch.distributed as dist
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import get_world_size
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import MMLogger
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import OptimWrapper
from mmengine.runner import BaseLoop
from torch import nn

from mdl_nas_mm.registry import RUNNERS
from mdl_nas_mm.spec.owners import ALL
from mdl_nas_mm.tasks import (
    MultiTaskModel,
    check_classes,
    check_labels,
    given_spec,
    resolve_joint_config,
)
from mdl_nas_mm.utils.data_only import data_only
from mdl_nas_mm.utils.files import held
from mdl_nas_mm.utils.private import OpenRunner, clip_with, save_no_best
from mdl_nas_mm.utils.torch_file import write_torch_file

from .assignment import assign_ranks
from .best import state_rules
from .checkpoint import (
    check_space,
    latest_checkpoint,
    load_weights,
    read_checkpoint,
    shared_digest,
    with_frozen,
)
from .clipping import clip_over_all_ranks
from .grad_sync import (
    GradientReducer,
    check_backbone_norms,
    sync_batch_norms,
    sync_parameters,
)
from .groups import TaskGroups
from .launch import check_same_config, start_processes
from .log_lines import on_screen, opening, screens
from .recipe_settings import check_mixed_precision
from .settings import check_settings
from .state import leave_out, own_state, to_cpu, whole_state
from .step import Step
from .task_pictures import TaskPicturesHook, picture_library
from .training_state import restore_training, training_meta, training_state


@RUNNERS.register_module()
class MultiTaskRunner(OpenRunner):
    """Runs joint configs; see ``mdl_nas_mm.tasks.config`` for what they say.

    Attributes:
        ranks: which tasks this process has, and how it reaches the other processes.
        reducer: adds up the gradients of all processes; None where there is one.
        step: that of the training loop, once there is one.
        trained_metainfo: task -> what its training set says of itself, once that is there.
    """

    ranks: TaskGroups
    reducer: GradientReducer | None = None
    step: Step | None = None
    trained_metainfo: Mapping[str, Mapping] = {}
    _loads_strictly = False

    @classmethod
    def from_cfg(cls, cfg: Config) -> MultiTaskRunner:
        """Builds a runner from a joint config, resolved or not.

        Raises:
            ValueError: see ``check_settings``.
        """
        cfg = resolve_joint_config(cfg)
        cfg.setdefault('randomness', dict(seed=0))
        cfg.setdefault('default_scope', 'mdl_nas_mm')
        not_used = check_settings(cfg)
        state_rules(cfg)
        runner = super().from_cfg(cfg)
        runner.logger.info(opening(runner))
        for line in not_used:
            runner.logger.warning(line)
        return runner

    def build_logger(self, *args, **kwargs) -> MMLogger:
        """A logger of whose listings and notices of no use the file alone has all."""
        logger = super().build_logger(*args, **kwargs)
        for screen in screens(logger):
            screen.addFilter(on_screen)
        return logger

    def setup_env(self, env_cfg: Mapping) -> None:
        """Starts the processes' connections, without a GPU as well."""
        dist_cfg = dict(env_cfg.get('dist_cfg') or {})
        self.timeout = timedelta(seconds=dist_cfg.pop('timeout', 600))
        if self.distributed:
            start_processes(self.launcher, self.timeout, **dist_cfg)
        super().setup_env(env_cfg)

    def set_randomness(
        self, seed: int | None, diff_rank_seed: bool = False, deterministic: bool = False
    ) -> None:
        """As mmengine.

        Raises:
            ValueError: ranks shall have different seeds, and so would train different subnets.
        """
        if diff_rank_seed:
            raise ValueError(
                'randomness: diff_rank_seed has to be False; all ranks sample the same subnets, '
                'and what else is random depends on the place in the batch'
            )
        super().set_randomness(seed, diff_rank_seed, deterministic)

    def build_model(self, model: nn.Module | Mapping) -> nn.Module:
        """Builds the tasks that this process has, and no others."""
        if isinstance(model, nn.Module):
            raise ValueError('a joint training builds its model from the config')
        check_same_config(self.cfg)
        given = (self.cfg.get('groups'), get_world_size(), self.cfg.image_groups)
        assignment = assign_ranks(tuple(model['tasks']), *given)
        self.ranks = TaskGroups.make(assignment, self.timeout)
        if not self.ranks.alone:
            self.logger.info(f'{get_world_size()} processes\n{assignment}')
        return super().build_model(self.ranks.own_part(model))

    def wrap_model(
        self, model_wrapper_cfg: Mapping | None, model: MultiTaskModel
    ) -> MultiTaskModel:
        """Moves the model to its device; gradients are exchanged by ``reducer``, not by a wrapper.

        Raises:
            ValueError: see ``check_backbone_norms`` and ``sync_batch_norms``.
        """
        model = model.to(get_device())
        if self.ranks.alone:
            revert_sync_batchnorm(model)
            model.use_parts()
            return model
        check_backbone_norms(model.backbone, self.ranks)
        for task in self.ranks.tasks:
            sync_batch_norms(model.tasks[task], task, self.ranks)
        model.use_parts()
        self.ranks = self.ranks.with_owners(model.parameters_by_owners())
        return model

    def register_hook(self, hook: Hook | dict, priority: Any = None) -> None:
        """As mmengine; a visualization hook of a library draws each task of that."""
        library = picture_library(hook)
        if library is not None:
            settings = {key: value for key, value in dict(hook).items() if key != 'priority'}
            # Upstream's priority of all of them is the usual one.
            priority = priority or hook.get('priority')
            hook = TaskPicturesHook(settings, library)
        super().register_hook(hook, priority)

    def build_train_loop(self, loop: BaseLoop | Mapping) -> BaseLoop:
        """As mmengine; heads are compared with their data."""
        built = super().build_train_loop(loop)
        self.step = built.step
        self.reducer = self._build_reducer(built.step)
        datasets = built.dataloader.datasets
        self.trained_metainfo = {t: getattr(data, 'metainfo', {}) for t, data in datasets.items()}
        for task, dataset in datasets.items():
            check_classes(task, self.cfg.model.tasks[task].model, dataset)
        return built

    def _build_reducer(self, step: Step) -> GradientReducer | None:
        if self.ranks.alone:
            return None
        by_owners = self.model.parameters_by_owners()
        # Those of the step come late: buckets are sent from the last parameter to the first.
        own = () if step.derives_gradients else step.parameters()
        by_owners[ALL] = [*own, *by_owners[ALL]]
        sets = [(found, self.ranks.group_of(owners)) for owners, found in by_owners.items()]
        return GradientReducer(sets, serial=dist.get_backend() == 'nccl')

    def build_val_loop(self, loop: BaseLoop | Mapping) -> BaseLoop:
        """As mmengine; classes are compared with those of the training, where there is one."""
        built = super().build_val_loop(loop)
        for task, trained in self.trained_metainfo.items():
            evaluated = built.dataloader.datasets[task]
            check_labels(task, trained, getattr(evaluated, 'metainfo', {}))
        return built

    def build_optim_wrapper(self, optim_wrapper: Any) -> OptimWrapper:
        """As mmengine; gradients are clipped by their norm over all ranks."""
        if isinstance(optim_wrapper, Mapping):
            check_mixed_precision(optim_wrapper)
        built = super().build_optim_wrapper(optim_wrapper)
        if not self.ranks.alone and built.clip_grad_kwargs and built.grad_name == 'grad_norm':
            clip_with(built, clip_over_all_ranks(self.model, self.ranks))
        return built

    @property
    def _trusts(self) -> bool:
        """Whether checkpoints that are loaded may hold more than data."""
        return self.cfg.get('trust_checkpoint', False)

    def initialize_weights(self) -> None:
        """Initializes what ranks share alike, and each task on its own ranks."""
        with data_only(self._trusts):
            self.model.init_weights()
        sync_parameters(self.model, self.ranks)
        if self.step is not None:
            self.step.begin(self.model)

    def save_checkpoint(
        self,
        out_dir: str,
        filename: str,
        file_client_args: Mapping | None = None,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        meta: Mapping | None = None,
        by_epoch: bool = True,
        backend_args: Mapping | None = None,
    ) -> None:
        """Saves what all ranks have in one file, which appears under its name when complete.

        Weights that are frozen stay in their base; the checkpoint says which ones they are.
        Every rank has to call this.
        """
        meta = dict(meta or {})
        meta.setdefault('epoch', self.epoch + by_epoch)
        meta.setdefault('iter', self.iter + (not by_epoch))
        meta.update(training_meta(self))
        checkpoint = dict(
            meta=meta,
            state_dict=self.model.state_dict(),
            **training_state(self, save_optimizer, save_param_scheduler),
        )
        self.call_hook('before_save_checkpoint', checkpoint=checkpoint)
        frozen = self.model.frozen()
        if frozen:
            spec = given_spec(self.cfg)
            meta['frozen'] = shared_digest(checkpoint['state_dict'], self.model.backbone, spec)
            checkpoint = leave_out(checkpoint, frozen)
        checkpoint = whole_state(to_cpu(checkpoint), self.ranks)
        if checkpoint is not None:
            write_torch_file(osp.join(out_dir, filename), checkpoint)
        # Nobody goes on, and perhaps removes an older one, before the file is there.
        self.ranks.wait()

    def load_checkpoint(
        self, filename: str, map_location: str | Callable = 'cpu', strict: bool = False, **kwargs
    ) -> dict:
        """Loads weights; see ``load_weights`` and ``with_frozen`` for what has to fit."""
        checkpoint = own_state(read_checkpoint(filename, self._trusts), self.ranks)
        checkpoint = with_frozen(filename, checkpoint, self.model, self.cfg)
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        check_space(filename, checkpoint, self.model.backbone)
        load_weights(filename, self.model, checkpoint['state_dict'], strict)
        self.has_loaded = True
        self.logger.info(f'Load checkpoint from {filename}')
        return checkpoint

    def train(self) -> nn.Module:
        """As mmengine; says where another process trains in the same folder."""
        with ExitStack() as stack:
            if self.ranks.rank == 0:
                busy = (
                    f'another process is training in {self.work_dir}: each writes its '
                    'checkpoints over those of the other; give one of them another work_dir'
                )
                try:
                    stack.enter_context(held(osp.join(self.work_dir, '.train.lock'), busy))
                except ValueError as error:
                    self.logger.warning(str(error))
            return super().train()

    def val(self) -> dict[str, float]:
        """Evaluates all tasks, and saves nothing, also not as the best.

        Raises:
            ValueError: weights that are to be evaluated do not fit the model in every key.
        """
        self._loads_strictly = True
        for hook in self.hooks:
            if isinstance(hook, CheckpointHook):
                save_no_best(hook)
        return super().val()

    def load_or_resume(self) -> None:
        """As mmengine; but a kill may have left its note of the last checkpoint half-written.

        It is called after the hooks have made what they load into.
        """
        strictly = self._loads_strictly and not self.resumes and not self.has_loaded
        if strictly and self.load_source is not None:
            self.load_checkpoint(self.load_source, strict=True)
        if self.resumes and self.load_source is None:
            latest = latest_checkpoint(self.work_dir)
            self.load_source = None if latest is None else str(latest)
        super().load_or_resume()

    def resume(self, filename: str, **kwargs) -> None:
        """Goes on from a checkpoint: weights, optimizer, schedules, log and position in the data.

        The checkpoint may have been written by any number of processes.

        Raises:
            ValueError: the checkpoint is cut short, altered, of another model, or just weights.
        """
        checkpoint = self.load_checkpoint(filename, strict=True)
        restore_training(self, filename, checkpoint)
        self.logger.info(f'resumed iter: {self.iter}')
