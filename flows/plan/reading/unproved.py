"""Target rows that a plan compares with nothing: which they are, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pyarrow as pa

from flows.bind.tables import BoundTable
from transforms import expressions, keys
from transforms.mapping.aside import set_aside
from transforms.mapping.mapping import Mapped
from transforms.vocabulary import ChangeSet, Notice, Reason, Why

WORDS: Final[Mapping[Why, str]] = {
    "quarantined": "whose source row is in quarantine",
    "ignored": "that the source does not have (delete: ignore)",
    "flagged": "that were flagged as deleted before",
    "null_key": "with a null in the key",
    "double_key": "whose key several rows of the target have",
    "referred": "that the source does not have, and rows that stay refer to them",
}
UNEXPLAINED: Final[tuple[Why, ...]] = ("null_key", "double_key", "referred")
"""No source row can be theirs, whatever the spec says."""


def without_doubles(bound: BoundTable, mapped: Mapped, found: pa.Table) -> tuple[Mapped, pa.Table, pa.Table]:
    """Rows of the target whose key is another one's too, apart from the others; their source rows are set aside.

    Only a target without a unique constraint on the key is looked at. Out: what is mapped, the rows with a key of their own,
    and those without.
    """
    if not bound.unwritable or not found.num_rows:
        return mapped, found, found.slice(0, 0)
    twice = keys.duplicates(found, bound.key)
    if not twice.any():
        return mapped, found, found.slice(0, 0)
    double = found.filter(pa.array(twice))
    met = keys.contained(mapped.rows, double, bound.key)
    # a row that cannot be compared is no fault of the source: it never fails the plan
    patient = bound.patient_mapping
    return set_aside(mapped, met, Reason("double_key"), patient), found.filter(pa.array(~twice)), double


def first_keys(bound: BoundTable, double: pa.Table, most: int) -> tuple[str, ...]:
    """Some of the keys that several rows have, each once, as JSON arrays."""
    if not double.num_rows:
        return ()
    few = double.select(list(bound.key)).group_by(list(bound.key)).aggregate([]).slice(0, most)
    return tuple(sorted(expressions.as_json_keys(few, bound.key).to_pylist()))


def double_warning(bound: BoundTable, rows: int, some: Sequence[str]) -> Notice:
    """What a person should know of rows of the target that share their keys."""
    text = (
        f"{bound.name}: {rows:,} rows of the target share their key ({', '.join(bound.key)}) with others, such as "
        f"{', '.join(some)}. They are compared with nothing. Fix: delete what is double, or choose a longer key."
    )
    return Notice("double_keys", text, bound.name, {"rows": rows, "columns": list(bound.key)})


def uncompared(bound: BoundTable, wanted: pa.Table, found: pa.Table, changes: ChangeSet, unchanged: int) -> pa.Table:
    """The rows of `found` that neither matched a wanted row nor are deleted. In: unique keys."""
    if found.num_rows == unchanged + changes.after.num_rows + changes.deletes.num_rows:
        return found.slice(0, 0)
    gone = keys.contained(found, changes.deletes, bound.key)
    return found.filter(pa.array(~keys.contained(found, wanted, bound.key) & ~gone))


def counted(
    bound: BoundTable, rest: pa.Table, *, double: pa.Table, flagged: pa.Table, held: pa.Table
) -> dict[Why, int]:
    """How many rows stay unproved, by reason.

    In: what was compared with nothing, what has no key of its own, what was flagged as deleted before, and the keys of the
    source rows that were set aside.
    """
    in_quarantine = int(keys.contained(rest, held, bound.key).sum()) if rest.num_rows and held.num_rows else 0
    every: dict[Why, int] = {
        "quarantined": in_quarantine,
        "ignored": rest.num_rows - in_quarantine,
        "flagged": flagged.num_rows,
        "double_key": double.num_rows,
    }
    return {why: rows for why, rows in every.items() if rows}


def in_words(unproved: Mapping[Why, int]) -> str:
    """`3 rows whose source row is in quarantine, 1 with a null in the key`."""
    return ", ".join(f"{rows:,} {WORDS[why]}" for why, rows in unproved.items())
