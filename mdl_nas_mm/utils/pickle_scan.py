"""What a pickle of torch's names, and how large it says that its tensors are; nothing is made."""

from __future__ import annotations

import pickletools
import re
from dataclasses import dataclass, field
from typing import BinaryIO

_ATOMS = ('BINUNICODE', 'BININT', 'BININT1', 'BININT2', 'LONG1')
_PUTS, _GETS = ('BINPUT', 'LONG_BINPUT'), ('BINGET', 'LONG_BINGET')
_WIDTHS = {
    'Bool': 1,
    'Byte': 1,
    'Char': 1,
    'Short': 2,
    'Half': 2,
    'BFloat16': 2,
    'Int': 4,
    'Float': 4,
    'Long': 8,
    'Double': 8,
    'ComplexFloat': 8,
    'ComplexDouble': 16,
}
STORAGES = {f'torch.{name}Storage': width for name, width in _WIDTHS.items()}
STORAGES['torch.storage.UntypedStorage'] = 1
# With these ``_codecs.encode`` makes bytes of bytes, each time twice as many.
_CODECS = re.compile(
    r'(hex|base_?64|bz2|quopri|quoted_?printable|uu|zip|zlib|rot_?13)(_codec)?', re.IGNORECASE
)


def full_name(module: str, name: str) -> str:
    """What Python 3 calls it; torch writes pickles that Python 2 could read."""
    return f'{"builtins" if module == "__builtin__" else module}.{name}'


@dataclass
class Scan:
    """What was found.

    Attributes:
        names: the classes and functions, with their modules.
        codecs: strings that ``_codecs.encode`` would take for another thing than an alphabet.
        storages: key of a tensor's memory -> the bytes that it is said to have.
    """

    names: set[str] = field(default_factory=set)
    codecs: set[str] = field(default_factory=set)
    storages: dict[str, int] = field(default_factory=dict)

    def add(self, stream: BinaryIO) -> None:
        """Goes through the next pickle of a stream.

        Raises:
            ValueError: it is cut short, or the memory of a tensor is not named as torch does.
        """
        memo: dict[int, object] = {}
        since_mark, last = [], None
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name == 'GLOBAL':
                last = full_name(*argument.split(' ', 1))
                self.names.add(last)
                since_mark.append(last)
            elif opcode.name in _ATOMS:
                since_mark.append(last := argument)
                if isinstance(last, str) and _CODECS.fullmatch(re.sub(r'\W+', '_', last[:32])):
                    self.codecs.add(last)
            elif opcode.name in _GETS:
                since_mark.append(last := memo.get(argument))
            elif opcode.name in _PUTS:
                memo[argument] = last
            elif opcode.name == 'MARK':
                since_mark = []
            elif opcode.name == 'TUPLE':
                since_mark, last = [], tuple(since_mark)
            elif opcode.name == 'BINPERSID':
                self._add_storage(last)
                since_mark.append(last := None)
            else:
                since_mark.append(last := None)

    def _add_storage(self, found: object) -> None:
        """Takes over ('storage', class, key, device, elements, and in older files None)."""
        if isinstance(found, tuple) and found[:1] == ('module',):
            # Source code of a whole model, in older files; its class is among the names.
            return
        if not isinstance(found, tuple) or len(found) not in (5, 6):
            raise ValueError('the memory of a tensor is not named as torch does')
        mark, kind, key, _, count = found[:5]
        known = mark == 'storage' and kind in STORAGES and isinstance(key, str)
        if not known or not isinstance(count, int) or not 0 <= count < 2**48:
            raise ValueError(f'the memory of a tensor is of no known kind ({str(kind)[:80]!r})')
        size = count * STORAGES[kind]
        if self.storages.setdefault(key, size) != size:
            raise ValueError('the memory of a tensor has two sizes')
