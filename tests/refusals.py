"""How errors are to be: in one line that names the task, file, key or value at fault."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def raises_naming(
    error: type[Exception] | tuple[type[Exception], ...], *names: object
) -> Iterator[pytest.ExceptionInfo]:
    """Expects an error of one line that names all of these; how it puts it is its own affair.

    A number is named by a number, not by a digit of another one.
    """
    with pytest.raises(error) as caught:
        yield caught
    assert_names(str(caught.value), *names)


def assert_names(text: str, *names: object) -> None:
    """A refusal is one line that names all of these; see ``raises_naming``."""
    assert '\n' not in text, text
    missing = [str(name) for name in names if not _names(text, name)]
    assert not missing, f'{missing} not named in: {text}'


def _names(text: str, name: object) -> bool:
    if isinstance(name, int | float):
        return bool(re.search(rf'(?<![\w.]){re.escape(str(name))}(?!\w|\.\d)', text))
    return str(name) in text
