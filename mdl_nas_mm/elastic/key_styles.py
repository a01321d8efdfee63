"""In which keys, and in which order of rows and columns, published checkpoints hold weights."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch import Tensor


def _as_it_is(key: str, value: Tensor) -> Tensor:
    return value


@dataclass(frozen=True)
class KeyStyle:
    """The keys of one library or paper.

    Attributes:
        family: ``ViT`` or ``Swin``.
        marks: keys that together tell the style.
        renames: (regex, replacement) pairs, applied one after another, that give our keys.
        convert: our key and a tensor -> the tensor in our order of rows and columns.
        grouped: ends of our keys whose rows, once converted, are all of q, then k, then v.
    """

    name: str
    family: str
    marks: tuple[str, ...]
    renames: tuple[tuple[str, str], ...] = ()
    convert: Callable[[str, Tensor], Tensor] = _as_it_is
    grouped: tuple[str, ...] = ('.attn.qkv.weight', '.attn.qkv.bias')

    def rename(self, key: str) -> str:
        """Our key for one of this style."""
        for pattern, replacement in self.renames:
            key = re.sub(pattern, replacement, key)
        return key


def _autoformer_order(key: str, value: Tensor) -> Tensor:
    """Brings the rows q_0, k_0, v_0, q_1, ... to the order q, k, v."""
    if not key.endswith('.attn.qkv.weight'):
        return value
    return value.unflatten(0, (-1, 3)).transpose(0, 1).flatten(0, 1)


def _merging_order(key: str, value: Tensor) -> Tensor:
    """From four runs of channels, places (0, 0), (1, 0), (0, 1), (1, 1), to ``nn.Unfold``'s order.

    The same is done by mmdet's ``swin_converter``.
    """
    if '.downsample.' not in key:
        return value
    places = value.unflatten(-1, (4, -1))[..., [0, 2, 1, 3], :]
    return places.transpose(-1, -2).flatten(-2)


_FINAL_SWIN_NORM = (r'^norm\.', 'norm3.')
_OPENMMLAB = (
    (r'^patch_embed\.projection\.', 'patch_embed.proj.'),
    (r'\.ffn\.layers\.0\.0\.', '.mlp.fc1.'),
    (r'\.ffn\.layers\.1\.', '.mlp.fc2.'),
)

STYLES = (
    KeyStyle(
        'AutoFormer',
        'ViT',
        ('blocks.0.attn_layer_norm.weight', 'patch_embed_super.proj.weight'),
        (
            (r'^patch_embed_super\.', 'patch_embed.'),
            (r'\.attn_layer_norm\.', '.norm1.'),
            (r'\.ffn_layer_norm\.', '.norm2.'),
            (r'^(blocks\.\d+)\.(fc[12])\.', r'\1.mlp.\2.'),
        ),
        _autoformer_order,
        # Its biases are not interleaved: those of n rows a group are the first 3 * n, q, k, v.
        grouped=('.attn.qkv.weight',),
    ),
    KeyStyle(
        'OpenMMLab Swin',
        'Swin',
        ('stages.0.blocks.0.attn.w_msa.qkv.weight', 'patch_embed.projection.weight'),
        (*_OPENMMLAB, (r'\.attn\.w_msa\.', '.attn.'), _FINAL_SWIN_NORM),
    ),
    KeyStyle(
        'official Swin',
        'Swin',
        ('layers.0.blocks.0.attn.qkv.weight', 'patch_embed.proj.weight'),
        ((r'^layers\.', 'stages.'), _FINAL_SWIN_NORM),
        _merging_order,
    ),
    KeyStyle(
        'ElasticSwin',
        'Swin',
        ('stages.0.blocks.0.attn.qkv.weight', 'patch_embed.proj.weight'),
    ),
    # mmpretrain's attention has qkv; mmseg's wraps torch's, which has in_proj and out_proj.
    KeyStyle(
        'OpenMMLab ViT',
        'ViT',
        ('layers.0.ffn.layers.0.0.weight', 'patch_embed.projection.weight'),
        (
            *_OPENMMLAB,
            (r'^layers\.', 'blocks.'),
            (r'^(?:ln|norm)1\.', 'norm.'),
            (r'\.ln([12])\.', r'.norm\1.'),
            (r'\.attn\.attn\.in_proj_', '.attn.qkv.'),
            (r'\.attn\.attn\.out_proj\.', '.attn.proj.'),
        ),
    ),
    # DeiT's keys are timm's, and ElasticViT's are these.
    KeyStyle(
        'timm ViT',
        'ViT',
        ('blocks.0.attn.qkv.weight', 'patch_embed.proj.weight'),
    ),
)


def find_style(keys: Iterable[str]) -> tuple[KeyStyle, str] | None:
    """The style of a state dict, and what stands before its keys (``backbone.``), or None."""
    keys = dict.fromkeys(keys)
    for style in STYLES:
        for key in keys:
            prefix = key.removesuffix(style.marks[0])
            if prefix == key or (prefix and not prefix.endswith('.')):
                continue
            if all(prefix + mark in keys for mark in style.marks):
                return style, prefix
    return None
