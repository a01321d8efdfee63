"""Trains a joint config: python tools/train.py CONFIG [options]."""

import argparse
import os
import os.path as osp

from mmengine.config import Config, DictAction
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mdl_nas_mm.engine.amp import use_amp
from mdl_nas_mm.engine.checkpoint import resume_from
from mdl_nas_mm.engine.launch import one_line_errors
from mdl_nas_mm.tasks import resolve_joint_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train all tasks of a joint config together')
    parser.add_argument('config', help='path of a joint config')
    parser.add_argument(
        '--work-dir', help='folder of logs and checkpoints (default: work_dirs/<name of config>)'
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='go on from a checkpoint; without a path from the latest one in the work dir',
    )
    parser.add_argument('--amp', action='store_true', help='train in mixed precision')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='settings to override, as key=value; nested keys with dots',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how processes are started',
    )
    # torchrun passes it on; the environment says the same.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def main() -> None:
    args = parse_args()
    try:
        cfg = Config.fromfile(args.config)
    except FileNotFoundError:
        raise SystemExit(f'config {args.config} is not there') from None
    cfg.launcher = args.launcher
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    name = osp.splitext(osp.basename(args.config))[0]
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or osp.join('work_dirs', name)
    if args.resume is not None:
        resume_from(cfg, args.resume)
    with one_line_errors():
        if args.amp:
            # The recipe may be that of the tasks.
            cfg = resolve_joint_config(cfg) if 'runner_type' in cfg else cfg
            use_amp(cfg)
        runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
        runner.train()


if __name__ == '__main__':
    main()
