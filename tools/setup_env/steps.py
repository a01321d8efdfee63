"""The steps of the set-up in their order, each with how to see that it is done."""

from __future__ import annotations

from typing import Callable, NamedTuple

from environment import Environment
from errors import SetupError
from installs import headless_wins, install_mmcv, install_mmpose, install_opencv, make_venv
from pins import BUILD_TOOLS, DEVELOPMENT, OPENCV, ROOT, RUNTIME, STACKS, TORCH


class Step(NamedTuple):
    """One step of the set-up."""

    title: str
    done: Callable[[], bool]
    work: Callable[[], object]


def steps(env: Environment, python: str) -> list[Step]:
    """List the steps, in their order."""
    stack = env.stack

    def has(*names: str) -> bool:
        return not env.missing(names)

    def suits() -> bool:
        version = env.version()
        if version and not stack.pythons[0] <= version <= stack.pythons[1]:
            raise SetupError(
                f'{env.folder} has Python {version[0]}.{version[1]}; remove it (make distclean)'
            )
        for other in STACKS.values():
            if other is not stack and other.mmcv in env.installed():
                raise SetupError(
                    f'{env.folder} has the {other.name} stack; name another folder with --venv'
                )
        return version is not None

    return [
        Step('virtual environment', suits, lambda: make_venv(env, python)),
        Step('build tools', lambda: has(*BUILD_TOOLS), lambda: env.pip('-U', *BUILD_TOOLS)),
        Step('torch', lambda: has(*TORCH), lambda: env.pip(*TORCH)),
        Step(
            'mmcv and its compiled operators',
            lambda: has(stack.mmcv) and env.imports('mmcv.ops'),
            lambda: install_mmcv(env),
        ),
        Step(
            'mm libraries, runtime and development packages',
            lambda: has(*stack.mm_libs, *RUNTIME, *stack.extra, *DEVELOPMENT),
            # Two of the mm libraries import torch, or want the pinned setuptools, to be built.
            lambda: env.pip(
                '--no-build-isolation', *stack.mm_libs, *RUNTIME, *stack.extra, *DEVELOPMENT
            ),
        ),
        Step('mmpose', lambda: has('xtcocotools', 'mmpose'), lambda: install_mmpose(env)),
        Step(
            'headless OpenCV',
            lambda: has(OPENCV) and headless_wins(env),
            lambda: install_opencv(env),
        ),
        Step(
            'this package',
            lambda: False,  # seconds, and only asked where something has changed
            lambda: env.pip('--no-deps', '--no-build-isolation', '-e', str(ROOT)),
        ),
    ]
