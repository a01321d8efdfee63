"""Make the environment: a virtual environment with the pinned stack and this package.

    python tools/setup_env [--venv .venv] [--python python3.11]

Every step looks first whether its work is done already, so that a second run takes no time and an
interrupted one goes on where it was. requirements.txt holds all versions. The log of everything
is setup.log in the virtual environment.

Standard library only, and it starts with any Python from 3.8 on, to say clearly what is missing.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from environment import Environment
from errors import SetupError
from machine import check_machine
from progress import clock
from stamp import is_ready, stamp_text
from steps import steps


def set_up(env: Environment, python: str) -> None:
    """Do what is not done yet.

    Raises:
        SetupError: If a step cannot be done.
    """
    check_machine(python)
    if env.stamp.exists():
        env.stamp.unlink()
    todo = steps(env, python)
    for number, step in enumerate(todo, 1):
        head = f'[{number}/{len(todo)}] {step.title}'
        start = time.monotonic()
        if step.done():
            print(f'{head}: there already', flush=True)
            continue
        print(f'{head} ...', flush=True)
        step.work()
        print(f'      done in {clock(time.monotonic() - start)}', flush=True)
    env.stamp.write_text(stamp_text())


def main() -> int:
    """Read the command line, set up, report; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--venv', default='.venv', help='folder of the environment [.venv]')
    parser.add_argument('--python', default=sys.executable, help='Python to make it with')
    parser.add_argument('--stack', choices=['onedl'], default='onedl', help='make of the mm libs')
    args = parser.parse_args()
    env = Environment(Path(os.path.abspath(args.venv)))
    start = time.monotonic()
    try:
        if is_ready(env):
            print(f'environment {args.venv} is up to date')
            return 0
        set_up(env, args.python)
    except SetupError as error:
        print(f'\nsetup: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\nsetup: interrupted; the same command goes on where it was', file=sys.stderr)
        return 130
    print(f'environment {args.venv} is ready, {clock(time.monotonic() - start)}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
