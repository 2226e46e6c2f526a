"""DuckDB's faults in Syncline's words."""

from __future__ import annotations

from typing import Final

import duckdb

from adapters.sql.refused import FIX, Refused
from transforms.vocabulary import ConnectionFailed, RowRefused, SynclineError, TransientError

# DuckDB tells errors apart by a few classes and gives no code: what goes further is known by its own text, and nowhere but by
# this table. Of several that fit the first one counts.
_SIGNS: Final[dict[str, tuple[str, ...]]] = {
    "held": ("Could not set lock", "Conflicting lock"),
    "full": ("No space left", "Could not write file", "File too large", "isk is full"),
    "referred": ("still referenced by a foreign key",),
    "reference": ("foreign key",),
    "double": ("uplicate key",),
    "conflict": ("onflict",),
    "reading": ("launched in read-only mode",),
}


def translated(error: BaseException, where: str) -> SynclineError:
    """DuckDB's fault in Syncline's words."""
    text = " ".join(str(error).split())
    fault = next((fault for fault, signs in _SIGNS.items() if any(sign in text for sign in signs)), None)
    if fault == "held":
        return ConnectionFailed(
            f"{where} is held by another process: {text}.", fix="end it; DuckDB lets in one process."
        )
    if fault == "full":
        return SynclineError(
            f"The disk that holds {where} is full; nothing was kept of the window.", fix="free space, rerun."
        )
    if fault == "referred":
        return RowRefused(
            f"{where}: DuckDB refused to change a row that others refer to: {text.split(' If this')[0]} The window was rolled "
            f"back.",
            text.split(" If this")[0],
            fix=(
                "DuckDB also counts rows that the same transaction deletes or rewrites; delete the referring "
                "rows in an earlier run, or drop the foreign key while loading."
            ),
            kind="reference",
        )
    if isinstance(error, duckdb.ConstraintException | duckdb.ConversionException):
        kind: Refused = fault if fault in FIX else "row"
        why = f"{where}: DuckDB refused a row: {text}. The window was rolled back."
        return RowRefused(why, text, kind=kind, fix=FIX[kind])
    if fault == "reading":
        return SynclineError(
            f"What is only read wants to write to {where}: {text}", fix="take a query that reads alone."
        )
    if isinstance(error, duckdb.TransactionException) or fault == "conflict":
        return TransientError(f"{where}: another transaction wrote the same rows: {text}")
    if isinstance(error, duckdb.IOException):
        return ConnectionFailed(f"Cannot open {where} as a DuckDB database: {text}")
    return SynclineError(f"DuckDB answered for {where}: {text}")
