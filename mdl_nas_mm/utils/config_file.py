"""Reading a config file, with one line for each way in which it can be wrong."""

from __future__ import annotations

import ast
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import mmengine
from mmengine.config import Config

from .one_line import in_one_line
from .upstream import upstream_config_path

# Where mmengine looks for ``mdl_nas_mm::...``. A checkout has bases and tasks alone there, as mim,
# which looks into the whole source tree, would find any other config twice.
_INSTALLED = Path(__file__).resolve().parent.parent / '.mim' / 'configs'


def read_config(
    path: str | Path, options: Mapping[str, Any] | None = None, trust_checkpoint: bool = False
) -> Config:
    """Reads a config.

    Args:
        path: of the config.
        options: settings to override, as ``--cfg-options`` gives them.
        trust_checkpoint: whether checkpoints that are read for it may hold anything, and so run
            any code; also where the config does not say so.

    Raises:
        FileNotFoundError: there is no such file, or not its ``_base_``; says which.
        ValueError: the file is no config, or cannot be run (names the line), or an option does
            not fit it.
    """
    where = f'config {path}'
    if not Path(path).exists():
        raise FileNotFoundError(f'{where} is not there')
    if not Path(path).is_file():
        raise ValueError(f'{where} is a folder, not a file')
    try:
        _check_content(Path(path))
        cfg = Config.fromfile(str(path))
    except FileNotFoundError as error:
        what = f'{error.filename} is not there' if error.filename else error
        raise FileNotFoundError(f'{where}: {what}{_in_a_checkout(str(what))}') from error
    except (Exception, SystemExit) as error:
        raise ValueError(f'{where}{_reason(error)}') from error
    try:
        cfg.merge_from_dict(dict(options or {}))
    except Exception as error:
        raise ValueError(f'{where}, --cfg-options: {in_one_line(error)}') from error
    if trust_checkpoint:
        cfg.trust_checkpoint = True
    return cfg


def read_training(
    path: str | Path, options: Mapping[str, Any] | None = None, trust_checkpoint: bool = False
) -> Config:
    """As ``read_config``, of what a runner can be built from.

    Raises:
        ValueError: it is neither a joint config nor one with a model.
    """
    cfg = read_config(path, options, trust_checkpoint)
    if 'runner_type' not in cfg and 'model' not in cfg:
        if 'tasks' in cfg:
            raise ValueError(
                f"config {path} has tasks and no 'runner_type'; what every joint config stands on "
                "is missing: write _base_ = ['mdl_nas_mm::_base_/joint_runtime.py']"
            )
        raise ValueError(f"config {path} has neither 'runner_type', as a joint one, nor a 'model'")
    return cfg


def plain_text(cfg: Config) -> str:
    """A config's text as Python, sorted by key, without what formatting it takes: seconds."""
    return Config(cfg.to_dict(), format_python_code=False).pretty_text


def _check_content(path: Path) -> None:
    """Raises what is wrong with the file itself, in which mmengine would not say where it is."""
    if path.suffix == '.py':
        ast.parse(path.read_text(encoding='utf-8'), str(path))
    elif path.suffix in ('.json', '.yaml', '.yml'):
        content = mmengine.load(path)
        if not isinstance(content, dict):
            raise ValueError(f'expected settings by name, found a {type(content).__name__}')
    else:
        raise ValueError('expected a .py, .json, .yaml or .yml file')


def _in_a_checkout(what: str) -> str:
    """What to do where a config of this package was looked for, and lies in its source tree."""
    _, found, below = what.partition(f'{_INSTALLED}/')
    if found:
        with suppress(FileNotFoundError):
            name, _, _ = below.partition('"')
            path = upstream_config_path(f'mdl_nas_mm::{name}')
            return f'; in a checkout name it by its path, {path}'
    return ''


def _reason(error: BaseException) -> str:
    """What is wrong, after the name of the config."""
    if isinstance(error, SyntaxError):
        # mmengine reads bases without saying to Python which file it is.
        base = ' of a _base_' if error.filename == '<unknown>' else ''
        return f', line {error.lineno}{base}: {error.msg}: {(error.text or "").strip()}'
    # The code of configs is run as modules; the innermost one may be a base.
    modules = [f for f in traceback.extract_tb(error.__traceback__) if f.name == '<module>']
    line = f', line {modules[-1].lineno} of {modules[-1].filename}' if modules else ''
    return f'{line}: {in_one_line(error)}'
