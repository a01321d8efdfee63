"""The virtual environment: what is in it, and how commands run in it."""

from __future__ import annotations

import os
import queue
import subprocess
import threading
from importlib import metadata
from pathlib import Path
from typing import IO, Sequence

from errors import SetupError
from pins import ROOT, Stack
from progress import Reporter, parse_progress

from mdl_nas_mm.utils.pins import normalize, read_pins


class Environment:
    """A virtual environment: what is in it, and how commands run in it.

    Args:
        folder: Where it is, or will be.
        stack: What belongs into it.
    """

    def __init__(self, folder: Path, stack: Stack) -> None:
        self.folder = folder
        self.stack = stack
        self.python = folder / 'bin' / 'python'
        self.log = folder / 'setup.log'
        self.stamp = folder / 'setup.stamp'

    def version(self) -> tuple[int, int] | None:
        """Return the version of its Python; None where there is none that runs with pip."""
        code = 'import pip, sys; print(*sys.version_info[:2])'
        out = self.output('-c', code)
        if out is None:
            return None
        major, minor = map(int, out.split())
        return major, minor

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

    def installed(self) -> dict[str, str]:
        """Return the version of each package that is there, by normalized name."""
        site = self.site_packages()
        return {
            normalize(found.metadata['Name'] or ''): found.version.split('+')[0]
            for found in metadata.distributions(path=[str(site)] if site else [])
        }

    def missing(self, names: Sequence[str]) -> list[str]:
        """Return those of the packages that are not there in the pinned version."""
        site = self.site_packages()
        if site is None:
            return list(names)
        minor = int(site.parent.name.split('.')[1])
        pins = read_pins(self.stack.pins.read_text(encoding='utf-8'), minor)
        installed = self.installed()
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
        status = self.run([*command, '-c', str(self.stack.pins), *args], reporter, extra)
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
