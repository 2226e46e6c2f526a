"""What Great Expectations looks at: Arrow rows as a pandas frame, or a table over a connection of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from adapters.registry import open_source
from adapters.sql.access import Access
from adapters.sql.staged_apply import as_travel, python_values
from adapters.sql.statements import quoted, select
from transforms.vocabulary import Relation
from transforms.vocabulary.decimals import as_doubles

if TYPE_CHECKING:
    import pandas as pd

EXACT_FLOAT: Final = 2**53  # beyond it a double skips integers
SAMPLE: Final = 5  # failing rows that are told
LONGEST: Final = 200  # characters of a value that is told

SUM: Final = "expect_column_sum_to_be_between"
BOUNDED: Final = re.compile(
    r"expect_column_(values_to_be_(between|increasing|decreasing)|values_to_not_be_outliers|value_z_scores_\w+"
    r"|(sum|mean|median|stdev|min|max|quantile_values)_to_be_between|kl_divergence_\w+|distinct_values_\w+|most_common_\w+)"
)
"""Expectations that calculate, or compare with numbers of the spec, which Great Expectations turns into doubles."""

_NULLABLE: Final = {
    pa.int8(): "Int8",
    pa.int16(): "Int16",
    pa.int32(): "Int32",
    pa.int64(): "Int64",
    pa.uint8(): "UInt8",
    pa.uint16(): "UInt16",
    pa.uint32(): "UInt32",
    pa.uint64(): "UInt64",
    pa.bool_(): "boolean",
}


def named_columns(arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns that an expectation's arguments name, in order."""
    single = [arguments[each] for each in ("column", "column_A", "column_B") if each in arguments]
    return tuple(dict.fromkeys(str(each) for each in (*single, *(arguments.get("column_list") or ()))))


def looked_at(asked: Sequence[tuple[str, Mapping[str, Any]]], columns: Sequence[str]) -> list[str]:
    """The columns that expectations, as types and arguments, look at.

    All of them where one is about the whole table, or has a condition.
    """
    looked: set[str] = set()
    for kind, arguments in asked:
        names = named_columns(arguments)
        if not kind.startswith("expect_table_row_count"):
            if not names or "row_condition" in arguments:
                return list(columns)
            looked.update(names)
    return [name for name in columns if name in looked]


def frames(
    rows: pa.Table, asked: Mapping[int, tuple[str, Mapping[str, Any]]]
) -> Iterator[tuple[list[int], pd.DataFrame]]:
    """The frames to show, each with the numbers of those expectations, as types and arguments, that look at it.

    The decimal 0.10 is less than the double 0.1, so that decimals at their bound would fail: there they are doubles.
    All else looks at exact decimals.
    """
    exact: list[int] = []
    doubles: list[int] = []
    sums: list[int] = []
    for number, (kind, arguments) in asked.items():
        named = [name for name in named_columns(arguments) if name in rows.column_names]
        if not BOUNDED.fullmatch(kind) or not any(pa.types.is_decimal(rows.schema.field(name).type) for name in named):
            exact.append(number)
        elif kind == SUM and "row_condition" not in arguments:
            sums.append(number)
        else:
            doubles.append(number)
    for numbers in (exact, doubles, sums):
        if numbers:
            columns = looked_at([asked[number] for number in numbers], rows.column_names)
            shown = _summed(rows, columns) if numbers is sums else rows
            yield numbers, frame(shown, columns, as_floats=numbers is not exact)


def _summed(rows: pa.Table, columns: Sequence[str]) -> pa.Table:
    """The exact sums of decimal columns, in one row whose sums they are: doubles that even out do not add up to 0."""
    exact = [rows[name].cast(pa.decimal256(76, rows.schema.field(name).type.scale)) for name in columns]
    return pa.table(
        {name: pa.array([pc.sum(each).as_py()], each.type) for name, each in zip(columns, exact, strict=True)}
    )


def frame(rows: pa.Table, columns: Sequence[str], *, as_floats: bool = False) -> pd.DataFrame:
    """The columns as a frame whose index is the position of each row.

    NumPy's types where they say the same as Arrow's, since Great Expectations is three times as fast on them: not
    where an integer column has nulls, or numbers that a comparison as doubles would round. Dates, decimals and the
    rest stay Arrow's. NaN is null, as Great Expectations has it for floats in memory.
    `as_floats`: decimals become doubles, for bounds that are doubles too.
    """
    import pandas as pd

    index = pd.RangeIndex(rows.num_rows)
    made = {name: _series(rows[name], as_floats=as_floats).set_axis(index) for name in columns}
    return pd.DataFrame(made, index=index, copy=False)


