"""Trains a joint config: python tools/train.py CONFIG [options]."""

import argparse
import os.path as osp

from mdl_nas_mm.utils.command_line import Parser, add_run_options, there


def parse_args() -> argparse.Namespace:
    parser = Parser(description='Train all tasks of a joint config together.')
    parser.add_argument('config', type=there('config'), help='Path of a joint config.')
    text = "Folder of logs and checkpoints (default: the config's, or work_dirs/<name of config>)."
    parser.add_argument('--work-dir', help=text)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='Go on from a checkpoint, without a path from the latest of the folder (default: no).',
    )
    parser.add_argument(
        '--amp', action='store_true', help='Train in mixed precision (default: as the config says).'
    )
    add_run_options(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmengine.registry import RUNNERS
    from mmengine.runner import Runner

    from mdl_nas_mm.engine.amp import use_amp
    from mdl_nas_mm.engine.checkpoint import resume_from
    from mdl_nas_mm.engine.errors import one_line_errors
    from mdl_nas_mm.tasks import resolve_joint_config
    from mdl_nas_mm.utils.config_file import read_training
    from mdl_nas_mm.utils.data_only import data_only

    with one_line_errors(), data_only(args.trust_checkpoint):
        cfg = read_training(args.config, args.cfg_options, args.trust_checkpoint)
        cfg.launcher = args.launcher
        name = osp.splitext(osp.basename(args.config))[0]
        cfg.work_dir = args.work_dir or cfg.get('work_dir') or osp.join('work_dirs', name)
        if args.resume is not None:
            resume_from(cfg, args.resume)
        if args.amp:
            # The recipe may be that of the tasks.
            cfg = resolve_joint_config(cfg) if 'runner_type' in cfg else cfg
            use_amp(cfg)
        runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
        runner.train()


if __name__ == '__main__':
    main()
