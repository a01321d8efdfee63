"""Searches every task's architecture: python tools/search.py CONFIG --checkpoint SUPERNET."""

import argparse
from pathlib import Path

from mdl_nas_mm.utils.command_line import Parser, add_run_options, search_budget, there


def parse_args() -> argparse.Namespace:
    parser = Parser(
        description='Find the architectures of all tasks, a joint spec, with the highest sum of '
        'scores under a budget. Started again, it goes on where it was.'
    )
    add = parser.add_argument
    add('config', nargs='?', type=there('config'), help='Path of a joint config with search_cfg.')
    text = 'The trained supernet, unless there is --from.'
    add('--checkpoint', type=there('checkpoint'), help=text)
    add(
        '--budget',
        type=search_budget,
        help='The most that all tasks together may cost, such as 235M (default: see search_cfg).',
    )
    add(
        '--from',
        dest='history',
        type=there('history'),
        metavar='HISTORY',
        help='history.jsonl of an earlier search: choose for --budget among what it has scored, '
        'without a config, a checkpoint or any evaluation.',
    )
    add(
        '--work-dir',
        help='Folder of results (default: work_dirs/<config>/search, or beside HISTORY).',
    )
    text = 'Also search at random, with as many evaluations.'
    add('--random-baseline', action='store_true', help=text)
    text = 'JSON of joint specs, such as proposed.json, to start from (default: random).'
    add('--start', type=there('joint specs'), help=text)
    text = 'File of mdl-nas conflicts, to show beside what is shared.'
    add('--conflicts', type=there('file of conflicts'), help=text)
    add_run_options(parser)
    args = parser.parse_args()
    if args.history and (args.config or args.checkpoint or not args.budget):
        parser.error('--from takes a --budget, and neither a config nor a --checkpoint')
    if args.history and (args.start or args.random_baseline or args.cfg_options):
        parser.error('--start, --random-baseline and --cfg-options are of a search, not of --from')
    if not args.history and not (args.config and args.checkpoint):
        parser.error('give a config and --checkpoint, or --from with --budget')
    return args


def main() -> None:
    args = parse_args()
    from mdl_nas_mm.apis.search_config import read_search_config
    from mdl_nas_mm.engine.command import command
    from mdl_nas_mm.engine.errors import AGAIN
    from mdl_nas_mm.search import choose_again, run_search
    from mdl_nas_mm.visualization.conflicts import read_conflicts
    from mdl_nas_mm.visualization.search_report import result_lines

    with command('search', go_on=AGAIN) as say:
        conflicts = read_conflicts(args.conflicts) if args.conflicts else None
        if args.history:
            beside = Path(args.history).parent / f'budget_{args.budget}'
            work_dir = Path(args.work_dir or beside)
            result = choose_again(args.history, args.budget, work_dir)
        else:
            settings = {key: getattr(args, key) for key in ('budget', 'start', 'random_baseline')}
            given = (args.config, args.cfg_options, args.trust_checkpoint)
            cfg = read_search_config(*given, **settings)
            work_dir = Path(args.work_dir or f'work_dirs/{Path(args.config).stem}/search')
            result = run_search(cfg, args.checkpoint, work_dir, args.launcher)
        if result is not None:
            say(*result_lines(result, work_dir, conflicts), sep='\n')


if __name__ == '__main__':
    main()
