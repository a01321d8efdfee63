"""Trains sub-tasks as sparse differences: python tools/share_computation.py CONFIG."""

import argparse
import os.path as osp

from mdl_nas_mm.utils.command_line import (
    Parser,
    add_cfg_options,
    add_trust_checkpoint,
    at_least,
    there,
)


def parse_args() -> argparse.Namespace:
    parser = Parser(
        description='Train new tasks of a base as sparse differences from its weights, in three '
        'stages, and add them to its deposit. Started again, it goes on where it was.'
    )
    add = parser.add_argument
    add(
        'config',
        type=there('config'),
        help='Path of a config of new tasks with computation_sharing.',
    )
    add('--task', nargs='+', default=[], help='Tasks of the config to train (default: all).')
    text = "Folder of stages and result (default: the config's, or work_dirs/<name of config>)."
    add('--work-dir', help=text)
    text = 'Processes of a training, one a GPU (default: %(default)s).'
    add('--processes', type=at_least(1), default=1, help=text)
    add_cfg_options(parser)
    add_trust_checkpoint(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mdl_nas_mm.apis.differences import describe_differences
    from mdl_nas_mm.apis.sub_tasks import share_computation
    from mdl_nas_mm.engine.errors import one_line_errors
    from mdl_nas_mm.utils.config_file import read_training
    from mdl_nas_mm.utils.data_only import data_only

    with one_line_errors(), data_only(args.trust_checkpoint):
        cfg = read_training(args.config, args.cfg_options, args.trust_checkpoint)
        name = osp.splitext(osp.basename(args.config))[0]
        folder = args.work_dir or cfg.get('work_dir') or osp.join('work_dirs', name)
        deposit = share_computation(cfg, folder, args.task, args.processes)
        for line in describe_differences(deposit, cfg.get('trust') or ()):
            print(line)
        print(deposit)


if __name__ == '__main__':
    main()
