"""Both sides held to what they agreed on last: whose edits are still to be brought over, and what both did alike."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from transforms import keys
from transforms.diff import Comparison, diff
from transforms.net_changes import changed_keys
from transforms.vocabulary import ChangeSet, TableName


@dataclass(frozen=True, slots=True)
class Held:
    """Rows by what became of them since both agreed.

    `known` rows of the base are on a side or set aside; those of `alike` are equal on both sides and otherwise in the base, or not there.
    Rows that are not equal were edited on the `source` alone, on the `target` alone, or on `both`. `digest` names the base.
    """

    digest: str
    known: int = 0
    alike: int = 0
    source: int = 0
    target: int = 0
    both: int = 0

    def __add__(self, other: Held) -> Held:
        """Of other windows of the table. Where the base was replaced in between, the digest is empty."""
        counts = (getattr(self, name) + getattr(other, name) for name in ("known", "alike", "source", "target", "both"))
        return Held(self.digest if self.digest == other.digest else "", *counts)


def held(
    table: TableName,
    base: pa.Table,
    source: pa.Table,
    target: pa.Table,
    apart: ChangeSet | None,
    comparison: Comparison,
    digest: str,
) -> Held:
    """Hold both sides of a window to the base.

    In: unique keys without nulls on each side, equal columns in equal types; all of the base's rows with those keys. `apart` is what
        would turn the target into the source, None where they are equal.
    Out: `known` counts the base's rows that are given. Memory: the window.
    """
    key, names = comparison.key, list(comparison.key)
    ours, theirs = (diff(table, side, base, comparison).changes for side in (source, target))
    unlike = base.select(names).slice(0, 0) if apart is None else changed_keys(apart)
    by_source, by_target = (keys.contained(unlike, changed_keys(each), key) for each in (ours, theirs))
    edited = pa.concat_tables([ours.inserts.select(names), ours.after.select(names)])
    alike = keys.contained(edited, target, key) & ~keys.contained(edited, unlike, key)
    return Held(
        digest,
        base.num_rows,
        int(alike.sum()),
        int((by_source & ~by_target).sum()),
        int((by_target & ~by_source).sum()),
        int((by_source == by_target).sum()),
    )
