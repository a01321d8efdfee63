"""Files of ``torch.save``, read as data: nothing in them is called that is not named here."""

from __future__ import annotations

import io
import pickle
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from .files import written_whole
from .one_line import WRONG_VALUES
from .pickle_scan import STORAGES, Scan, python3_name
from .private import MULTIARRAY, HistoryBufferOfNumbers
from .process_wide import process_wide

HOW_TO_TRUST = (
    'if you trust who made it, say so with --trust-checkpoint, in Python and in configs with '
    'trust_checkpoint=True'
)
# A zip archive, and what torch.save wrote before it made those: a magic number and a version.
_ZIP = b'PK\x03\x04'
_LEGACY = b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.'
# What an older file has in a row: a magic number, versions, the content, the keys of the tensors.
_LEGACY_PICKLES = 5
# What reading may copy and compare, of a small file and for a byte of it; ours take two or three.
_WORK, _WORK_A_BYTE = 2**22, 8
_DTYPES = {str(value) for value in vars(torch).values() if isinstance(value, torch.dtype)}
# What tensors, and dicts of them, are made of.
_PLAIN = {
    'collections.OrderedDict',
    'torch.Size',
    'torch.device',
    'torch._utils._rebuild_parameter',
    'torch._utils._rebuild_tensor',
    'torch._utils._rebuild_tensor_v2',
    'torch._utils._rebuild_tensor_v3',
    *STORAGES,
    *_DTYPES,
}
# What mmengine keeps beside: counters of schedulers, numbers of numpy's, and the log, whose
# pickles name the log's methods.
_MMENGINE = {
    'collections.Counter',
    'builtins.set',
    'builtins.getattr',
    '_codecs.encode',
    'mmengine.logging.history_buffer.HistoryBuffer',
    'numpy.ndarray',
    'numpy.dtype',
    *(
        f'numpy.{core}.multiarray.{name}'
        for core in ('core', '_core')
        for name in ('_reconstruct', 'scalar')
    ),
}


def write_torch_file(path: str | Path, content: Any) -> None:
    """Writes a file with ``torch.save``; it appears under its name when complete.

    Raises:
        OSError: it cannot be written; names it.
    """
    # Given a path, torch would not say why it cannot go on writing.
    with written_whole(path) as temporary, open(temporary, 'wb') as file:
        torch.save(content, file)


def read_torch_file(path: str | Path, trust: bool = False, what: str = 'checkpoint') -> Any:
    """Reads a file that ``torch.save`` wrote, onto the CPU.

    Args:
        path: the file.
        trust: whether it may hold anything, and so run any code.
        what: what errors call the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is cut short, altered, of another kind, or claims to hold more than
            is there; or it needs more than data, and is not trusted.
    """
    path, where = Path(path), f'{what} {path}'
    if not path.is_file():
        raise FileNotFoundError(f'{where} is not there')
    try:
        scan = _scan(path, trust)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
        raise ValueError(f'{where} is cut short or no {what} ({_line(error)})') from None
    if isinstance(scan, str):
        raise ValueError(f'{where} was altered: {scan!r} does not match its checksum')
    foreign = scan.names - _PLAIN - _MMENGINE
    if '_codecs.encode' in scan.names:
        foreign |= scan.codecs
    if foreign and not trust:
        raise ValueError(f'{where} holds more than data ({_listed(foreign)}); {HOW_TO_TRUST}')
    try:
        content = _load(path, trust, scan.names <= _PLAIN)
    except pickle.UnpicklingError as error:
        advice = '' if trust else f'; {HOW_TO_TRUST}'
        raise ValueError(f'{where} cannot be read as data ({_line(error)}){advice}') from None
    except (*WRONG_VALUES, EOFError, ValueError) as error:
        raise ValueError(f'{where} is no {what} ({_line(error)})') from None
    if not trust:
        _check_sizes(content, path.stat().st_size, where)
    return content


def check_records(archive: zipfile.ZipFile, size: int) -> None:
    """Raises ValueError for records that unpack to more than the file of ``size`` bytes holds."""
    records = archive.infolist()
    # Where an archive begins later, or has a comment, readers do not agree which records it has.
    if archive.comment or min((r.header_offset for r in records), default=0) > 0:
        raise ValueError('there is something before or behind its records')
    for record in records:
        if record.compress_type != zipfile.ZIP_STORED or record.file_size != record.compress_size:
            raise ValueError(f'its record {record.filename[:80]!r} is compressed')
    if sum(record.file_size for record in records) > size:
        raise ValueError('its records are larger than the file')


