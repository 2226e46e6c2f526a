"""What both sides agreed on last is used where it is what the latest run wrote, of the same tables; else both sides meet anew, and it is said why."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from scenario import Scenario

from flows.commands import Outcome, Status
from flows.session.agreed import FACT
from flows.session.stores import ledger_of, store_of

BOTH = {"direction": "two_way", "initial": "policy", "conflict": {"resolve": "merge"}}
COLUMNS = {"k": "k", "v": "v", "w": "w"}


@pytest.fixture
def small(tmp_path: Path, request: pytest.FixtureRequest) -> Scenario:
    """Both sides agree on three rows; then each deletes one."""
    made = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    for side in (made.source, made.target):
        side.execute("CREATE TABLE t (k integer PRIMARY KEY, v varchar(20), w varchar(20))")
    made.source.insert("t", [(n, f"v{n}", f"w{n}") for n in (1, 2, 3)])
    write(made)
    made.run()
    keep(made)
    made.source.execute("DELETE FROM t WHERE k = 1")
    made.target.execute("DELETE FROM t WHERE k = 2")
    return made


def write(small: Scenario, columns: dict[str, str] | None = None, **more: object) -> None:
    small.write({"t": {"from": "t", "columns": columns or COLUMNS}}, **{**BOTH, **more})


def folder(small: Scenario) -> Path:
    return store_of(small.spec).agreed(small.spec.name)


def keep(small: Scenario) -> None:
    shutil.copytree(folder(small), small.folder / "backup")


def why(outcome: Outcome) -> list[str]:
    return [str(notice.facts["why"]) for notice in outcome.report.warnings if notice.code == "base_lost"]


def keys(small: Scenario) -> tuple[list[int], list[int]]:
    one, other = (sorted(row[0] for row in side.rows("t")) for side in (small.source, small.target))
    return one, other


def test_deletions_are_known_where_the_base_is(small: Scenario) -> None:
    assert why(small.run()) == []
    assert keys(small) == ([3], [3])


def missing(small: Scenario) -> None:
    shutil.rmtree(folder(small))


def damaged(small: Scenario) -> None:
    next(folder(small).rglob("*.parquet")).write_bytes(b"PAR1")


def restored(small: Scenario) -> None:
    small.source.execute("INSERT INTO t VALUES (4, 'v4', 'w4')")
    small.run()
    shutil.rmtree(folder(small))
    shutil.copytree(small.folder / "backup", folder(small))
    small.source.execute("DELETE FROM t WHERE k = 4")


def forgotten(small: Scenario) -> None:
    with ledger_of(small.spec) as ledger:
        ledger.set_fact(small.spec.name, FACT, "t", {"target": "another"})


def other_mapping(small: Scenario) -> None:
    small.source.execute("ALTER TABLE t RENAME TO u", "CREATE VIEW t AS SELECT * FROM u")
    small.write({"t": {"from": "u", "columns": COLUMNS}}, **BOTH)


@pytest.mark.parametrize(
    ("lose", "told"),
    [
        (missing, "missing"), (damaged, "damaged"), (restored, "restored"), (forgotten, "restored"),
        (other_mapping, "other_mapping"),
    ],
)  # fmt: skip
def test_a_base_that_cannot_be_used_is_a_first_meeting_in_which_nothing_is_deleted(
    small: Scenario, lose: Callable[[Scenario], None], told: str
) -> None:
    lose(small)
    rows = sorted({*small.source.rows("t"), *small.target.rows("t")})
    outcome = small.run()
    assert why(outcome) == [told]
    assert [set(each) for each in keys(small)] == [{row[0] for row in rows}] * 2
    assert why(small.run()) == []


def test_what_a_column_is_made_of_may_change_and_what_was_agreed_on_stays(small: Scenario) -> None:
    small.source.execute("ALTER TABLE t RENAME COLUMN v TO vv", "UPDATE t SET vv = 'edited' WHERE k = 3")
    small.target.execute("UPDATE t SET w = 'here' WHERE k = 3")
    write(small, {"k": "k", "v": "vv", "w": "w"})
    outcome = small.run()
    assert (outcome.status, why(outcome)) == (Status.DONE, [])
    assert small.source.rows("t") == small.target.rows("t") == [(3, "edited", "here")]
    write(small, {"k": "k", "v": "w", "w": "vv"})  # then the source is edited, and nothing else
    assert why(small.run()) == []
    assert (small.source.rows("t"), small.target.rows("t")) == ([(3, "edited", "here")], [(3, "here", "edited")])
    write(small, {"k": "k", "v": "w"})
    small.target.execute("DELETE FROM t")
    assert why(small.run()) == []
    assert keys(small) == ([], [])
    assert not small.run().report.pending


def test_another_database_meets_anew(small: Scenario) -> None:
    shutil.copy(small.folder / "core.db", small.folder / "moved.db")
    spec = small.path.read_text()
    assert "core.db" in spec
    small.path.write_text(spec.replace("core.db", "moved.db"))
    assert why(small.run()) == ["other_database"]
    assert keys(small)[0] == [1, 2, 3]


def test_who_wins_may_change_without_a_new_meeting(small: Scenario) -> None:
    write(small, conflict={"resolve": "source_wins"})
    assert why(small.run()) == []
    assert keys(small) == ([3], [3])
