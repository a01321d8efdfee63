"""Chooses an architecture for a budget: python tools/control.py FILE --budget 10G."""

import argparse

from mdl_nas_mm.header.contents import tasks_of
from mdl_nas_mm.utils.command_line import (
    Parser,
    add_cfg_options,
    add_controller_options,
    add_trust_checkpoint,
    add_trusted_classes,
    parse_alike,
    parse_sizes,
    there,
    trusted_classes,
)

_DEFAULT = '(default: %(default)s).'


def parse_args() -> argparse.Namespace:
    parser = Parser(
        description='Choose the widths of the decoders by preferences, and of the encoder by a '
        'search with predicted losses, within a budget. Nothing is trained or evaluated.'
    )
    add = parser.add_argument
    add(
        'source',
        type=there('file'),
        help='A file that mdl-nas pack-control has written, or path of a joint config.',
    )
    add('--predictor', help='Of a config: the file that mdl-nas predictor has written.')
    text = 'The most that it may cost: 10G (multiply-adds), "5M params", 25ms (default: any).'
    add('--budget', help=text)
    text = 'How much tasks matter, in any scale (default: all alike).'
    add('--prefer', nargs='+', metavar='TASK=NUMBER', help=text)
    text = 'For milliseconds: a table from mdl-nas latency, or words that name one in the file.'
    add('--latency', help=text)
    add_controller_options(parser)
    add('--pool', type=int, default=50, help=f'Encoders in its pool {_DEFAULT}')
    add('--layers', type=int, default=1, help=f'Layers that a mutation widens {_DEFAULT}')
    add('--seed', type=int, default=0, help=f'Of all that is random {_DEFAULT}')
    add('--out', help='JSON file to write the architectures into, which joint_spec can be.')
    add_cfg_options(parser)
    add_trust_checkpoint(parser)
    add_trusted_classes(parser)
    args = parser.parse_args()
    if args.predictor is None and args.source.endswith('.py'):
        parser.error(f'{args.source} is a config, which takes --predictor')
    if args.predictor is None and args.input_size:
        parser.error('--input-size is of a config; a file has its own')
    return args


def main() -> None:
    args = parse_args()
    from mdl_nas_mm.apis.controlled import controller_of_file
    from mdl_nas_mm.engine.command import command
    from mdl_nas_mm.methods.ecmt import Controller, Evolution
    from mdl_nas_mm.methods.ecmt.preferences import read_preferences
    from mdl_nas_mm.tasks import resolve_joint_config
    from mdl_nas_mm.utils.config_file import read_config
    from mdl_nas_mm.utils.files import write_json

    with command('control', 'WARNING') as say:
        settings = Evolution(args.pool, args.cycles, args.layers, args.seed)
        cfg = None
        if args.predictor is not None:
            cfg = read_config(args.source, args.cfg_options, args.trust_checkpoint)
            cfg = resolve_joint_config(cfg)
        tasks = tasks_of(args.source) if cfg is None else cfg.tasks
        prefer, alike = read_preferences(args.prefer, tasks), parse_alike(args.alike, tasks)
        given = (settings, alike, args.latency)
        if cfg is None:
            controller = controller_of_file(args.source, *given, trusted_classes(args))
        else:
            sizes = parse_sizes(args.input_size, tasks)
            controller = Controller.of(cfg, args.predictor, sizes, *given)
        found = controller.configure(args.budget, prefer)
        say(*found.lines(), sep='\n')
        if args.out:
            write_json(args.out, dict(joint_spec=found.joint.to_dict()))
            say(args.out)


if __name__ == '__main__':
    main()
