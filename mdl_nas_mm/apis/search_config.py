"""The config of a search, with what a command line says of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mdl_nas_mm.tasks import ResolvedConfig, resolve_joint_config
from mdl_nas_mm.utils.config_file import read_config


def read_search_config(
    path: str | Path,
    options: Mapping[str, Any] | None = None,
    trust_checkpoint: bool = False,
    **settings: Any,
) -> ResolvedConfig:
    """A joint config, resolved.

    Args:
        path: of the config.
        options: further settings, which go before ``settings``.
        trust_checkpoint: whether checkpoints may hold anything, and so run any code.
        settings: of ``search_cfg``; those that are None, or False, are left as they are.

    Raises:
        FileNotFoundError, ValueError: see ``resolve_joint_config``.
    """
    given = {f'search_cfg.{key}': value for key, value in settings.items() if value}
    return resolve_joint_config(read_config(path, {**given, **(options or {})}, trust_checkpoint))
