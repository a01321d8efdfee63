"""Make the environment: a virtual environment with the pinned stack and this package.

    python tools/setup_env.py [--venv .venv] [--python python3.11]

Every step looks first whether its work is done already, so that a second run takes no time and an
interrupted one goes on where it was. requirements.txt holds all versions. The log of everything
is setup.log in the virtual environment.

Standard library only, and it starts with any Python from 3.8 on, to say clearly what is missing.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from importlib import metadata
from pathlib import Path
from typing import IO, Callable, NamedTuple, Sequence

ROOT = Path(__file__).resolve().parent.parent
PINS = ROOT / 'requirements.txt'
# What decides whether an environment is up to date.
STAMPED = (PINS, Path(__file__).resolve(), ROOT / 'setup.py', ROOT / 'pyproject.toml')
VERSIONS = ((3, 10), (3, 12))
QUIET_SECONDS = 15  # without a terminal: one line of progress in so many seconds

BUILD_TOOLS = ('pip', 'setuptools', 'wheel', 'ninja', 'packaging', 'psutil', 'cython')
TORCH = ('torch', 'torchvision', 'numpy')
MM_LIBS = (
    'onedl-mmengine',
    'onedl-mmpretrain',
    'onedl-mmsegmentation',
    'onedl-mmdetection',
    'onedl-mim',
)
RUNTIME = (
    'json-tricks',
    'matplotlib',
    'munkres',
    'pillow',
    'rich',
    'safetensors',
    'scikit-learn',
    'scipy',
)
DEVELOPMENT = ('fvcore', 'pre-commit', 'pytest', 'ruff', 'tensorboard')
OPENCV = 'opencv-python-headless'


class SetupError(Exception):
    """Something that the user has to put right; the message says what and how."""


class Progress(NamedTuple):
    """What one line of pip's output says about how far it is."""

    text: str
    done: int = 0
    total: int = 0


def parse_progress(line: str) -> Progress | None:
    """Read one line of pip's output.

    Args:
        line: A line as pip prints it with ``-v --progress-bar raw``.

    Returns:
        What it says: a compiled file (``[37/78] c++ ...`` of ninja), the bytes of a download
        (``Progress 1024 of 4096`` of pip), or the name of what is fetched, built or installed;
        ``None`` for a line that says nothing about progress.
    """
    line = line.strip()
    compiled = re.match(r'\[(\d+)/(\d+)\] ', line)
    if compiled:
        return Progress('compiling', int(compiled.group(1)), int(compiled.group(2)))
    bytes_ = re.match(r'Progress (\d+) of (\d+)$', line)
    if bytes_:
        return Progress('downloading', int(bytes_.group(1)), int(bytes_.group(2)))
    step = re.match(r'(Collecting|Downloading|Building wheels? for|Installing) (\S+)', line)
    if step:
        what = 'packages' if step.group(2) == 'collected' else step.group(2)
        return Progress(f'{step.group(1).lower()} {what.rsplit("/", 1)[-1].rstrip(":,")}')
    return None


def clock(seconds: float) -> str:
    """Write a duration as ``m:ss``."""
    return f'{int(seconds) // 60}:{int(seconds) % 60:02d}'


def show(progress: Progress, elapsed: float, counted: float) -> str:
    """Write progress as a line: a bar, percent and the time left where they are known.

    Args:
        progress: How far it is.
        elapsed: Seconds since the step began.
        counted: Seconds since this count (of files, of bytes) began.
    """
    if not progress.total:
        return f'{progress.text}, {clock(elapsed)}'
    share = progress.done / progress.total
    bar = ('#' * round(24 * share)).ljust(24, '.')
    left = counted / share - counted if share else 0
    return f'{progress.text} [{bar}] {share:4.0%}, {clock(elapsed)}, about {clock(left)} left'


