"""Lines of the log that mmengine has for one task, or does not have."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version

import mmengine
import torch
from mmengine.dist import get_world_size
from mmengine.logging import MMLogger
from mmengine.runner import LogProcessor, Runner

from mdl_nas_mm.registry import LOG_PROCESSORS
from mdl_nas_mm.version import __version__

# Said by upstream of any joint training, and nothing to act on: for the file alone.
_FILE_ONLY = (
    'The prefix is not set in metric class',
    'Failed to search registry with scope',
    '"FileClient" will be deprecated',
    '"HardDiskBackend" is the alias',
)


@LOG_PROCESSORS.register_module()
class TaskLogProcessor(LogProcessor):
    """mmengine's, whose lines of a validation say the task, time and time left.

    mmengine leaves time out where loading is not timed by itself, as tasks of an image group load
    together.
    """

    def get_log_after_iter(self, runner: Runner, batch_idx: int, mode: str) -> tuple[dict, str]:
        """As mmengine's."""
        tag, text = super().get_log_after_iter(runner, batch_idx, mode)
        at = getattr(runner.val_loop, 'at', None) if mode == 'val' else None
        if at is None:
            return tag, text
        head, bracket, rest = text.partition(']')
        timed = ''
        if 'eta' in runner.message_hub.runtime_info and 'time' in tag and 'eta: ' not in rest:
            left = timedelta(seconds=int(runner.message_hub.get_info('eta')))
            timed = f'  eta: {left}  time: {tag["time"]:.{self.num_digits}f}'
        return tag, f'{head}{bracket} {at.task}{timed}{rest}'.rstrip()


def on_screen(record: logging.LogRecord) -> bool:
    """Whether a record is for people who watch: no long listing, and nothing of no use."""
    text = record.getMessage()
    return text.count('\n') < 30 and not text.startswith(_FILE_ONLY)


def screens(logger: logging.Logger) -> list[logging.StreamHandler]:
    """What shows a logger's records to people who watch, and writes none into a file."""
    streams = (handler for handler in logger.handlers if isinstance(handler, logging.StreamHandler))
    return [stream for stream in streams if not isinstance(stream, logging.FileHandler)]


def opening(runner: Runner) -> str:
    """What runs where: config, tasks, device, versions, log file."""
    tasks = ', '.join(f'{task} ({info.scope})' for task, info in runner.cfg.tasks.items())
    device = 'cpu'
    if torch.cuda.is_available():
        device = torch.cuda.get_device_name()
    number = get_world_size()
    processes = f'{number} process' + ('es' if number > 1 else '')
    libraries = {info.scope for info in runner.cfg.tasks.values()}
    found = {
        'mdl_nas_mm': __version__,
        'torch': torch.__version__,
        'mmengine': mmengine.__version__,
    }
    found |= {name: _version_of(name) for name in sorted(libraries)}
    files = [h.baseFilename for h in runner.logger.handlers if isinstance(h, logging.FileHandler)]
    lines = [
        f'config: {runner.cfg.filename or "not from a file"}',
        f'tasks: {tasks}',
        f'runs on: {device}, {processes}, seed {runner.seed}',
        f'with: {", ".join(f"{name} {number}" for name, number in found.items())}',
        *(f'log: {os.path.relpath(file)}' for file in files),
    ]
    return '\n  '.join(['mdl_nas_mm', *lines])


def _version_of(library: str) -> str:
    """The version of a library, by whichever name its make is installed."""
    longer = dict(mmdet='mmdetection', mmseg='mmsegmentation').get(library, library)
    for name in (library, longer, f'onedl-{longer}'):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return 'of unknown version'


@contextmanager
def kept_records(logger: MMLogger, keep: bool) -> Generator[list[str]]:
    """What is logged inside of the block, for another process to say.

    Args:
        logger: of this process, which shows nothing below errors but on the first.
        keep: whether to listen; the list stays empty without.
    """
    kept: list[str] = []
    handler = _Keeping(kept)
    if keep:
        logger.addHandler(handler)
    try:
        yield kept
    finally:
        logger.removeHandler(handler)


class _Keeping(logging.Handler):
    """Puts messages into a list."""

    def __init__(self, kept: list[str]) -> None:
        super().__init__(logging.INFO)
        self.kept = kept

    def emit(self, record: logging.LogRecord) -> None:
        self.kept.append(record.getMessage())
