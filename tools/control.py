"""An architecture for a budget and preferences: python tools/control.py FILE --budget 10G."""

import argparse
from typing import TYPE_CHECKING

from mdl_nas_mm.utils.command_line import (
    Parser,
    add_cfg_options,
    add_trust_checkpoint,
    add_trusted_classes,
    parse_sizes,
    trusted_classes,
)

if TYPE_CHECKING:
    from mdl_nas_mm.methods.ecmt import Controller


def parse_args() -> argparse.Namespace:
    parser = Parser(
        description='Choose the widths of the decoders by preferences, and of the encoder by a '
        'search with predicted losses, within a budget. Nothing is trained or evaluated.'
    )
    add = parser.add_argument
    add('source', help='a file that tools/pack_control.py has written, or path of a joint config')
    add('--predictor', help='of a config: the file that tools/predictor.py CONFIG has written')
    add('--budget', help='the most that it may cost: 10G (multiply-adds), "5M params", 25ms')
    add('--prefer', nargs='+', metavar='TASK=NUMBER', help='how much tasks matter, in any scale')
    text = 'for milliseconds: a table from mdl-nas latency, or words that name one in the file'
    add('--latency', help=text)
    add('--cycles', type=int, default=10, help='mutations of the search (10)')
    add('--pool', type=int, default=50, help='encoders in its pool (50)')
    add('--layers', type=int, default=1, help='layers that a mutation widens (1)')
    add('--alike', nargs='+', metavar='TASK,TASK', help='related tasks, whose decoders are alike')
    add('--seed', type=int, default=0, help='of all that is random (0)')
    add('--input-size', nargs='+', default=[], metavar='TASK=HxW', help='sizes of images')
    add('--out', help='JSON file to write the architectures into, which joint_spec can be')
    add_cfg_options(parser)
    add_trust_checkpoint(parser)
    add_trusted_classes(parser)
    return parser.parse_args()


def controller_of(args: argparse.Namespace) -> 'Controller':
    """That of the file or of the config."""
    from mdl_nas_mm.methods.ecmt import Controller, Evolution
    from mdl_nas_mm.methods.ecmt.file import load_controlled
    from mdl_nas_mm.tasks import resolve_joint_config
    from mdl_nas_mm.utils.config_file import read_config

    settings = Evolution(args.pool, args.cycles, args.layers, args.seed)
    alike = [words.split(',') for words in args.alike or []]
    if args.predictor is None:
        found = load_controlled(args.source, trusted_classes(args), args.latency).controller
        related = alike or found.alike
        return Controller(found.columns, found.predictor, found.costs, settings, related)
    cfg = read_config(args.source, args.cfg_options, args.trust_checkpoint)
    cfg, sizes = resolve_joint_config(cfg), parse_sizes(args.input_size)
    return Controller.of(cfg, args.predictor, sizes, settings, alike, args.latency)


def main() -> None:
    args = parse_args()
    from mmengine.logging import MMLogger

    from mdl_nas_mm.engine.errors import one_line_errors
    from mdl_nas_mm.methods.ecmt.preferences import read_preferences
    from mdl_nas_mm.utils.files import write_json

    MMLogger.get_instance('control', log_file=None, log_level='WARNING')
    with one_line_errors():
        controller = controller_of(args)
        prefer = None if args.prefer is None else read_preferences(args.prefer)
        found = controller.configure(args.budget, prefer)
        for line in found.lines():
            print(line)
        if args.out:
            write_json(args.out, dict(joint_spec=found.joint.to_dict()))
            print(args.out)


if __name__ == '__main__':
    main()
