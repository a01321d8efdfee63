"""The command `mdl-nas`: `mdl-nas train CONFIG` is `python tools/train.py CONFIG`.

The commands are the scripts of tools/, found where mim finds them. `python -m mdl_nas_mm` is the
same, for torchrun: `torchrun --nproc-per-node=8 -m mdl_nas_mm train CONFIG --launcher pytorch`.
"""

from __future__ import annotations

import ast
import runpy
import sys
from pathlib import Path

from . import __version__

# Of an installed package, or of a source tree.
_FOLDERS = (
    Path(__file__).resolve().parent / '.mim' / 'tools',
    Path(__file__).resolve().parent.parent / 'tools',
)


def commands() -> dict[str, Path]:
    """Name of a command -> its script."""
    folder = next((folder for folder in _FOLDERS if folder.is_dir()), None)
    scripts = sorted(folder.glob('*.py')) if folder else []
    return {script.stem.replace('_', '-'): script for script in scripts}


def usage() -> str:
    """Every command, with the first line of what its script says of itself."""
    lines = ['usage: mdl-nas [--version] COMMAND [OPTIONS]', '']
    for name, script in commands().items():
        text = ast.get_docstring(ast.parse(script.read_text(encoding='utf-8'))) or ''
        lines.append(f'  {name:<18}{text.splitlines()[0].partition(": python ")[0].rstrip(".")}')
    return '\n'.join([*lines, '', 'mdl-nas COMMAND --help says what it takes'])


def main() -> None:
    """Runs the command that the first argument names, with the others.

    Raises:
        SystemExit: there is no such command, or what the command ends with.
    """
    name, *rest = sys.argv[1:] or ['--help']
    if name in ('-h', '--help'):
        print(usage())
    elif name in ('-V', '--version'):
        print(f'mdl_nas_mm {__version__}')
    elif name in commands():
        script = runpy.run_path(str(commands()[name]))
        # What argparse calls the program.
        sys.argv[:] = [f'mdl-nas {name}', *rest]
        raise SystemExit(script['main']())
    else:
        print(f'error: {name!r} is no command of {", ".join(commands())}', file=sys.stderr)
        raise SystemExit(2)


if __name__ == '__main__':
    main()
