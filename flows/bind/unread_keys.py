"""Rows of a source whose key cannot be read: nobody knows which rows of the target are theirs, so none is deleted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from transforms.mapping.column_mapping import Constant, LookUp, Rename
from transforms.vocabulary import Notice

if TYPE_CHECKING:
    from flows.bind.tables import BoundTable


def without_deletes(table: BoundTable) -> BoundTable:
    """The table; with `delete: ignore` where a row of it has a key that cannot be read."""
    return table if table.delete == "ignore" or not _unread(table) else replace(table, delete="ignore")


def deletes_withheld(table: BoundTable, policy: str) -> Notice | None:
    """What is told of a table of which `without_deletes` made another."""
    if table.delete == policy:
        return None
    text = (
        f"{table.name}: rows of the source cannot be read whole, and not what key they have ({', '.join(_unread(table))}); nothing "
        "is deleted, since any row that the source seems to lack may be one of them. Fix: mend what is in quarantine, and run again."
    )
    return Notice("deletes_withheld", text, table.name, {"columns": _unread(table)})


def _unread(table: BoundTable) -> list[str]:
    """The columns that are not known in some rows, and that the key is made of."""
    found: set[str] = set()
    for part in table.sources:
        unread = part.source_shape.unread
        for column in part.mapping.columns:
            if not unread or column.shape.name not in part.mapping.key or isinstance(column.origin, Constant):
                continue
            origin = column.origin
            if isinstance(origin, Rename):
                found |= unread & {origin.source}
            elif isinstance(origin, LookUp):
                found |= unread & {source for _, source in origin.match}
            else:
                found |= unread  # it may be about any of them
    return sorted(found)
