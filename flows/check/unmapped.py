"""What of the source a spec leaves where it is: columns that no column of the target is made of, and tables that it does not read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from adapters.protocol import Source
from flows.bind.tables import BoundTable
from flows.spec.model import Spec, table_name
from flows.spec.tables import REST, Table
from transforms.mapping.sources import read_by

_WORD: Final = re.compile(r"\w+")


def unmapped_columns(spec: Spec, bound: BoundTable, tables: Sequence[BoundTable]) -> tuple[str, ...]:
    """The source's columns that nothing is made of, in the source's order, without those that the spec excepts by name; of
    several sources each with the name of its own.

    `tables` are all of the spec: where several are made of one source table, a column of any of them counts.
    """
    every = [
        (part, table) for each in tables for part, table in zip(each.sources, spec.tables[each.name].parts, strict=True)
    ]
    return tuple(
        f"{part.part}.{name}" if part.part else name for part in bound.sources for name in _unmapped(part, every)
    )


def _unmapped(bound: BoundTable, every: Sequence[tuple[BoundTable, Table]]) -> tuple[str, ...]:
    """Those of one source; `every` has all sources of all tables, each beside what the spec says of it."""
    read = bound.source.table
    own = (bound.name, bound.part)
    alike = [
        each
        for each in every
        if (each[0].name, each[0].part) == own or (read is not None and each[0].source.table == read)
    ]
    used = {
        name.lower()
        for each, _ in alike
        for column in (*each.mapping.columns, *each.computed)
        for name in read_by(column, each.reads)
    }
    for _, table in alike:
        rest = (table.columns or {}).get(REST)
        used |= {name.lower() for name in (rest.except_ or () if rest else ())}
    return tuple(name for name in bound.source_shape.names if name.lower() not in used)


def unread_tables(spec: Spec, source: Source) -> tuple[str, ...]:
    """The tables of the schemas that the spec reads which it does not read, sorted.

    A table whose name is in a query counts as read, and one whose name differs in case alone. Empty where the spec has nothing
    but queries.
    """
    relations = [part.source_relation(name) for name in spec.tables for part in spec.parts_of(name)]
    read = {each.table.name.lower() for each in relations if each.table}
    for table in (part for each in spec.tables.values() for part in each.parts):
        for column in (table.columns or {}).values():
            if column.lookup and column.lookup.side == "source":
                read.add(table_name(column.lookup.table, None).name.lower())
    queries = {word.lower() for each in relations for text in (each.query, each.where) for word in _words(text or "")}
    schemas = dict.fromkeys(each.table.schema for each in relations if each.table)
    there = [table for schema in schemas for table in source.tables(schema)]
    unread = [each for each in there if each.name.lower() not in read and not {*_words(each.name.lower())} <= queries]
    return tuple(sorted({each.name if len(schemas) == 1 else str(each) for each in unread}))


def _words(text: str) -> list[str]:
    return _WORD.findall(text) or [text]
