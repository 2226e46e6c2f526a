"""What finding new rows by a cursor costs, and what it may miss: said by `check`, before the first run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adapters.protocol import Catalog, RowVersions
from flows.bind.tables import BoundTable
from flows.check.tree_indexes import indexed
from flows.results.shares import counted
from flows.session.session import Session
from transforms.vocabulary import ColumnRange, Notice


def costs(session: Session, tables: Sequence[BoundTable]) -> Iterator[Notice]:
    """A notice for each source of which a run by cursor goes through all rows to find the new ones, or reads more than these; for each
    table that the cursor of the defaults does not fit; and for what the source's server does not tell the user."""
    for bound in tables:
        wanted = session.spec.cursor(bound.name)
        if wanted is None:
            continue
        if bound.cursor is None:
            text = f"{bound.name}: the cursor of the defaults, {wanted.column}, is none of its source: every run reads all rows of it."
            yield Notice("cursor_not_there", text, bound.name, {"column": wanted.column})
            continue
        for part in bound.sources:
            yield from _of_source(session, part)
    source = session.sides.source.adapter
    columns = any(each.cursor is not None and each.cursor.shape is not None for each in tables)
    if columns and isinstance(source, RowVersions) and source.oldest_writer() is None:
        text = (
            f"{source.url} does not tell this user since when others are writing: rows that come to light later than the overlap are left "
            f"to the next full pass. Fix: GRANT pg_read_all_stats, or an overlap longer than the longest transaction, or `cursor: "
            f"{source.row_version}`."
        )
        yield Notice("cursor_overlap_alone", text)


def _of_source(session: Session, part: BoundTable) -> Iterator[Notice]:
    cursor, adapter, table = part.cursor, session.sides.source.adapter, part.source.table
    assert cursor is not None, "the whole table has one"
    snapshot = session.sides.source.snapshot
    rows = counted(snapshot.estimate(part.source), "row")
    facts = {"column": cursor.column, "source": str(part.source)}
    if cursor.shape is None:
        text = f"{part.name}: {cursor.column} has no index: each run goes through {part.source}, about {rows}, and reads the new ones."
        yield Notice("cursor_without_index", text, part.name, facts)
        return
    if table is None:
        text = f"{part.name}: each run asks the whole query of the source, and reads the new rows of its answer."
        yield Notice("cursor_without_index", text, part.name, facts)
    elif isinstance(adapter, Catalog) and not indexed(adapter, table, part.source_shape, (cursor.column,)):
        text = (
            f"{part.name}: no index of {table} begins with {cursor.column}: each run goes through the table, about {rows}, to find the "
            f"new ones. Fix: make an index of ({cursor.column})."
        )
        yield Notice("cursor_without_index", text, part.name, facts)
    if not cursor.shape.nullable:
        return
    nulls = snapshot.count(part.source) - snapshot.count(part.source, [ColumnRange(cursor.column)])
    if nulls:
        text = f"{part.name}: {counted(nulls, 'row')} without {cursor.column} will be read by each run. Fix: fill it."
        yield Notice("cursor_nulls", text, part.name, {**facts, "rows": nulls})
