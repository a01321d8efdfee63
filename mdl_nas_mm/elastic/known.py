"""Which class a backbone's config of somebody else may name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.sharing import Sharing
from mdl_nas_mm.spec import Dimensions
from mdl_nas_mm.utils.registries import registered_here

from .backbone import ElasticBackbone
from .family import Family
from .part import ElasticPart


def backbone_class(config: Mapping, where: str) -> type[ElasticBackbone]:
    """The class of a backbone's config.

    Raises:
        ValueError: it is no registered one.
    """
    name = config.get('type')
    found = registered_here(name, MODELS)
    if not isinstance(found, type) or not issubclass(found, ElasticBackbone):
        raise ValueError(
            f'{where}: {ascii(name)[:80]} is no registered elastic backbone; one of your own '
            'has to be imported'
        )
    return found


def part_class(config: Any) -> type[ElasticPart] | None:
    """The class of a module's config, where it is a registered elastic one."""
    found = registered_here(config.get('type'), MODELS) if isinstance(config, Mapping) else None
    is_part = isinstance(found, type) and issubclass(found, ElasticPart)
    return found if is_part else None


def family_of(config: Mapping, where: str = 'backbone') -> Family:
    """The family of a backbone's config.

    Raises:
        ValueError: see ``backbone_class``.
    """
    return backbone_class(config, where).family


def dimensions_of(config: Mapping) -> Dimensions:
    """The dimensions of the architectures of a backbone's config; see ``backbone_class``."""
    return family_of(config).dimensions


def sharing_of(config: Mapping, where: str = 'backbone') -> Sharing:
    """The sharing policies of a backbone's config; see ``backbone_class``."""
    return Sharing.from_config(config.get('sharing'), family_of(config, where).dimensions.roles)


def made_backbone(config: Mapping, where: str) -> ElasticBackbone:
    """What ``MODELS.build`` makes, of a config that may name nothing else than a backbone."""
    kind = backbone_class(config, where)
    return kind(**{key: value for key, value in config.items() if key not in ('type', '_scope_')})
