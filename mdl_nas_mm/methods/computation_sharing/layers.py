"""The layers whose weights and inputs are shared as differences."""

from __future__ import annotations

from torch import nn

from mdl_nas_mm.elastic.layers import ElasticLinear


def linear_layers(backbone: nn.Module) -> dict[str, ElasticLinear]:
    """Name -> layer of all linear layers in the blocks of a transformer, in order of computation.

    These are Phi of "Efficient Computation Sharing for Multi-Task Visual Scene Understanding",
    Section 3.2: of each block q, k and v in one, the projection behind the attention, and the two
    of the feed-forward network. What lies outside the blocks, as Swin's merging of patches, is
    not among them.

    Args:
        backbone: ``ElasticViT`` or ``ElasticSwin``.

    Raises:
        ValueError: it has no such layers.
    """
    layers = {
        name: module
        for name, module in backbone.named_modules()
        if isinstance(module, ElasticLinear) and 'blocks' in name.split('.')
    }
    if not layers:
        raise ValueError(
            f'backbone {type(backbone).__name__} has no transformer blocks; computation sharing '
            'takes ElasticViT and ElasticSwin'
        )
    return layers
