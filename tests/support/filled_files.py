"""Files with as much of a target around them as tests of the contract need to make tables and fill them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq

from adapters.protocol import Inspection
from adapters.registry import open_source
from transforms.vocabulary import Applied, ChangeSet, TableName, TableShape


class FilledFiles:
    """Tables of a folder: `execute_ddl` makes an empty file of each, `apply` writes it with the inserts."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.folder = kind, folder
        self.source: Any = open_source(f"{kind}:///{folder}")
        self.engine, self.capabilities = self.source.engine, self.source.capabilities

    def ddl(self, shape: TableShape) -> list[Any]:
        return [shape]

    def execute_ddl(self, statements: Sequence[Any]) -> None:
        for shape in statements:
            self._write(shape.name, shape.schema().empty_table())

    def _write(self, table: TableName, rows: pa.Table) -> None:
        if self.kind == "parquet":
            pq.write_table(rows, self.folder / f"{table.name}.parquet", row_group_size=7)
        else:
            feather.write_feather(rows, self.folder / f"{table.name}.arrow")

    def describe(self, table: TableName) -> TableShape | None:
        found: TableShape | None = self.source.describe(table)
        return found

    def apply(self, changes: ChangeSet, *_: Any, **__: Any) -> Applied:
        self._write(changes.table, changes.inserts)
        return Applied(inserted=changes.inserts.num_rows)

    def snapshot(self) -> AbstractContextManager[Inspection]:
        found: AbstractContextManager[Inspection] = self.source.snapshot()
        return found

    def close(self) -> None:
        self.source.close()
