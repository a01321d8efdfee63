"""The search as a part of a training."""

from __future__ import annotations

import os.path as osp

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mdl_nas_mm.engine.checkpoint import latest_checkpoint
from mdl_nas_mm.registry import HOOKS

from .run import check_search, search_supernet


@HOOKS.register_module()
class SearchHook(Hook):
    """Searches when a joint training has ended, in the processes that have trained.

    One config then trains a supernet and searches in it: ``search_cfg`` says how, the results are
    in the folder ``search`` of the work dir. Started again after an interruption with
    ``--resume``, it goes on where it was.
    """

    # After the last checkpoint is saved.
    priority = 'LOWEST'

    def before_train(self, runner: Runner) -> None:
        """Refuses a search that cannot succeed before anything is trained."""
        check_search(runner.cfg)

    def after_train(self, runner: Runner) -> None:
        """Runs the search."""
        checkpoint = latest_checkpoint(runner.work_dir)
        if checkpoint is None:
            raise ValueError(
                'SearchHook: the training has left no checkpoint to search in; set '
                'default_hooks.checkpoint'
            )
        folder = osp.join(runner.work_dir, 'search')
        result = search_supernet(runner.model, runner.ranks, runner.cfg, checkpoint, folder)
        if result is not None:
            runner.logger.info(
                f'Search: S-Score {result.score:.2f}, {result.total:,} parameters, '
                f'{osp.join(folder, "joint_spec.json")}'
            )
