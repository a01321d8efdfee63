"""Files of predictors: tensors, and JSON under a key of their metadata."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mdl_nas_mm.utils.files import written_whole
from mdl_nas_mm.utils.strict_json import strict_json
from mdl_nas_mm.utils.tensor_header import read_header

# No predictor of a thousand choices and ten tasks has as much.
_MAX_BYTES = 2**26
_DAMAGE = (ValueError, LookupError, TypeError, AttributeError, RuntimeError, SafetensorError)


def save_predictor(
    path: str | Path, tensors: Mapping[str, Tensor], key: str, about: Mapping[str, Any]
) -> None:
    """Writes one safetensors file, whole or not at all."""
    with written_whole(Path(path)) as temporary:
        save_file(dict(tensors), temporary, {key: json.dumps(about)})


@contextmanager
def opened_predictor(path: str | Path, key: str) -> Generator[tuple[Any, dict[str, Tensor]]]:
    """What ``save_predictor`` wrote, JSON and tensors; nothing in it is executed.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such predictor, or the block finds that it is none.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'predictor {path} is not there')
    try:
        with open(path, 'rb') as file:
            header, _, size = read_header(file)
        if size > _MAX_BYTES:
            raise ValueError(f'more than {_MAX_BYTES:,} bytes')
        yield strict_json(header['__metadata__'][key]), load_file(path)
    except _DAMAGE as error:
        raise ValueError(f'predictor {path}: damaged ({str(error)[:200]!r})') from None
