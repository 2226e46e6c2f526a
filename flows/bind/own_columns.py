"""Columns of a target table that the spec does not map: they go with a row that is deleted, and have to come back with it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from flows.spec.model import Spec
from flows.spec.problems import meant
from transforms.vocabulary import DataError, Key, SpecError, TableName, TableShape


def own_columns(spec: Spec, name: str, shape: TableShape, images: Collection[str]) -> Key:
    """The columns that whole rows of a table have beside `images`, in the table's order: see `beside`.

    SpecError where the spec lets go (`delete: {lose: …}`) what is no such column.
    """
    known = beside(shape, images)
    policy = spec.delete_policy(name)
    own = spec.tables[name].delete
    if own is not None and "lose" in own.model_fields_set:
        for position, column in enumerate(policy.lose):
            if column not in known:
                at = spec.where("tables", name, "delete", "lose", position)
                why = "is mapped, or computed" if column in shape.names else "is not there"
                raise SpecError(
                    f"{shape.name}.{column} {why}, so there is nothing of it to lose. {meant(column, known)}", where=at
                )
    return tuple(column for column in known if column not in policy.lose)


def writable(shape: TableShape) -> Key:
    """The columns of whole rows that can be written: all but those that the engine computes."""
    return beside(shape, ())


def beside(shape: TableShape, images: Collection[str]) -> Key:
    """The columns of a table beside `images`, in its order, but for those that the engine computes from others."""
    return tuple(column.name for column in shape.columns if column.name not in images and not column.generated)


def described(shape: TableShape, names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Columns of a table as a plan names them: each with its type."""
    columns = ((name, shape.column(name)) for name in names)
    return tuple((name, str(column.type)) for name, column in columns if column is not None)


def lost(spec: Spec, table: TableName) -> Collection[str]:
    """The columns that a target table's rows may lose, as the spec says today; none where it does not know the table."""
    return next((spec.delete_policy(name).lose for name in spec.tables if spec.target_table(name) == table), ())


def must_travel(shape: TableShape, names: Iterable[str], rows: int) -> None:
    """DataError where rows are to be deleted whose columns `names` cannot all be read: nobody could give them back."""
    for name in names:
        column = shape.column(name)
        if column is not None and column.refused:
            raise DataError(
                f"{shape.name}: {rows:,} {'row is' if rows == 1 else 'rows are'} to be deleted, and {name} ({column.native}) goes with "
                f"them and could not be given back: {column.refused} Nothing was written.",
                fix=how_to_lose(shape.name, [name]),
            )


def how_to_lose(table: TableName, names: Sequence[str]) -> str:
    """How a person says that rows may be deleted without some of their columns being kept."""
    listed = ", ".join(names)
    return f"let it go with `delete: {{lose: [{listed}]}}` of {table.name}, or keep such rows with `delete: soft` or `ignore`."
