"""In which keys, and in which order of columns, published Swins hold weights."""

from __future__ import annotations

from torch import Tensor

from mdl_nas_mm.elastic.key_styles import KeyStyle

from ..transformer.key_styles import OPENMMLAB, QKV


def _merging_order(key: str, value: Tensor) -> Tensor:
    """From four runs of channels, places (0, 0), (1, 0), (0, 1), (1, 1), to ``nn.Unfold``'s order.

    The same is done by mmdet's ``swin_converter``.
    """
    if '.downsample.' not in key:
        return value
    places = value.unflatten(-1, (4, -1))[..., [0, 2, 1, 3], :]
    return places.transpose(-1, -2).flatten(-2)


_FINAL_NORM = (r'^norm\.', 'norm3.')
_COMPUTED = ('.attn_mask', '.relative_position_index')

STYLES = (
    KeyStyle(
        'OpenMMLab Swin',
        ('stages.0.blocks.0.attn.w_msa.qkv.weight', 'patch_embed.projection.weight'),
        (*OPENMMLAB, (r'\.attn\.w_msa\.', '.attn.'), _FINAL_NORM),
        grouped=QKV,
        computed=_COMPUTED,
    ),
    KeyStyle(
        'official Swin',
        ('layers.0.blocks.0.attn.qkv.weight', 'patch_embed.proj.weight'),
        ((r'^layers\.', 'stages.'), _FINAL_NORM),
        _merging_order,
        grouped=QKV,
        computed=_COMPUTED,
    ),
    KeyStyle(
        'ElasticSwin',
        ('stages.0.blocks.0.attn.qkv.weight', 'patch_embed.proj.weight'),
        grouped=QKV,
        computed=_COMPUTED,
    ),
)
