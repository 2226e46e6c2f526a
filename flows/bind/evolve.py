"""`drift: evolve`: columns that the target lacks are added to it, always nullable and without a default."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from adapters.protocol import Definitions
from flows.spec.columns import Column
from flows.spec.model import Spec
from transforms.vocabulary import ColumnShape, SpecError, TableShape


@dataclass(frozen=True, slots=True)
class Added:
    """A column that a run adds to a table that is there, and the statement that does."""

    column: ColumnShape
    statement: str


def is_added(spec: Spec, table: str, name: str, wanted: Column, source: TableShape, target: TableShape) -> bool:
    """Whether a run adds the mapped column: the spec evolves and the target lacks it. A key column is never added.

    Errors: SpecError for a column that numbers itself, in the source without `columns`, or by `create:`.
    """
    if spec.defaults.drift != "evolve" or target.column(name) or name in (spec.tables[table].key or ()):
        return False
    create = spec.tables[table].create
    asked = create.columns.get(name) if create else None
    read = source.column(wanted.from_) if wanted.from_ and not _is_named(spec, table, name) else None
    if (asked and (asked.identity or asked.generated)) or (read and read.identity):
        raise SpecError(
            f"{target.name} has no column {name}, and columns that number or compute themselves are never added.",
            fix=(f"add it to {target.name}, or list what is to be moved under `columns`."),
        )
    return True


def _is_named(spec: Spec, table: str, name: str) -> bool:
    columns = spec.tables[table].columns
    return columns is not None and name in columns


def plain(column: ColumnShape) -> ColumnShape:
    """The column as it is added, whatever it is in the source or in `create:`."""
    return replace(column, nullable=True, identity=False, generated=False, default=False)


def extended(
    found: TableShape, wanted: TableShape, names: Sequence[str], target: Definitions
) -> tuple[TableShape, tuple[Added, ...]]:
    """The table as it will be with the columns at its end, and how they are added.

    `wanted` is the shape that the whole table would be made in. Errors: SpecError for names that the target would not
    keep, or takes for those of other columns.
    """
    asked = {column.name: plain(column) for column in target.sized(wanted).columns}
    new = tuple(asked[name] for name in names)
    statements = target.adding(replace(found, columns=(*found.columns, *new)), names)
    made = tuple(map(target.made, new))
    adds = tuple(Added(column, statement) for column, statement in zip(made, statements, strict=True))
    return replace(found, columns=(*found.columns, *made)), adds