def _series(values: pa.ChunkedArray, *, as_floats: bool) -> pd.Series[Any]:
    import pandas as pd

    kind = values.type
    if as_floats and pa.types.is_decimal(kind):
        kind, values = pa.float64(), as_doubles(values)
    if pa.types.is_integer(kind) and _beyond_floats(values):
        return _of(values, {kind: pd.api.types.pandas_dtype(_NULLABLE[kind])})
    if kind in _NULLABLE:
        return _of(values, {kind: pd.api.types.pandas_dtype(_NULLABLE[kind])} if values.null_count else {})
    if (
        pa.types.is_floating(kind)
        or pa.types.is_timestamp(kind)
        or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
    ):
        return _of(values, {})
    return _of(values, {kind: pd.ArrowDtype(kind)})


def _of(values: pa.ChunkedArray, types: Mapping[pa.DataType, Any]) -> pd.Series[Any]:
    made: pd.Series[Any] = values.to_pandas(types_mapper=types.get)
    return made


def _beyond_floats(values: pa.ChunkedArray) -> bool:
    ends = pc.min_max(values).as_py()
    return ends["min"] is not None and not -EXACT_FLOAT <= ends["min"] <= ends["max"] <= EXACT_FLOAT


def fitted(arguments: Mapping[str, Any], schema: pa.Schema) -> dict[str, Any]:
    """The arguments, with bounds and sets of a date or time column in that column's own type.

    pandas does not compare a timestamp with a date, and finds no text in a set of timestamps.
    """
    made = dict(arguments)
    number = schema.get_field_index(str(arguments.get("column", "")))
    if number < 0 or not (pa.types.is_timestamp(schema.types[number]) or pa.types.is_date(schema.types[number])):
        return made
    travel = schema.types[number]
    for name in ("min_value", "max_value"):
        if name in made:
            made[name] = _moment(made[name], travel)
    if isinstance(made.get("value_set"), list | tuple):
        made["value_set"] = [_moment(each, travel) for each in made["value_set"]]
    return made


def _moment(value: Any, travel: pa.DataType) -> Any:
    """A date, time or text as a value of the column; what cannot be one stays as it is."""
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if pa.types.is_date(travel):
            return value.date() if isinstance(value, datetime) and value.time() == time() else value
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime.combine(value, time())
        return as_travel(value, travel)
    except ValueError:
        return value


def told_rows(rows: pa.Table, columns: Sequence[str], positions: Sequence[int]) -> tuple[str, ...]:
    """The first few of the rows at `positions`, as texts of `columns`."""
    few = rows.select(columns).take(pa.array(positions[:SAMPLE], pa.int64()))
    values = [python_values(few[number]) for number in range(few.num_columns)]
    return tuple(told(dict(zip(columns, row, strict=True))) for row in zip(*values, strict=True))


def told(values: Mapping[str, Any]) -> str:
    """A row as a text: id=3, name=Ann."""
    return ", ".join(f"{name}={short_text(value)}" for name, value in values.items())


def short_text(value: Any) -> str:
    """A value as a text that fits in a line."""
    if value is None:
        return "null"
    text = " ".join(str(value).split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def plain(value: Any) -> Any:
    """A value of the spec as JSON has it."""
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    if isinstance(value, date | datetime):
        return value.isoformat()
    return value if value is None or isinstance(value, str | int | float) else str(value)


# ---------------------------------------------------------------------------------------------------------------------
# Tables


def read(
    url: str, relation: Relation, key: Sequence[str], asked: Sequence[tuple[str, Mapping[str, Any]]]
) -> pa.Table | None:
    """The columns of a table that expectations, as types and arguments, look at; None where there is no table."""
    adapter = open_source(url)
    try:
        shape = adapter.describe(relation.table) if relation.table else None
        if shape is None:
            return None
        names = list(dict.fromkeys([*key, *looked_at(asked, shape.names)])) or list(shape.names[:1])
        with adapter.snapshot() as snapshot:
            batches = [batch.select(names) for batch in snapshot.scan(relation, names)]
        return pa.Table.from_batches(batches, shape.schema(tuple(names)))
    finally:
        adapter.close()


def seen(access: Access, execution_engine: Any, relation: Relation) -> Any:
    """The relation as Great Expectations takes it.

    Not as one of its assets: those lower the letters of schemas, and compile a query twice, so that % and : in
    it become something else.
    """
    from great_expectations.execution_engine.sqlalchemy_batch_data import SqlAlchemyBatchData

    assert relation.table is not None
    return SqlAlchemyBatchData(
        execution_engine,
        selectable=select(relation, [sa.literal_column("*")], own_rows=access.own_rows(relation.table)),
        create_temp_table=False,
        source_table_name=quoted(relation.table.name),
        source_schema_name=quoted(relation.table.schema) if relation.table.schema else None,
    )
