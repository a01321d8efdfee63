"""Measures control by preferences: python tools/hypervolume.py CONFIG --checkpoint FILE ..."""

import argparse
from pathlib import Path

from mdl_nas_mm.utils import command_line
from mdl_nas_mm.utils.command_line import Parser, at_least, request_budget, there

_DEFAULT = '(default: %(default)s).'


def parse_args() -> argparse.Namespace:
    parser = Parser(
        description='Sample preferences from a Dirichlet distribution, choose an architecture for '
        'each, measure the losses of all tasks on the validation images, and give the exact '
        'hypervolume. Started again, it goes on where it was.'
    )
    add = parser.add_argument
    command_line.add_trained_config(parser)
    text = 'The file that mdl-nas predictor has written.'
    add('--predictor', type=there('predictor'), required=True, help=text)
    text = 'Worst loss of each task, in the order of their names (default: of the config).'
    add('--reference', nargs='+', type=float, help=text)
    text = 'Of each architecture: 10G (multiply-adds), "5M params", 25ms (default: any).'
    add('--budget', type=request_budget, help=text)
    add('--count', type=at_least(1), default=20, help=f'Preferences {_DEFAULT}')
    text = 'Of the Dirichlet distribution (default: control.alpha of the config, or 0.2).'
    add('--alpha', type=float, help=text)
    text = 'For milliseconds: a table from mdl-nas latency.'
    add('--latency', type=there('latency table'), help=text)
    command_line.add_controller_options(parser)
    add('--seed', type=int, default=0, help=f'Of preferences and searches {_DEFAULT}')
    text = 'JSON of points to compare with, of models that are trained for one architecture.'
    add('--beside', type=there('file'), metavar='FILE', help=text)
    add('--work-dir', help='Folder of results (default: work_dirs/<config>/hypervolume).')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mdl_nas_mm.apis.control_trial import measure_control
    from mdl_nas_mm.engine.command import command
    from mdl_nas_mm.engine.errors import AGAIN
    from mdl_nas_mm.methods.ecmt import Evolution
    from mdl_nas_mm.methods.ecmt.control_settings import cycles_of
    from mdl_nas_mm.methods.ecmt.controllability import Trial
    from mdl_nas_mm.tasks import resolve_joint_config
    from mdl_nas_mm.utils.config_file import read_config
    from mdl_nas_mm.visualization import read_beside, write_control_report

    with command('hypervolume', 'WARNING', go_on=AGAIN) as say:
        cfg = read_config(args.config, args.cfg_options, args.trust_checkpoint)
        cfg = resolve_joint_config(cfg)
        folder = Path(args.work_dir or f'work_dirs/{Path(args.config).stem}/hypervolume')
        beside = read_beside(args.beside, list(cfg.tasks)) if args.beside else []
        trial = Trial.of(cfg, args.reference, args.budget, args.count, args.alpha, args.seed)
        found = measure_control(
            cfg,
            args.checkpoint,
            args.predictor,
            trial,
            folder,
            Evolution(cycles=cycles_of(args.cycles, cfg), seed=args.seed),
            command_line.parse_alike(args.alike, cfg.tasks),
            args.latency,
            command_line.parse_sizes(args.input_size, cfg.tasks),
            lambda done, of: print(f'losses: {done}/{of}'),
        )
        say(f'hypervolume {found["hypervolume"]:.6g} of {args.count} preferences')
        if found['beyond']:
            say(f'no loss of {", ".join(found["beyond"])} is below its reference')
        say(f'of one width in all layers: {found["uniform_hypervolume"]:.6g}')
        say(f'of the largest architecture: {found["largest_hypervolume"]:.6g}')
        say(folder / 'report.json')
        say(write_control_report(found, folder, beside))


if __name__ == '__main__':
    main()
