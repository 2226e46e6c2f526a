"""MariaDB and MySQL: one connection reads a snapshot, LOAD DATA LOCAL stages what is written, named locks hold a migration."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import cached_property, partial
from typing import Final

import pyarrow as pa

from adapters.mysql import ddl
from adapters.mysql import design as designs
from adapters.mysql import probe as trial
from adapters.mysql.capabilities import CAPABILITIES
from adapters.mysql.catalog import TABLES, Alphabets, Described, described, described_query, named
from adapters.mysql.connection import Connections, drop, rows, run
from adapters.mysql.kept_values import LEVELS, compared, is_asked, kept
from adapters.mysql.locks import held
from adapters.mysql.markers import Markers, mark
from adapters.mysql.references import referrers
from adapters.mysql.snapshot import MysqlSnapshot
from adapters.mysql.together import Joint
from adapters.mysql.types import travel
from adapters.mysql.writer import Window
from adapters.protocol import BeforeCommit, committed
from adapters.sql import trials
from adapters.sql.json_texts import doubtful, kept_where_doubtful
from adapters.sql.known import Known
from adapters.sql.statements import is_own
from adapters.sql.trials import of_design
from transforms.vocabulary import (
    Applied,
    ChangeSet,
    ColumnShape,
    Design,
    Marker,
    Meaning,
    Reason,
    Relation,
    SynclineError,
    TableName,
    TableShape,
)
from transforms.vocabulary.features import Feature

LOG: Final = logging.getLogger(__name__)


class MysqlAdapter:
    """MariaDB and MySQL as a Target (see the protocol).

    `time_zone` is the zone of naive times where a column range compares them with a TIMESTAMP. `read_only` makes
    every transaction refuse writes.
    """

    engine = CAPABILITIES.names.engine
    capabilities = CAPABILITIES

    def __init__(self, url: str, time_zone: str | None = None, *, read_only: bool = False) -> None:
        self._connections = Connections(url, read_only=read_only)
        self.url = self._connections.url
        self.time_zone = time_zone
        self._markers = Markers(self._connections)
        self._alphabets = Alphabets()
        self._cases: int | None = None  # what the server says of names of tables in another case
        self._described = Known(self._describe)
        self._demands = Known(self._demanded)

    # Shapes

    def tables(self, schema: str | None = None) -> list[TableName]:
        with self._connections.begin("Listing tables") as connection:
            names = [str(name) for (name,) in rows(connection, TABLES, [schema])]
        return sorted(TableName(name, schema) for name in names if not is_own(name))

    def named(self, table: TableName) -> TableName:
        if self._cases == 0:
            return table
        with self._connections.begin(f"Looking for {table}") as connection:
            if self._cases is None:
                ((self._cases,),) = rows(connection, "SELECT @@lower_case_table_names")
            return named(connection, self._cases, table)

    def describe(self, table: TableName) -> TableShape | None:
        found = self._described.anew(Relation(table))
        return found.shape if found else None

    def describe_query(self, query: str) -> TableShape:
        found = self._described.anew(Relation(query=query))
        assert found is not None
        return found.shape

    def _relation(self, relation: Relation) -> Described:
        """What is known of a relation, looked up once. Neither `where` nor `zero_dates` changes its columns."""
        found = self._described.of(Relation(relation.table, relation.query))
        if found is None:
            raise SynclineError(f"There is no table {relation} on {self.url}.", fix="correct its name or schema.")
        return found

    def _describe(self, relation: Relation) -> Described | None:
        server = self._connections.server
        with self._connections.begin(f"Describing {relation}", read_only=relation.table is None) as connection:
            if relation.table is None:
                return described_query(connection, server, self._alphabets, relation)
            return described(connection, server, self._alphabets, relation.table)

    # Reading

    @contextmanager
    def snapshot(self, token: str | None = None) -> Iterator[MysqlSnapshot]:
        if token is not None:
            raise SynclineError("MariaDB and MySQL cannot share a snapshot.", fix="read each one where it was opened.")
        with self._connections.translated("Opening a snapshot"):
            snapshot = MysqlSnapshot(self._connections, self._relation, self.time_zone)
        try:
            yield snapshot
        finally:
            snapshot.close()

    # Writing

    def ddl(self, shape: TableShape) -> list[str]:
        return [ddl.create_table(shape, self._connections.server)]

    def adding(self, shape: TableShape, names: Sequence[str]) -> list[str]:
        return ddl.add_columns(shape, names, self._connections.server)

    def constraints(self, shape: TableShape) -> list[str]:
        return ddl.constraints(shape, self._connections.server)

    def unlinked(self, own: ColumnShape, there: ColumnShape) -> str | None:
        return ddl.unlinked(own, there)

    def sized(self, shape: TableShape) -> TableShape:
        return ddl.sized(shape, self._connections.server)

    def literal(self, column: ColumnShape, value: pa.Array) -> str | None:
        return ddl.literal(column, value)

    def made(self, column: ColumnShape) -> ColumnShape:
        return ddl.made(column, self._connections.server)

    def design(self, table: TableName) -> Design:
        with self._connections.begin(f"Looking at the design of {table}") as connection:
            return designs.design(connection, self._connections.server, self._alphabets, table)

    def usual_zone(self) -> str | None:
        with self._connections.begin("Asking for the time zone") as connection:
            ((zone, of_system),) = rows(connection, "SELECT @@global.time_zone, @@system_time_zone")
        return str(of_system if zone == "SYSTEM" else zone)

    def referrers(self, table: TableName) -> list[TableName]:
        with self._connections.begin(f"Asking what refers to {table}") as connection:
            return referrers(connection, table)

    def besides(self, schema: str | None = None) -> list[Feature]:
        with self._connections.begin("Looking at what there is beside tables") as connection:
            return designs.besides(connection, schema)

    def tried(self, statements: Sequence[str]) -> str | None:
        """With temporary tables, which know no foreign keys: those are not tried."""
        with self._connections.translated("Trying out statements"), self._connections.connected() as connection:
            return designs.tried(connection, statements)

    def kept(self, column: ColumnShape, values: pa.Array, known: Meaning = "plain") -> pa.Array:
        if not len(values) or not is_asked(column):
            return values
        if known == column.meaning == "json":
            return kept_where_doubtful(values, doubtful(values, LEVELS), partial(self.kept, column))
        server = self._connections.server
        with self._connections.begin(f"Asking for values of {column.native}") as connection:
            return kept(connection, server, column, values)

    def refused(self, shape: TableShape, changes: ChangeSet, *, new: bool = False) -> Mapping[int, Reason]:
        server = self._connections.server
        made: str | None = None
        known: trial.Known | None
        if new:
            known = trial.Known(of_design(shape))
            made = ddl.create_table(replace(shape, name=TableName(trials.TRIED), foreign_keys=()), server)
            travels = {each.name: travel(ddl.new_declared(each, server), server) for each in shape.columns}
            described_ = Described(shape, travels)
        else:
            known, described_ = self._demands.of(shape.name), self._relation(Relation(shape.name))
        if known is None or not (known.demands.any or known.may_be_too_large(changes)) or self._untried:
            return {}
        where = f"Trying out rows of {shape.name}"
        with self._connections.translated(where), self._connections.connected() as connection:
            return trial.refused(connection, shape, changes, described_, known, made)

    def untried(self, table: TableName) -> str | None:
        known = self._demands.of(table)
        if known is None or not known.demands.any:
            return None
        return self._untried

    @cached_property
    def _untried(self) -> str | None:
        """See `untried`: it is the same for every table, and asked for once."""
        where = "Trying out a temporary table"
        with self._connections.translated(where), self._connections.connected() as connection:
            return trial.untried(connection)

    def _demanded(self, table: TableName) -> trial.Known | None:
        found = self._described.of(Relation(table))
        if found is None:
            return None
        with self._connections.begin(f"Asking what {table} demands") as connection:
            return trial.known(connection, self._connections.server, found)

    def alike(self, table: TableName, rows: pa.Table) -> list[pa.Array]:
        travels, server = self._relation(Relation(table)).travels, self._connections.server
        with self._connections.begin(f"Asking what {table} takes for one") as connection:
            return [compared(connection, server, travels.get(name), rows.column(name)) for name in rows.column_names]

    def execute_ddl(self, statements: Sequence[str]) -> None:
        """One by one: MySQL commits each. Where one fails, the tables that were made before it are dropped again."""
        made: list[str] = []
        with self._connections.translated("Changing the schema"), self._connections.connected() as connection:
            try:
                for statement in statements:
                    run(connection, statement)
                    made += _CREATED.findall(statement)
            except BaseException:
                for name in reversed(made):
                    run(connection, f"DROP TABLE {name}")
                raise
            finally:
                self._described.clear()
                self._demands.clear()

    def run_script(self, statements: Sequence[str]) -> None:
        connection = self._connections.take()
        try:
            with self._connections.translated("Running SQL"):
                for statement in statements:
                    rows(connection, statement)
        finally:
            drop(connection)  # whatever the statements set ends with it

    def apply(
        self,
        changes: ChangeSet,
        shape: TableShape,
        marker: Marker | None,
        *,
        empty: bool = False,
        before_commit: BeforeCommit = committed,
        trial: bool = False,
    ) -> Applied:
        if marker is not None:
            self._markers.make_table()
        described = self._as_shaped(shape)
        with self._connections.begin(f"Writing {changes.table}") as connection:
            if marker is not None and not mark(connection, marker):
                return Applied(already=True)
            window = Window(connection, changes, described)
            only_inserts = not changes.after.num_rows and not changes.deletes.num_rows
            unique = any(each and each <= frozenset(changes.key) for each in shape.uniques)
            loaded = empty and only_inserts and unique and not window.triggered and window.load()
            applied = Applied(inserted=changes.inserts.num_rows) if loaded else window.as_left(window.change())
            before_commit(applied)
            return applied

    @contextmanager
    def together(self) -> Iterator[Joint]:
        with self._connections.begin("Writing tables together") as connection:
            yield Joint(connection, self._connections, self._markers, self._as_shaped)

    def _as_shaped(self, shape: TableShape) -> Described:
        """What is known of a table, looked up once as long as it has the types of `shape`."""
        relation = Relation(shape.name)
        known = self._described.of(relation)
        if known is None or {each.name: each.native for each in known.shape.columns} != {
            each.name: each.native for each in shape.columns
        }:
            known = self._described.anew(relation)
        if known is None:
            raise SynclineError(f"There is no table {shape.name} on {self.url}.", fix="create it, or correct its name.")
        if known.shape.unwritable:
            raise SynclineError(f"Table {shape.name} {known.shape.unwritable}")
        return known

    def advance_identity(self, table: TableName, column: str) -> None:
        with self._connections.begin(f"Advancing the sequence of {table}.{column}") as connection:
            designs.advance(connection, table, column)

    def applied(self, plan: str) -> set[Marker]:
        return self._markers.of_plan(plan)

    def writers(self, table: TableName) -> set[str]:
        return self._markers.writers(table)

    def plans_by(self, writer: str, table: TableName) -> set[str]:
        return self._markers.plans_by(writer, table)

    def lock(self, name: str) -> AbstractContextManager[None]:
        return held(self._connections, name)

    def close(self) -> None:
        self._connections.close()


_CREATED: Final = re.compile(r"\ACREATE TABLE ((?:`(?:[^`]|``)+`\.)?`(?:[^`]|``)+`)")
