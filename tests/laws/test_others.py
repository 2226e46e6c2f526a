"""Law of a version: it holds what the run's transactions did and nothing else, whatever others do between plan and apply."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest
from scenario import RING, Scenario, counts, pair_name

from flows.commands import Status
from flows.history.asof import asof
from flows.history.log import shown
from flows.session.stores import ledger_of

Row = tuple[str | None] | None
SAID: tuple[Row, ...] = (None, ("a",), ("b",))
EDITS: tuple[Row, ...] = (None, ("a",), ("b",), ("c",), (None,))


@dataclass(frozen=True)
class Line:
    """One key: what the source says, what the plan saw in the target, and what others made of it before the apply."""

    key: int
    wanted: Row
    seen: Row
    now: Row

    @property
    def op(self) -> str | None:
        if self.wanted == self.seen:
            return None
        return "insert" if self.seen is None else "delete" if self.wanted is None else "update"

    @property
    def became(self) -> str:
        """Written, by others, or a conflict."""
        return "written" if self.now == self.seen else "by others" if self.now == self.wanted else "conflict"

    @property
    def after(self) -> Row:
        return self.wanted if self.op and self.became == "written" else self.now


LINES = [
    Line(key, wanted, seen, now)
    for key, (wanted, seen, now) in enumerate(product(SAID, SAID, EDITS))
    if not wanted == seen == now is None
]


def rows(lines: list[Line], which: str) -> dict[int, Row]:
    return {line.key: row for line in lines if (row := getattr(line, which)) is not None}


def there(scenario: Scenario) -> dict[int, Row]:
    return {int(key): (name,) for key, name in scenario.target.ask("SELECT k, name FROM t")}


def edited(line: Line) -> Iterator[str]:
    """What others do to a row; its own columns stay."""
    name = "NULL" if line.now == (None,) else f"'{line.now[0]}'" if line.now else ""
    if line.now == line.seen:
        return
    if line.now is None:
        yield f"DELETE FROM t WHERE k = {line.key}"
    elif line.seen is None:
        yield f"INSERT INTO t (k, name) VALUES ({line.key}, {name})"
    else:
        yield f"UPDATE t SET name = {name} WHERE k = {line.key}"


@pytest.fixture
def two(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    made = Scenario.make(tmp_path, request.param, request)
    for side in (made.source, made.target):
        side.execute("CREATE TABLE t (k integer PRIMARY KEY, name varchar(9))")
        side.insert("t", [(key, *row) for key, row in rows(LINES, "seen").items() if row])
    made.write({"t": {"from": "t", "key": ["k"]}}, defaults={"window": 7})
    assert made.run().report.version is None  # the history of the table begins
    made.source.execute("DELETE FROM t")
    made.source.insert("t", [(key, *row) for key, row in rows(LINES, "wanted").items() if row])
    return made


@pytest.mark.parametrize("two", RING, indirect=True, ids=pair_name)
def test_a_version_is_what_was_written_and_undo_leaves_the_work_of_others(two: Scenario) -> None:
    folder = two.plan().report.plan
    two.target.execute(*(statement for line in LINES for statement in edited(line)))
    done = two.apply(folder)
    assert done.status is Status.CONFLICTS
    assert there(two) == rows(LINES, "after")

    by = {
        became: {
            op: sum(line.op == op and line.became == became for line in LINES) for op in ("insert", "update", "delete")
        }
        for became in ("written", "by others", "conflict")
    }
    assert all(count for ops in by.values() for count in ops.values()), "each is tried"
    told = counts(done, "t")
    assert {op: told[op] for op in by["written"]} == by["written"]
    assert told["conflicts"] == sum(by["conflict"].values())
    equal = sum(line.op is None and line.wanted is not None for line in LINES)
    assert told["unchanged"] == equal + by["by others"]["insert"] + by["by others"]["update"]
    with ledger_of(two.spec) as ledger:
        (version,) = ledger.versions("shop")
    assert {op: version.counts[op] for op in by["written"]} == by["written"]

    _, changes = shown(two.spec, 1)
    mine = {(line.op, f"[{line.key}]") for line in LINES if line.op and line.became == "written"}
    assert {(change.op, change.key) for change in changes} == mine
    known = {row["k"]: (row["name"],) for row in asof(two.spec, 1, "t").to_pylist()}
    looked_at = [line for line in LINES if line.op]  # the edits of other rows are met by a later plan
    assert {key: known.get(key) for key in (line.key for line in looked_at)} == {
        line.key: line.after for line in looked_at
    }

    assert two.undo(1).status is Status.DONE
    assert there(two) == rows(LINES, "now")
    two.undo(2)
    assert there(two) == rows(LINES, "after")
