"""References that are null for a while: until the rows that they lead to are in, or until those are gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flows.plan.references.references import having
from transforms.vocabulary import ChangeSet, Key
from transforms.vocabulary.arrow import Mask
from transforms.vocabulary.values import same_rows


@dataclass(frozen=True, slots=True)
class Loose:
    """Of rows that have in `columns` the values of a row of `values`, all of its columns, `empty` are null for a while: in rows
    that come, or are updated, or else in rows that are to go."""

    columns: Key
    values: pa.Table
    empty: Key
    comes: bool = True

    def of(self, rows: pa.Table) -> Mask:
        """Which rows these are; none where they do not have the columns."""
        if not {*self.columns, *self.empty} <= set(rows.column_names):
            return np.zeros(rows.num_rows, dtype=bool)
        return having(rows, self.columns, self.values, tuple(self.values.column_names))


@dataclass(frozen=True, slots=True)
class Steps:
    """Changes in steps: `main`, without loose references; before all others the updates that take them from rows that are to go
    (`early`), and behind all that comes those that complete rows (`rest`). `late` are updates that have nothing to do in `main`, and
    come whole with the completing ones. None for none."""

    main: ChangeSet
    early: ChangeSet | None
    rest: ChangeSet | None
    late: ChangeSet | None


def in_steps(changes: ChangeSet, loose: Sequence[Loose]) -> Steps | None:
    """Changes in steps; None where one is enough."""
    early, left = _freed(changes, [each for each in loose if not each.comes])
    coming = [each for each in loose if each.comes]
    inserts, after = _emptied(left.inserts, coming), _emptied(left.after, coming)
    if early is None and not (inserts.chosen.any() or after.chosen.any()):
        return None
    idle = after.chosen & same_rows(left.before, after.rows, tuple(left.before.column_names), {})
    twice = pa.concat_tables([inserts.only(inserts.chosen), after.only(after.chosen & ~idle)])
    whole = pa.concat_tables([_only(left.inserts, inserts.chosen), _only(left.after, after.chosen & ~idle)])
    rest = replace(left.empty, before=twice, after=whole)
    late = replace(left.empty, before=_only(left.before, idle), after=_only(left.after, idle))
    main = replace(left, inserts=inserts.rows, before=_only(left.before, ~idle), after=after.only(~idle))
    return Steps(main, early, rest if len(rest) else None, late if len(late) else None)


def _freed(changes: ChangeSet, loose: Sequence[Loose]) -> tuple[ChangeSet | None, ChangeSet]:
    """The updates that take loose references from rows that are to go, None for none, and their deletes as they are then."""
    deletes = _emptied(changes.deletes, loose)
    if not deletes.chosen.any():
        return None, changes
    chosen = pa.array(deletes.chosen)
    early = replace(changes.empty, before=changes.deletes.filter(chosen), after=deletes.rows.filter(chosen))
    return early, replace(changes, deletes=deletes.rows)


@dataclass(frozen=True, slots=True)
class _Emptied:
    """Rows with nulls in loose references, and which of them those are."""

    rows: pa.Table
    chosen: Mask

    def only(self, mask: Mask) -> pa.Table:
        return _only(self.rows, mask)


def _emptied(rows: pa.Table, loose: Sequence[Loose]) -> _Emptied:
    chosen, made = np.zeros(rows.num_rows, dtype=bool), rows
    for each in loose:
        mine = each.of(rows)
        chosen |= mine
        for name in each.empty if mine.any() else ():
            place = rows.schema.get_field_index(name)
            field = rows.schema.field(place)
            values = pc.if_else(pa.array(mine), pa.scalar(None, field.type), made.column(name))
            made = made.set_column(place, field, values)
    return _Emptied(made, chosen)


def _only(rows: pa.Table, mask: Mask) -> pa.Table:
    return rows.filter(pa.array(mask))
