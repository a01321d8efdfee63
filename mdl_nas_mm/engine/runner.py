"""The runner: mmengine's, with joint configs and whole checkpoints."""

from __future__ import annotations

import logging
import os.path as osp
from collections.abc import Callable

from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from mdl_nas_mm.registry import RUNNERS
from mdl_nas_mm.tasks import resolve_joint_config
from mdl_nas_mm.utils.files import written_whole

from .checkpoint import (
    check_resumable,
    check_space,
    describe,
    latest_checkpoint,
    load_weights,
    read_checkpoint,
)


@RUNNERS.register_module()
class MultiTaskRunner(Runner):
    """Runs joint configs; see ``mdl_nas_mm.tasks.config`` for what they say."""

    @classmethod
    def from_cfg(cls, cfg: Config) -> MultiTaskRunner:
        """Builds a runner from a joint config, resolved or not."""
        cfg = resolve_joint_config(cfg)
        cfg.setdefault('randomness', dict(seed=0))
        return super().from_cfg(cfg)

    def build_logger(self, *args, **kwargs) -> MMLogger:
        """A logger whose long listings go to the file alone; the screen is for progress."""
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(lambda record: record.getMessage().count('\n') < 30)
        return logger

    def save_checkpoint(self, out_dir: str, filename: str, *args, **kwargs) -> None:
        """Saves as mmengine does; the file appears under its name only when complete."""
        kwargs['meta'] = dict(kwargs.get('meta') or {}, backbone=describe(self.model.backbone))
        with written_whole(osp.join(out_dir, filename)) as temporary:
            super().save_checkpoint(str(temporary.parent), temporary.name, *args, **kwargs)

    def load_checkpoint(
        self, filename: str, map_location: str | Callable = 'cpu', strict: bool = False, **kwargs
    ) -> dict:
        """Loads weights; see ``load_weights`` for what has to fit."""
        checkpoint = read_checkpoint(filename)
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        check_space(filename, checkpoint, self.model.backbone)
        load_weights(filename, self.model, checkpoint['state_dict'], strict)
        self._has_loaded = True
        self.logger.info(f'Load checkpoint from {filename}')
        return checkpoint

    def load_or_resume(self) -> None:
        """As mmengine; but a kill may have left its note of the last checkpoint half-written."""
        if self._resume and self._load_from is None:
            self._load_from = latest_checkpoint(self.work_dir)
        super().load_or_resume()

    def resume(self, filename: str, **kwargs) -> None:
        """Goes on from a checkpoint: weights, optimizer, schedules, log and position in the data.

        Raises:
            ValueError: the checkpoint is cut short, altered, of another model, or just weights.
        """
        checkpoint = self.load_checkpoint(filename, strict=True)
        check_resumable(filename, checkpoint, len(self.param_schedulers or ()))
        # A seed that was drawn, not given, is known to the checkpoint alone.
        self._randomness_cfg.update(seed=checkpoint['meta']['seed'])
        self.set_randomness(**self._randomness_cfg)
        self.train_loop.restore(checkpoint['meta']['iter'])
        self.message_hub.load_state_dict(checkpoint['message_hub'])
        self.optim_wrapper = self.build_optim_wrapper(self.optim_wrapper)
        self.optim_wrapper.load_state_dict(checkpoint['optimizer'])
        if self.param_schedulers is not None:
            self.param_schedulers = self.build_param_scheduler(self.param_schedulers)
            for scheduler, state in zip(self.param_schedulers, checkpoint['param_schedulers']):
                scheduler.load_state_dict(state)
        self.logger.info(f'resumed iter: {self.iter}')
