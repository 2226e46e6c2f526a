"""What tests of assessments share: an assessment that is held to write nothing, and looks at its findings."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from scenario import Scenario

from flows.check.assess import assess
from flows.check.findings import Assessment, Finding
from flows.commands import Status
from transforms.vocabulary import SynclineError

LOOKED: dict[str, Any] = {"lookup": {"table": "p", "match": {"id": "p"}, "take": "id"}}


def checked(scenario: Scenario, **asked: Any) -> Assessment:
    """An assessment, after looking that neither side, ledger nor store was touched."""

    def state() -> str:
        files = sorted(each.name for each in scenario.folder.iterdir())
        return f"{scenario.source.content()} {scenario.target.content()} {files}"

    before = state()
    found = assess(scenario.spec, datetime.now(UTC), **asked)
    assert state() == before
    return found


def findings(found: Assessment, table: str = "t") -> list[tuple[str, str, str, int]]:
    """Level, columns, the beginning of the reason, rows."""
    (own,) = (each for each in found.tables if each.name == table)
    return [(f.level, ",".join(f.columns), f.reason, f.rows) for f in own.findings]


def the(found: Assessment, column: str, table: str = "t") -> Finding:
    """The only finding about a column."""
    (own,) = (each for each in found.tables if each.name == table)
    (finding,) = (each for each in own.findings if column in each.columns)
    return finding


def keys(finding: Finding) -> list[Any]:
    return [json.loads(sample.key) for sample in finding.samples]


def columns(**made: Any) -> dict[str, Any]:
    return {"t": {"from": "t", "key": ["k"], "columns": {"k": "k", **made}}}


def table(scenario: Scenario, legacy: str, core: str, rows: list[tuple[Any, ...]], **made: Any) -> Scenario:
    """A table `t` with the key `k` on both sides, and the source's rows; the other columns are mapped as `made` says."""
    scenario.source.execute(f"CREATE TABLE t (k bigint PRIMARY KEY, {legacy})")
    scenario.target.execute(f"CREATE TABLE t (k bigint PRIMARY KEY, {core})")
    scenario.source.insert("t", rows)
    scenario.write(columns(**(made or {"v": "v"})))
    return scenario


def fails(scenario: Scenario) -> bool:
    """Whether a run ends otherwise than with status 0."""
    try:
        return scenario.run().status != Status.DONE
    except SynclineError:
        return True


def comes_true(scenario: Scenario, found: Assessment) -> bool:
    """The law of every assessment: a run ends as it says, and every row of every table becomes what it says.

    True where the run ends with status 0."""
    try:
        done = scenario.run()
    except SynclineError:
        assert found.status == 1, found.verdict
        return False
    ops = ("source_rows", "insert", "update", "delete", "unchanged", "quarantined")
    said = {each.name: each.counts.as_dict() for each in found.tables if each.counts}
    became = {each.name: each.counts.as_dict() for each in done.report.tables}
    for name, counts in said.items() if done.report.applied or not done.status else ():
        assert [counts[op] for op in ops] == [became[name][op] for op in ops], (name, ops)
    assert (done.status == Status.DONE) == (found.status == 0), (done.message, found.verdict)
    return done.status == Status.DONE


def family(small: Scenario, *, parents: bool = True, **child: Any) -> Scenario:
    """Parents 1 to 3, of which 3 cannot be loaded, and children of 1, 2, 3, 9 and nobody."""
    small.source.execute(
        "CREATE TABLE p (id bigint PRIMARY KEY, name text)", "CREATE TABLE c (k bigint PRIMARY KEY, p integer)"
    )
    small.target.execute("CREATE TABLE p (id bigint PRIMARY KEY, name text NOT NULL)")
    small.target.execute("CREATE TABLE c (k bigint PRIMARY KEY, p bigint REFERENCES p (id))")
    small.source.insert("p", [(1, "one"), (2, "two"), (3, None)])
    small.source.insert("c", [(1, 1), (2, 2), (3, 3), (4, 9), (5, None), (6, 9)])
    tables = {"c": {"from": "c", "key": ["k"], "columns": {"k": "k", "p": "p"}, **child}}
    small.write(({"p": {"from": "p"}} if parents else {}) | tables)
    return small
