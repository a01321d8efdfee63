"""What the machine has to bring: a Python of the right age, headers, a compiler, memory."""

from __future__ import annotations

import os
import shutil
import subprocess

from errors import SetupError
from pins import Stack

from mdl_nas_mm.utils.pins import read_pins


def check_machine(python: str, stack: Stack) -> None:
    """Look for what no package index has, before anything long begins.

    Args:
        python: The Python to make the environment with.
        stack: What shall go into the environment.

    Raises:
        SetupError: For a Python of the wrong age, without venv or headers, or no C++ compiler.
    """
    code = (
        'import os, sys, sysconfig\n'
        'try:\n    import ensurepip, venv; ok = 1\n'
        'except ImportError:\n    ok = 0\n'
        "header = os.path.join(sysconfig.get_paths()['include'], 'Python.h')\n"
        'print(*sys.version_info[:2], ok, int(os.path.exists(header)))'
    )
    try:
        result = subprocess.run([python, '-c', code], stdout=subprocess.PIPE)
        answer = [int(number) for number in result.stdout.split()]
    except (OSError, ValueError):
        answer = []
    low, high = ('.'.join(map(str, version)) for version in stack.pythons)
    if len(answer) != 4:
        raise SetupError(f'{python} does not run; name a Python {low} to {high} that does')
    if not stack.pythons[0] <= tuple(answer[:2]) <= stack.pythons[1]:
        torch = read_pins(stack.pins.read_text(encoding='utf-8'), answer[1])['torch']
        raise SetupError(
            f'{python} is Python {answer[0]}.{answer[1]}; torch {torch} of the {stack.name} stack '
            f'needs {low} to {high}: install one and say '
            f'`make setup STACK={stack.name} PYTHON=/path/to/python`'
        )
    if not answer[2]:
        raise SetupError(f'{python} has no venv module; on Debian or Ubuntu install python3-venv')
    if not answer[3]:
        raise SetupError(f'{python} has no Python.h; on Debian or Ubuntu install python3-dev')
    if not any(shutil.which(compiler) for compiler in ('c++', 'g++', 'clang++')):
        raise SetupError(
            "no C++ compiler (c++, g++ or clang++), which mmcv's operators are compiled with; "
            'on Debian or Ubuntu install g++'
        )


def jobs() -> int:
    """Return how many files to compile at a time: the cores, but 2 GB of memory for each."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    return max(1, min(cores or 1, memory // (2 << 30)))
