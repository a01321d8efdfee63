"""Latency tables of several machines, told apart by what they say of where they were measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mdl_nas_mm.elastic.latency_table import LatencyTable
from mdl_nas_mm.header.contents import machine_of


def label_of(table: LatencyTable) -> str:
    """The machine of a table, as people are told of it."""
    return machine_of(table.timing.to_dict(), table.about)


def chosen_table(
    tables: Sequence[LatencyTable], latency: str | Path | LatencyTable | None
) -> LatencyTable | None:
    """The table that milliseconds are counted with.

    Args:
        tables: of a deposit.
        latency: a table, a file that ``mdl-nas latency`` wrote, or words of the label of one of the
            tables; without it the only one that there is. None where none of several is named.

    Raises:
        FileNotFoundError: there is no such file, and no table.
        ValueError: no table has these words, or several have.
    """
    if latency is None or isinstance(latency, LatencyTable):
        return latency or (tables[0] if len(tables) == 1 else None)
    if not tables or Path(latency).is_file():
        return LatencyTable.load(latency)
    labels = [label_of(table) for table in tables]
    found = [table for table, label in zip(tables, labels) if str(latency).lower() in label.lower()]
    if len(found) != 1:
        known = '; '.join(labels) or 'none'
        raise ValueError(
            f'latency {str(latency)!r}: no file, and of {len(found)} tables in the deposit '
            f'({known}); name one'
        )
    return found[0]
