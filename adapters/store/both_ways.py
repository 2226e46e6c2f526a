"""What a plan of the target keeps of a two-way table beside its changes, so that whoever applies it can say what both sides agree on then.

plan/agreed/<table>/<window>.parquet      what both sides agree on once both plans are in: the rows of the window, where all of it is
                                          written anew, else those of which they agree on something else, or that are to change
plan/before/<table>/<window>.parquet      what they agreed on before of those rows
plan/wanted/<table>/<window>.parquet      the changes of both sides in the target's shape, the source's first: `side`, and as in changes
plan/pairs/<table>/<window>.parquet       for each row that is to change in the source its key there: `target`, `source`, and `others` where
                                          it is other projections of its origin that change it
plan/open/<table>/<window>.parquet        the rows in conflict
plan/overruled/<table>/<window>.parquet   the edits that lost
plan/edits/<table>/<window>.parquet       what people had done to a side since both agreed, the source's first: `key`, and `row`, null
                                          where it is gone; or, where both had not met, all rows of the side
plan/agreed/<table>/999999.parquet        where the windows begin: `window`, `changed`, `whole`, and the struct `start`
plan/unagreed/<table>/000000.parquet      of an undo: the keys of rows of which both sides agree on what `before` says again, if on anything
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.store.changesets import change_set, change_table
from adapters.store.plan_files import BESIDE, FileEntry, Kind, read_rows
from adapters.store.plans import Plan, PlanWriter
from transforms.vocabulary import SIDES, ChangeSet, Key, KeyValue, SideName, TableName, of_side
from transforms.vocabulary.arrow import contiguous

CUTS: Final = 999_999
"""The number of the file that says where windows begin, among those of what is agreed on."""


Unagreed = tuple[TableName, pa.Table, pa.Table | None]
"""Of a table: the keys of rows that are to be agreed on otherwise, and as what; not at all where that has no row of the key."""


def source_folder(folder: Path) -> Path:
    """Where the plan of the source lies that belongs to one of the target."""
    return folder.with_name(of_side(folder.name, "source"))


def target_folder(folder: Path) -> Path:
    """Where the plan of the target lies that belongs to one of either side."""
    return folder.with_name(folder.name.removesuffix(of_side("", "source")))


class Pairs(NamedTuple):
    """Rows by their keys on both sides, row by row."""

    target: pa.Table
    source: pa.Table


@dataclass(frozen=True, slots=True)
class Stretch:
    """A window of a table: where it begins, None for the first and where there is no order, and whether what is agreed on in it changes;
    then either the `whole` of it is written down, or what is otherwise."""

    window: int
    start: KeyValue | None
    changed: bool
    whole: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was to become of a window: the changes of both sides in the target's shape; what both agree on before, in rows that are to
    change and in those of which they agree on something else, and after, in the same rows or in the whole window; and for each row
    that is to change in the source its key on both sides; in `others` the same of rows that other projections of the origin change, and
    that this one shows as they leave them."""

    source: ChangeSet
    target: ChangeSet
    before: pa.Table | None
    after: pa.Table
    pairs: Pairs
    others: Pairs

    def changes(self, side: SideName) -> ChangeSet:
        return self.source if side == "source" else self.target


def add_wanted(writer: PlanWriter, window: int, wanted: Wanted) -> list[FileEntry]:
    """Write down what was to become of a window."""
    table = wanted.target.table
    entries = [writer.add_rows("agreed", table, window, wanted.after, {"agreed": wanted.after.num_rows})]
    if wanted.before is not None:
        entries.append(writer.add_rows("before", table, window, wanted.before, {"before": wanted.before.num_rows}))
    if len(wanted.source) or len(wanted.target):
        both = [(window * 2, wanted.source), (window * 2 + 1, wanted.target)]
        entries += [
            writer.add_rows("wanted", table, number, change_table(some), {str(op): n for op, n in some.counts.items()})
            for number, some in both
            if len(some)
        ]
    if wanted.pairs.source.num_rows or wanted.others.source.num_rows:
        both = [pa.concat_tables(some).to_struct_array() for some in zip(wanted.pairs, wanted.others, strict=True)]
        others = np.repeat([False, True], [wanted.pairs.source.num_rows, wanted.others.source.num_rows])
        pairs = pa.table({**dict(zip(Pairs._fields, both, strict=True)), "others": pa.array(others)})
        entries.append(writer.add_rows("pairs", table, window, pairs, {"pairs": pairs.num_rows}))
    return entries


