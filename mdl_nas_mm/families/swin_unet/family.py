"""All that the rest of the package asks of Swin transformers with decoders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mdl_nas_mm.elastic.family import Family, TaskSetting, register_family
from mdl_nas_mm.elastic.importance import Reordering
from mdl_nas_mm.spec import SubnetSpec

from ..transformer.dimensions import derived_settings
from ..transformer.reorderings import reorderings
from .dimensions import CELL_TREE
from .fitting import fit
from .key_styles import STYLES
from .layout import block_names
from .shape import SwinUNetShape
from .spaces import SPACES, completed
from .timed_parts import CellParts


def _reorderings(spec: SubnetSpec, shape: SwinUNetShape) -> list[Reordering]:
    return reorderings(block_names(spec, shape), shape.head_dim, ('attn.bias_by_ring',))


def _timed_parts(settings: Mapping[str, Any], shape: Mapping[str, Any]) -> CellParts:
    return CellParts(has_skips=bool(shape.get('skip_connections')))


SWIN_UNET = register_family(
    Family(
        name='SwinUNet',
        dimensions=CELL_TREE,
        spaces=SPACES,
        completed=completed,
        task_settings=dict(
            skeletons=TaskSetting(default='single-scale', is_output=True, selects=True)
        ),
        block_names=block_names,
        derived_settings=derived_settings,
        styles=STYLES,
        fit=fit,
        reorderings=_reorderings,
        timed_parts=_timed_parts,
    )
)
