"""Make the environment: a virtual environment with a pinned stack and this package.

    python tools/setup_env [--stack onedl|openmmlab] [--venv .venv] [--python python3.11]

Every step looks first whether its work is done already, so that a second run takes no time and an
interrupted one goes on where it was. requirements.txt holds all versions, for OpenMMLab's own
libraries requirements-openmmlab.txt. The log of everything is setup.log in the virtual environment.

Standard library only, and it starts with any Python from 3.8 on, to say clearly what is missing.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from environment import Environment
from machine import check_machine
from pins import ONEDL, STACKS, stack_named
from progress import clock
from stamp import is_ready, stamp_text
from steps import steps


def set_up(env: Environment, python: str) -> None:
    """Do what is not done yet.

    Raises:
        SetupError: If a step cannot be done.
    """
    check_machine(python, env.stack)
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
    env.stamp.write_text(stamp_text(env.stack))


def main() -> int:
    """Read the command line, set up, report; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        '--stack', default=ONEDL.name, help=f'make of the mm libraries, {" or ".join(STACKS)}'
    )
    parser.add_argument('--venv', help="folder of the environment [the stack's]")
    parser.add_argument('--python', default=sys.executable, help='Python to make it with')
    args = parser.parse_args()
    start = time.monotonic()
    try:
        stack = stack_named(args.stack)
        env = Environment(Path(os.path.abspath(args.venv or stack.venv)), stack)
        if is_ready(env):
            print(f'environment {env.folder.name} is up to date')
            return 0
        set_up(env, args.python)
    except ValueError as error:
        print(f'\nsetup: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\nsetup: interrupted; the same command goes on where it was', file=sys.stderr)
        return 130
    print(f'environment {env.folder.name} is ready, {clock(time.monotonic() - start)}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
