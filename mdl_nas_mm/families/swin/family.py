"""All that the rest of the package asks of Swin transformers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mdl_nas_mm.elastic.family import Family, TaskSetting, register_family
from mdl_nas_mm.elastic.importance import Reordering
from mdl_nas_mm.spec import SubnetSpec

from ..transformer.dimensions import TRANSFORMER, derived_settings
from ..transformer.reorderings import reorderings
from ..transformer.timed_parts import TransformerParts
from .fitting import fit
from .key_styles import STYLES
from .layout import block_names
from .row_steps import row_steps
from .shape import SwinShape
from .spaces import SPACES
from .stock import stock_model


def _reorderings(spec: SubnetSpec, shape: SwinShape) -> list[Reordering]:
    tables = ('attn.relative_position_bias_table',)
    return reorderings(block_names(spec, shape), shape.head_dim, tables)


def _attention(index: int, depth: int) -> str:
    return 'shifted windows' if index % 2 else 'windows'


def _timed_parts(settings: Mapping[str, Any], shape: Mapping[str, Any]) -> TransformerParts:
    return TransformerParts(_attention, has_ends=True)


SWIN = register_family(
    Family(
        name='Swin',
        dimensions=TRANSFORMER,
        spaces=SPACES,
        task_settings=dict(
            out_indices=TaskSetting(is_output=True),
            pad_small_map=TaskSetting(default=False),
        ),
        block_names=block_names,
        derived_settings=derived_settings,
        styles=STYLES,
        fit=fit,
        reorderings=_reorderings,
        stock_model=stock_model,
        timed_parts=_timed_parts,
        row_steps=row_steps,
    )
)
