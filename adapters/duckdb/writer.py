"""One window written to DuckDB: what is staged, compared and changed, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa

from adapters.duckdb.design import spelled
from adapters.duckdb.snapshot import Session
from adapters.duckdb.types import as_travel_array, nudged, quoted, reading, text_of, written
from adapters.sql.staged_apply import column_of
from adapters.sql.staging import DONE, GONE, NO, Staging, changed_columns, delete, insert, left_out, update
from adapters.sql.statements import table
from transforms.vocabulary import ChangeSet, ColumnShape, ForeignKey, Op, TableName, TableShape

MANY: Final = 5_000  # numbers in one IN (…)


@dataclass(slots=True)
class Window:
    """One window's transaction: rows are staged in temporary tables of the change set's own types."""

    session: Session
    changes: ChangeSet
    shape: TableShape
    columns: list[ColumnShape]

    def staging(self) -> Staging:
        ops: tuple[Op, ...] = ("delete", "update", "insert")
        stages: dict[Op, TableName] = {op: TableName(f"syncline_{op}", "temp") for op in ops}
        written_columns = tuple(written(each) for each in self.columns)
        return Staging(
            self.changes.table, written_columns, self.changes.key, self.changes.compared, stages, owns=self.changes.owns
        )

    def load(self) -> int:
        """Load straight into the table; DataError where a row is in the way."""
        names = ", ".join(quoted(each.name) for each in self.columns)
        incoming = table(TableName("syncline_rows"), [each.name for each in self.columns])
        values = [cast.cast(incoming.c[cast.name]) for cast in map(written, self.columns)]
        self.session.register("syncline_rows", self.changes.inserts)
        rows = text_of(sa.select(*values))
        loaded = self.session.execute(f"INSERT INTO {spelled(self.changes.table)} ({names}) {rows}")
        self.session.unregister("syncline_rows")
        return loaded

    def stage(self, op: Op, rows: pa.Table) -> None:
        self.session.register("syncline_rows", rows)
        self.session.execute(f"CREATE TEMP TABLE syncline_{op} AS SELECT * FROM syncline_rows")  # noqa: S608
        self.session.unregister("syncline_rows")

    def discard(self, staging: Staging, op: Op, numbers: Sequence[int]) -> None:
        stage = staging.stage(op)
        for start in range(0, len(numbers), MANY):
            some = numbers[start : start + MANY]
            self.session.execute(text_of(sa.delete(stage).where(stage.c[NO].in_(some))))

    def left_out(self, staging: Staging, op: Op) -> pa.Table:
        read = [reading(each, staging.target.c[each.name]).label(f"c{i}") for i, each in enumerate(self.columns)]
        found = self.session.ask(text_of(left_out(staging, op, read)))
        arrays = [as_travel_array(found.column(3 + i), each) for i, each in enumerate(self.columns)]
        return pa.table([*found.columns[:3], *arrays], names=[NO, DONE, GONE, *(each.name for each in self.columns)])

    def left_behind(self, staging: Staging, op: Op) -> None:
        return None  # DuckDB has no triggers

    def write(self, staging: Staging, op: Op, changes: ChangeSet) -> int:
        if op == "delete":
            return self.session.execute(text_of(delete(staging)))
        if op == "update":
            changed = changed_columns(changes)
            spans = [name for name in changed if column_of(self.shape, name).native == "INTERVAL"]
            if spans:  # 1 mon and 30 days are equal to DuckDB, which leaves such rows as they are
                beside = tuple(map(nudged, self.columns, staging.columns))
                self.session.execute(text_of(update(replace(staging, columns=beside), spans)))
            statement: Any = (
                update(staging, changed) if changed else sa.select(sa.func.count()).select_from(staging.stage(op))
            )
            return self.session.execute(text_of(statement))
        own = [each for each in self.shape.foreign_keys if each.refers.name == self.shape.name.name]
        return self._by_generations(staging, own) if own else self.session.execute(text_of(insert(staging)))

    def _by_generations(self, staging: Staging, own: Sequence[ForeignKey]) -> int:
        """Insert the rows whose parents are in, turn by turn: DuckDB does not see the parents a statement brings itself."""
        stage, turn = staging.stage("insert"), TableName("syncline_turn", "temp")
        parent = stage.alias("parent")
        position = {each.name: i for i, each in enumerate(self.columns)}

        def waits(foreign: ForeignKey) -> sa.ColumnElement[bool]:
            pairs = zip(foreign.columns, foreign.refers_columns, strict=True)
            same = [stage.c[f"a{position[here]}"] == parent.c[f"a{position[there]}"] for here, there in pairs]
            return sa.exists(sa.select(sa.literal_column("1")).select_from(parent).where(*same)).correlate(stage)

        known = [each for each in own if {*each.columns, *each.refers_columns} <= position.keys()]
        ready = sa.select(sa.text("*")).select_from(stage).where(*(~waits(each) for each in known))
        taken = table(turn, [NO])
        now = replace(staging, stages={**staging.stages, "insert": turn})
        written = 0
        while self._count(stage):
            self.session.execute(f"CREATE OR REPLACE TEMP TABLE syncline_turn AS {text_of(ready)}")
            if not self._count(taken):  # a circle: DuckDB will say where
                self.session.execute("INSERT INTO syncline_turn SELECT * FROM syncline_insert")
            written += self.session.execute(text_of(insert(now)))
            self.session.execute(text_of(sa.delete(stage).where(stage.c[NO].in_(sa.select(taken.c[NO])))))
        return written

    def _count(self, stage: sa.TableClause) -> int:
        return self.session.execute(text_of(sa.select(sa.func.count()).select_from(stage)))