def add_stretches(writer: PlanWriter, table: TableName, some: Sequence[Stretch], order: pa.Schema) -> FileEntry:
    """Write down where the windows of a table begin. In: the columns of the order, none where it has none."""
    kind = pa.struct([field.with_nullable(True) for field in order])
    starts = [None if each.start is None else dict(zip(order.names, each.start, strict=True)) for each in some]
    rows = pa.table(
        {
            "window": pa.array([each.window for each in some], pa.int64()),
            "changed": pa.array([each.changed for each in some], pa.bool_()),
            "whole": pa.array([each.whole for each in some], pa.bool_()),
            **({"start": pa.array(starts, kind)} if order.names else {}),
        }
    )
    return writer.add_rows("agreed", table, CUTS, rows, {"windows": rows.num_rows})


def stretches(plan: Plan, table: TableName) -> list[Stretch]:
    """The windows of a table, ascending; none where a plan changes nothing of what is agreed on."""
    rows = plan.rows_at("agreed", table, CUTS)
    if rows is None:
        return []
    starts = rows["start"].to_pylist() if "start" in rows.column_names else [None] * rows.num_rows
    # plans of earlier versions have the whole of each window
    whole = rows["whole"].to_pylist() if "whole" in rows.column_names else [True] * rows.num_rows
    return [
        Stretch(window, None if start is None else tuple(start.values()), *how)
        for window, start, *how in zip(
            rows["window"].to_pylist(), starts, rows["changed"].to_pylist(), whole, strict=True
        )
    ]


def wanted_of(plan: Plan, table: TableName, window: int, like: ChangeSet) -> Wanted:
    """What was to become of a window whose agreement changes. `like`: a change set of the table without rows."""
    after = plan.rows_at("agreed", table, window)
    assert after is not None, "a window that changes has what is agreed on then"

    def changes(number: int) -> ChangeSet:
        rows = plan.rows_at("wanted", table, number)
        return like if rows is None else change_set(rows, table)

    return Wanted(
        changes(window * 2),
        changes(window * 2 + 1),
        plan.rows_at("before", table, window),
        after,
        *_pairs_apart(plan.rows_at("pairs", table, window)),
    )


def _pairs_apart(rows: pa.Table | None) -> tuple[Pairs, Pairs]:
    if rows is None:
        return (none := Pairs(pa.table({}), pa.table({}))), none
    ends = [pa.Table.from_struct_array(rows[name]) for name in Pairs._fields]
    if "others" not in rows.column_names:  # plans of earlier versions have none
        return Pairs(*ends), Pairs(*(each.slice(0, 0) for each in ends))
    others = rows["others"]
    return Pairs(*(each.filter(pc.invert(others)) for each in ends)), Pairs(*(each.filter(others) for each in ends))


def pairs_of(plan: Plan, table: TableName, *, others: bool = False) -> Pairs | None:
    """The rows of a table that are to change in the source, by their keys on both sides, and those that other projections change there."""
    found = [_pairs_apart(rows) for rows in plan.rows("pairs", table)]
    if not found:
        return None
    some = [each for own, more in found for each in ((own, more) if others else (own,))]
    return Pairs(*(pa.concat_tables(parts) for parts in zip(*some, strict=True)))


def wanted_keys(plan: Plan, table: TableName, windows: Sequence[int]) -> list[pa.Table]:
    """The keys of the rows that were to change in the target, window by window."""
    found = (plan.rows_at("wanted", table, window * 2 + 1) for window in windows)
    return [pa.Table.from_struct_array(rows["key"]) for rows in found if rows is not None]


