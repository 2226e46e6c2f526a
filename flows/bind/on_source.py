"""What columns of the source get that the mapping does not show, in rows that were born on the target: `on_source`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from flows.spec.conflict import OnSource
from flows.spec.model import Spec
from flows.spec.problems import meant
from flows.spec.types import suggested, type_name
from transforms import expressions
from transforms.mapping import casts
from transforms.mapping.column_limits import misfits
from transforms.vocabulary import ColumnShape, DataError, Meaning, Problem, SpecError, text_of
from transforms.vocabulary.arrow import contiguous

if TYPE_CHECKING:
    from flows.bind.tables import BoundTable


@dataclass(frozen=True, slots=True)
class Given:
    """The value of a column of the source: `sql` over the row in the target's shape, or the same `value` in every row."""

    shape: ColumnShape
    sql: str | None = None
    value: Any = None

    def of(self, rows: pa.Table) -> pa.Array:
        """The values for rows, in the column's type. DataError for one that it does not take."""
        if self.sql is None:
            return self._fitting(pa.array([self.value])).take(pa.array([0] * rows.num_rows, pa.int64()))
        values, bad = expressions.evaluate(rows, self.shape.name, self.sql)
        if bad:
            raise DataError(f"on_source.{self.shape.name}: {next(iter(bad.values()))}", fix="change the expression.")
        return self._fitting(contiguous(values))

    def _fitting(self, values: pa.Array) -> pa.Array:
        made = casts.cast(values, casts.Cast(self.shape.type, self.shape.meaning))
        faults = [*(each for each in made.faults if each[0].any()), *misfits(made.values, self.shape)]
        if faults:
            mask, reason = faults[0]
            shown = values.filter(pa.array(mask))[0].as_py()
            raise DataError(
                f"on_source.{self.shape.name}: {shown!r} {text_of(reason)}.",
                fix=f"give a value of type {self.shape.native}.",
            )
        return made.values


def bound_given(spec: Spec, bound: BoundTable) -> tuple[dict[str, Given], list[Problem]]:
    """What each column of `on_source` gets, and what is wrong with them."""
    found: dict[str, Given] = {}
    problems: list[Problem] = []
    for column, wanted in spec.tables[bound.name].on_source.items():
        where = spec.where("tables", bound.name, "on_source", column)
        try:
            found[column] = _given(bound, column, wanted)
        except (SpecError, DataError) as error:
            text = error.what if error.what.startswith("on_source") else f"on_source.{column}: {error.what}"
            problems.append(Problem(text, error.fix, where, bound.name))
    return found, problems


def _given(bound: BoundTable, column: str, wanted: OnSource) -> Given:
    shape = bound.source_shape.column(column)
    if shape is None:
        raise SpecError(f"the source has no column {column}. {meant(column, bound.source_shape.names)}")
    if shape.generated:
        raise SpecError(f"the source computes {column} itself.", fix="remove it.")
    if shape.refused:
        raise SpecError(f"{column} ({shape.native}) cannot be written exactly: {shape.refused}")
    if wanted.expr is None:
        given = Given(shape, value=wanted.const)
        given.of(bound.mapping.schema.empty_table())  # raises for a value that does not fit
        return given
    kind, meaning = typed_over(bound, column, wanted.expr)
    if not casts.implicit(kind, meaning, shape):
        raise SpecError(
            f"`{wanted.expr}` is {type_name(kind, meaning)} and the source's column is {shape.native}.",
            fix=f"convert it in the expression, to {suggested(shape)}.",
        )
    return Given(shape, wanted.expr)


def typed_over(bound: BoundTable, name: str, sql: str) -> tuple[pa.DataType, Meaning]:
    """The type of an expression over the mapped columns of a table. SpecError where it is none."""
    known = {column.lower() for column in bound.mapping.schema.names}
    for column in sorted(expressions.columns(sql)):
        if column.lower() not in known:
            raise SpecError(
                f"{bound.shape.name} has no mapped column {column}. {meant(column, bound.mapping.schema.names)}"
            )
    return expressions.typed(bound.mapping.schema, name, sql)
