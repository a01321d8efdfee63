"""What the families of slimmable backbones have alike: all of it follows from their shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mdl_nas_mm.elastic.family import Family, TaskSetting
from mdl_nas_mm.elastic.key_styles import KeyStyle
from mdl_nas_mm.spec import SubnetSpec

from .dimensions import SLIMMABLE, completed
from .spaces import SPACES
from .timed_parts import SlimParts

Completed = Callable[[Any, Mapping[str, Any]], list[dict[str, Any]]]


def completed_by(shape_class: Any) -> Completed:
    """How a space follows from the arguments of a class with this shape."""

    def by_shape(config: Any, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
        shape = shape_class.of(settings)
        return completed(config, shape.widths(), shape.multiple)

    return by_shape


def slim_family(name: str, shape_class: Any, styles: Sequence[KeyStyle], **more: Any) -> Family:
    """The family of backbones with the layers of a shape.

    Args:
        name: what it is called.
        shape_class: what is fixed; ``of`` reads it from the arguments of the backbone.
        styles: keys of published weights.
        more: of ``Family``, ``stock_model`` where there is an upstream class.
    """

    def timed_parts(settings: Mapping[str, Any], shape: Mapping[str, Any]) -> SlimParts:
        own = shape_class.of(shape)
        return SlimParts(own, tuple(own.block_names()))

    def block_names(spec: SubnetSpec, shape: Any) -> list[str]:
        return shape.block_names()

    def derived_settings(shape: Any) -> dict[str, Any]:
        # A task may take fewer stages than there are.
        return dict(stages=shape.stages)

    return Family(
        name=name,
        dimensions=SLIMMABLE,
        spaces=SPACES,
        completed=completed_by(shape_class),
        task_settings=dict(out_indices=TaskSetting(is_output=True, selects=True)),
        derived_settings=derived_settings,
        block_names=block_names,
        styles=tuple(styles),
        timed_parts=timed_parts,
        **more,
    )
