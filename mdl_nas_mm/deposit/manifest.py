"""The JSON part of a deposit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import torch
from torch import Tensor

from mdl_nas_mm.utils.jsonable import from_json, to_json

FORMAT = 'mdl_nas_mm deposit'
VERSION = 1


def tensor_hash(tensor: Tensor) -> str:
    """Hex SHA-256 of a tensor's dtype, shape and bytes."""
    tensor = tensor.detach().cpu().contiguous()
    digest = hashlib.sha256(f'{tensor.dtype} {tuple(tensor.shape)}'.encode())
    digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def encode(manifest: Mapping) -> dict[str, str]:
    """The manifest as the string metadata of a safetensors file."""
    text = json.dumps(to_json(manifest))
    return {
        'format': FORMAT,
        'version': str(VERSION),
        'manifest': text,
        'manifest_sha256': hashlib.sha256(text.encode()).hexdigest(),
    }


def decode(metadata: Mapping[str, str] | None, path: str) -> dict:
    """Reads what ``encode`` wrote.

    Raises:
        ValueError: the file is no deposit, of a later version, or its manifest was altered.
    """
    if (metadata or {}).get('format') != FORMAT:
        raise ValueError(f'{path} is no deposit')
    if metadata.get('version') != str(VERSION):
        raise ValueError(
            f'deposit {path} has version {metadata.get("version")}, this reads {VERSION}'
        )
    text = metadata.get('manifest', '')
    if hashlib.sha256(text.encode()).hexdigest() != metadata.get('manifest_sha256'):
        raise ValueError(f"deposit {path} was altered: 'manifest' does not match its checksum")
    return from_json(json.loads(text))
