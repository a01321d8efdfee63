"""The search as a part of a training."""

from __future__ import annotations

from pathlib import Path

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mdl_nas_mm.engine.checkpoint import load_weights, read_checkpoint
from mdl_nas_mm.engine.state import own_state
from mdl_nas_mm.registry import HOOKS
from mdl_nas_mm.search import check_search, search_supernet
from mdl_nas_mm.utils.strict_json import MAX_BYTES, read_json

from .search_report import write_report


@HOOKS.register_module()
class SearchHook(Hook):
    """Searches when a joint training has ended, in the processes that have trained.

    One config then trains a supernet and searches in it: ``search_cfg`` says how, the results are
    in the folder ``search`` of the work dir, the report among them. Started again after an
    interruption with ``--resume``, it goes on where it was.
    """

    # After the last checkpoint is saved.
    priority = 'LOWEST'

    def before_train(self, runner: Runner) -> None:
        """Refuses a search that cannot succeed before anything is trained."""
        check_search(runner.cfg)

    def after_train(self, runner: Runner) -> None:
        """Runs the search."""
        checkpoint = _last_checkpoint(runner)
        # What a deposit will be made of: averaged weights, and the statistics of one rank a task.
        trust = runner.cfg.get('trust_checkpoint', False)
        state = own_state(read_checkpoint(checkpoint, trust), runner.ranks)['state_dict']
        load_weights(checkpoint, runner.model, state, strict=True)
        folder = Path(runner.work_dir, 'search')
        result = search_supernet(runner.model, runner.ranks, runner.cfg, checkpoint, folder)
        if result is not None:
            path = folder / 'report.json'
            report = read_json(path, str(path), MAX_BYTES)
            page, *_ = write_report(report, folder)
            counted = f'{result.total:,} {report.get("unit", "parameters")}'
            runner.logger.info(
                f'Search: S-Score {result.score:.2f}, {counted}, '
                f'{folder / "joint_spec.json"}, {page}'
            )


def _last_checkpoint(runner: Runner) -> Path:
    """The checkpoint of the training's end, saved now if it was not."""
    path = Path(runner.work_dir, f'iter_{runner.iter}.pth')
    if runner.ranks.any(not path.is_file()):
        meta = dict(iter=runner.iter)
        runner.save_checkpoint(runner.work_dir, path.name, meta=meta, by_epoch=False)
    return path
