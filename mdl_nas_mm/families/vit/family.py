"""All that the rest of the package asks of vision transformers."""

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
from .key_styles import STYLES, published_key
from .layout import block_names, global_blocks
from .row_steps import row_steps
from .shape import ViTShape
from .spaces import SPACES
from .stock import stock_model


def _reorderings(spec: SubnetSpec, shape: ViTShape) -> list[Reordering]:
    if shape.qkv_bias == 'packed':
        raise ValueError(
            "reorder: heads of a block whose qkv_bias is 'packed' have an order; set reorder=False"
        )
    return reorderings(block_names(spec, shape), shape.head_dim)


def _of_deepest(indices: list[int], spec: SubnetSpec, largest: SubnetSpec) -> list[int]:
    """Blocks of the deepest architecture that mean these blocks of an architecture."""
    return [(index + 1) * largest.depth // spec.depth - 1 for index in indices]


def _timed_parts(settings: Mapping[str, Any], shape: Mapping[str, Any]) -> TransformerParts:
    def attention(index: int, depth: int) -> str:
        is_whole = index in global_blocks(depth) and settings.get('global_attention', True)
        return 'whole' if is_whole or not settings.get('window') else 'windows'

    return TransformerParts(attention, has_ends=False)


VIT = register_family(
    Family(
        name='ViT',
        dimensions=TRANSFORMER,
        spaces=SPACES,
        task_settings=dict(
            out_type=TaskSetting(is_output=True),
            out_indices=TaskSetting(is_output=True, of_largest=_of_deepest),
            window_size=TaskSetting(default=0, timed='window'),
            global_attention=TaskSetting(default=True, timed='global_attention'),
            propagation=TaskSetting(default='none', owns=True, timed='propagation'),
        ),
        block_names=block_names,
        derived_settings=derived_settings,
        styles=STYLES,
        published_key=published_key,
        fit=fit,
        reorderings=_reorderings,
        stock_model=stock_model,
        timed_parts=_timed_parts,
        row_steps=row_steps,
        # Positions are interpolated, so that for which size they are stored does not matter.
        untimed=('img_size',),
    )
)
