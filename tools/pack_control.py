"""Packs a controlled model: python tools/pack_control.py CONFIG --checkpoint FILE ..."""

import argparse

from mdl_nas_mm.utils.command_line import (
    Parser,
    add_cfg_options,
    add_trust_checkpoint,
    add_trusted_classes,
    parse_sizes,
    there,
    trusted_classes,
)

_DEFAULT = '(default: %(default)s).'


def parse_args() -> argparse.Namespace:
    parser = Parser(
        description='Write a deposit of a trained model whose architecture is chosen when it is '
        'used: with its predictor, calibrated architectures for a grid of budgets and '
        'preferences, images to calibrate others with, and latency tables.'
    )
    add = parser.add_argument
    add('config', type=there('config'), help='Path of a joint config.')
    add('--checkpoint', required=True, help='The trained supernet.')
    add('--predictor', required=True, help='The file that mdl-nas predictor has written.')
    add('--out', required=True, help='The safetensors file to write.')
    text = 'Of the grid, such as 4G 25ms "5M params" (default: any cost).'
    add('--budgets', nargs='+', default=[], help=text)
    text = 'Tables of machines where it runs, from mdl-nas latency; the first is for --budgets.'
    add('--latency', nargs='+', default=[], metavar='FILE', help=text)
    text = 'Related tasks, such as depth,normals, whose decoders get one width (default: none).'
    add('--alike', nargs='+', default=[], metavar='TASK,TASK', help=text)
    add(
        '--prefer',
        nargs='+',
        action='append',
        metavar='TASK=NUMBER',
        help='Preferences of the grid; may be given several times (default: each task alone, and '
        'all alike).',
    )
    add('--images', type=int, default=16, help=f'Training images to calibrate with {_DEFAULT}')
    add('--cycles', type=int, default=10, help=f'Mutations of each search {_DEFAULT}')
    text = "Sizes of the images (default: of each task's validation)."
    add('--input-size', nargs='+', default=[], metavar='TASK=HEIGHTxWIDTH', help=text)
    add_cfg_options(parser)
    add_trust_checkpoint(parser)
    add_trusted_classes(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mdl_nas_mm.apis.controlled import make_controlled
    from mdl_nas_mm.engine.errors import one_line_errors
    from mdl_nas_mm.engine.log_lines import log_to_screen
    from mdl_nas_mm.methods.ecmt.preferences import read_preferences
    from mdl_nas_mm.utils.amounts import shown_amount
    from mdl_nas_mm.utils.config_file import read_config

    log_to_screen('control', 'WARNING')
    with one_line_errors():
        controlled = make_controlled(
            read_config(args.config, args.cfg_options, args.trust_checkpoint),
            args.checkpoint,
            args.predictor,
            args.out,
            budgets=args.budgets,
            preferences=[read_preferences(words) for words in args.prefer or []],
            latency=args.latency,
            alike=[words.split(',') for words in args.alike],
            cycles=args.cycles,
            images=args.images,
            sizes=parse_sizes(args.input_size),
            trust=trusted_classes(args),
        )
        for member in controlled.front:
            found = member.found
            print(f'{shown_amount(found.cost)} {found.unit}, preferences {dict(found.preferences)}')
        print(args.out)


if __name__ == '__main__':
    main()
