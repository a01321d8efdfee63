"""Options that several command lines have."""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Callable, Collection, Iterable
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

from .budgets import read_budget
from .task_names import check_tasks
from .upstream import upstream_config_path

# Beyond any image; what such an option is multiplied with has to stay countable.
_LONGEST_SIDE = 2**14


class Parser(argparse.ArgumentParser):
    """argparse's, whose refusals begin as all others of a command do."""

    def add_argument(self, *names: str, **settings: Any) -> argparse.Action:
        """As argparse's; of what may be left out the help says what is taken then."""
        text, action = settings.get('help') or '', settings.get('action')
        is_optional = names[0].startswith('-') and not settings.get('required')
        is_shown = text not in ('', argparse.SUPPRESS) and action != 'help'
        if is_optional and is_shown and '(default: ' not in text:
            default = 'no' if action == 'store_true' else 'none'
            settings['help'] = f'{text.removesuffix(".")} (default: {default}).'
        return super().add_argument(*names, **settings)

    def error(self, message: str) -> NoReturn:
        """Says what is wrong with the arguments, in one line, and ends with status 2."""
        self.exit(2, f'error: {message} (see {self.prog} --help)\n')


def there(what: str) -> Callable[[str], str]:
    """An argument's type: a path, refused in one line before anything large is imported.

    An address is looked up later, where it is fetched.

    A config may be a package's own, ``mdl_nas_mm::demo/demo_joint.py``.

    Args:
        what: lies there, such as ``'config'``.
    """

    def checked(text: str) -> str:
        if what == 'config' and '::' in text:
            try:
                return str(upstream_config_path(text))
            except FileNotFoundError as error:
                raise SystemExit(f'error: {error}') from None
        if '://' not in text and not Path(text).exists():
            raise SystemExit(f'error: {what} {text} is not there')
        return text

    return checked


def writable(text: str) -> str:
    """An argument's type: a file to write, refused in one line before anything is computed."""
    path = Path(text).absolute()
    folder = next(parent for parent in path.parents if parent.exists())
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        reason = 'it is a folder' if path.is_dir() else f'{folder} is no folder to write into'
        raise SystemExit(f'error: {text} cannot be written, {reason}')
    return text


def at_least(least: float, kind: type = int) -> Callable[[str], Any]:
    """An argument's type: a number, refused before anything large is imported if it is below."""

    def checked(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f'{text!r} is no {kind.__name__}') from None
        # Not nan either.
        if not value >= least:
            raise argparse.ArgumentTypeError(f'{text}, expected at least {least:g}')
        return value

    return checked


def request_budget(text: str) -> str:
    """An argument's type: the budget of a request, refused as ``read_budget`` does."""
    try:
        read_budget(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix('budget ')) from None
    return text


def search_budget(text: str) -> str:
    """An argument's type: a number and perhaps a unit, which the cost of the search reads."""
    if not text.strip().removeprefix('.')[:1].isdigit():
        raise argparse.ArgumentTypeError(f'{text!r}: expected a number, such as 235M')
    return text


def sides_of_image(text: str) -> tuple[int, int]:
    """An argument's type: see ``parse_size``."""
    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix('--input-size ')) from None


def size_of_task(text: str) -> str:
    """An argument's type: the form of TASK=HEIGHTxWIDTH, which ``parse_sizes`` reads."""
    try:
        parse_size(text.partition('=')[2], text, 'TASK=HEIGHTxWIDTH')
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix('--input-size ')) from None
    return text


def number_of_task(text: str) -> str:
    """An argument's type: the form of TASK=NUMBER, whose task is looked up later."""
    task, _, number = text.partition('=')
    try:
        float(number)
    except ValueError:
        task = ''
    if not task:
        raise argparse.ArgumentTypeError(f'{text!r}: expected TASK=NUMBER, such as seg=1')
    return text


