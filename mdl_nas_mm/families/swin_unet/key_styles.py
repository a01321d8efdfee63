"""In which keys, and in which order, weights of a tree of cells are published: Swin's encoders."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from mdl_nas_mm.elastic.key_styles import KeyStyle

from ..swin.key_styles import STYLES as SWIN_STYLES
from ..swin.window_tables import ring_order
from ..transformer.key_styles import QKV

RINGS = '.attn.bias_by_ring'


def _by_ring(convert: Callable[[str, Tensor], Tensor]) -> Callable[[str, Tensor], Tensor]:
    """Puts the rows of Swin's tables, of windows of any side, into the order of rings."""

    def converted(key: str, value: Tensor) -> Tensor:
        value = convert(key, value)
        if not key.endswith(RINGS):
            return value
        window = (math.isqrt(len(value)) + 1) // 2
        return value[ring_order(window, value.device)]

    return converted


def _of_cells(style: KeyStyle) -> KeyStyle:
    renames = (*style.renames, (r'\.attn\.relative_position_bias_table$', RINGS))
    return replace(style, renames=renames, convert=_by_ring(style.convert), unlike=_norms)


def _norms(backbone) -> str | None:
    if not backbone.shape.post_norm:
        return None
    return (
        'the backbone has norms behind its sums, published Swins have none; set post_norm=False to '
        'compute what they do'
    )


STYLES = (
    KeyStyle(
        'ElasticSwinUNet',
        ('stages.0.blocks.0.attn.bias_by_ring', 'patch_embed.proj.weight'),
        grouped=QKV,
    ),
    *(_of_cells(style) for style in SWIN_STYLES),
)
