"""Evaluates a supernet: python tools/test.py CONFIG CHECKPOINT [--joint-spec FILE]."""

import argparse
import os
import os.path as osp

from mmengine.config import Config, DictAction
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mdl_nas_mm.engine.launch import one_line_errors
from mdl_nas_mm.tasks import choose_joint_spec


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Evaluate all tasks of a joint config')
    parser.add_argument('config', help='path of a joint config')
    parser.add_argument('checkpoint', help='trained supernet')
    parser.add_argument(
        '--joint-spec',
        help='JSON of the architectures (default: those of the config, or the largest)',
    )
    parser.add_argument('--work-dir', help='folder of the log')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='key=value to override')
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='as in train.py',
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def main() -> None:
    args = parse_args()
    with one_line_errors():
        cfg = Config.fromfile(args.config)
        if args.cfg_options is not None:
            cfg.merge_from_dict(args.cfg_options)
        name = osp.splitext(osp.basename(args.config))[0]
        cfg.work_dir = args.work_dir or osp.join('work_dirs', name)
        cfg.launcher, cfg.load_from, cfg.resume = args.launcher, args.checkpoint, False
        if args.joint_spec is not None:
            choose_joint_spec(cfg, args.joint_spec)
        if 'runner_type' not in cfg:
            # An ordinary config, perhaps with an elastic backbone in it.
            Runner.from_cfg(cfg).test()
        elif cfg.get('val_cfg') is None:
            raise ValueError(f'config {args.config} has no val_cfg, so it evaluates nothing')
        else:
            RUNNERS.build(cfg).val()


if __name__ == '__main__':
    main()
