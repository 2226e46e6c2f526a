"""Small migrations for tests: a source and a target database in a temporary folder, a spec between them, and looks at
both from outside, through the engines' own drivers and never through Syncline's adapters."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import yaml

from flows import commands
from flows.bind.ranges import parse_range
from flows.commands import Outcome, Status
from flows.history import quarantine as quarantining
from flows.plan.request import Request, new_run_id
from flows.session.progress import Progress
from flows.spec.model import Spec, load_spec
from transforms.vocabulary import Counts

Engine = Literal["sqlite", "duckdb", "postgresql", "mysql", "parquet"]
Rows = list[Any]

PAIRS: tuple[tuple[Engine, Engine], ...] = (
    ("sqlite", "sqlite"),
    ("sqlite", "duckdb"),
    ("sqlite", "postgresql"),
    ("postgresql", "postgresql"),
    ("mysql", "postgresql"),
    ("postgresql", "mysql"),
)

RING: tuple[tuple[Engine, Engine], ...] = (
    ("sqlite", "postgresql"),
    ("postgresql", "duckdb"),
    ("duckdb", "mysql"),
    ("mysql", "sqlite"),
)
"""Each engine once as source and once as target: for what depends on one side at a time."""


def pair_name(pair: tuple[Engine, Engine]) -> str:
    return f"{pair[0]}-to-{pair[1]}"


def halves(fixture: str) -> tuple[pytest.MarkDecorator, pytest.MarkDecorator]:
    """Two marks with each engine once: for what the flows do alike, whatever the engine.

    Tests of a file take them in turn, so that each engine is there as source and as target.
    """
    one, other = (pytest.mark.parametrize(fixture, RING[at::2], indirect=True, ids=pair_name) for at in (0, 1))
    return one, other


@dataclass(frozen=True)
class Side:
    """One database, asked through its own driver. On PostgreSQL each side has a schema of its own.

    MariaDB takes the other engines' quotes here: "name", and backslashes that stand for themselves.
    """

    engine: Engine
    place: str
    schema: str | None = None

    @property
    def url(self) -> str:
        return self.place if self.engine in ("postgresql", "mysql") else f"{self.engine}:///{self.place}"

    @property
    def endpoint(self) -> dict[str, Any]:
        return {"url": self.url} | ({"schema": self.schema} if self.schema else {})

    @contextmanager
    def connected(self) -> Iterator[Callable[..., Any]]:
        """A function that runs one statement and answers with a cursor; all is committed at the end."""
        if self.engine == "sqlite":
            with closing(sqlite3.connect(self.place)) as database:
                database.execute("PRAGMA foreign_keys = ON")
                with database:
                    yield database.execute
        elif self.engine == "duckdb":
            from duckdb_files import opened

            with opened(self.place) as database:
                yield database.execute
        elif self.engine == "parquet":
            from parquet_tables import opened as folder

            with folder(self.place) as database:
                yield database.execute
        elif self.engine == "mysql":
            with connected_to_mariadb(self.place) as execute:
                yield execute
        else:
            import psycopg

            with psycopg.connect(self.place) as database:
                database.execute(f"CREATE SCHEMA IF NOT EXISTS {self.schema}")
                database.execute(f"SET search_path TO {self.schema}")
                yield database.execute

    def execute(self, *statements: str) -> None:
        with self.connected() as run:
            for statement in statements:
                run(statement)

    def insert(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Rows in the order of the table's columns."""
        mark = "%s" if self.engine in ("postgresql", "mysql") else "?"
        with self.connected() as run:
            for row in rows:
                run(f'INSERT INTO "{table}" VALUES ({", ".join([mark] * len(row))})', list(row))

    def ask(self, query: str) -> Rows:
        with self.connected() as run:
            return [tuple(row) for row in run(query).fetchall()]

    def rows(self, table: str, columns: str = "*") -> Rows:
        """All rows, in the order of their texts, so that two states can be compared."""
        return sorted(self.ask(f'SELECT {columns} FROM "{table}"'), key=str)

    def count(self, table: str) -> int:
        return int(self.ask(f'SELECT count(*) FROM "{table}"')[0][0])

    def tables(self) -> set[str]:
        """The user's tables: Syncline's own marker table is none of them."""
        if self.engine == "sqlite":
            found = self.ask("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        elif self.engine in ("duckdb", "parquet"):
            found = self.ask("SELECT table_name FROM duckdb_tables() WHERE database_name = current_database()")
        elif self.engine == "mysql":
            found = self.ask("SELECT table_name FROM information_schema.tables WHERE table_schema = database()")
        else:
            found = self.ask(f"SELECT tablename FROM pg_tables WHERE schemaname = '{self.schema}'")
        return {name for (name,) in found if "syncline" not in name}

    def forget(self) -> None:
        """Take away what says who wrote to it, so that another migration of that name is the first one."""
        public = "public." if self.engine == "postgresql" else ""
        self.execute(f"DROP TABLE IF EXISTS {public}syncline_marker")

    def content(self) -> dict[str, Rows]:
        """Everything in it, for before and after."""
        if self.engine in ("sqlite", "duckdb", "parquet") and not Path(self.place).exists():
            return {}
        return {table: self.rows(table) for table in sorted(self.tables())}


def empty_mariadb(server: str, name: str) -> Side:
    """A new database of a server that lives no longer than the tests."""
    Side("mysql", server).execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    return Side("mysql", f"{server.rpartition('/')[0]}/{name}")


@contextmanager
def connected_to_mariadb(url: str) -> Iterator[Callable[..., Any]]:
    import pymysql

    parsed = urlsplit(url)
    reached = {"host": parsed.hostname, "port": parsed.port, "user": parsed.username, "password": parsed.password or ""}
    mode = "SET time_zone = '+00:00', sql_mode = concat(@@sql_mode, ',ANSI_QUOTES,NO_BACKSLASH_ESCAPES')"
    with pymysql.connect(
        **reached, database=parsed.path[1:], charset="utf8mb4", init_command=mode, ssl_disabled=True
    ) as database:  # without TLS, whose setting up takes longer than most statements
        with database.cursor() as cursor:

            def execute(statement: str, values: Sequence[Any] | None = None) -> Any:
                cursor.execute(statement, values)
                return cursor

            yield execute
        database.commit()


@dataclass
class Scenario:
    """A migration in a folder. `write` says which tables; the other methods do what the commands do."""

    folder: Path
    source: Side
    target: Side

    @classmethod
    def make(cls, folder: Path, pair: tuple[Engine, Engine], request: pytest.FixtureRequest) -> Scenario:
        """Two empty databases; the servers' come from the fixtures `postgres_url` and `mariadb_server`."""

        def side(engine: Engine, name: str) -> Side:
            if engine == "postgresql":
                made = Side(engine, request.getfixturevalue("postgres_url"), name)
                made.execute()
                return made
            if engine == "mysql":
                return empty_mariadb(request.getfixturevalue("mariadb_server"), f"{name}_{uuid4().hex[:12]}")
            return Side(engine, str(folder / f"{name}.db"))

        return cls(folder, side(pair[0], "legacy"), side(pair[1], "core"))

    @property
    def path(self) -> Path:
        return self.folder / "spec.yaml"

    @property
    def spec(self) -> Spec:
        return load_spec(self.path)

    def document(self, tables: Mapping[str, Any], **rest: Any) -> dict[str, Any]:
        much = {"delete": {"policy": "hard", "max_ratio": 1.0}, "quarantine": {"max_ratio": 1.0}}
        defaults = much | rest.pop("defaults", {})
        return {
            "version": 1,
            "name": "shop",
            "source": self.source.endpoint,
            "target": self.target.endpoint,
            "state": {"url": "sqlite:///ledger.db", "store": "store"},
            "defaults": defaults,
            "tables": dict(tables),
        } | rest

    def write(self, tables: Mapping[str, Any], **rest: Any) -> Path:
        """Write the spec. `max_ratio` is 1 unless `defaults` says otherwise, since tests delete and set aside much of little."""
        self.path.write_text(yaml.safe_dump(self.document(tables, **rest), sort_keys=False, allow_unicode=True))
        return self.path

    def request(
        self,
        kind: Any = "run",
        *,
        tables: Sequence[str] = (),
        ranges: Sequence[str] = (),
        folder: Path | None = None,
        **more: Any,
    ) -> Request:
        spec, at = self.spec, datetime.now(UTC)
        parsed = tuple(parse_range(text, spec) for text in ranges)
        return Request(spec, new_run_id(at), at, kind, tuple(tables), parsed, folder, **more)

    def plan(self, **asked: Any) -> Outcome:
        return explained(balanced(commands.plan(self.request("plan", **asked))), asked)

    def run(self, **asked: Any) -> Outcome:
        progress = Progress()
        done = balanced(commands.run(self.request("run", **asked), meter=progress))
        if done.status in (Status.DONE, Status.CONFLICTS):  # it went through all of its rows, and says so
            assert all(part.finished and part.done == part.of for part in progress.parts), progress.parts
        return done

    def verify(self, **asked: Any) -> Outcome:
        return explained(balanced(commands.verify(self.request("verify", **asked))), asked)

    def backfill(self, text: str, every: str | None = None) -> Outcome:
        return balanced(commands.backfill(self.request("backfill", ranges=[text]), every))

    def apply(self, folder: Path | str | None) -> Outcome:
        return balanced(commands.apply_plan(Path(str(folder))))

    def undo(self, version: int, **asked: Any) -> Outcome:
        return balanced(commands.undo(self.request("undo"), version, **asked), accounted_each)

    def settled(self, **asked: Any) -> None:
        """The law of every migration: what ran leaves nothing to do, and both sides are proved equal.

        To verify is to plan anew: with more columns than a plan has, and with the totals of both sides.
        """
        again = self.verify(**asked)
        assert again.status == Status.DONE, [table.samples for table in again.report.tables]
        assert not again.report.pending, again.report.tables


def accounted(counts: Counts) -> bool:
    """Whether every source row is inserted, updated, unchanged, in quarantine or in conflict."""
    left = counts.source_rows - counts.insert - counts.update - counts.unchanged - counts.quarantined
    return 0 <= left <= counts.conflicts


def accounted_both(counts: Counts, back: Counts, others: int = 0) -> bool:
    """Whether every row of either side of a two-way table is; unchanged is what stays as it is on the target. `others`: so many rows of
    the source change by other tables that are made of it."""
    return all(
        -others <= rows - new - gone - counts.update - counts.unchanged - aside <= counts.conflicts + others
        for rows, new, gone, aside in (
            (counts.source_rows, counts.insert, back.delete, counts.quarantined),
            (counts.target_rows, back.insert, counts.delete, counts.unproved),
        )
    )


def accounted_each(counts: Counts, back: Counts) -> bool:
    """The same of an undo, which goes through the rows of each side by itself."""
    return accounted(counts) and accounted(back)


def balanced(outcome: Outcome, both: Callable[[Counts, Counts], bool] = accounted_both) -> Outcome:
    """The outcome, after looking that every row of every table is accounted for; where sides that meet are only looked at, none is."""
    for table in outcome.report.tables:
        if table.meeting:
            continue
        of_one = [
            each for each in outcome.report.tables if each.back is not None and each.back_table == table.back_table
        ]
        if table.back is not None and len(of_one) > 1:
            whole = accounted_both(table.counts, table.back, sum(each.back.changes for each in of_one if each.back))
        else:
            whole = accounted(table.counts) if table.back is None else both(table.counts, table.back)
        assert whole, f"{table.name}: {table.counts}, back: {table.back}"
    return outcome


def explained(outcome: Outcome, asked: Mapping[str, Any]) -> Outcome:
    """The outcome, after looking that every row of every target is accounted for; with ranges some are not looked at."""
    for table in () if asked.get("ranges") else outcome.report.tables:
        found = table.counts
        if table.back is not None:
            continue  # `balanced` has looked at both sides
        assert found.target_rows == found.update + found.delete + found.unchanged + found.unproved, (
            f"{table.name}: {found}"
        )
        assert found.unproved == sum(table.unproved.values())
    return outcome


def counts(outcome: Outcome, table: str) -> dict[str, int]:
    """What is not zero, without the target's rows."""
    found = next(each for each in outcome.report.tables if each.name == table).counts.as_dict()
    return {name: count for name, count in found.items() if count and name != "target_rows"}


def changes(plan: Outcome) -> dict[str, dict[str, Rows]]:
    """What a plan on disk holds, by table and operation, in no order: windows do not show."""
    from adapters.store.plans import Plan

    opened = Plan.open(Path(str(plan.report.plan)))
    found: dict[str, dict[str, Rows]] = {}
    for entry in opened.windows():
        part = opened.changes(entry)
        into = found.setdefault(entry.table.name, {"insert": [], "before": [], "after": [], "delete": []})
        for name, rows in (
            ("insert", part.inserts), ("before", part.before), ("after", part.after), ("delete", part.deletes),
        ):  # fmt: skip
            into[name] += [tuple(row.values()) for row in rows.to_pylist()]
    return {table: {name: sorted(rows, key=str) for name, rows in parts.items()} for table, parts in found.items()}


def reasons(outcome: Outcome, table: str) -> dict[str, int]:
    return dict(next(each for each in outcome.report.tables if each.name == table).reason_texts)


def quarantine(scenario: Scenario) -> list[tuple[str, Any, str]]:
    """Table, key and reason of what is in quarantine now."""
    rows, _ = quarantining.listed(scenario.spec, quarantining.Filter(), 1000)
    return sorted(((row["table_name"], json.loads(row["key"]), row["reason"]) for row in rows), key=str)
