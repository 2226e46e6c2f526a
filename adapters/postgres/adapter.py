"""PostgreSQL: ADBC reads, binary COPY writes, transactions hold a window together, advisory locks hold a migration."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from adapters.postgres import ddl, row_versions
from adapters.postgres import design as designs
from adapters.postgres import probe as trial
from adapters.postgres.capabilities import CAPABILITIES
from adapters.postgres.catalog import (
    INDEXES,
    TABLES,
    Identified,
    as_shaped,
    hidden_by,
    identified,
    prefixes,
    query_rows,
    referrers,
    table_rows,
    travels_of,
    with_keys,
)
from adapters.postgres.collations import compared, with_folded
from adapters.postgres.connection import Connections, driver_of
from adapters.postgres.kept_values import kept
from adapters.postgres.locks import held
from adapters.postgres.markers import Markers, mark
from adapters.postgres.session import USUAL_ZONE
from adapters.postgres.snapshot import Described, PostgresSnapshot, spelled
from adapters.postgres.together import Joint
from adapters.postgres.types import Travel, new_travel
from adapters.postgres.writer import Window
from adapters.protocol import BeforeCommit, RowSecurity, committed
from adapters.sql.known import Known
from adapters.sql.statements import (
    is_own,
    source,
)
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
    SpecError,
    SynclineError,
    TableName,
    TableShape,
)
from transforms.vocabulary.features import Feature

LOG: Final = logging.getLogger(__name__)

BYPASSED: Final = (
    "Writing {table} on {url}: triggers and foreign keys are switched off for this user "
    "(session_replication_role is replica)."
)
BYPASSED_FIX: Final = "ALTER ROLE … RESET session_replication_role, or of the database."


HIDDEN: Final = (
    "{relation} on {url}: row-level security may hide rows from this user ({hidden}), so that a part would pass for the "
    "whole."
)
HIDDEN_FIX: Final = (
    "connect as a user who sees all rows (an owner, or one with BYPASSRLS), or write `rls: accept` beside this "
    "side's url to take what the user sees for all there is."
)


class PostgresAdapter:
    """PostgreSQL as a Target (see the protocol).

    `time_zone` is the zone of naive times where a column range compares them with a timestamptz. `read_only`
    makes every session refuse writes.
    """

    engine = CAPABILITIES.names.engine
    capabilities = CAPABILITIES

    def __init__(
        self, url: str, time_zone: str | None = None, *, read_only: bool = False, rls: RowSecurity = "refuse"
    ) -> None:
        self._connections = Connections(url, read_only=read_only, rls=rls)
        self.url = self._connections.url
        self.time_zone = time_zone
        self._markers = Markers(self._connections)
        self._described = Known(self._describe)
        self._demands = Known(self._demanded)
        self._rows = Known(self._rows_of)

    # Shapes

    def tables(self, schema: str | None = None) -> list[TableName]:
        with self._connections.begin("Listing tables") as connection:
            names = [name for (name,) in connection.execute(TABLES, [schema])]
        return sorted(TableName(name, schema) for name in names if not is_own(name))

    def named(self, table: TableName) -> TableName:
        return table

    def describe(self, table: TableName) -> TableShape | None:
        self._rows.forget(table)
        found = self._described.anew(Relation(table))
        return found.shape if found else None

    def describe_query(self, query: str) -> TableShape:
        found = self._described.anew(Relation(query=query))
        assert found is not None
        return found.shape

    def _relation(self, relation: Relation) -> Described:
        """What is known of a relation, looked up once. The `where` of a relation does not change its columns."""
        found = self._described.of(Relation(relation.table, relation.query))
        if found is None:
            raise SynclineError(f"There is no table {relation} on {self.url}.", fix="correct its name or schema.")
        return found

    def _describe(self, relation: Relation) -> Described | None:
        with self._connections.begin(f"Describing {relation}") as connection:
            known = identified(connection, relation.table) if relation.table else Identified()
            if known is None:
                return None
            there = source(relation, own_rows=known.own_rows)
            hidden = hidden_by(connection, there, known)
            if hidden and self._connections.rls == "refuse":
                raise SpecError(HIDDEN.format(relation=relation, url=self.url, hidden=hidden), fix=HIDDEN_FIX)
            rows = table_rows(connection, known.oid) if relation.table else query_rows(connection, relation)
            if not rows:  # PostgreSQL has tables without columns
                return Described(TableShape(relation.table, ()), {}, known.own_rows) if relation.table else None
            if len(rows) == len(known.denied):
                raise SpecError(
                    f"{relation} on {self.url}: the user may not read it.", fix="GRANT SELECT on it to the user."
                )
            travels = travels_of(connection, there, rows, known.denied)
            name = relation.table or TableName(str(relation))
            columns = tuple(each.shape for each in travels.values())
            shape = TableShape(name, columns, hidden_by=hidden, unwritable=known.unwritable)
            if relation.table is not None:
                indexes = [tuple(each) for (each,) in connection.execute(INDEXES, [known.oid])]
                ordered = frozenset(prefixes(indexes, travels))
                shape = replace(with_keys(connection, shape, known.oid, name.schema), ordered=ordered)
                shape = with_folded(connection, shape, known.oid)
        return Described(shape, travels, known.own_rows)

    # Reading

    @contextmanager
    def snapshot(self, token: str | None = None) -> Iterator[PostgresSnapshot]:
        with self._connections.connected() as pooled:
            with self._connections.translated("Opening a snapshot"):
                coordinator = driver_of(pooled)
                coordinator.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                if token is None:
                    row = coordinator.execute("SELECT pg_catalog.pg_export_snapshot()").fetchone()
                    name = str(row[0]) if row else ""
                else:
                    name = token
                    coordinator.execute(f"SET TRANSACTION SNAPSHOT {spelled(sa.literal(token))}")
                snapshot = PostgresSnapshot(self._connections, coordinator, name, self._relation, self.time_zone)
            try:
                yield snapshot
            except BaseException:
                pooled.invalidate()  # its server may be gone
                raise
            finally:
                snapshot.close()

    # What is new

    row_version = row_versions.COLUMN

    def position(self, state: str) -> int:
        return row_versions.position(state)

    def written_since(self, position: int, now: int) -> tuple[str, str] | None:
        return row_versions.written_since(position, now)

    def oldest_writer(self) -> datetime | None:
        with self._connections.begin("Asking who is writing") as connection:
            return row_versions.oldest_writer(connection)

    # Writing

    def ddl(self, shape: TableShape) -> list[str]:
        return ddl.create_table(shape)

    def adding(self, shape: TableShape, names: Sequence[str]) -> list[str]:
        return ddl.add_columns(shape, names)

    def constraints(self, shape: TableShape) -> list[str]:
        return ddl.constraints(shape)

    def design(self, table: TableName) -> Design:
        with self._connections.begin(f"Looking at the design of {table}") as connection:
            known = identified(connection, table)
            return designs.design(connection, known.oid if known else None)

    def usual_zone(self) -> str | None:
        with self._connections.begin("Asking for the time zone") as connection:
            found = connection.execute(USUAL_ZONE).fetchone()
        return found[0] if found else None

    def referrers(self, table: TableName) -> list[TableName]:
        with self._connections.begin(f"Asking what refers to {table}") as connection:
            return referrers(connection, table)

    def besides(self, schema: str | None = None) -> list[Feature]:
        with self._connections.begin("Looking at what there is beside tables") as connection:
            return designs.besides(connection, schema)

    def tried(self, statements: Sequence[str]) -> str | None:
        with self._connections.begin("Trying out statements") as connection:
            return designs.tried(connection, statements)

    def unlinked(self, own: ColumnShape, there: ColumnShape) -> str | None:
        return None

    def sized(self, shape: TableShape) -> TableShape:
        return shape

    def literal(self, column: ColumnShape, value: pa.Array) -> str | None:
        return ddl.literal(column, value)

    def made(self, column: ColumnShape) -> ColumnShape:
        return new_travel(column, self._connections.encoding).shape

    def execute_ddl(self, statements: Sequence[str]) -> None:
        with self._connections.begin("Changing the schema") as connection:
            for statement in statements:
                connection.execute(statement)
        self._described.clear()
        self._demands.clear()
        self._rows.clear()

    def run_script(self, statements: Sequence[str]) -> None:
        with self._connections.translated("Running SQL"), closing(self._connections.own()) as connection:
            for statement in statements:
                connection.execute(statement)

    def kept(self, column: ColumnShape, values: pa.Array, known: Meaning = "plain") -> pa.Array:
        if column.characters is not None and pa.types.is_string(values.type):  # such a text cannot even be asked about
            foreign = pc.match_substring_regex(values, f"[^{column.characters}]")
            values = pc.if_else(foreign, pa.scalar(None, values.type), values)
        return kept(self._connections, column, values, known)

    def refused(self, shape: TableShape, changes: ChangeSet, *, new: bool = False) -> Mapping[int, Reason]:
        of_table = trial.Known(of_design(shape)) if new else self._demands.of(shape.name)
        known = of_table.asked_of(changes) if of_table is not None else None
        if known is None:
            return {}
        if new:
            made = self.ddl(replace(shape, name=trial.PLACE, foreign_keys=()))
            travels: Mapping[str, Travel] = {each.name: new_travel(each) for each in shape.columns}
        else:
            made, travels = [], as_shaped(self._table_rows(shape)[0], shape)
        with self._connections.begin(f"Trying out rows of {shape.name}") as connection:
            return trial.refused(connection, shape, changes, travels, known, made)

    def untried(self, table: TableName) -> str | None:
        known = self._demands.of(table)
        if known is None or not known.demands.any:
            return None
        with self._connections.begin("Trying out a temporary table") as connection:
            return trial.untried(connection, table)

    def _demanded(self, table: TableName) -> trial.Known | None:
        with self._connections.begin(f"Asking what {table} demands") as connection:
            found = identified(connection, table)
            return trial.known(connection, found.oid) if found and found.oid else None

    def alike(self, table: TableName, rows: pa.Table) -> list[pa.Array]:
        shape = self._relation(Relation(table)).shape
        with self._connections.begin(f"Asking what {table} takes for one") as connection:
            return [compared(connection, shape.column(name), rows.column(name)) for name in rows.column_names]

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
        rows, own_rows = self._table_rows(shape)
        travels = as_shaped(rows, shape)
        with self._connections.begin(f"Writing {changes.table}") as connection:
            if self._connections.bypasses_triggers:
                raise SynclineError(BYPASSED.format(table=changes.table, url=self.url), fix=BYPASSED_FIX)
            connection.execute(
                "SELECT 1"
            )  # begins: a savepoint that comes first would be a transaction, and be committed
            if marker is not None and not mark(connection, marker):
                return Applied(already=True)
            window = Window(connection, changes, travels, own_rows=own_rows)
            applied = window.write(shape, empty=empty)
            connection.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what is deferred is looked at now
            applied = window.as_left(applied)
            before_commit(applied)
            return applied

    @contextmanager
    def together(self) -> Iterator[Joint]:
        with self._connections.begin("Writing tables together") as connection:
            if self._connections.bypasses_triggers:
                raise SynclineError(BYPASSED.format(table="tables", url=self.url), fix=BYPASSED_FIX)
            connection.execute("SET CONSTRAINTS ALL DEFERRED")
            yield Joint(connection, self._connections, self._markers, self._table_rows)

    def _table_rows(self, shape: TableShape) -> tuple[list[tuple[Any, ...]], bool]:
        """The catalog's rows for a table, looked up once as long as they have the types of `shape`; whether others may
        inherit from it."""
        table = shape.name
        known = self._rows.of(table)
        if known is None or {row[0]: row[1] for row in known[0]} != {each.name: each.native for each in shape.columns}:
            known = self._rows.anew(table)
        if known is None:
            raise SynclineError(f"There is no table {table} on {self.url}.", fix="create it, or correct its name.")
        return known

    def _rows_of(self, table: TableName) -> tuple[list[tuple[Any, ...]], bool] | None:
        with self._connections.begin(f"Describing {table}") as connection:
            found = identified(connection, table)
            return (table_rows(connection, found.oid), found.own_rows) if found else None

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
