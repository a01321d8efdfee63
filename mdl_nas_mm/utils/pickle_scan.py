"""What a pickle of torch's names, and how large it says that its tensors are; nothing is made."""

from __future__ import annotations

import pickletools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import IO, Any

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
_PUTS, _GETS = ('BINPUT', 'LONG_BINPUT', 'PUT'), ('BINGET', 'LONG_BINGET', 'GET')
_NAMING = ('GLOBAL', 'STACK_GLOBAL', 'INST')
_CALLING = ('REDUCE', 'NEWOBJ', 'NEWOBJ_EX', 'OBJ', 'INST')
# What these put into a list, a dict, a set or an object, and which of it is compared or copied.
_ADDING = {
    'APPEND': slice(0),
    'APPENDS': slice(0),
    'SETITEM': slice(0, None, 2),
    'SETITEMS': slice(0, None, 2),
    'ADDITEMS': slice(None),
    'BUILD': slice(None),
}
# What a pickle that is none does to the stack of an unpickler.
_WRONG = (AttributeError, IndexError, KeyError, TypeError)


def python3_name(module: str, name: str) -> str:
    """What Python 3 calls it; torch writes pickles that Python 2 could read."""
    return f'{"builtins" if module == "__builtin__" else module}.{name}'


class _Name(str):
    """The full name of a class or function."""


@dataclass(eq=False)
class _Made:
    """What an unpickler would make: bytes of its own, about, and what it holds."""

    size: int = 1
    parts: list = field(default_factory=list)


@dataclass
class Scan:
    """What was found.

    Attributes:
        work: how many bytes may still be copied or compared. What stands in a pickle once can be
            used again and again, at two bytes a time. None for any number.
        names: the classes and functions, with their modules.
        codecs: strings that ``_codecs.encode`` would take for another thing than an alphabet.
        storages: key of a tensor's memory -> the bytes that it is said to have.
    """

    work: int | None
    names: set[str] = field(default_factory=set)
    codecs: set[str] = field(default_factory=set)
    storages: dict[str, int] = field(default_factory=dict)

    def add(self, stream: IO[bytes]) -> None:
        """Goes through the next pickle of a stream.

        Raises:
            ValueError: it is cut short, makes more than the file holds, or the memory of a tensor
                is not named as torch does.
        """
        memo: dict[Any, Any] = {}
        stack: list = []
        try:
            for opcode, argument, _ in pickletools.genops(stream):
                if opcode.name in _PUTS:
                    memo[argument] = stack[-1]
                elif opcode.name == 'MEMOIZE':
                    memo[len(memo)] = stack[-1]
                elif opcode.name in _GETS:
                    stack.append(memo[argument])
                else:
                    self._step(opcode, argument, stack)
        except _WRONG:
            raise ValueError('one of its pickles cannot be read') from None

    def _step(self, opcode: pickletools.OpcodeInfo, argument: Any, stack: list) -> None:
        """What an opcode takes off the stack and puts on it."""
        name, taken = opcode.name, _taken(opcode, stack)
        if name in _NAMING:
            found = argument.split(' ', 1) if argument else taken
            named = _Name(python3_name(*found))
            self.names.add(named)
            # INST names a class and makes one of it at once.
            stack.append(_Made(2 * self._count(taken)) if name in _CALLING else named)
        elif name in _ADDING:
            self._count(taken[_ADDING[name]])
            stack[-1].parts += taken
        elif name in _CALLING:
            # A text as bytes may have two a character.
            stack.append(_Made(2 * self._count(taken)))
        elif name in ('BINPERSID', 'PERSID'):
            self._add_storage(taken[0].parts if taken else None)
            stack.append(_Made())
        elif isinstance(argument, (str, int)) and opcode.stack_after:
            stack.append(argument)
            if isinstance(argument, str) and _CODECS.fullmatch(re.sub(r'\W+', '_', argument[:32])):
                self.codecs.add(argument)
        else:
            size = len(argument) if isinstance(argument, bytes) else 1
            stack += [
                _MARK if kind is pickletools.markobject else _Made(size, taken)
                for kind in opcode.stack_after
            ]

    def _count(self, values: Iterable) -> int:
        """The bytes of values with all that they hold, as often as it is held."""
        if self.work is None:
            return 0
        before, left = self.work, list(values)
        while left:
            value = left.pop()
            if isinstance(value, _Made):
                left += value.parts
            size = value.size if isinstance(value, _Made) else 1
            self.work -= len(value) if isinstance(value, str) else size
            if self.work < 0:
                raise ValueError('it makes more than it holds')
        return before - self.work

    def _add_storage(self, found: list | None) -> None:
        """Takes over ('storage', class, key, device, elements, and in older files None)."""
        if found and found[0] == 'module':
            # Source code of a whole model, in older files; its class is among the names.
            return
        if not found or len(found) not in (5, 6):
            raise ValueError('the memory of a tensor is not named as torch does')
        mark, kind, key, _, count = found[:5]
        known = mark == 'storage' and isinstance(kind, _Name) and kind in STORAGES
        is_said = isinstance(key, str) and type(count) is int and 0 <= count < 2**48
        if not known or not is_said:
            raise ValueError(f'the memory of a tensor is of no known kind ({str(kind)[:80]!r})')
        size = count * STORAGES[kind]
        if self.storages.setdefault(key, size) != size:
            raise ValueError('the memory of a tensor has two sizes')


_MARK = object()


def _taken(opcode: pickletools.OpcodeInfo, stack: list) -> list:
    """Takes what an opcode needs off the stack; what it adds to stays there."""
    before = list(opcode.stack_before)
    if opcode.name in _ADDING:
        before = before[1:]
    if pickletools.stackslice in before:
        at = next((i for i in reversed(range(len(stack))) if stack[i] is _MARK), -1)
        if at < 0:
            raise IndexError
        taken = stack[at + 1 :]
        del stack[at:]
        return taken
    if not before:
        return []
    taken = stack[-len(before) :]
    del stack[-len(before) :]
    if len(taken) < len(before) or any(value is _MARK for value in taken):
        raise IndexError
    return taken
