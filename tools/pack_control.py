"""Packs a controlled model: python tools/pack_control.py CONFIG --checkpoint FILE ..."""

import argparse

from mdl_nas_mm.utils import command_line
from mdl_nas_mm.utils.command_line import Parser, at_least, request_budget, there


def parse_args() -> argparse.Namespace:
    parser = Parser(
        description='Write a deposit of a trained model whose architecture is chosen when it is '
        'used: with its predictor, calibrated architectures for a grid of budgets and '
        'preferences, images to calibrate others with, and latency tables.'
    )
    add = parser.add_argument
    command_line.add_trained_config(parser)
    text = 'The file that mdl-nas predictor has written.'
    add('--predictor', type=there('predictor'), required=True, help=text)
    command_line.add_new_deposit(parser, 'out')
    text = 'Of the grid, such as 4G 25ms "5M params" (default: any cost).'
    add('--budgets', nargs='+', type=request_budget, default=[], help=text)
    text = 'Tables of machines where it runs, from mdl-nas latency; the first is for --budgets.'
    table = there('latency table')
    add('--latency', nargs='+', type=table, default=[], metavar='FILE', help=text)
    command_line.add_controller_options(parser)
    add(
        '--prefer',
        nargs='+',
        type=command_line.number_of_task,
        action='append',
        default=[],
        metavar='TASK=NUMBER',
        help='Preferences of the grid; may be given several times (default: each task alone, and '
        'all alike).',
    )
    text = 'Training images to calibrate with (default: %(default)s).'
    add('--images', type=at_least(1), default=16, help=text)
    command_line.add_trusted_classes(parser)
    args = parser.parse_args()
    command_line.check_new_deposit(args.out, args.overwrite)
    return args


def main() -> None:
    args = parse_args()
    from mdl_nas_mm.apis.controlled import make_controlled
    from mdl_nas_mm.engine.command import command
    from mdl_nas_mm.methods.ecmt.control_settings import cycles_of
    from mdl_nas_mm.methods.ecmt.preferences import read_preferences
    from mdl_nas_mm.tasks import resolve_joint_config
    from mdl_nas_mm.utils.amounts import shown_amount
    from mdl_nas_mm.utils.config_file import read_config

    with command('pack-control', 'WARNING') as say:
        cfg = read_config(args.config, args.cfg_options, args.trust_checkpoint)
        cfg = resolve_joint_config(cfg)
        controlled = make_controlled(
            cfg,
            args.checkpoint,
            args.predictor,
            args.out,
            budgets=args.budgets,
            preferences=[read_preferences(words, cfg.tasks) for words in args.prefer],
            latency=args.latency,
            alike=command_line.parse_alike(args.alike, cfg.tasks),
            cycles=cycles_of(args.cycles, cfg),
            images=args.images,
            sizes=command_line.parse_sizes(args.input_size, cfg.tasks),
            trust=command_line.trusted_classes(args),
        )
        for member in controlled.front:
            found = member.found
            say(f'{shown_amount(found.cost)} {found.unit}, preferences {dict(found.preferences)}')
        say(args.out)


if __name__ == '__main__':
    main()
