"""Measures why tasks conflict in a trained supernet, and proposes share ratios from that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mdl_nas_mm.elastic.known import made_backbone
from mdl_nas_mm.engine import MultiTaskRunner
from mdl_nas_mm.engine.conflicts import measure_conflicts, most_shared
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.spec.agreement import propose_ratios
from mdl_nas_mm.spec.owners import ALL
from mdl_nas_mm.tasks import fixed_spec, resolve_joint_config, sampled_spaces, task_scope


def conflicts_of(cfg: Config, checkpoint: str | Path, steps: int = 20) -> dict[str, Any]:
    """Compares the tasks' gradients of what they share in a checkpoint, on training batches.

    Args:
        cfg: the joint config, resolved or not. Of a space, the largest architecture of each task
            is looked at, with the share ratios that share the most; of a ``joint_spec``, that.
        checkpoint: of its training.
        steps: how many steps' batches.

    Returns:
        See ``measure_conflicts``.

    Raises:
        ValueError: there are fewer than two tasks or one step, no weight that is trained is
            shared, or the checkpoint does not fit.
        FileNotFoundError: there is no such file.
    """
    cfg = resolve_joint_config(cfg)
    if len(cfg.tasks) < 2:
        raise ValueError('conflicts: they are between tasks, and the config has one')
    if steps < 1:
        raise ValueError(f'conflicts: {steps} steps, expected at least 1')
    cfg.load_from, cfg.resume = None, False
    runner = MultiTaskRunner.from_cfg(cfg)
    runner.load_checkpoint(str(checkpoint), strict=True)
    model = runner.model
    if not any(p.requires_grad for p in model.parameters_by_owners()[ALL]):
        raise ValueError('conflicts: the tasks train no weight that all of them share')
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    loop = runner.train_loop
    spaces = sampled_spaces(cfg, model.backbone.space)
    joint = fixed_spec(cfg) or most_shared(model.backbone, spaces)
    batches: Iterable = islice(loop.dataloader, steps)
    return measure_conflicts(model, runner.optim_wrapper, batches, loop.plan, joint)


def start_from(cfg: Config, conflicts: Mapping[str, Any]) -> JointSpec | None:
    """The largest architectures with share ratios that follow from measured conflicts.

    Args:
        cfg: the joint config, resolved or not, of the training that shall start from them. The
            conflicts may be those of another with the same tasks and backbone, such as one that
            shares all.
        conflicts: what ``conflicts_of`` gives.

    Returns:
        See ``propose_ratios``; None where the config leaves no share ratio to choose.

    Raises:
        ValueError: nothing was measured in layers whose share ratio can be chosen.
    """
    cfg = resolve_joint_config(cfg, check_files=False)
    with task_scope('mdl_nas_mm'):
        backbone = made_backbone(cfg.model.backbone, 'backbone')
    spaces = sampled_spaces(cfg, backbone.space)
    if fixed_spec(cfg) or not any(len(space.share_ratios()) > 1 for space in spaces.values()):
        return None
    joint = most_shared(backbone, spaces)
    return propose_ratios(conflicts, joint, spaces, backbone.ledger())
