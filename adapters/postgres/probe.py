# ruff: noqa: S608 - SQL is made of quoted identifiers and of expressions out of the catalog
"""Rows tried out in PostgreSQL: in a temporary table like the target's, in a transaction that is rolled back."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from psycopg import errors

from adapters.postgres.arrow import copy_data, wire
from adapters.postgres.kept_values import UNREAD
from adapters.postgres.snapshot import spelled
from adapters.postgres.types import Travel
from adapters.postgres.writer import spelled_name
from adapters.sql import trials
from adapters.sql.statements import table
from adapters.sql.trials import ASKED, HELD, NUMBER, TRIED, Check, Demands, Given
from transforms.vocabulary import ChangeSet, Reason, TableName, TableShape

CHECKS: Final = """
SELECT conname::text, pg_catalog.pg_get_expr(conbin, conrelid),
       ARRAY(SELECT a.attname::text FROM unnest(conkey) k (attnum)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = conrelid AND a.attnum = k.attnum ORDER BY k.attnum)
FROM pg_catalog.pg_constraint c
WHERE conrelid = %s AND contype = 'c' AND pg_catalog.to_jsonb(c) ->> 'conenforced' IS DISTINCT FROM 'false'
ORDER BY conname"""

GENERATED: Final = """
SELECT a.attname::text, pg_catalog.pg_get_expr(f.adbin, f.adrelid)
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
WHERE a.attrelid = %s AND a.attgenerated = 's' ORDER BY a.attnum"""

PARTITIONS: Final = """
SELECT pg_catalog.pg_get_partition_constraintdef(p.relid),
       ARRAY(SELECT pg_catalog.pg_get_expr(c.conbin, c.conrelid) FROM pg_catalog.pg_constraint c
             WHERE c.conrelid = p.relid AND c.contype = 'c' AND c.coninhcount = 0)
FROM pg_catalog.pg_partition_tree(%s::oid::regclass) p WHERE p.isleaf"""

INDEXES: Final = """
SELECT ARRAY(SELECT pg_catalog.pg_get_indexdef(i.indexrelid, k, false) FROM generate_series(1, i.indnkeyatts) k),
       pg_catalog.pg_get_expr(i.indpred, i.indrelid), i.indexprs IS NOT NULL OR i.indpred IS NOT NULL,
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey))
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_am m ON m.oid = c.relam AND m.amname = 'btree'
WHERE i.indrelid = %s AND i.indisvalid ORDER BY c.relname"""

NUMBERED: Final = """
SELECT a.attname::text FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
WHERE a.attrelid = %s AND a.attgenerated = '' AND EXISTS (
    SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class s ON s.oid = d.refobjid AND s.relkind = 'S'
    WHERE d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.objid = f.oid
      AND d.refclassid = 'pg_catalog.pg_class'::regclass)"""

LOG: Final = logging.getLogger(__name__)

PLACE: Final = TableName(TRIED, "pg_temp")
"""Where a table is made in place of one that is not there yet."""
BOUNDS: Final = "syncline_partitions"


LONG: Final = 2_000
"""Bytes of a value that may be more than an index takes: a third of a page, once it is compressed."""


@dataclass(frozen=True, slots=True)
class Index:
    """What is in a B-tree of a table, as CREATE INDEX has it, and its columns. `computed`: by expressions, which may fail."""

    sql: str
    columns: tuple[str, ...]
    computed: bool


@dataclass(frozen=True, slots=True)
class Known:
    """What a table demands, and the columns whose default takes a number from a sequence: none is taken for a trial."""

    demands: Demands
    numbered: tuple[str, ...] = ()
    indexes: tuple[Index, ...] = ()

    def asked_of(self, changes: ChangeSet) -> Known | None:
        """What the rows of the changes have to be tried for, None for nothing: an index of long values is only for such."""
        rows = (changes.inserts, changes.after)
        wanted = tuple(
            each
            for each in self.indexes
            if each.computed or any(_longest(part, name) > LONG for part in rows for name in each.columns)
        )
        demands = replace(self.demands, always=self.demands.always or bool(wanted))
        return replace(self, demands=demands, indexes=wanted) if demands.any else None


def _longest(rows: pa.Table, name: str) -> int:
    """The most bytes of a value; 0 of columns that are not long."""
    kind = rows.schema.field(name).type if name in rows.schema.names else None
    if kind is None or not (pa.types.is_string(kind) or pa.types.is_binary(kind)):
        return 0
    return int(pc.max(pc.binary_length(rows[name])).as_py() or 0)


def known(connection: psycopg.Connection[Any], oid: int) -> Known:
    """Out of the catalogs."""
    checks = [Check(text, name, tuple(columns)) for name, text, columns in connection.execute(CHECKS, [oid])]
    generated = tuple((name, text) for name, text in connection.execute(GENERATED, [oid]))
    (kind,) = connection.execute("SELECT relkind FROM pg_catalog.pg_class WHERE oid = %s", [oid]).fetchone() or ("",)
    bounds = None
    if kind in (b"p", "p"):
        leaves = connection.execute(PARTITIONS, [oid]).fetchall()
        fits = " OR ".join(f"({limit})" for limit, _ in leaves) or "false"
        bounds = None if any(not limit for limit, _ in leaves) else Check(fits, BOUNDS)
        checks += [
            Check(f"(NOT coalesce({limit or 'true'}, false)) OR ({text})") for limit, own in leaves for text in own
        ]
    demands = Demands(tuple(checks), generated, bounds)
    indexes = tuple(
        Index(
            f"({', '.join(f'({part})' for part in parts)}){f' WHERE {only}' if only else ''}", tuple(columns), computed
        )
        for parts, only, computed, columns in connection.execute(INDEXES, [oid])
    )
    tried = demands.any or indexes
    numbered = tuple(name for (name,) in connection.execute(NUMBERED, [oid])) if tried else ()
    return Known(demands, numbered, indexes)


def untried(connection: psycopg.Connection[Any], table: TableName) -> str | None:
    """Why there can be no temporary table like a table, and how to change that; None where there can."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(_like(table))
    except (errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction) as error:
        return f"{error.diag.message_primary}. Fix: GRANT TEMPORARY ON DATABASE to the user"
    except psycopg.Error as error:
        if (error.sqlstate or "")[:2] not in UNREAD:
            raise
        return f"{error.diag.message_primary}"
    return None


