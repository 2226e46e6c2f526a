# ruff: noqa: S608 - SQL is made of quoted identifiers and of SQLite's own statements
"""Rows tried out in SQLite: in a database in memory, with a table made by the target's own statement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pyarrow as pa

from adapters.sql import trials
from adapters.sql.trials import ASKED, NUMBER, Check, Demands, Given, of_design
from adapters.sqlite.arrow import encode
from adapters.sqlite.connection import Connection, message_of
from adapters.sqlite.design import clauses, eased
from adapters.sqlite.types import Style, literal, quoted
from transforms.vocabulary import (
    ChangeSet,
    ConnectionFailed,
    Reason,
    RowRefused,
    SynclineError,
    TableName,
    TableShape,
    TransientError,
)

MADE: Final = "SELECT sql FROM sqlite_schema WHERE type = 'table' AND lower(name) = lower(?1)"
INDEXES: Final = (
    "SELECT s.sql FROM pragma_index_list(?1) l JOIN sqlite_schema s ON s.type = 'index' AND s.name = l.name "
    "WHERE l.origin = 'c' AND (l.partial OR EXISTS (SELECT 1 FROM pragma_index_info(l.name) i WHERE i.cid = -2))"
)
"""Indexes of expressions, or of some rows: an expression may fail for a value."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a table demands, and the statements that make it and what hangs on it."""

    demands: Demands
    made: tuple[str, ...] = ()


def known_once(
    connected: Callable[[], AbstractContextManager[Connection]], shape: TableShape, found: dict[TableName, Known]
) -> Known:
    """What is in `found`, looked up where it is not there yet."""
    if shape.name not in found:
        with connected() as connection:
            found[shape.name] = known(connection, shape)
    return found[shape.name]


def to_be_made(shape: TableShape, statements: Sequence[str]) -> Known:
    """What a table will demand that `statements` are to make."""
    return Known(of_design(shape), tuple(statements))


def known(connection: Connection, shape: TableShape) -> Known:
    """Out of the statements that made the table and its indexes."""
    found = connection.rows(MADE, (shape.name.name,))
    create = (found[0]["sql"] or "") if found else ""
    generated, checks = clauses(create)
    indexes = tuple(row["sql"] for row in connection.rows(INDEXES, (shape.name.name,)))
    told = tuple(Check(text, name, trials.mentioned(text, shape)) for name, text in checks)
    return Known(Demands(told, tuple(generated.items()), always=bool(indexes)), (create, *indexes))


def refused(path: Path, shape: TableShape, changes: ChangeSet, of_table: Known) -> dict[int, Reason]:
    """The rows that the table refuses; `path` is the target's file, where it is there."""
    connection = Connection(Path(), "memory")
    try:
        connection.ask("PRAGMA foreign_keys = OFF")
        written = {name.lower() for name in changes.schema.names}
        free = {each.name.lower() for each in shape.columns if not (each.nullable or each.generated)} - written
        for statement in of_table.made:
            connection.ask(eased(statement, free) if statement is of_table.made[0] else statement)
        beside = of_table.demands.beside(shape, changes.schema.names) if path.exists() else ()
        if beside:
            connection.ask(f"ATTACH {literal(f'file:{quote(str(path.absolute()))}?mode=ro')} AS target")
        asked = trials.given(changes)
        by_name = {each.name: each for each in shape.columns}
        rows = asked.numbered
        stored = [encode(by_name[name], rows[f"a{i}"].combine_chunks(), Style()) for i, name in enumerate(asked.names)]
        connection.ingest(ASKED, pa.table([rows[NUMBER], *stored], names=rows.column_names), temporary=True)
        trial = _Trial(connection, shape, changes, asked, of_table.demands, beside)
        return trials.refused(trial, asked.rows.num_rows)
    finally:
        connection.close()


@dataclass(slots=True)
class _Trial:
    connection: Connection
    shape: TableShape
    changes: ChangeSet
    asked: Given
    demands: Demands
    beside: Sequence[str]

    @property
    def _place(self) -> str:
        return f"main.{quoted(self.shape.name.name)}"

    def take(self, first: int, stop: int) -> Reason | None:
        self.connection.ask("SAVEPOINT syncline_try")
        try:
            self._insert("INSERT", f"n.{NUMBER} >= {first} AND n.{NUMBER} < {stop}")
            for name, _ in self.demands.generated:  # a virtual one is computed when it is read
                self.connection.ask(f"SELECT count({quoted(name)}) FROM {self._place}")
        except SynclineError as error:
            if isinstance(error, TransientError | ConnectionFailed) or error.__cause__ is None:
                raise
            return trials.refusal(
                message_of(error.__cause__), error.constraint if isinstance(error, RowRefused) else ""
            )
        finally:
            self.connection.ask("ROLLBACK TO syncline_try")
            self.connection.ask("RELEASE syncline_try")
        return None

    def _insert(self, verb: str, where: str, *, number: bool = False) -> None:
        numbers = [NUMBER] if number else []
        names = [*numbers, *map(quoted, self.asked.names)]
        values = [*(f"n.{each}" for each in numbers), *(f"n.a{i}" for i in range(len(self.asked.names)))]
        inserts = f"{where} AND n.{NUMBER} < {self.asked.inserts}" if self.beside else where
        insert = f"{verb} INTO {self._place} ({{}}) SELECT {{}} FROM temp.{ASKED} n {{}}WHERE {{}}"
        self.connection.ask(insert.format(", ".join(names), ", ".join(values), "", inserts))
        if self.beside and self.asked.inserts < self.asked.rows.num_rows:
            place = {name: i for i, name in enumerate(self.asked.names)}
            same = " AND ".join(f"t.{quoted(name)} = n.a{place[name]}" for name in self.changes.key)
            listed = [*names, *map(quoted, self.beside)]
            more = [*values, *(f"t.{quoted(name)}" for name in self.beside)]
            joined = f"JOIN target.{quoted(self.shape.name.name)} t ON {same} "
            updates = f"{where} AND n.{NUMBER} >= {self.asked.inserts}"
            self.connection.ask(insert.format(", ".join(listed), ", ".join(more), joined, updates))

    def failing(self) -> dict[int, Reason]:
        found: dict[int, Reason] = {}
        self.connection.ask("SAVEPOINT syncline_hold")
        try:
            self.connection.ask("PRAGMA ignore_check_constraints = ON")
            self.connection.ask(f"ALTER TABLE {self._place} ADD COLUMN {NUMBER} INTEGER")
            self._insert("INSERT OR IGNORE", "true", number=True)
            for each in reversed(self.demands.checks):
                broken = self.connection.rows(f"SELECT {NUMBER} AS n FROM {self._place} WHERE NOT ({each.expression})")
                found.update(dict.fromkeys((row["n"] for row in broken), each.reason))
        except SynclineError as error:
            if isinstance(error, TransientError | ConnectionFailed):
                raise
            return {}
        finally:
            self.connection.ask("ROLLBACK TO syncline_hold")
            self.connection.ask("RELEASE syncline_hold")
            self.connection.ask("PRAGMA ignore_check_constraints = OFF")
        return found

    def discard(self, numbers: Sequence[int]) -> None:
        self.connection.ingest("syncline_known", pa.table({"n": pa.array(numbers, pa.int32())}), temporary=True)
        self.connection.ask(f"DELETE FROM temp.{ASKED} WHERE {NUMBER} IN (SELECT n FROM temp.syncline_known)")
