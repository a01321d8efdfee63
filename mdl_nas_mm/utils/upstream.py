"""Where the configs of the upstream libraries lie."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def upstream_config_path(name: str, folder: str | Path = '.') -> Path:
    """Find the file of a config.

    mmengine looks for the *distribution* that a module comes in, knows only OpenMMLab's names
    of them, and installs what it does not find: ``mmseg::...`` fails where mmseg comes from
    ``onedl-mmsegmentation``. Here the module itself is asked where it lies.

    Args:
        name: ``module::path/below/configs.py``, or a path of a file.
        folder: What a relative path of a file starts from.

    Returns:
        The file.

    Raises:
        FileNotFoundError: If the module or the file is not there.
    """
    module, separator, relative = name.partition('::')
    if not separator:
        path = Path(folder) / name
    else:
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:
            raise FileNotFoundError(f'config {name!r}: {module} is not installed')
        package = Path(spec.origin).parent
        path = package / '.mim' / 'configs' / relative
        if not path.is_file() and (package.parent / 'configs' / '_base_').is_dir():
            # Ours in a checkout, beside the package.
            path = package.parent / 'configs' / relative
    if not path.is_file():
        raise FileNotFoundError(f'config {name!r} is not there (tried {path})')
    return path