def _scan(path: Path, trust: bool) -> Scan | str:
    """What the file's pickles name; or the record that does not match its checksum.

    Whether a file is an archive is decided as torch does, by its first bytes.
    """
    size = path.stat().st_size
    scan = Scan(None if trust else _WORK + _WORK_A_BYTE * size)
    with open(path, 'rb') as file:
        start = file.read(len(_LEGACY))
        file.seek(0)
        if start == _LEGACY:
            if tarfile.is_tarfile(path):
                raise ValueError('it is a tar archive')
            for _ in range(_LEGACY_PICKLES):
                scan.add(file)
        elif start.startswith(_ZIP):
            broken = _scan_archive(file, size, scan)
            if broken is not None:
                return broken
        else:
            raise ValueError('torch.save writes other first bytes')
    if sum(scan.storages.values()) > size:
        raise ValueError('its tensors are larger than the file')
    return scan


def _scan_archive(file, size: int, scan: Scan) -> str | None:
    with zipfile.ZipFile(file) as archive:
        check_records(archive, size)
        # A record that is marked as a folder by its attributes is read as empty by torch.
        folders = [info.filename for info in archive.infolist() if info.external_attr & 0x10]
        broken = archive.testzip() or next(iter(folders), None)
        if broken is not None:
            return broken
        sizes = {info.filename: info.file_size for info in archive.infolist()}
        pickles = [name for name in sizes if name.endswith('.pkl')]
        if len(sizes) < len(archive.infolist()) or len(pickles) != 1:
            raise ValueError('it has records twice, or other pickles than one')
        # From memory: a stream of an archive is slow to read byte by byte.
        scan.add(io.BytesIO(archive.read(pickles[0])))
        folder = pickles[0].removesuffix('data.pkl')
        for key, said in scan.storages.items():
            if sizes.get(f'{folder}data/{key}') != said:
                raise ValueError(f'its tensor {key[:80]!r} does not have the bytes that it says')
    return None


def _load(path: Path, trust: bool, is_plain: bool) -> Any:
    """The content of a file whose names were looked at."""
    read = partial(torch.load, path, map_location='cpu')
    if trust:
        return read(weights_only=False)
    if is_plain:
        return read(weights_only=True)
    if hasattr(torch.serialization, 'safe_globals'):
        # They are those of the process; what others have added stays.
        with process_wide():
            known = torch.serialization.get_safe_globals()
            own = [each for each in _safe_globals() if each not in known]
            with torch.serialization.safe_globals(own):
                return read(weights_only=True)
    # torch 2.1 can be told of no other classes, so this does what weights_only does.
    return read(weights_only=False, pickle_module=_NamedClassesAlone)


def _no_method(owner: type, name: str) -> None:
    """Stands for ``getattr``, with which mmengine's logs name their methods."""


def _safe_globals() -> list:
    """What may be called beside torch's own, under the names that files give it."""
    return [
        *((value, name) for name, value in _STANDING_IN.items()),
        (np.ndarray, 'numpy.ndarray'),
        (np.dtype, 'numpy.dtype'),
        *{type(np.dtype(code)) for code in '?bBhHiIlLqQefdFDSU'},
    ]


_STANDING_IN = {
    'mmengine.logging.history_buffer.HistoryBuffer': HistoryBufferOfNumbers,
    'builtins.getattr': _no_method,
    # numpy 1 and 2 find them in another module.
    **{
        f'numpy.{core}.multiarray.{name}': getattr(MULTIARRAY, name)
        for core in ('core', '_core')
        for name in ('_reconstruct', 'scalar')
    },
}


class _Unpickler(pickle.Unpickler):
    """Finds what is named here, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        full = python3_name(module, name)
        if full in _STANDING_IN:
            return _STANDING_IN[full]
        if full in _PLAIN or full in _MMENGINE:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f'it names {full[:80]!r}')


class _NamedClassesAlone:
    """Stands for the module ``pickle`` where torch asks for it."""

    Unpickler = _Unpickler

    @staticmethod
    def load(*args: Any, **kwargs: Any) -> Any:
        return _Unpickler(*args, **kwargs).load()


def _check_sizes(content: Any, size: int, where: str) -> None:
    """Raises ValueError for a tensor that says to be larger than the file, such as by strides."""
    left, seen = [content], set()
    while left:
        value = left.pop()
        if isinstance(value, torch.Tensor):
            held = value.numel() * value.element_size()
        elif isinstance(value, (np.ndarray, np.generic)):
            held = value.nbytes
        elif isinstance(value, (bytes, bytearray)):
            held = len(value)
        else:
            held = 0
            if id(value) not in seen and isinstance(value, (dict, list, tuple, HistoryBuffer)):
                seen.add(id(value))
                value = vars(value) if isinstance(value, HistoryBuffer) else value
                left.extend(value.values() if isinstance(value, dict) else value)
        if held > size:
            raise ValueError(f'{where} is no checkpoint: something in it is larger than the file')


def _listed(names: Iterable[str]) -> str:
    shown = [ascii(name)[1:-1][:80] for name in sorted(names)]
    return ', '.join(shown[:3]) + (', ...' if len(shown) > 3 else '')


def _line(error: BaseException) -> str:
    """The first line of an error, not too long."""
    # torch says first, at length, what could be done.
    text = str(error).rpartition('WeightsUnpickler error: ')[2].strip().partition('\n')[0]
    return text[:160] or type(error).__name__