class Reporter:
    """Shows that a step is alive: one line rewritten on a terminal, else a line now and then."""

    def __init__(self, stream: IO[str] = sys.stdout) -> None:
        self.stream = stream
        self.live = stream.isatty()
        self.start = self.counted = time.monotonic()
        self.printed = self.start
        self.progress = Progress('working')

    def update(self, progress: Progress | None) -> None:
        """Take in what a line of output said, and show it when it is time."""
        now = time.monotonic()
        if progress is not None:
            if progress.text != self.progress.text or progress.total != self.progress.total:
                self.counted = now
            self.progress = progress
        if now - self.printed < (0.2 if self.live else QUIET_SECONDS):
            return
        self.printed = now
        line = show(self.progress, now - self.start, now - self.counted)
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            self.stream.write('\r\033[K' + ('      ' + line)[:width])
        else:
            self.stream.write(f'      {line}\n')
        self.stream.flush()

    def close(self) -> float:
        """Clear the live line; return the seconds since the start."""
        if self.live:
            self.stream.write('\r\033[K')
            self.stream.flush()
        return time.monotonic() - self.start


class Environment:
    """A virtual environment: what is in it, and how commands run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / 'bin' / 'python'
        self.log = folder / 'setup.log'
        self.stamp = folder / 'setup.stamp'

    def version(self) -> tuple[int, int] | None:
        """Return the version of its Python; None where there is none that runs with pip."""
        code = 'import pip, sys; print(*sys.version_info[:2])'
        out = self.output('-c', code)
        return None if out is None else tuple(int(number) for number in out.split())  # type: ignore

    def output(self, *args: str) -> str | None:
        """Return what its Python prints; None where it fails."""
        try:
            result = subprocess.run(
                [str(self.python), *args], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError:
            return None
        return result.stdout.decode() if result.returncode == 0 else None

    def site_packages(self) -> Path | None:
        """Return where its packages lie, without starting it."""
        return next(iter(self.folder.glob('lib/python3.*/site-packages')), None)

    def missing(self, names: Sequence[str]) -> list[str]:
        """Return those of the packages that are not there in the pinned version."""
        site = self.site_packages()
        if site is None:
            return list(names)
        pins = read_pins(PINS.read_text(encoding='utf-8'), int(site.parent.name.split('.')[1]))
        installed = {}
        for found in metadata.distributions(path=[str(site)]):
            installed[normalize(found.metadata['Name'] or '')] = found.version.split('+')[0]
        return [name for name in names if installed.get(name) != pins[name]]

    def imports(self, *modules: str) -> bool:
        """Say whether modules can be imported."""
        return self.output('-c', f'import {", ".join(modules)}') is not None

    def run(self, command: Sequence[str], reporter: Reporter, extra: dict[str, str]) -> int:
        """Run a command, show its progress, append its output to the log; return its status."""
        environment = {**os.environ, 'PYTHONUNBUFFERED': '1', **extra}
        # torch calls ninja by name; without it files are compiled one after the other, silently.
        environment['PATH'] = f'{self.python.parent}{os.pathsep}{os.environ.get("PATH", "")}'
        # Of a Python that was set up around this one, nothing may reach into the new one.
        for name in ('PYTHONPATH', 'PYTHONHOME', 'PIP_USER', 'PIP_TARGET', 'PIP_PREFIX'):
            environment.pop(name, None)
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.log, 'a', encoding='utf-8') as log:
            log.write(f'\n$ {" ".join(command)}\n')
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=str(ROOT),
                encoding='utf-8',
                errors='replace',
            )
            lines: queue.Queue = queue.Queue()
            threading.Thread(target=_feed, args=(process.stdout, lines), daemon=True).start()
            try:
                while True:
                    try:
                        line = lines.get(timeout=1.0)
                    except queue.Empty:
                        # The build system can be silent for minutes: show the clock all the same.
                        reporter.update(None)
                        continue
                    if line is None:
                        return process.wait()
                    progress = parse_progress(line)
                    if progress is None or progress.text != 'downloading':
                        log.write(line)
                        log.flush()
                    reporter.update(progress)
            finally:
                if process.poll() is None:
                    process.terminate()
                    process.wait()

    def pip(self, *args: str, check: bool = True, **extra: str) -> bool:
        """Run ``pip install`` under the pins.

        Args:
            args: Further arguments.
            check: Whether a failure ends the set-up.
            extra: Environment variables.

        Returns:
            Whether it succeeded.

        Raises:
            SetupError: If it failed and ``check`` is set.
        """
        command = [str(self.python), '-m', 'pip', 'install', '--disable-pip-version-check', '-v']
        # This way of showing a download is known to the pip that the first step installs.
        if not self.missing(['pip']):
            command += ['--progress-bar', 'raw']
        reporter = Reporter()
        status = self.run([*command, '-c', str(PINS), *args], reporter, extra)
        reporter.close()
        if status and check:
            self.print_log_end()
            raise SetupError(
                f'pip failed (status {status}): see the lines above, or all of {self.log}; '
                'put it right and run the same command again, it goes on where it was'
            )
        return status == 0

    def print_log_end(self) -> None:
        """Print the last lines of the log, on a failure."""
        lines = self.log.read_text(encoding='utf-8', errors='replace').splitlines()
        print('\n'.join('      ' + line[:200] for line in lines[-20:]), flush=True)


def _feed(stream: IO[str], lines: queue.Queue) -> None:
    """Put each line of a stream into a queue, then None."""
    for line in stream:
        lines.put(line)
    lines.put(None)


def normalize(name: str) -> str:
    """Write a package's name in the one form that all its spellings share."""
    return re.sub(r'[-_.]+', '-', name).lower()