def add_edits(
    writer: PlanWriter,
    table: TableName,
    window: int,
    side: SideName,
    there: pa.Table,
    gone: pa.Table | None,
    key: Key,
    *,
    whole: bool,
) -> FileEntry:
    """Write down the rows of a side that people have edited, and the keys of those that are gone; or the `whole` of a window."""
    row = pa.struct([field.with_nullable(True) for field in there.schema])
    images = pa.StructArray.from_arrays([contiguous(column) for column in there.columns], fields=list(row))
    keyed = [contiguous(there.column(name)) for name in key]
    if gone is not None and gone.num_rows:
        images = pa.concat_arrays([images, pa.nulls(gone.num_rows, row)])
        keyed = [
            pa.concat_arrays([ours, contiguous(gone.column(name).cast(ours.type))])
            for ours, name in zip(keyed, key, strict=True)
        ]
    rows = pa.table({"key": pa.StructArray.from_arrays(keyed, names=list(key)), "row": images})
    counts = {"edits": rows.num_rows, **({"whole": 1} if whole else {})}
    return writer.add_rows("edits", table, window * 2 + SIDES.index(side), rows, counts)


def edits_of(plan: Plan, table: TableName, side: SideName) -> tuple[list[pa.Table], bool]:
    """What people had done to a side, as `add_edits` wrote it of a table that has this name on the target, and whether that is all of the
    side's rows."""
    mine = [e for e in plan.files if e.kind == "edits" and e.table == table and e.window % 2 == SIDES.index(side)]
    return [read_rows(plan.folder, each) for each in mine], any(each.counts.get("whole") for each in mine)


def forget_edits(plan: Plan, table: TableName, side: SideName) -> int:
    """Remove what people had done to a side; how many bytes that was. In: a plan that was opened for its edits."""
    freed = 0
    for each in plan.files:
        path = plan.folder / each.path
        if each.kind == "edits" and each.table == table and each.window % 2 == SIDES.index(side) and path.exists():
            path.unlink()
            freed += each.nbytes
    return freed


def forget_beside(folder: Path) -> int:
    """Remove what a plan of the target keeps beside its changes, once nobody can take it back any more; how many bytes that was."""
    freed = 0
    for kind in BESIDE:
        for path in (folder / kind).glob("*/*.parquet"):
            freed += path.stat().st_size
            path.unlink()
    return freed


def touched(plan: Plan, table: TableName) -> pa.Table | None:
    """The keys of all rows that were to change on either side; None where there are none."""
    rows = rows_of(plan, "wanted", table)
    return None if rows is None else pa.Table.from_struct_array(rows["key"].combine_chunks())


def add_unagreed(writer: PlanWriter, table: TableName, gone: pa.Table, before: pa.Table | None) -> list[FileEntry]:
    """Write down the keys of rows that are to be agreed on as `before`, or not at all where that has no row of the key."""
    entries = [writer.add_rows("unagreed", table, 0, gone, {"unagreed": gone.num_rows})]
    if before is not None and before.num_rows:
        entries.append(writer.add_rows("before", table, 0, before, {"before": before.num_rows}))
    return entries


def unagreed(plan: Plan) -> Iterator[Unagreed]:
    """What an undo changes of what both sides agree on, by table."""
    for table in dict.fromkeys(entry.table for entry in plan.files if entry.kind == "unagreed"):
        gone = rows_of(plan, "unagreed", table)
        assert gone is not None, "the plan has a file of it"
        yield table, gone, rows_of(plan, "before", table)


def rows_of(plan: Plan, kind: Kind, table: TableName) -> pa.Table | None:
    """All rows of files of a kind of a table, None where there are none."""
    parts = list(plan.rows(kind, table))
    return pa.concat_tables(parts, promote_options="permissive") if parts else None
