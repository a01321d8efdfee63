"""How errors are to be: in one line that names the task, file, key or value at fault."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def raises_naming(
    error: type[Exception] | tuple[type[Exception], ...], *names: object
) -> Iterator[pytest.ExceptionInfo]:
    """Expects an error of one line that names all of these; how it puts it is its own affair."""
    with pytest.raises(error) as caught:
        yield caught
    text = str(caught.value)
    assert '\n' not in text, text
    missing = [str(name) for name in names if str(name) not in text]
    assert not missing, f'{missing} not named in: {text}'
