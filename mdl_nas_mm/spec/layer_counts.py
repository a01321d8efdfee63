"""What every layer of a joint spec's tasks shares and owns."""

from __future__ import annotations

import re
from typing import Any

from .layout import ParamUse
from .ledger import Ledger
from .spec import JointSpec, SubnetSpec

# What has a name of its own in a block or, outside of the blocks, in a stage or in the backbone:
# one name behind the last number, such as ``blocks.3.attn``, or ``stages.0.downsample``.
_LAYER = re.compile(r'(.*\.\d+\.)?[^.]+')


def layer_counts(ledger: Ledger, joint: JointSpec) -> dict[str, Any]:
    """Counts a joint spec layer by layer and as a whole, in a JSON-able form.

    Returns:
        ``layers``: task -> its layers in the order of its backbone, each with ``layer`` (prefix
        of its state-dict keys), ``role`` (``attn``, ``ffn``, ``norm``, ``stem`` for what is
        outside the blocks, or ``own`` for what the task has beside them), and how many of the
        task's elements there are ``shared`` and ``specific``. What two tasks share counts for both.
        ``counts``: see ``Counts.with_totals``.

    Raises:
        ValueError: a layer under the mask policy has no scores.
    """
    return {
        'layers': {task: _layers(ledger, task, spec) for task, spec in joint.items()},
        'counts': ledger.count(joint).with_totals(),
    }


def layer_of(name: str) -> str:
    """What reports call the layer of a backbone's parameter."""
    layer = _LAYER.match(name)
    assert layer is not None
    return layer[0]


def _layers(ledger: Ledger, task: str, spec: SubnetSpec) -> list[dict[str, Any]]:
    uses: dict[str, list[ParamUse]] = {}
    for use in ledger.uses(spec.root, task):
        uses.setdefault(layer_of(use.name), []).append(use)
    return [_layer(ledger, name, parts) for name, parts in uses.items()]


def _layer(ledger: Ledger, name: str, uses: list[ParamUse]) -> dict[str, Any]:
    shared = sum(int(ledger.shared_rows(use).sum()) * use.columns for use in uses)
    # Relative positions are wholly shared, as what is outside the blocks, but belong to attention.
    role = next((use.role for use in uses if use.role != 'stem'), 'stem')
    specific = sum(use.size for use in uses) - shared
    return {'layer': name, 'role': role, 'shared': shared, 'specific': specific}
