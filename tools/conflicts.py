"""Compares tasks' gradients: python tools/conflicts.py CONFIG --checkpoint FILE."""

import argparse
import copy
from pathlib import Path

from mdl_nas_mm.utils.command_line import (
    Parser,
    add_cfg_options,
    add_trust_checkpoint,
    at_least,
    there,
)


def parse_args() -> argparse.Namespace:
    parser = Parser(
        description="Compare the tasks' gradients of the weights that they share, layer by layer: "
        'cosines and sizes, as means over training batches. mdl-nas search --conflicts shows '
        'them beside the share ratios that it chooses.'
    )
    add = parser.add_argument
    add('config', type=there('config'), help='Path of a joint config.')
    text = 'A checkpoint of its training.'
    add('--checkpoint', type=there('checkpoint'), required=True, help=text)
    text = 'JSON of the architectures (default: those of the config, or the largest, most shared).'
    add('--joint-spec', help=text)
    add(
        '--start-of',
        type=there('config'),
        metavar='CONFIG',
        help='Joint config that share ratios are proposed for (default: the same).',
    )
    text = "How many steps' batches (default: %(default)s)."
    add('--steps', type=at_least(1), default=20, help=text)
    text = 'Folder of the log and the results (default: work_dirs/<config>/conflicts).'
    add('--work-dir', help=text)
    add_trust_checkpoint(parser)
    add_cfg_options(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from rich.console import Console

    from mdl_nas_mm.apis.conflicts import conflicts_of, start_from
    from mdl_nas_mm.engine.errors import one_line_errors
    from mdl_nas_mm.tasks import choose_joint_spec
    from mdl_nas_mm.utils.config_file import read_config
    from mdl_nas_mm.utils.data_only import data_only
    from mdl_nas_mm.utils.files import write_json
    from mdl_nas_mm.visualization.conflict_picture import plot_conflicts
    from mdl_nas_mm.visualization.conflicts import conflict_tables

    with one_line_errors(), data_only(args.trust_checkpoint):
        cfg = read_config(args.config, args.cfg_options, args.trust_checkpoint)
        folder = Path(args.work_dir or f'work_dirs/{Path(args.config).stem}/conflicts')
        cfg.work_dir = str(folder)
        if args.joint_spec:
            choose_joint_spec(cfg, args.joint_spec)
        start = read_config(args.start_of, None, False) if args.start_of else copy.deepcopy(cfg)
        found = conflicts_of(cfg, args.checkpoint, args.steps)
        write_json(folder / 'conflicts.json', found)
        plot_conflicts(found, folder / 'conflicts.png')
        Console(width=max(100, Console().width)).print(*conflict_tables(found))
        print(folder / 'conflicts.json')
        print(folder / 'conflicts.png')
        proposed = start_from(start, found)
        if proposed is not None:
            write_json(folder / 'proposed.json', proposed.to_dict())
            print(f'{folder / "proposed.json"}: share ratios that follow, a joint_spec')


if __name__ == '__main__':
    main()
