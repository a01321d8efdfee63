"""A controlled model in one file: python tools/pack_control.py CONFIG --checkpoint FILE ..."""

import argparse

from mdl_nas_mm.utils.command_line import Parser, add_cfg_options, add_trust_checkpoint, parse_sizes


def parse_args() -> argparse.Namespace:
    parser = Parser(
        description='Write a trained model, its predictor, calibrated architectures for a grid of '
        'budgets and preferences, and images to calibrate others with, into one file.'
    )
    add = parser.add_argument
    add('config', help='path of a joint config')
    add('--checkpoint', required=True, help='trained supernet')
    add('--predictor', required=True, help='file that tools/predictor.py CONFIG has written')
    add('--out', required=True, help='safetensors file to write')
    add('--budgets', nargs='+', default=[], help='of the grid, such as 4G 6G "5M params"')
    add(
        '--prefer',
        nargs='+',
        action='append',
        metavar='TASK=NUMBER',
        help='preferences of the grid; may be given several times (default: each task alone, and '
        'all alike)',
    )
    add('--images', type=int, default=16, help='training images to calibrate with (16)')
    add('--cycles', type=int, default=10, help='mutations of each search (10)')
    add('--input-size', nargs='+', default=[], metavar='TASK=HxW', help='sizes of images')
    add_cfg_options(parser)
    add_trust_checkpoint(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmengine.logging import MMLogger

    from mdl_nas_mm.engine.errors import one_line_errors
    from mdl_nas_mm.methods.ecmt import Controller, Evolution
    from mdl_nas_mm.methods.ecmt.file import save_controlled
    from mdl_nas_mm.methods.ecmt.preferences import read_preferences
    from mdl_nas_mm.methods.ecmt.runtime import ControlledModel
    from mdl_nas_mm.tasks import resolve_joint_config
    from mdl_nas_mm.tasks.input_size import validation_size
    from mdl_nas_mm.utils.config_file import read_config

    MMLogger.get_instance('control', log_file=None, log_level='WARNING')
    with one_line_errors():
        cfg = read_config(args.config, args.cfg_options, args.trust_checkpoint)
        cfg, sizes = resolve_joint_config(cfg), parse_sizes(args.input_size)
        for task in cfg.tasks:
            if task not in sizes:
                sizes[task] = validation_size(cfg.val_dataloader[task], task)
        settings = Evolution(cycles=args.cycles)
        controller = Controller.of(cfg, args.predictor, sizes, settings)
        controlled = ControlledModel.of(cfg, args.checkpoint, controller, args.images)
        alone = [{task: 1.0} for task in cfg.tasks] + [dict.fromkeys(cfg.tasks, 1.0)]
        preferences = [read_preferences(words) for words in args.prefer or []] or alone
        controlled.add_to_front(args.budgets or [None], preferences)
        save_controlled(args.out, cfg.model, controlled, sizes)
        for member in controlled.front:
            found = member.found
            print(f'{found.cost:,.6g} {found.unit}, preferences {dict(found.preferences)}')
        print(args.out)


if __name__ == '__main__':
    main()
