"""Which channels of a transformer's blocks may change places."""

from __future__ import annotations

from collections.abc import Iterable

from mdl_nas_mm.elastic.importance import Reordering


def reorderings(
    blocks: Iterable[str], head_dim: int, tables: Iterable[str] = ()
) -> list[Reordering]:
    """The heads and the hidden channels of blocks.

    Args:
        blocks: names of their modules.
        head_dim: width of a head.
        tables: names, in a block, of parameters with a column a head.
    """
    found = []
    for name in blocks:
        of_heads = tuple(f'{name}.{table}' for table in tables)
        qkv, proj = f'{name}.attn.qkv', f'{name}.attn.proj'
        found.append(Reordering(qkv, proj, head_dim, groups=3, tables=of_heads))
        found.append(Reordering(f'{name}.mlp.fc1', f'{name}.mlp.fc2'))
    return found
