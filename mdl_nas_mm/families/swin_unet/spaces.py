"""Search spaces by name: a stage for each level, which all of its cells have, or one a cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .skeletons import CELLS, check_cells, level_of, read_skeletons, union

_LEVELS = 4


def _table_8(embed_dims: Sequence[Sequence[int]], num_heads: Sequence[Sequence[int]]) -> list[dict]:
    return [
        dict(
            embed_dim=dims, depth=(2, 4), num_heads=heads, mlp_ratio=(3.5, 4), window_side=(5, 7, 9)
        )
        for dims, heads in zip(embed_dims, num_heads)
    ]


def _swin_unet_t() -> list[dict]:
    """Swin-T, and decoders of two blocks a cell."""
    depths = dict(e1=2, e2=2, e3=6, e4=2)
    stages = []
    for cell in CELLS:
        dim = 96 << level_of(cell) - 1
        sizes = dict(embed_dim=dim, depth=depths.get(cell, 2), num_heads=dim // 32)
        stages.append(dict(sizes, mlp_ratio=4, window_side=7))
    return stages


SPACES: dict[str, list[dict]] = {
    # AutoTaskFormer (Table 8). Heads are 32 wide, whatever the embedding: 23 of them make q, k and
    # v of 736 channels each, from and to an embedding of 732.
    'autotaskformer-s': _table_8(
        ((64, 96, 128), (160, 192, 224), (352, 384, 416), (732, 768, 800)),
        ((2, 3, 4), (5, 6, 7), (11, 12, 13), (23, 24, 25)),
    ),
    'autotaskformer-b': _table_8(
        ((96, 128, 160), (192, 256, 320), (448, 512, 576), (960, 1024, 1088)),
        ((3, 4, 5), (6, 8, 10), (14, 16, 18), (30, 32, 34)),
    ),
    # A single architecture, which published weights of Swin-T fit.
    'swin-unet-t': _swin_unet_t(),
}


def completed(
    config: Mapping | Sequence[Mapping], settings: Mapping[str, Any]
) -> list[Mapping[str, Any]]:
    """A space with a stage for each cell, and without the cells that no skeleton needs.

    Raises:
        ValueError: there are neither four stages nor one for each cell, or a cell that a skeleton
            needs is missing.
    """
    stages = [config] if isinstance(config, Mapping) else list(config)
    if len(stages) == _LEVELS:
        stages = [stages[level_of(cell) - 1] for cell in CELLS]
    if len(stages) != len(CELLS):
        raise ValueError(
            f'search space: {len(stages)} stages, expected one for each of the {_LEVELS} levels or '
            f'of the {len(CELLS)} cells {", ".join(CELLS)}'
        )
    there = [c for c, s in zip(CELLS, stages) if _depth(s) not in (0, (0,), [0])]
    check_cells(there, 'search space')
    needed = union(
        skeleton
        for own in skeletons_by_task(settings.get('skeletons') or 'single-scale').values()
        for skeleton in own
    )
    for cell in needed:
        if cell not in there:
            raise ValueError(f'search space: it has no cell {cell!r}, which a skeleton needs')
    return [stage if cell in needed else dict(depth=0) for cell, stage in zip(CELLS, stages)]


def _depth(stage: Any) -> Any:
    return stage.get('depth') if isinstance(stage, Mapping) else None


def skeletons_by_task(value: Any) -> dict[str | None, tuple]:
    """Task -> its skeletons; None for those of all.

    Raises:
        ValueError: see ``read_skeletons``; a task's errors name it.
    """
    if not isinstance(value, Mapping):
        return {None: read_skeletons(value)}
    found: dict[str | None, tuple] = {}
    for task, own in value.items():
        try:
            found[task] = read_skeletons(own)
        except ValueError as error:
            raise ValueError(f'task {task!r}: {error}') from None
    return found
