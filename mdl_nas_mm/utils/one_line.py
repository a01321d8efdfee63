"""What anybody's texts and errors say, in one line."""

from __future__ import annotations

from json import JSONDecodeError

_LONGEST = 400
# What code does that expects another value, or content, than it is given.
WRONG_VALUES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
)


def printable(text: str) -> str:
    """One line without characters that a terminal obeys, and not without end."""
    text = text if len(text) <= _LONGEST else f'{text[:_LONGEST]}...'
    return ''.join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def first_line(error: BaseException) -> str:
    """The first line of what an error says; its kind where it says nothing."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def in_one_line(error: BaseException) -> str:
    """All that an error says, with its kind unless it is one that is meant for users."""
    text = ' '.join(str(error).split())
    is_for_users = isinstance(error, (ValueError, FileNotFoundError)) and text
    if is_for_users and not isinstance(error, (UnicodeError, JSONDecodeError)):
        return text
    return f'{type(error).__name__}: {text}'.removesuffix(': ')
