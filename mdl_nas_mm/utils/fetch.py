"""Files that are given by their address."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import torch
from mmengine.logging import print_log

from .files import written_whole

_SECONDS = 30


def local_file(name: str | os.PathLike) -> Path:
    """The file itself of a path; of an address (http, https) a copy, which is fetched once.

    Copies are where torch and mmengine keep theirs, under ``TORCH_HOME``, by the whole address.

    Raises:
        ValueError: an address of another kind, or the file came in part.
        FileNotFoundError: there is no file at the address, or no way to it.
    """
    scheme, separator, _ = str(name).partition('://')
    if not separator:
        return Path(name)
    address = str(name)
    if scheme not in ('http', 'https'):
        raise ValueError(f'{address}: {scheme}:// is not read here; fetch the file and give a path')
    digest = hashlib.sha256(address.encode()).hexdigest()[:16]
    name = f'{digest}-{Path(urlsplit(address).path).name}'
    path = Path(torch.hub.get_dir(), 'checkpoints', name)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Of several processes that need it one fetches it, the others wait.
    with open(path.with_name(f'.{path.name}.lock'), 'ab') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.is_file():
            print_log(f'fetching {address} into {path}', 'current', logging.INFO)
            _fetch(address, path)
    return path


def _fetch(address: str, path: Path) -> None:
    try:
        with (
            urllib.request.urlopen(address, timeout=_SECONDS) as source,
            written_whole(path) as temporary,
        ):
            with open(temporary, 'wb') as file:
                shutil.copyfileobj(source, file)
                found, expected = file.tell(), source.headers['Content-Length']
            if expected is not None and found != int(expected):
                raise ValueError(f'{address}: {found} of {expected} bytes came; try again')
    except OSError as error:
        raise FileNotFoundError(f'{address} cannot be fetched ({error})') from None
