"""What both sides' tables look like: everything that a spec is bound to, looked at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from adapters.pools import pool
from adapters.protocol import Source
from flows.bind.every import with_every
from flows.bind.spelling import Columns, with_tables
from flows.spec.model import Spec
from transforms.vocabulary import ConnectionFailed, Notice, Relation, SideName, SynclineError, TableName, TableShape


@dataclass(frozen=True, slots=True)
class Shapes:
    """The shapes of each entry of the spec's tables, of all of its sources; None where there is no such table.

    `notices` say what `tables: "*"` leaves where it is.
    `spec` has its names in the spelling of both catalogs, and the entries are called so.
    """

    spec: Spec
    sources: Mapping[str, tuple[TableShape | None, ...]]
    targets: Mapping[str, TableShape | None]
    notices: tuple[Notice, ...] = ()


def look(spec: Spec, source: Source, target: Source, known: Collection[str] = ()) -> Shapes:
    """Describe the tables and queries of both sides; no row is read. `known`: see `with_every`. Errors: SpecError for names that may be
    those of two; ConnectionFailed, which says of which side and where that stands in the spec."""
    try:
        return _look(spec, source, target, known)
    except ConnectionFailed as error:
        raise _of_side(spec, error, source) from error


def _look(spec: Spec, source: Source, target: Source, known: Collection[str]) -> Shapes:
    spec, notices = with_every(spec, source, target, known)
    spec = with_tables(spec, source, target)
    with pool(2) as threads:  # both servers look at their tables at the same time
        origins = threads.submit(lambda: {name: _described(spec, name, source) for name in spec.tables})
        targets = {name: target.describe(spec.target_table(name)) for name in spec.tables}
        sources = origins.result()
    return Shapes(Columns(spec, sources, targets, source, target).spelled(), sources, targets, notices)


def _of_side(spec: Spec, error: ConnectionFailed, source: Source) -> ConnectionFailed:
    """The error with its side, which is the source where that cannot be reached once more."""
    side: SideName = "target"
    try:
        source.describe(TableName("syncline_marker"))
    except ConnectionFailed:
        side = "source"
    except SynclineError:
        pass
    return type(error)(f"The {side}: {error.what}", fix=error.fix, where=error.where or spec.where(side, "url"))


def look_again(seen: Shapes, source: Source, target: Source) -> Shapes:
    """What was seen of the source, and the target's tables as they are now, where some of them were made or changed."""
    spec = with_tables(seen.spec, None, target)
    if spec.tables.keys() != seen.sources.keys():  # the target spells what it made in a way of its own
        return look(spec, source, target)
    targets = {name: target.describe(spec.target_table(name)) for name in spec.tables}
    spec = Columns(spec, seen.sources, targets, source, target).spelled()
    return Shapes(spec, seen.sources, targets, seen.notices)


def _described(spec: Spec, name: str, source: Source) -> tuple[TableShape | None, ...]:
    return tuple(_shape(part.source_relation(name), source) for part in spec.parts_of(name))


def _shape(relation: Relation, source: Source) -> TableShape | None:
    if relation.query is not None:
        return source.describe_query(relation.query)
    assert relation.table is not None
    return source.describe(relation.table)
