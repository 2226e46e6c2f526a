"""A ledger's database: one writer at a time by its lease, made once, brought up to date, or refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from ledgers import START, Clock, version
from ledgers import clock as clock
from ledgers import ledger as ledger
from ledgers import server as server
from ledgers import url as url
from old_ledgers import FORMAT_1, FORMAT_2, made, statements_of

from adapters.ledger.lease import Lease
from adapters.ledger.ledger import Base, Choice, Ledger, RunPlan, Version
from adapters.ledger.tables import FORMAT, METADATA
from transforms.vocabulary import BusyError, ConnectionFailed, SynclineError


def test_one_writer_at_a_time_and_the_other_learns_who_and_since_when(ledger: Ledger, clock: Clock) -> None:
    with ledger.lease("m", "target", "ann") as lease:
        clock.forward(seconds=5)
        with pytest.raises(BusyError, match=r"in use by ann \(process \d+ on .*\) since 2026-01-31 12:00:00 UTC"):
            ledger.lease("m", "target", "bob").__enter__()
        with ledger.lease("other", "target", "bob"):
            pass
        lease.check()
    with ledger.lease("m", "target", "bob"):
        pass


def test_a_lease_that_ran_out_is_taken_over_and_its_holder_learns_it(ledger: Ledger, clock: Clock) -> None:
    with ledger.lease("m", "target", "ann", seconds=60) as old:
        clock.forward(seconds=59)
        old.renew()
        clock.forward(seconds=59)
        with pytest.raises(BusyError):
            ledger.lease("m", "target", "bob").__enter__()
        clock.forward(seconds=2)
        with ledger.lease("m", "target", "bob") as new:
            for _ in range(2):
                with pytest.raises(BusyError, match="ran out and another run took it"):
                    old.renew()
            with pytest.raises(BusyError):
                old.check()
            old.release()
            new.renew()


def test_a_lease_is_renewed_in_the_background(ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    renewed, renew = threading.Semaphore(0), Lease.renew

    def counted(lease: Lease) -> None:
        renew(lease)
        renewed.release()

    monkeypatch.setattr(Lease, "renew", counted)
    with ledger.lease("m", "target", "ann", seconds=0.3):
        clock.forward(seconds=0.25)
        while renewed.acquire(blocking=False):  # those of the time before
            pass
        for _ in range(2):  # the first of them may have begun before
            assert renewed.acquire(timeout=120)
        clock.forward(seconds=0.2)
        with pytest.raises(BusyError):
            ledger.lease("m", "target", "bob").__enter__()


def test_the_lease_of_a_dead_process_on_this_machine_is_taken_over(url: str) -> None:
    program = (
        "import os, sys; from adapters.ledger.ledger import Ledger; "
        "lease = Ledger(sys.argv[1]).lease('m', 'target', 'killed'); lease.__enter__(); os._exit(9)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program, url], check=False, cwd=root, env={**os.environ})
    assert done.returncode == 9
    with sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:")).connect() as connection:
        schema = "" if url.startswith("sqlite") else "syncline."
        assert connection.execute(sa.text(f"SELECT holder FROM {schema}leases")).scalar() == "killed"
    with Ledger(url).lease("m", "target", "next") as lease:
        lease.check()


def test_of_many_that_reach_for_the_lease_one_gets_it(url: str) -> None:
    ledgers = [Ledger(url) for _ in range(4)]
    won, lost, together = [], [], threading.Barrier(8)

    def reach(at: int) -> None:
        together.wait()
        try:
            lease = ledgers[at % 4].lease("m", "target", f"h{at}")
            lease.__enter__()
            won.append(lease)
        except BusyError as error:
            lost.append(error)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(reach, range(8)))
    assert (len(won), len(lost)) == (1, 7)
    won[0].__exit__(None, None, None)
    for each in ledgers:
        each.close()


# The database itself


def test_a_ledger_is_made_once_by_whoever_comes_first(url: str) -> None:
    ledgers = [Ledger(url) for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda at: ledgers[at].start_run(f"r{at}", "m", "run", "d"), range(8)))
    assert len(ledgers[0].runs("m")) == 8
    for each in ledgers:
        each.close()
        each.close()


def test_readers_do_not_wait_for_a_writer(ledger: Ledger) -> None:
    ledger.start_run("r1", "m", "run", "d")
    with ledger._engine.writing():
        assert len(ledger.runs("m")) == 1


def test_a_ledger_of_a_newer_syncline_is_left_alone(url: str) -> None:
    Ledger(url).runs("m")
    statements_of(url, f"INSERT INTO syncline_format VALUES ({FORMAT + 1})")
    newer = rf"has format {FORMAT + 1}, made by a newer Syncline; this one knows {FORMAT}\. Fix: update"
    with pytest.raises(SynclineError, match=newer):
        Ledger(url).start_run("r", "m", "run", "d")


def test_a_ledger_of_an_older_syncline_is_brought_up_to_date_and_loses_nothing(url: str) -> None:
    made(url, FORMAT_1)
    ledger = Ledger(url)
    (found,) = ledger.versions("m")
    assert found == Version(
        migration="m", side="target", plan_id="a", plan="a", run_id="a", spec_digest="d", created_at=START, version=1,
        counts={"flight": {"insert": 1}}, source_mark="7", author="me",
    )  # fmt: skip
    assert ledger.bases("m", "target") == {}
    ledger.set_base(Base("m", "target", "flight", 1, None, 0))
    assert version(ledger, "b") == 2
    ledger.close()
    again = Ledger(url)
    assert [each.version for each in again.versions("m")] == [2, 1]
    again.close()


def test_a_ledger_of_one_way_says_that_all_of_it_was_about_the_target(url: str) -> None:
    made(url, FORMAT_2)
    ledger = Ledger(url)
    runs = {run.run_id: (run.status, run.sides, run.plans, run.counts) for run in ledger.runs("m")}
    assert runs == {
        "a": ("done", ("target",), (RunPlan("a", "m", "target", "a", "plans/a"),), {"total": 1}),
        "b": ("applying", ("target",), (RunPlan("b", "m", "target", "b", "plans/b"),), None),
        "c": ("running", ("target",), (), None),
    }
    assert ledger.versions("m") == [
        Version(
            migration="m", side="target", plan_id="a", plan="plans/a", run_id="a", spec_digest="d", created_at=START, version=1,
            counts={"total": 1}, source_mark="7", author="me", kind="undo", undoes=[3, 4], made_mark="8",
            kept={"flight": "keys"},
        )
    ]  # fmt: skip
    assert ledger.bases("m", "target") == {"flight": Base("m", "target", "flight", 1, "bases/m/flight@1", 5, START)}
    (aside,) = ledger.chosen("m", Choice(side="target"))
    assert (aside.key, aside.reason, aside.rows, aside.first_seen) == ("[1]", "late", 2, START)
    assert (aside.code, aside.facts) == (None, None)
    (conflict,) = ledger.conflicts("m")
    assert (conflict.side, conflict.key, conflict.before, conflict.seen_at) == ("target", "[2]", "{}", START)
    assert ledger.steps_done("m", "d", "flight.day:1..3") == {("1", "2")}
    of_side = {side: json.loads(text) for side, text in ledger.fact("m", "shape", "tables").items()}
    assert of_side == {
        "source": {"spec": "d", "since": "run a", "tables": {"flight": {"at": 1}, "plane": {"at": 3}}},
        "target": {"spec": "d", "since": "run a", "tables": {"flight": {"at": 2}}},
    }
    with pytest.raises(BusyError, match="in use by ann"):
        ledger.lease("m", "target", "bob").__enter__()
    ledger.close()


@pytest.mark.parametrize("statements", [FORMAT_1, FORMAT_2])
def test_a_ledger_that_was_brought_up_to_date_has_the_tables_of_a_new_one(
    url: str, statements: tuple[str, ...]
) -> None:
    made(url, statements)
    Ledger(url).runs("m")
    schema = None if url.startswith("sqlite") else "syncline"
    there = sa.inspect(sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:")))
    assert sorted(there.get_table_names(schema)) == sorted(METADATA.tables)
    for name, table in METADATA.tables.items():
        columns = {each["name"]: each["nullable"] for each in there.get_columns(name, schema)}
        assert columns == {each.name: each.nullable for each in table.columns}, name
        assert there.get_pk_constraint(name, schema)["constrained_columns"] == [each.name for each in table.primary_key]
        assert {each["name"] for each in there.get_indexes(name, schema) if "duplicates_constraint" not in each} == {
            each.name for each in table.indexes
        }, name


def test_of_two_that_open_an_old_ledger_at_once_one_brings_it_up_to_date_and_the_other_waits(url: str) -> None:
    made(url, FORMAT_2)
    ledgers = [Ledger(url) for _ in range(6)]
    together = threading.Barrier(6)

    def look(ledger: Ledger) -> int:
        together.wait()
        return len(ledger.runs("m"))

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(look, ledgers)) == [3] * 6
    assert [len(ledgers[0].conflicts("m")), len(ledgers[0].versions("m"))] == [1, 1], "nothing came twice"
    for each in ledgers:
        each.close()


def test_somebody_elses_database_is_not_made_a_ledger(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/legacy.db"
    statements_of(url, "CREATE TABLE runs (distance)")
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
        ("sqlite:////dev/null/x/ledger.db", ConnectionFailed, "ledger .* cannot be made: Not a directory"),
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
