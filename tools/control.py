"""Chooses an architecture for a budget: python tools/control.py FILE --budget 10G."""

import argparse

from mdl_nas_mm.header.contents import tasks_of
from mdl_nas_mm.utils import command_line
from mdl_nas_mm.utils.command_line import Parser, there, writable


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
    text = 'Of a config: the file that mdl-nas predictor has written.'
    add('--predictor', type=there('predictor'), help=text)
    command_line.add_request(parser)
    command_line.add_control_options(parser)
    text = 'JSON file to write the architectures into, which joint_spec can be.'
    add('--out', type=writable, help=text)
    command_line.add_cfg_options(parser)
    command_line.add_trust_checkpoint(parser)
    command_line.add_trusted_classes(parser)
    args = parser.parse_args()
    if args.predictor is None and args.source.endswith('.py'):
        parser.error(f'{args.source} is a config, which takes --predictor')
    if args.predictor is None and args.input_size:
        parser.error('--input-size is of a config; a file has its own')
    if args.predictor is None and args.cfg_options:
        parser.error('--cfg-options are of a config; a file has none')
    return args


def main() -> None:
    args = parse_args()
    from mdl_nas_mm.apis.controlled import controller_of_file
    from mdl_nas_mm.engine.command import command
    from mdl_nas_mm.methods.ecmt import Controller, Evolution
    from mdl_nas_mm.methods.ecmt.control_settings import cycles_of
    from mdl_nas_mm.methods.ecmt.preferences import check_request, read_preferences
    from mdl_nas_mm.tasks import resolve_joint_config
    from mdl_nas_mm.utils.config_file import read_config
    from mdl_nas_mm.utils.files import write_json

    with command('control', 'WARNING') as say:
        cfg = None
        if args.predictor is not None:
            cfg = read_config(args.source, args.cfg_options, args.trust_checkpoint)
            cfg = resolve_joint_config(cfg)
        options = dict(pool=args.pool, cycles=args.cycles, layers=args.layers, seed=args.seed)
        given = {key: value for key, value in options.items() if value is not None}
        settings = Evolution(**dict(cycles=cycles_of(None, cfg)) | given)
        tasks = tasks_of(args.source) if cfg is None else cfg.tasks
        prefer = None if args.prefer is None else read_preferences(args.prefer, tasks)
        check_request(args.budget, prefer, list(tasks))
        alike = command_line.parse_alike(args.alike, tasks)
        if cfg is None:
            trust = command_line.trusted_classes(args)
            controller = controller_of_file(args.source, given, alike, args.latency, trust)
        else:
            sizes = command_line.parse_sizes(args.input_size, tasks)
            how = (sizes, settings, alike, args.latency)
            controller = Controller.of(cfg, str(args.predictor), *how)
        found = controller.configure(args.budget, prefer)
        say(*found.lines(), sep='\n')
        if args.out:
            write_json(args.out, dict(joint_spec=found.joint.to_dict()))
            say(args.out)


if __name__ == '__main__':
    main()
