"""Text of anybody, for a screen."""

from __future__ import annotations

_LONGEST = 400


def printable(text: str) -> str:
    """One line without characters that a terminal obeys, and not without end."""
    text = text if len(text) <= _LONGEST else f'{text[:_LONGEST]}...'
    return ''.join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
