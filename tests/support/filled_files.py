"""Files with as much of a target around them as tests of the contract need to make tables and fill them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather as feather
import pyarrow.parquet as pq

from adapters.protocol import Inspection, Source
from adapters.registry import open_source
from transforms.vocabulary import Applied, ChangeSet, ColumnShape, TableName, TableShape

_TYPES = {
    pa.int8(): "tinyint", pa.int16(): "smallint", pa.int32(): "int", pa.int64(): "bigint", pa.uint32(): "bigint",
    pa.uint64(): "decimal(20,0)", pa.bool_(): "boolean", pa.float32(): "double", pa.float64(): "double", pa.string(): "text",
    pa.date32(): "date", pa.timestamp("us"): "timestamp", pa.timestamp("us", "UTC"): "timestamptz", pa.time64("us"): "time",
}  # fmt: skip


class FilledFiles:
    """Tables of a folder: `execute_ddl` makes an empty file of each, `apply` writes it anew, without deletes and with inserts.

    Of texts the types are declared. A table with a column that a kind of files does not have is passed over.
    """

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.folder = kind, folder
        self._declared: dict[str, Any] = {}
        self._rows: dict[str, pa.Table] = {}
        self.source = self._opened()
        self.engine, self.capabilities = self.source.engine, self.source.capabilities

    def _opened(self) -> Source:
        declared = quote(json.dumps({"tables": self._declared}))
        return open_source(f"{self.kind}:///{self.folder}" + (f"?declared={declared}" if self._declared else ""))

    def ddl(self, shape: TableShape) -> list[Any]:
        return [shape]

    def execute_ddl(self, statements: Sequence[Any]) -> None:
        for shape in statements:
            if self.kind in ("csv", "jsonl"):
                types = {each.name: self._type(each) for each in shape.columns}
                self._declared[shape.name.name] = {"types": types, **({"delimiter": ","} if self.kind == "csv" else {})}
            self._rows[shape.name.name] = shape.schema().empty_table()
            self._write(shape.name)
        self.source.close()
        self.source = self._opened()

    def _type(self, column: ColumnShape) -> str:
        if column.meaning in ("uuid", "json"):
            return column.meaning
        if pa.types.is_decimal(column.type):
            return f"decimal({column.type.precision},{column.type.scale})"
        return _TYPES[column.type]

    def _write(self, table: TableName) -> None:
        rows, path = self._rows[table.name], self.folder / f"{table.name}.{self.kind}"
        if self.kind == "parquet":
            pq.write_table(rows, path, row_group_size=7 if rows.num_rows < 10_000 else 10_000)
        elif self.kind == "arrow":
            feather.write_feather(rows, path)
        elif self.kind == "csv":
            with path.open("w", encoding="utf-8", newline="") as opened:
                for row in [dict(zip(rows.column_names, rows.column_names, strict=True)), *rows.to_pylist()]:
                    opened.write(",".join(map(_quoted, row.values())) + "\n")
        else:
            with path.open("w", encoding="utf-8") as opened:
                for row in rows.to_pylist():
                    told = {name: each if isinstance(each, int) else _text(each) for name, each in row.items()}
                    opened.write(json.dumps(told, ensure_ascii=False) + "\n")

    def tables(self) -> list[TableName]:
        return self.source.tables()

    def describe(self, table: TableName) -> TableShape | None:
        return self.source.describe(table)

    def describe_query(self, query: str) -> TableShape:
        return self.source.describe_query(query)

    def apply(self, changes: ChangeSet, *_: Any, **__: Any) -> Applied:
        name, inserts, deletes = changes.table.name, changes.inserts, changes.deletes
        rows = self._rows[name]
        if deletes.num_rows:
            rows = rows.filter(pc.invert(pc.is_in(rows["id"], deletes["id"].combine_chunks())))
        rows = rows.cast(inserts.schema) if rows.num_rows else inserts.slice(0, 0)
        self._rows[name] = pa.concat_tables([rows, inserts])
        self._write(changes.table)
        return Applied(inserted=inserts.num_rows, deleted=deletes.num_rows)

    def snapshot(self) -> AbstractContextManager[Inspection]:
        found: AbstractContextManager[Inspection] = self.source.snapshot()  # type: ignore[assignment]
        return found

    def close(self) -> None:
        self.source.close()


def _text(value: Any) -> str | None:
    """A value as files of texts have it."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat(" ") if isinstance(value, datetime) else str(value)


def _quoted(value: Any) -> str:
    text = _text(value)
    return "" if text is None else f'"{text.replace(chr(34), chr(34) * 2)}"'
