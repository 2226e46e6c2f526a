"""Rows that the target's own checks would refuse are set aside before anything is written, and `check` says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest
from assessing import LOOKED, checked, the
from scenario import Engine, Scenario, counts, quarantine, reasons

from flows.check.assess import assess
from flows.commands import Status
from transforms.vocabulary import DataError

ENGINES: tuple[Engine, ...] = ("sqlite", "duckdb", "postgresql", "mysql")
CHECKED = {"t": {"from": "t", "key": ["k"], "columns": {"k": "k", "v": "v"}}}


@pytest.fixture(params=ENGINES)
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """From SQLite to each engine."""
    return Scenario.make(tmp_path, ("sqlite", request.param), request)


def positive(small: Scenario, **spec: Any) -> Scenario:
    """Forty rows, of which every tenth is negative, into a table that takes positive ones."""
    small.source.execute("CREATE TABLE t (k bigint PRIMARY KEY, v integer)")
    small.target.execute("CREATE TABLE t (k bigint PRIMARY KEY, v integer, CONSTRAINT positive CHECK (v > 0))")
    small.source.insert("t", [(n, n if n % 10 else -n) for n in range(1, 41)])
    small.write(CHECKED, **spec)
    return small


@pytest.mark.parametrize("rows", [7, 1000])
def test_rows_that_break_a_check_of_the_target_are_set_aside_and_the_others_go_in(
    anywhere: Scenario, rows: int
) -> None:
    small = positive(anywhere, defaults={"window": {"rows": rows}})
    finding = the(checked(small), "v")
    assert (finding.level, finding.rows, finding.samples[0].value) == ("quarantine", 4, "-10")
    assert "check" in finding.reason
    assert counts(small.run(), "t") == {"source_rows": 40, "insert": 36, "quarantined": 4}
    assert [(table, key) for table, key, _ in quarantine(small)] == [("t", [n]) for n in (10, 20, 30, 40)]
    small.settled()
    # an update that would be refused leaves the row as it is, and is in quarantine until the source is mended
    small.source.execute("UPDATE t SET v = -1 WHERE k = 5", "UPDATE t SET v = 10 WHERE k = 10")
    told = {"source_rows": 40, "insert": 1, "unchanged": 35, "quarantined": 4, "unproved": 1}
    assert counts(small.run(), "t") == told
    assert small.target.ask("SELECT v FROM t WHERE k = 5") == [(5,)]
    small.source.execute("UPDATE t SET v = 6 WHERE k = 5")
    assert counts(small.run(), "t") == {"source_rows": 40, "update": 1, "unchanged": 36, "quarantined": 3}
    small.settled()


def test_children_of_a_refused_row_follow_it_and_ranges_ask_too(anywhere: Scenario) -> None:
    small = anywhere
    small.source.execute(
        "CREATE TABLE p (id bigint PRIMARY KEY, name integer)", "CREATE TABLE c (k bigint PRIMARY KEY, p bigint)"
    )
    small.target.execute("CREATE TABLE p (id bigint PRIMARY KEY, name integer, CHECK (name <> 3))")
    small.target.execute("CREATE TABLE c (k bigint PRIMARY KEY, p bigint REFERENCES p (id), CHECK (k <> 2))")
    small.source.insert("p", [(1, 1), (2, 2), (3, 3)])
    small.source.insert("c", [(1, 1), (2, 2), (3, 3), (4, 2)])
    child = {"from": "c", "key": ["k"], "columns": {"k": "k", "p": {**LOOKED, "missing": "quarantine"}}}
    small.write({"p": {"from": "p"}, "c": child})
    done = small.run()
    assert counts(done, "p") == {"source_rows": 3, "insert": 2, "quarantined": 1}
    assert small.target.rows("c") == [(1, 1), (4, 2)]
    assert {reason for table, _, reason in quarantine(small) if table == "c"} >= {"its p is in quarantine"}
    small.settled()
    small.source.execute("UPDATE p SET name = 4 WHERE id = 3")
    small.run(tables=["p"])
    assert counts(small.backfill("c.k:2..4"), "c") == {"source_rows": 2, "insert": 1, "quarantined": 1}
    assert small.target.rows("c") == [(1, 1), (3, 3), (4, 2)]


def test_checks_of_a_table_that_is_yet_to_be_made_are_asked_too(anywhere: Scenario) -> None:
    small = anywhere
    small.source.execute("CREATE TABLE t (k bigint PRIMARY KEY, v integer)")
    small.source.insert("t", [(1, 5), (2, -1), (3, 7)])
    small.write({"t": {"from": "t", "create": {"checks": ["v > 0"]}}})
    assert checked(small).status == 0
    assert counts(small.run(), "t") == {"source_rows": 3, "insert": 2, "quarantined": 1}
    assert small.target.rows("t", "k") == [(1,), (3,)]
    small.settled()


def test_a_row_that_would_be_refused_stops_a_plan_where_the_spec_says_fail(anywhere: Scenario) -> None:
    small = positive(anywhere, defaults={"on_invalid": "fail"})
    assert checked(small).status == 1
    with pytest.raises(DataError, match=r"key \[10\]"):
        small.run()
    assert small.target.count("t") == 0


def test_all_rows_refused_is_no_error_of_ours(anywhere: Scenario) -> None:
    small = positive(anywhere)
    small.source.execute("UPDATE t SET v = -1")
    answer = checked(small)
    assert answer.total.quarantined == 40
    assert "succeed" not in answer.verdict
    assert sum(reasons(small.plan(), "t").values()) == 40
    assert small.plan().status in (Status.DONE, Status.QUARANTINE)
    assert small.target.count("t") == 0


def test_rows_that_are_set_aside_leave_no_gap_in_the_numbers_of_the_others(anywhere: Scenario) -> None:
    small = anywhere
    small.source.execute("CREATE TABLE t (k varchar(9) PRIMARY KEY, v integer)")
    small.source.insert("t", [(f"k{n:02}", n if n % 10 else -n) for n in range(1, 41)])
    small.target.execute(
        "CREATE TABLE t (id bigint PRIMARY KEY, k varchar(9) NOT NULL UNIQUE, v integer, CONSTRAINT positive CHECK (v > 0))"
    )
    columns = {"id": {"generate": "identity"}, "k": "k", "v": "v"}
    small.write({"t": {"from": "t", "key": ["k"], "columns": columns}}, defaults={"window": {"rows": 7}})
    assert counts(small.run(), "t") == {"source_rows": 40, "insert": 36, "quarantined": 4}
    assert [number for (number,) in small.target.ask("SELECT id FROM t ORDER BY id")] == list(range(1, 37))


UNPRIVILEGED = {
    "postgresql": ("CREATE ROLE {user} LOGIN PASSWORD 'x'", "GRANT USAGE ON SCHEMA core TO {user}",
                   "GRANT ALL ON ALL TABLES IN SCHEMA core TO {user}", "REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC"),
    "mysql": ("CREATE USER {user} IDENTIFIED BY 'x'", "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON {database}.* TO {user}"),
}  # fmt: skip


@pytest.mark.parametrize("engine", UNPRIVILEGED)
def test_a_user_who_may_make_no_temporary_table_is_told_that_rows_could_not_be_tried_out(
    tmp_path: Path, engine: Engine, request: pytest.FixtureRequest
) -> None:
    small = Scenario.make(tmp_path, ("sqlite", engine), request)
    for side in (small.source, small.target):
        side.execute(
            f"CREATE TABLE t (k integer PRIMARY KEY, v integer{' CHECK (v < 5)' if side is small.target else ''})"
        )
    small.source.insert("t", [(1, 1), (2, 9)])
    url = urlsplit(small.target.place)
    user, database = f"u{uuid4().hex[:9]}", url.path[1:]
    try:
        small.target.execute(*(each.format(user=user, database=database) for each in UNPRIVILEGED[engine]))
        host = url.netloc.rpartition("@")[2]
        poor = urlunsplit(url._replace(netloc=f"{user}:x@{host}"))
        small.write({"t": {"from": "t"}}, target={**small.target.endpoint, "url": poor})
        assert reasons(small.plan(), "t") == {}
        for warnings in (small.plan().report.warning_texts, assess(small.spec, small.request().at).warning_texts):
            (warning,) = warnings
            assert "not known before they are written" in warning
            assert "Fix: GRANT" in warning
    finally:
        small.target.execute(*(["DROP OWNED BY " + user] if engine == "postgresql" else []), f"DROP USER {user}")
    small.write({"t": {"from": "t"}})
    assert (list(small.plan().report.warning_texts), counts(small.plan(), "t")["quarantined"]) == ([], 1)
