"""Seconds until a command says what it takes, or what is wrong with its arguments.

    python benchmarks/startup.py [--deposit FILE] [--rounds N] [--write FILE]

Each run is a process of its own. The shortest of the rounds counts: the files are in memory then,
and nothing else delays it.
"""

import subprocess
import sys
import time

from measuring import parser, report

COMMANDS = {
    'mdl-nas --help': ['--help'],
    'mdl-nas train --help': ['train', '--help'],
    'mdl-nas deposit pack --help': ['deposit', 'pack', '--help'],
    'mdl-nas search, without a config': ['search'],
    'mdl-nas train --cfg-options a': ['train', __file__, '--cfg-options', 'a'],
    'mdl-nas latency --runs 0': ['latency', __file__, '--task', 'a', '--out', 'o', '--runs', '0'],
    'mdl-nas train, of a config that is not there': ['train', 'absent.py'],
    'mdl-nas deposit list, of a file that is not there': ['deposit', 'list', 'absent'],
    'import of what a training needs': None,
}
EVERYTHING = 'import mdl_nas_mm.engine, mdl_nas_mm.families'


def seconds(args: list[str] | None) -> float:
    """How long one process takes."""
    what = ['-c', EVERYTHING] if args is None else ['-m', 'mdl_nas_mm', *args]
    start = time.perf_counter()
    subprocess.run([sys.executable, *what], capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    options = parser(__doc__)
    options.add_argument('--rounds', type=int, default=7)
    options.add_argument('--deposit', help='A deposit that is listed as well.')
    args = options.parse_args()
    commands = dict(COMMANDS)
    if args.deposit is not None:
        commands['mdl-nas deposit list'] = ['deposit', 'list', args.deposit]
    rounds = range(args.rounds)
    found = {name: min(seconds(given) for _ in rounds) for name, given in commands.items()}
    report(args, dict(seconds={name: round(value, 2) for name, value in found.items()}))


if __name__ == '__main__':
    main()
