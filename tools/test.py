"""Evaluates a supernet: python tools/test.py CONFIG CHECKPOINT [--joint-spec FILE]."""

import argparse
import os.path as osp

from mdl_nas_mm.utils.command_line import Parser, add_run_options, there


def parse_args() -> argparse.Namespace:
    parser = Parser(description='Evaluate all tasks of a joint config.')
    parser.add_argument('config', type=there('config'), help='Path of a joint config.')
    parser.add_argument('checkpoint', type=there('checkpoint'), help='The trained supernet.')
    parser.add_argument(
        '--joint-spec',
        help='JSON of the architectures (default: those of the config, or the largest).',
    )
    parser.add_argument(
        '--work-dir', help='Folder of the log (default: work_dirs/<name of config>).'
    )
    parser.add_argument(
        '--show-dir',
        help="Folder for every image with each task's label and answer (default: none are drawn).",
    )
    parser.add_argument(
        '--out', help='Folder for the predictions, TASK.pkl (default: they are not kept).'
    )
    add_run_options(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmengine.registry import RUNNERS
    from mmengine.runner import Runner

    from mdl_nas_mm.engine.errors import one_line_errors
    from mdl_nas_mm.engine.saved_outputs import DrawnFilesHook, dump_predictions
    from mdl_nas_mm.tasks import choose_joint_spec
    from mdl_nas_mm.utils.config_file import read_training
    from mdl_nas_mm.utils.data_only import data_only

    with one_line_errors('start again'), data_only(args.trust_checkpoint):
        cfg = read_training(args.config, args.cfg_options, args.trust_checkpoint)
        name = osp.splitext(osp.basename(args.config))[0]
        cfg.work_dir = args.work_dir or osp.join('work_dirs', name)
        cfg.launcher, cfg.load_from, cfg.resume = args.launcher, args.checkpoint, False
        if args.joint_spec is not None:
            choose_joint_spec(cfg, args.joint_spec)
        if 'runner_type' not in cfg:
            if args.show_dir or args.out:
                raise ValueError(
                    f'config {args.config} is of a single task: --show-dir and --out are options '
                    "of its library's tools/test.py"
                )
            # An ordinary config, perhaps with an elastic backbone in it.
            Runner.from_cfg(cfg).test()
        elif cfg.get('val_cfg') is None:
            raise ValueError(f'config {args.config} has no val_cfg, so it evaluates nothing')
        else:
            runner = RUNNERS.build(cfg)
            if args.show_dir:
                runner.register_hook(DrawnFilesHook(args.show_dir))
            if args.out:
                dump_predictions(runner.val_loop, args.out)
            runner.val()


if __name__ == '__main__':
    main()
