"""The layers whose weights and inputs are shared as differences."""

from __future__ import annotations

from torch import nn

from mdl_nas_mm.elastic.backbone import ElasticBackbone
from mdl_nas_mm.elastic.layers import ElasticLinear


def block_layers(backbone: nn.Module) -> dict[str, dict[str, ElasticLinear]]:
    """Name of each block that has any -> name in the backbone -> linear layer.

    Args:
        backbone: an elastic one, whose family names its blocks.

    Raises:
        ValueError: it has no such layers.
    """
    names = []
    if isinstance(backbone, ElasticBackbone):
        names = backbone.family.block_names(backbone.space.largest(), backbone.shape)
    found = {block: _linear_layers(backbone, block) for block in names}
    if not any(found.values()):
        raise ValueError(
            f'backbone {type(backbone).__name__} has no blocks with elastic linear layers, whose '
            'differences computation sharing learns'
        )
    return {block: layers for block, layers in found.items() if layers}


def linear_layers(backbone: nn.Module) -> dict[str, ElasticLinear]:
    """Name -> layer of all linear layers in the blocks of a backbone, in order of computation.

    These are Phi of "Efficient Computation Sharing for Multi-Task Visual Scene Understanding",
    Section 3.2: of each block q, k and v in one, the projection behind the attention, and the two
    of the feed-forward network. What lies outside the blocks, as Swin's merging of patches, is
    not among them.

    Raises:
        ValueError: see ``block_layers``.
    """
    return {n: layer for each in block_layers(backbone).values() for n, layer in each.items()}


def _linear_layers(backbone: nn.Module, block: str) -> dict[str, ElasticLinear]:
    inside = backbone.get_submodule(block).named_modules(prefix=block)
    return {name: module for name, module in inside if isinstance(module, ElasticLinear)}