def _like(table: TableName) -> str:
    like = f"LIKE {spelled_name(table)} INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING DEFAULTS"
    return f"CREATE TEMPORARY TABLE {TRIED} ({like}) ON COMMIT DROP"


def refused(
    connection: psycopg.Connection[Any],
    shape: TableShape,
    changes: ChangeSet,
    travels: Mapping[str, Travel],
    of_table: Known,
    made: Sequence[str],
) -> dict[int, Reason]:
    """The rows that the table refuses. `made` are the statements that make a table TRIED where there is none yet.

    Everything is made in a transaction of its own inside the one that is open, and rolled back. Where it cannot be made,
    for want of a right, or because a check looks at the row as a whole, nothing is refused here.
    """
    demands = of_table.demands
    writes = set(changes.schema.names)
    beside = () if made else demands.beside(shape, writes)
    asked = trials.given(changes, _looked_at(demands, changes, beside) & set(travels))
    with connection.transaction(force_rollback=True):
        trial = _Trial(connection, shape, changes, travels, asked, demands, beside)
        try:
            trial.prepare(of_table.numbered, made)
            trial.index(of_table.indexes)
        except psycopg.Error as error:
            if (error.sqlstate or "")[:2] not in UNREAD:
                raise
            LOG.warning("Rows of %s cannot be tried out beforehand: %s", shape.name, error.diag.message_primary)
            return {}
        return trials.refused(trial, asked.rows.num_rows)


def _looked_at(demands: Demands, changes: ChangeSet, beside: Sequence[str]) -> set[str]:
    """The columns that have to be tried."""
    if demands.always or demands.generated or demands.bounds or not all(each.columns for each in demands.checks):
        return set(changes.schema.names)
    found = {name for each in demands.checks for name in each.columns}
    return (found | set(changes.key)) if beside or not found & set(changes.schema.names) else found


