"""In which keys, and in which order of rows, published ViTs hold weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mdl_nas_mm.elastic.key_styles import KeyStyle

from ..transformer.key_styles import OPENMMLAB, QKV
from .presets import PRESETS


def _autoformer_order(key: str, value: Tensor) -> Tensor:
    """Brings the rows q_0, k_0, v_0, q_1, ... to the order q, k, v."""
    if not key.endswith('.attn.qkv.weight'):
        return value
    return value.unflatten(0, (-1, 3)).transpose(0, 1).flatten(0, 1)


def _unlike_autoformer(vit: Any) -> str | None:
    """What of a backbone computes something else with AutoFormer's weights than AutoFormer."""
    shape, space = vit.shape, vit.space
    own = dict(norm_eps=vit.norm.eps)
    if not shape.max_relative_position:
        own['max_relative_position'] = 0
    kinds = vit.out_type.values() if isinstance(vit.out_type, Mapping) else [vit.out_type]
    # AutoFormer has a class token, and classifies by the mean of the patches.
    if 'cls_token' in kinds:
        own['out_type'] = 'cls_token'
    blocks = zip(space.smallest().stages[0].blocks, space.largest().stages[0].blocks)
    # Of the most heads alone both layouts of the bias are the same.
    if any(small.num_heads != large.num_heads for small, large in blocks):
        own['qkv_bias'] = shape.qkv_bias
    wanted = PRESETS['autoformer']
    unlike = [f'{key}={value!r}' for key, value in own.items() if value != wanted[key]]
    if not unlike:
        return None
    say = ', '.join(f'{key}={wanted[key]!r}' for key, value in own.items() if value != wanted[key])
    return (
        f'sub-networks are not those of AutoFormer with {", ".join(unlike)}: set '
        f"preset='autoformer' or {say}, or train the supernet further before it is searched"
    )


def published_key(key: str) -> str:
    """The key in published models of a parameter of ours."""
    return key.replace('.attn.qkv_bias.bias', '.attn.qkv.bias')


STYLES = (
    KeyStyle(
        'AutoFormer',
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
        unlike=_unlike_autoformer,
    ),
    # mmpretrain's attention has qkv; mmseg's wraps torch's, which has in_proj and out_proj.
    KeyStyle(
        'OpenMMLab ViT',
        ('layers.0.ffn.layers.0.0.weight', 'patch_embed.projection.weight'),
        (
            *OPENMMLAB,
            (r'^layers\.', 'blocks.'),
            (r'^(?:ln|norm)1\.', 'norm.'),
            (r'\.ln([12])\.', r'.norm\1.'),
            (r'\.attn\.attn\.in_proj_', '.attn.qkv.'),
            (r'\.attn\.attn\.out_proj\.', '.attn.proj.'),
        ),
        grouped=QKV,
    ),
    # DeiT's keys are timm's, and ElasticViT's are these.
    KeyStyle(
        'timm ViT',
        ('blocks.0.attn.qkv.weight', 'patch_embed.proj.weight'),
        grouped=QKV,
    ),
)
