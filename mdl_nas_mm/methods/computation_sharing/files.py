"""A difference in a file: what one stage of a training hands to the next."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import save_file

from mdl_nas_mm.deposit.tensor_file import TensorFile
from mdl_nas_mm.utils.files import written_whole
from mdl_nas_mm.utils.strict_json import strict_json

from .differences import Difference, SparseWeight

_KEY = 'shapes'


def save_difference(path: str | Path, difference: Difference) -> None:
    """Writes a difference as safetensors: ``<weight>/indices`` and ``<weight>/values``."""
    tensors, shapes = {}, {}
    for name, each in difference.weights.items():
        shapes[name] = list(each.shape)
        tensors[f'{name}/indices'] = each.indices.cpu().contiguous()
        tensors[f'{name}/values'] = each.values.detach().cpu().contiguous()
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with written_whole(Path(path)) as temporary:
        save_file(tensors, temporary, {_KEY: json.dumps(shapes)})


def load_difference(path: str | Path) -> Difference:
    """Reads what ``save_difference`` has written.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is none, or has places twice or outside of a weight (names it).
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'difference {path} is not there; the stage before writes it')
    file, where = TensorFile(path), f'difference {path}'
    shapes = strict_json(file.metadata.get(_KEY, 'null'))
    if not isinstance(shapes, dict):
        raise ValueError(f'{where}: it is no file of a difference')
    weights = {}
    for name, shape in shapes.items():
        names = f'{name}/indices', f'{name}/values'
        if not all(each in file.entries for each in names):
            raise ValueError(f'{where}: {name!r} has no indices and values')
        if not isinstance(shape, list) or not all(type(n) is int and n > 0 for n in shape):
            raise ValueError(f'{where}: {name!r} has no shape')
        try:
            weights[name] = SparseWeight(tuple(shape), *(file[each].clone() for each in names))
        except ValueError as error:
            raise ValueError(f'{where}: {name!r}: {error}') from None
    return Difference(weights)