@dataclass(slots=True)
class _Trial:
    connection: psycopg.Connection[Any]
    shape: TableShape
    changes: ChangeSet
    travels: Mapping[str, Travel]
    asked: Given
    demands: Demands
    beside: Sequence[str]
    wired: list[bool] = field(default_factory=list)

    def prepare(self, numbered: Sequence[str], made: Sequence[str]) -> None:
        """Make the tables, and stage the rows."""
        rows = self.asked.numbered
        arrays = [rows[NUMBER]]
        types = [f"{NUMBER} integer PRIMARY KEY"]
        for i, name in enumerate(self.asked.names):
            wired = wire(rows[f"a{i}"], self.travels[name])
            self.wired.append(wired is not None)
            types.append(f"a{i} {self.travels[name].staged_type(wired=wired is not None)}")
            arrays.append(rows[f"a{i}"] if wired is None else wired)
        self.connection.execute(f"CREATE TEMPORARY TABLE {ASKED} ({', '.join(types)}) ON COMMIT DROP")
        with self.connection.cursor().copy(f"COPY {ASKED} FROM STDIN (FORMAT binary)") as copy:
            for data in copy_data(pa.table(arrays, names=rows.column_names)):
                copy.write(data)
        if made:
            for statement in made:
                self.connection.execute(statement)
        else:
            self.connection.execute(_like(self.shape.name))
        self._ease(set(numbered))
        if self.demands.bounds:
            bounds = self.demands.bounds
            self.connection.execute(f"ALTER TABLE {TRIED} ADD CONSTRAINT {bounds.name} CHECK ({bounds.expression})")
        for check in self.demands.checks if not made else ():
            if not check.name:  # of one partition alone
                self.connection.execute(f"ALTER TABLE {TRIED} ADD CHECK ({check.expression})")

    def index(self, indexes: Sequence[Index]) -> None:
        """Give the table indexes like the target's, none of them unique."""
        for each in indexes:
            try:
                with self.connection.transaction():
                    self.connection.execute(f"CREATE INDEX ON pg_temp.{TRIED} {each.sql}")
            except psycopg.Error as error:
                if (error.sqlstate or "")[:2] not in UNREAD:
                    raise
                LOG.warning("An index of %s cannot be tried out: %s", self.shape.name, error.diag.message_primary)

    def _ease(self, numbered: set[str]) -> None:
        """Columns that are not tried may be null, and have defaults only where a check looks at them."""
        eased = []
        for each in self.shape.columns:
            if each.generated or each.name in self.asked.names:
                continue
            name = spelled_name(each.name)
            if each.identity and each.name not in numbered:
                eased.append(f"ALTER COLUMN {name} DROP IDENTITY IF EXISTS")
            eased.append(f"ALTER COLUMN {name} DROP NOT NULL")
            if each.name in numbered or each.name not in self.beside:
                eased.append(f"ALTER COLUMN {name} DROP DEFAULT")
        if eased:
            primary = self.connection.execute(
                "SELECT conname::text FROM pg_catalog.pg_constraint WHERE conrelid = %s::regclass AND contype IN ('p', 'u')",
                [f"pg_temp.{TRIED}"],
            ).fetchall()
            drops = [f"DROP CONSTRAINT {spelled_name(name)}" for (name,) in primary]
            self.connection.execute(f"ALTER TABLE pg_temp.{TRIED} {', '.join([*drops, *eased])}")

    def take(self, first: int, stop: int) -> Reason | None:
        try:
            with self.connection.transaction() as attempt:
                self._insert(TRIED, f"n.{NUMBER} >= {first} AND n.{NUMBER} < {stop}")
                raise psycopg.Rollback(attempt)
        except psycopg.Error as error:
            if (error.sqlstate or "")[:2] not in UNREAD:
                raise
            said = " ".join((error.diag.message_primary or str(error)).replace(TRIED, self.shape.name.name).split())
            return trials.refusal(said, error.diag.constraint_name or "")
        return None

    def _insert(self, into: str, where: str, *, number: bool = False) -> None:
        names = [*([NUMBER] if number else []), *(spelled_name(name) for name in self.asked.names)]
        stage = table(TableName("n"), [NUMBER, *(f"a{i}" for i in range(len(self.asked.names)))])
        values = [*([f"n.{NUMBER}"] if number else []), *(self._value(stage, i) for i in range(len(self.asked.names)))]
        inserts = f"{where} AND n.{NUMBER} < {self.asked.inserts}" if self.beside else where
        insert = f"INSERT INTO {into} ({{}}) OVERRIDING SYSTEM VALUE SELECT {{}} FROM {ASKED} n {{}}WHERE {{}}"
        self.connection.execute(insert.format(", ".join(names), ", ".join(values), "", inserts))
        if self.beside and self.asked.inserts < self.asked.rows.num_rows:
            there = [f"t.{spelled_name(name)}" for name in self.beside]
            place = {name: i for i, name in enumerate(self.asked.names)}
            same = " AND ".join(f"t.{spelled_name(k)} = {self._value(stage, place[k])}" for k in self.changes.key)
            joined = f"JOIN {spelled_name(self.shape.name)} t ON {same} "
            updates = f"{where} AND n.{NUMBER} >= {self.asked.inserts}"
            listed = [*names, *(spelled_name(name) for name in self.beside)]
            self.connection.execute(insert.format(", ".join(listed), ", ".join([*values, *there]), joined, updates))

    def _value(self, stage: sa.TableClause, place: int) -> str:
        written = self.travels[self.asked.names[place]].written(wired=self.wired[place])
        return spelled(written.cast(stage.c[f"a{place}"]))

    def failing(self) -> dict[int, Reason]:
        checks = [*self.demands.checks, *([self.demands.bounds] if self.demands.bounds else [])]
        found: dict[int, Reason] = {}
        try:
            with self.connection.transaction():
                self.connection.execute(
                    f"CREATE TEMPORARY TABLE {HELD} (LIKE pg_temp.{TRIED} INCLUDING GENERATED INCLUDING DEFAULTS, {NUMBER} integer) "
                    "ON COMMIT DROP"
                )
                self._insert(HELD, "true", number=True)
                for each in reversed(checks):
                    broken = self.connection.execute(f"SELECT {NUMBER} FROM {HELD} WHERE NOT ({each.expression})")
                    reason = Reason("no_partition") if each is self.demands.bounds else each.reason
                    found.update((number, reason) for (number,) in broken)
        except psycopg.Error as error:
            if (error.sqlstate or "")[:2] not in UNREAD:
                raise
            return {}
        return found

    def discard(self, numbers: Sequence[int]) -> None:
        self.connection.execute(f"DELETE FROM {ASKED} WHERE {NUMBER} = ANY(%s)", [list(numbers)])
