"""Soft deletes: rows that the source lost are flagged in a column of the target and stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from flows.spec.model import Spec
from flows.spec.problems import meant
from transforms import keys
from transforms.mapping.casts import BOOLEAN_LIKE
from transforms.mapping.column_mapping import ColumnMapping
from transforms.vocabulary import ChangeSet, ColumnShape, SpecError, TableShape
from transforms.vocabulary.arrow import Mask, as_mask


@dataclass(frozen=True, slots=True)
class Soft:
    """The column that flags deleted rows: a truth value, or the time of the plan that deleted them."""

    shape: ColumnShape

    @property
    def column(self) -> str:
        return self.shape.name

    @property
    def timed(self) -> bool:
        return bool(pa.types.is_timestamp(self.shape.type))

    def cleared(self, rows: int) -> pa.Array:
        """The flags of rows that the source has: false, or no time."""
        return pa.repeat(pa.scalar(None if self.timed else 0).cast(self.shape.type), rows)

    def set(self, rows: int, at: datetime) -> pa.Array:
        """The flags of rows that are deleted at `at` (in UTC), cut to the fraction of a second that the column keeps."""
        if not self.timed:
            return pa.repeat(pa.scalar(1).cast(self.shape.type), rows)
        unit = 10 ** (6 - (6 if self.shape.digits is None else self.shape.digits))
        cut = at.replace(microsecond=at.microsecond // unit * unit)
        return pa.repeat(pa.scalar(cut, self.shape.type), rows)

    def flagged(self, rows: pa.Table) -> Mask:
        """Which rows of the target are flagged."""
        flags = rows.column(self.column)
        return as_mask(pc.is_valid(flags) if self.timed else pc.fill_null(flags.cast(pa.bool_()), False))

    def filled(self, rows: pa.Table) -> pa.Table:
        """Rows of the target in which no truth value is no deletion: false."""
        place = rows.schema.get_field_index(self.column)
        flags = rows.column(place)
        cleared = flags if self.timed or not flags.null_count else pc.fill_null(flags, pa.scalar(0).cast(flags.type))
        return rows.set_column(place, rows.schema.field(place), cleared)

    def marked(self, rows: pa.Table) -> pa.Table:
        """Rows of the source with the flag of rows that are there."""
        return rows.append_column(self.column, self.cleared(rows.num_rows))

    def softened(self, changes: ChangeSet, flagged: pa.Table, at: datetime) -> ChangeSet:
        """Changes of which deletes set the flag at `at`, and inserts of rows that are `flagged` in the target clear it."""
        gone, none = changes.deletes, changes.deletes.slice(0, 0)
        place = gone.schema.get_field_index(self.column)
        marked = gone.set_column(place, gone.schema.field(place), self.set(gone.num_rows, at))
        back, there = none, none
        if flagged.num_rows and changes.inserts.num_rows:
            at_flagged = keys.match(changes.inserts, flagged, changes.key)
            back = changes.inserts.filter(pa.array(at_flagged >= 0))
            there = flagged.take(pa.array(at_flagged[at_flagged >= 0]))
            changes = replace(changes, inserts=changes.inserts.filter(pa.array(at_flagged < 0)))
        return replace(
            changes,
            before=pa.concat_tables([changes.before, there, gone]),
            after=pa.concat_tables([changes.after, back, marked]),
            deletes=none,
        )


def soft_flag(spec: Spec, name: str, shape: TableShape, columns: Sequence[ColumnMapping]) -> Soft | None:
    """What flags deleted rows of a table; None where its policy is another. SpecError for a column that cannot."""
    policy = spec.delete_policy(name)
    if policy.policy != "soft":
        return None
    at = spec.where("tables", name, "delete")
    flag = shape.column(policy.column or "")
    if flag is None:
        raise SpecError(
            f"{shape.name} has no column {policy.column} to flag deleted rows. {meant(policy.column or '', shape.names)}",
            where=at,
        )
    if any(column.shape.name == flag.name for column in columns):
        raise SpecError(
            f"{flag.name} flags deleted rows and cannot be mapped too.", fix="remove it from the columns.", where=at
        )
    if not (pa.types.is_timestamp(flag.type) or pa.types.is_boolean(flag.type) or flag.native in BOOLEAN_LIKE):
        raise SpecError(
            f"{flag.name} is {flag.native}.", fix="flag deleted rows in a boolean or a timestamp column.", where=at
        )
    return Soft(flag)