class SettingsAction(argparse.Action):
    """``key=value`` ... as settings by key."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, *args) -> None:
        """As mmengine; what is no ``key=value`` is refused as argparse refuses an argument."""
        for text in values:
            key, equals, _ = text.partition('=')
            if not key or not equals:
                raise argparse.ArgumentError(self, f'{text!r}: expected KEY=VALUE')
        try:
            # The doctor has a command line where mmengine is not installed.
            from mmengine.config import DictAction

            own = DictAction(self.option_strings, self.dest, nargs=self.nargs)
            own(parser, namespace, values, *args)
        except Exception as error:
            raise argparse.ArgumentError(self, f'{" ".join(values)}: {error}') from None


def add_cfg_options(parser: argparse.ArgumentParser, text: str = '') -> None:
    """Adds ``--cfg-options``."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=SettingsAction,
        metavar='KEY=VALUE',
        help=text or 'Settings of the config to override; nested keys have dots.',
    )


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Adds what trainings, evaluations and searches have in common.

    That is ``--cfg-options``, ``--trust-checkpoint``, ``--launcher``, and what torchrun passes on.
    """
    add_cfg_options(parser)
    add_trust_checkpoint(parser)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='How the processes are started (default: none, one process).',
    )
    # What is read is the environment, which torchrun sets as well.
    hidden = dict(type=_local_rank, help=argparse.SUPPRESS)
    parser.add_argument('--local_rank', '--local-rank', **hidden)


def add_trust_checkpoint(parser: argparse.ArgumentParser) -> None:
    """Adds ``--trust-checkpoint``; see ``mdl_nas_mm.utils.torch_file``."""
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='Checkpoints may hold more than data, and so run any code (default: data alone).',
    )


def add_trained_config(parser: argparse.ArgumentParser) -> None:
    """Adds a joint config and its ``--checkpoint``, with the options of reading both."""
    parser.add_argument('config', type=there('config'), help='Path of a joint config.')
    supernet = dict(type=there('checkpoint'), required=True, help='The trained supernet.')
    parser.add_argument('--checkpoint', **supernet)
    add_cfg_options(parser)
    add_trust_checkpoint(parser)


def add_controller_options(parser: argparse.ArgumentParser, of_file: str = '') -> None:
    """Adds ``--alike``, ``--cycles`` and ``--input-size``, of what chooses architectures.

    Args:
        parser: of the command.
        of_file: what the help says of the defaults of a packed file, if the command takes one.
    """
    add = parser.add_argument
    text = f'Related tasks, whose decoders are alike (default: none{of_file}).'
    add('--alike', nargs='+', default=[], metavar='TASK,TASK', help=text)
    text = f'Mutations of each search (default: control.cycles of the config, or 10{of_file}).'
    add('--cycles', type=at_least(0), help=text)
    text = "Sizes of the images of a config (default: of each task's validation)."
    given = dict(nargs='+', type=size_of_task, default=[], metavar='TASK=HEIGHTxWIDTH')
    add('--input-size', **given, help=text)


def add_control_options(parser: argparse.ArgumentParser) -> None:
    """Adds those and ``--pool``, ``--layers`` and ``--seed``, which a packed file has as well.

    Those that are not given are None.
    """
    of_file = '; of a file, its own'
    add_controller_options(parser, of_file)
    for name, kind, text, usual in (
        ('--pool', at_least(1), 'Encoders in the pool of the search', 50),
        ('--layers', at_least(1), 'Layers that a mutation widens', 1),
        ('--seed', int, 'Of all that is random', 0),
    ):
        parser.add_argument(name, type=kind, help=f'{text} (default: {usual}{of_file}).')


def _local_rank(text: str) -> int:
    os.environ.setdefault('LOCAL_RANK', str(int(text)))
    return int(text)


def add_new_deposit(parser: argparse.ArgumentParser, dest: str) -> None:
    """Adds ``--out``, which is ``dest``, and ``--overwrite``; see ``check_new_deposit``."""
    given = dict(dest=dest, metavar='DEPOSIT', type=writable, required=True)
    parser.add_argument('--out', **given, help='The safetensors file to write.')
    text = 'Replace a file that is there.'
    parser.add_argument('--overwrite', action='store_true', help=text)


def check_new_deposit(path: str, overwrite: bool) -> None:
    """Raises SystemExit for a deposit that is there and would be lost."""
    if Path(path).exists() and not overwrite:
        raise SystemExit(f'error: {path} is there already; --overwrite replaces it')


def add_trusted_classes(parser: argparse.ArgumentParser) -> None:
    """Adds ``--trust`` and ``--import``, for deposits with classes of the user's own."""
    parser.add_argument(
        '--trust',
        nargs='+',
        default=[],
        metavar='NAME',
        help='Classes that the deposit may name beside the known ones, as MODULE.CLASS.',
    )
    parser.add_argument(
        '--import',
        nargs='+',
        default=[],
        dest='imports',
        metavar='MODULE',
        help='Modules of your own that register classes.',
    )