def read_pins(text: str, minor: int) -> dict[str, str]:
    """Read the pins of a requirements file.

    Args:
        text: The lines, ``name==version`` with, at most, a marker
            ``; python_version < "3.11"`` or ``>= "3.11"``.
        minor: The environment's Python is ``3.<minor>``.

    Returns:
        Version by normalized name.
    """
    form = r'([\w.-]+)==([^\s;]+)\s*(?:;\s*python_version\s*(<|>=)\s*"3\.(\d+)")?\s*$'
    pins = {}
    for line in text.splitlines():
        line = line.split('#')[0].strip()
        if not line:
            continue
        match = re.match(form, line)
        if match is None:
            raise SetupError(f'{PINS.name}: cannot read the line "{line}"')
        name, version, sign, bound = match.groups()
        if sign is None or (minor < int(bound)) == (sign == '<'):
            pins[normalize(name)] = version
    return pins


def check_machine(python: str) -> None:
    """Look for what no package index has, before anything long begins.

    Args:
        python: The Python to make the environment with.

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
    low, high = ('.'.join(map(str, version)) for version in VERSIONS)
    if len(answer) != 4:
        raise SetupError(f'{python} does not run; name a Python {low} to {high} that does')
    if not VERSIONS[0] <= tuple(answer[:2]) <= VERSIONS[1]:
        raise SetupError(
            f'{python} is Python {answer[0]}.{answer[1]}; the tried stack needs {low} to {high}: '
            'install one and say `make setup PYTHON=/path/to/python`'
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


def make_venv(env: Environment, python: str) -> None:
    """Make the virtual environment, or mend one whose making was interrupted."""
    env.run([python, '-m', 'venv', str(env.folder)], Reporter(), {})
    if env.version() is None:
        env.print_log_end()
        raise SetupError(
            f'{python} -m venv {env.folder} failed: see the lines above; remove the folder '
            '(make distclean) and try again'
        )


def install_mmcv(env: Environment) -> None:
    """Install mmcv with its compiled operators.

    A prebuilt wheel is taken where pip finds one that fits. Else the operators are compiled: with
    -g0, since debug information doubles the time and makes 2 MB into 33, and with the torch that
    is installed (no build isolation), since they must fit it. pip keeps what it built; a wheel
    built for another torch installs but does not import, and is then built anew.
    """
    wheel = ['--only-binary', 'onedl-mmcv', 'onedl-mmcv']
    if env.pip(*wheel, check=False) and env.imports('mmcv.ops'):
        return
    extra = {'MAX_JOBS': os.environ.get('MAX_JOBS') or str(jobs())}
    extra['CFLAGS'] = (os.environ.get('CFLAGS', '') + ' -g0').strip()
    if not (shutil.which('nvcc') or os.environ.get('CUDA_HOME')):
        # mmcv compiles for a GPU wherever torch sees one, which fails without the CUDA compiler.
        extra['CUDA_VISIBLE_DEVICES'] = ''
    print('      no prebuilt wheel: compiling the operators, minutes, the first time', flush=True)
    env.pip('--no-build-isolation', 'onedl-mmcv', **extra)
    if not env.imports('mmcv.ops'):
        print('      the cached build does not fit this torch: compiling anew', flush=True)
        again = ['--no-cache-dir', '--force-reinstall', '--no-deps', '--no-build-isolation']
        env.pip(*again, 'onedl-mmcv', **extra)
        if not env.imports('mmcv.ops'):
            raise SetupError(
                f'`{env.python} -c "import mmcv.ops"` fails although mmcv was compiled just now: '
                'run it to see why'
            )


def install_mmpose(env: Environment) -> None:
    """Install mmpose without chumpy, which does not build any more and which nothing imports.

    The wheel of xtcocotools on the package index was made for numpy 1: it is built here.
    """
    build = ['--no-deps', '--no-build-isolation', '--no-binary', 'xtcocotools']
    env.pip(*build, 'xtcocotools')
    if not env.imports('xtcocotools.mask'):
        env.pip('--no-cache-dir', '--force-reinstall', *build, 'xtcocotools')
    env.pip('--no-deps', 'mmpose')


def headless_wins(env: Environment) -> bool:
    """Say whether the cv2 folder is that of the headless OpenCV."""
    site = env.site_packages()
    version = site / 'cv2' / 'version.py' if site else None
    return bool(version and version.exists() and 'headless = True' in version.read_text())


def install_opencv(env: Environment) -> None:
    """Make the headless OpenCV win.

    The mm libraries ask for opencv-python, whose cv2 needs libGL, which a server rarely has.
    The headless package has the same cv2 folder without windows, so it is written over the other
    one. The other stays registered: what asks for it stays satisfied and does not fetch it again.
    """
    env.pip('--force-reinstall', '--no-deps', OPENCV)


class Step(NamedTuple):
    """One step of the set-up."""

    title: str
    done: Callable[[], bool]
    work: Callable[[], object]


def steps(env: Environment, python: str) -> list[Step]:
    """List the steps, in their order."""

    def has(*names: str) -> bool:
        return not env.missing(names)

    def suits() -> bool:
        version = env.version()
        if version and not VERSIONS[0] <= version <= VERSIONS[1]:
            raise SetupError(
                f'{env.folder} has Python {version[0]}.{version[1]}; remove it (make distclean)'
            )
        return version is not None

    return [
        Step('virtual environment', suits, lambda: make_venv(env, python)),
        Step('build tools', lambda: has(*BUILD_TOOLS), lambda: env.pip('-U', *BUILD_TOOLS)),
        Step('torch', lambda: has(*TORCH), lambda: env.pip(*TORCH)),
        Step(
            'mmcv and its compiled operators',
            lambda: has('onedl-mmcv') and env.imports('mmcv.ops'),
            lambda: install_mmcv(env),
        ),
        Step(
            'mm libraries, runtime and development packages',
            lambda: has(*MM_LIBS, *RUNTIME, *DEVELOPMENT),
            # Two of the mm libraries import torch, or want the pinned setuptools, to be built.
            lambda: env.pip('--no-build-isolation', *MM_LIBS, *RUNTIME, *DEVELOPMENT),
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


def stamp_text() -> str:
    """Return what the stamp of an up-to-date environment holds."""
    digest = hashlib.sha256()
    for path in STAMPED:
        digest.update(path.read_bytes())
    # A development install points at one source folder.
    return f'{digest.hexdigest()} {ROOT}\n'


def is_ready(env: Environment) -> bool:
    """Say, in a fraction of a second, whether there is nothing to do."""
    packages = [*BUILD_TOOLS, *TORCH, 'onedl-mmcv', *MM_LIBS, *RUNTIME, *DEVELOPMENT]
    return (
        env.stamp.exists()
        and env.stamp.read_text() == stamp_text()
        and not env.missing([*packages, 'xtcocotools', 'mmpose', OPENCV])
        and headless_wins(env)
        and env.output('-c', '') is not None
    )


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
