"""Whether a slimmable backbone is one of upstream's: what all families ask alike."""

from __future__ import annotations

from collections.abc import Mapping

from mdl_nas_mm.elastic.family import NoStockClassError

from .backbone import SlimBackbone


def check_channels(backbone: SlimBackbone, wanted: Mapping[str, int], what: str) -> None:
    """Raises NoStockClassError, naming the width, unless its architecture has these channels.

    Args:
        backbone: of one architecture.
        wanted: width -> channels.
        what: has these, such as ``'a ResNet of 64 base channels'``.
    """
    counts = backbone.slim.counts(backbone.arch)
    for name, channels in wanted.items():
        if counts.get(name) != channels:
            raise NoStockClassError(
                f'{name} has {counts.get(name)} channels; in {what} it has {channels}'
            )


def returned_stages(backbone: SlimBackbone, name: str) -> tuple[int, ...]:
    """The stages that it returns, which upstream's class of a name returns once, in order."""
    indices = backbone.wanted_stages(backbone.task)
    if indices != sorted(set(indices)):
        raise NoStockClassError(f'{name} returns a stage once, wanted are {indices}')
    return tuple(indices)
