"""What a lookup reads."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.protocol import Source, Target
from flows.spec.columns import Lookup
from flows.spec.model import Spec
from flows.spec.problems import meant
from flows.spec.tables import table_name
from transforms.vocabulary import ColumnShape, SideName, SpecError, TableName


@dataclass(frozen=True, slots=True)
class LookupSource:
    """What a lookup reads: a planned table of the migration (`planned`), or a table of one side as it is.

    `through` is the table whose identity map it goes through; `planned` is None where that is the lookup's own.
    """

    side: SideName
    table: TableName
    planned: str | None
    columns: tuple[str, ...]
    through: str | None = None


def as_it_is(lookup: Lookup, spec: Spec, source: Source, target: Target) -> tuple[TableName, dict[str, ColumnShape]]:
    """A table that no plan is about, and its columns. SpecError where the side has none of that name."""
    table = table_name(lookup.table, spec.endpoint(lookup.side).schema_name)
    side: Source = source if lookup.side == "source" else target
    found = side.describe(table)
    if found is None:
        tables = {each.name for each in side.tables(table.schema)}
        raise SpecError(f"the {lookup.side} has no table {table}. {meant(table.name, tables)}")
    return table, {column.name: column for column in found.columns}
