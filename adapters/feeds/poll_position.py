"""How far a poll has got with each table, as a text that can be kept and read again."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import pyarrow as pa

from transforms.vocabulary import TableName

_VALUES: Final = ("floor", "upto", "largest")


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a table was read.

    `floor`: the value of the cursor from which a pass reads, None for all. `after`: the place where a pass goes on that was left, which
    covers changes up to `upto` and has seen `largest`. `given`: what it need not give again, with the cursor. `rows`: the last
    pass has seen some; `lost`: and this one none.
    """

    floor: Any
    after: tuple[Any, ...] | None = None
    upto: Any = None
    largest: Any = None
    given: pa.Table | None = None
    rows: bool = False
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Marks:
    """Those of all tables, and the latest time of the server that was seen."""

    clock: datetime
    marks: Mapping[TableName, Mark]


def as_text(marks: Marks, told: Mapping[TableName, pa.Schema], orders: Mapping[TableName, pa.Schema]) -> str:
    """Marks as JSON. `told` are the columns of `given`, the cursor last; `orders` those of places."""
    tables = [
        {"table": [name.schema, name.name], **_packed_mark(mark, told[name], orders[name])}
        for name, mark in marks.marks.items()
    ]
    return json.dumps({"clock": marks.clock.isoformat(), "tables": tables})


def of_text(position: str, told: Mapping[TableName, pa.Schema], orders: Mapping[TableName, pa.Schema]) -> Marks:
    """Marks of a text, of those tables whose columns are as they were then."""
    found = json.loads(position)
    marks: dict[TableName, Mark] = {}
    for each in found["tables"]:
        schema, name = each["table"]
        table = TableName(name, schema)
        if table in told and (mark := _unpacked_mark(each, told[table], orders[table])) is not None:
            marks[table] = mark
    return Marks(datetime.fromisoformat(found["clock"]), marks)


def _packed_mark(mark: Mark, told: pa.Schema, order: pa.Schema) -> dict[str, Any]:
    values = pa.table(
        [pa.array([each], told.types[-1]) for each in (mark.floor, mark.upto, mark.largest)], names=list(_VALUES)
    )
    given = told.empty_table() if mark.given is None else mark.given
    after = order.empty_table()
    if mark.after is not None:
        after = pa.table([pa.array([each], of) for each, of in zip(mark.after, order.types, strict=True)], schema=order)
    return {"values": _packed(values), "after": _packed(after), "given": _packed(given), "rows": mark.rows}


def _unpacked_mark(found: Mapping[str, Any], told: pa.Schema, order: pa.Schema) -> Mark | None:
    values, after, given = (_unpacked(found[each]) for each in ("values", "after", "given"))
    if not (given.schema.equals(told) and after.schema.equals(order)):
        return None
    (row,) = values.to_pylist()
    place = tuple(after.to_pylist()[0].values()) if after.num_rows else None
    return Mark(**row, after=place, given=given, rows=found["rows"])


def _packed(table: pa.Table) -> str:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table.combine_chunks())
    return base64.b64encode(sink.getvalue()).decode()


def _unpacked(text: str) -> pa.Table:
    with pa.ipc.open_stream(base64.b64decode(text)) as reader:
        return reader.read_all()