def add_request(parser: argparse.ArgumentParser) -> None:
    """Adds ``--budget``, ``--prefer`` and ``--latency``, of a controlled model."""
    text = 'Of a controlled model: at most 10G (multiply-adds), "5M params" or 25ms (default: any).'
    parser.add_argument('--budget', type=request_budget, help=text)
    text = 'Of a controlled model, how much tasks matter, in any scale (default: all alike).'
    given = dict(nargs='+', type=number_of_task, metavar='TASK=NUMBER')
    parser.add_argument('--prefer', **given, help=text)
    text = 'For milliseconds: a table from mdl-nas latency, or words that name one in the file.'
    parser.add_argument('--latency', help=text)


def parse_request(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The arguments, once it is known that nothing of ``add_request`` would be dropped."""
    args = parser.parse_args()
    if getattr(args, 'latency', None) and not args.budget:
        parser.error('--latency goes with a --budget in milliseconds')
    return args


def trusted_classes(args: argparse.Namespace) -> list[str]:
    """What ``--trust`` names, once that is imported which ``--import`` does.

    Raises:
        ValueError: there is no such module.
    """
    for name in args.imports:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ValueError(f'--import {name}: {error}') from None
    return args.trust


def parse_sizes(texts: Iterable[str], tasks: Collection[str]) -> dict[str, tuple[int, int]]:
    """Task -> (height, width) from 'det=800x1280' or 'cls=224'.

    Args:
        texts: of the option.
        tasks: all that there are.

    Raises:
        ValueError: a task comes twice; see ``check_tasks`` and ``parse_size``.
    """
    sizes = {}
    for text in texts:
        task, _, size = text.partition('=')
        if task in sizes:
            raise ValueError(f'--input-size {text!r}: task {task!r} is named twice')
        sizes[task] = parse_size(size, text, 'TASK=HEIGHTxWIDTH')
    check_tasks('--input-size', sizes, tasks)
    return sizes


def parse_alike(texts: Iterable[str], tasks: Collection[str]) -> list[list[str]]:
    """Sets of related tasks from 'seg,parts'.

    Args:
        texts: of the option.
        tasks: all that there are.

    Raises:
        ValueError: see ``check_tasks``.
    """
    sets = [text.split(',') for text in texts]
    check_tasks('--alike', chain(*sets), tasks)
    return sets


def parse_size(
    text: str, given: str | None = None, expected: str = 'HEIGHTxWIDTH'
) -> tuple[int, int]:
    """(height, width) from '800x1280' or '224'.

    Args:
        text: one side, or height and width.
        given, expected: what a refusal says of the option.

    Raises:
        ValueError: it is no size, or not of an image.
    """
    where = f'--input-size {text if given is None else given!r}'
    sides = text.split('x')
    if not (len(sides) in (1, 2) and all(side.isascii() and side.isdecimal() for side in sides)):
        raise ValueError(f'{where}: expected {expected}')
    size = int(sides[0]), int(sides[-1])
    if not all(0 < side <= _LONGEST_SIDE for side in size):
        raise ValueError(f'{where}: expected 1 to {_LONGEST_SIDE} pixels a side')
    return size
