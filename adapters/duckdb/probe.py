# ruff: noqa: S608 - SQL is made of quoted identifiers and of expressions out of the catalog
"""Rows tried out in DuckDB: in a temporary table of the same types, checks and generated columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import duckdb
import pyarrow as pa
import sqlalchemy as sa

from adapters.duckdb.catalog import HERE, filled, sequence_of
from adapters.duckdb.design import spelled
from adapters.duckdb.snapshot import Session, abandon
from adapters.duckdb.types import kept, quoted, sql_type, text_of, written
from adapters.sql import trials
from adapters.sql.json_texts import doubtful, kept_where_doubtful
from adapters.sql.statements import table
from adapters.sql.trials import ASKED, HELD, NUMBER, TRIED, Check, Demands, Given
from transforms.vocabulary import ChangeSet, ColumnShape, Meaning, Reason, SynclineError, TableName, TableShape

UNFIT: Final = (duckdb.DataError, duckdb.IntegrityError, duckdb.InvalidInputException)
"""What DuckDB raises about a value."""


def kept_values(session: Session, column: ColumnShape, values: pa.Array, known: Meaning) -> pa.Array:
    """See `Target.kept`. In: a column that `is_asked`."""
    if known == column.meaning == "json":
        return kept_where_doubtful(values, doubtful(values), lambda some: kept_values(session, column, some, "plain"))
    texts = values.dictionary_encode()
    session.register("syncline_values", pa.table({"v": texts.dictionary}))
    given = table(TableName("syncline_values"), ["v"]).c.v
    told = session.ask(text_of(sa.select(kept(column, given).label("v"))))["v"]
    session.unregister("syncline_values")
    return told.take(texts.indices).combine_chunks()


@dataclass(frozen=True, slots=True)
class Known:
    """What a table demands, and the defaults of its columns, but for numbers out of sequences. `indexed` are expressions that
    indexes are over: one fails where it cannot be computed, and as late as the commit."""

    demands: Demands
    defaults: tuple[tuple[str, str], ...] = ()
    indexed: tuple[str, ...] = ()


def refused_of(
    session: Session, shape: TableShape, changes: ChangeSet, found: dict[TableName, Known], *, new: bool
) -> dict[int, Reason]:
    """See `Target.refused`. `found` is what is known already of tables."""
    if shape.name not in found:
        found[shape.name] = Known(trials.of_design(shape)) if new else known(session, shape.name)
    of_table = found[shape.name]
    return refused(session, shape, changes, of_table) if of_table.demands.any else {}


def known(session: Session, name: TableName) -> Known:
    """Out of the catalog."""
    here = [name.name, name.schema]
    checks = session.rows(
        "SELECT expression AS e, constraint_name AS n, constraint_column_names AS c FROM duckdb_constraints() "
        f"WHERE {HERE} AND constraint_type = 'CHECK' ORDER BY constraint_index",
        here,
    )
    columns = filled(session, here)
    listed = (
        f"SELECT DISTINCT unnest(CAST(expressions AS VARCHAR[])) AS e FROM duckdb_indexes() WHERE {HERE} ORDER BY e"
    )
    computed = tuple(row["e"] for row in session.rows(listed, here) if row["e"].startswith("("))  # others are columns
    return Known(
        Demands(
            tuple(Check(row["e"], row["n"] or "", tuple(row["c"] or ())) for row in checks),
            tuple((row["n"], row["d"]) for row in columns if row["g"]),
            always=bool(computed),
        ),
        tuple((row["n"], row["d"]) for row in columns if not row["g"] and sequence_of(row["d"]) is None),
        computed,
    )


def refused(session: Session, shape: TableShape, changes: ChangeSet, of_table: Known) -> dict[int, Reason]:
    """The rows that a table of that shape and with such demands refuses."""
    beside = of_table.demands.beside(shape, changes.schema.names)
    trial = _Trial(session, shape, changes, trials.given(changes), of_table, beside)
    session.register("syncline_rows", trial.asked.numbered)
    session.execute(f"CREATE OR REPLACE TEMP TABLE {ASKED} AS SELECT * FROM syncline_rows")
    session.unregister("syncline_rows")
    trial.make(TRIED, checks=True)
    try:
        return trials.refused(trial, trial.asked.rows.num_rows)
    finally:
        for each in (ASKED, TRIED, HELD):
            session.execute(f"DROP TABLE IF EXISTS temp.{each}")


@dataclass(slots=True)
class _Trial:
    session: Session
    shape: TableShape
    changes: ChangeSet
    asked: Given
    of_table: Known
    beside: Sequence[str]

    def make(self, name: str, *, checks: bool) -> None:
        defaults, generated = dict(self.of_table.defaults), dict(self.of_table.demands.generated)
        parts = [] if checks else [f"{NUMBER} INTEGER"]
        for each in self.shape.columns:
            made = generated.get(each.name)
            default = defaults.get(each.name) if each.name in self.beside else None
            ends = f" GENERATED ALWAYS AS ({made}) VIRTUAL" if made else f" DEFAULT ({default})" if default else ""
            parts.append(f"{quoted(each.name)} {sql_type_of(each)}{ends}")
        parts += [f"CHECK ({each.expression})" for each in self.of_table.demands.checks] if checks else []
        self.session.execute(f"CREATE OR REPLACE TEMP TABLE {name} ({', '.join(parts)})")

    def take(self, first: int, stop: int) -> Reason | None:
        self.session.execute("BEGIN TRANSACTION")
        try:
            self._insert(TRIED, f"n.{NUMBER} >= {first} AND n.{NUMBER} < {stop}")
            generated = (quoted(name) for name, _ in self.of_table.demands.generated)
            for each in (*generated, *self.of_table.indexed):  # computed when it is read
                self.session.execute(f"SELECT count({each}) FROM temp.{TRIED}")
        except SynclineError as error:
            if not isinstance(error.__cause__, UNFIT):
                raise
            return trials.refusal(" ".join(str(error.__cause__).replace(TRIED, self.shape.name.name).split()))
        finally:
            abandon(self.session)
        return None

    def _insert(self, into: str, where: str, *, number: bool = False) -> None:
        stage = table(TableName("n"), [NUMBER, *(f"a{i}" for i in range(len(self.asked.names)))])
        by_name = {each.name: each for each in self.shape.columns}
        own = [written(by_name[name]).cast(stage.c[f"a{i}"]) for i, name in enumerate(self.asked.names)]
        numbers = [NUMBER] if number else []
        names = [*numbers, *map(quoted, self.asked.names)]
        values = [*(f"n.{each}" for each in numbers), *map(text_of, own)]
        inserts = f"{where} AND n.{NUMBER} < {self.asked.inserts}" if self.beside else where
        insert = f"INSERT INTO temp.{into} ({{}}) SELECT {{}} FROM temp.{ASKED} n {{}}WHERE {{}}"
        self.session.execute(insert.format(", ".join(names), ", ".join(values), "", inserts))
        if self.beside and self.asked.inserts < self.asked.rows.num_rows:
            at = dict(zip(self.asked.names, map(text_of, own), strict=True))
            same = " AND ".join(f"t.{quoted(name)} = {at[name]}" for name in self.changes.key)
            more = [*values, *(f"t.{quoted(name)}" for name in self.beside)]
            listed = [*names, *map(quoted, self.beside)]
            joined = f"JOIN {spelled(self.shape.name)} t ON {same} "
            updates = f"{where} AND n.{NUMBER} >= {self.asked.inserts}"
            self.session.execute(insert.format(", ".join(listed), ", ".join(more), joined, updates))

    def failing(self) -> dict[int, Reason]:
        found: dict[int, Reason] = {}
        try:
            self.make(HELD, checks=False)
            self._insert(HELD, "true", number=True)
            for each in reversed(self.of_table.demands.checks):
                broken = self.session.rows(f"SELECT {NUMBER} AS n FROM temp.{HELD} WHERE NOT ({each.expression})")
                found.update(dict.fromkeys((row["n"] for row in broken), each.reason))
        except SynclineError as error:
            if not isinstance(error.__cause__, UNFIT):
                raise
            return {}
        return found

    def discard(self, numbers: Sequence[int]) -> None:
        self.session.execute(f"DELETE FROM temp.{ASKED} WHERE list_contains($1, {NUMBER})", [list(numbers)])


def sql_type_of(column: ColumnShape) -> str:
    return column.native if column.native.startswith("VARCHAR") else sql_type(column.native)
