"""The smallest file that is a deposit to whoever looks at its header alone."""

import json
from pathlib import Path

from mdl_nas_mm.header.manifest import encode

SPEC = dict(stages=[dict(embed_dim=8)])


def manifest(**task) -> dict:
    """Of one task, ``seg``, with more or other keys of it."""
    info = dict(spec=SPEC, region='seg', scope='mmseg', model={}, score='mIoU') | task
    return dict(
        backbone=dict(type='ElasticNobodys'),
        tasks=dict(seg=info),
        history=[dict(regions=dict(seg=dict(spec=SPEC, settings={})), base_segments=[])],
        counts=dict(
            shared=1500, specific=dict(seg=500), heads=dict(seg=7), backbones=dict(seg=2000)
        ),
        hashes={},
        provenance={},
    )


def write_header(path: Path, said: dict) -> Path:
    """A file of nothing but a header."""
    header = json.dumps(dict(__metadata__=encode(said))).encode()
    header += b' ' * (-len(header) % 8)
    path.write_bytes(len(header).to_bytes(8, 'little') + header)
    return path
