"""In which keys, and in which order of rows, published ViTs hold weights."""

from __future__ import annotations

from torch import Tensor

from mdl_nas_mm.elastic.key_styles import KeyStyle

from ..transformer.key_styles import OPENMMLAB, QKV


def _autoformer_order(key: str, value: Tensor) -> Tensor:
    """Brings the rows q_0, k_0, v_0, q_1, ... to the order q, k, v."""
    if not key.endswith('.attn.qkv.weight'):
        return value
    return value.unflatten(0, (-1, 3)).transpose(0, 1).flatten(0, 1)


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
