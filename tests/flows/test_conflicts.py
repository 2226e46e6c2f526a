"""Conflicts are shown: what was planned, what was found, and what comes next; and they end with the run that settles them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import answer, syncline
from scenario import PAIRS, RING, Scenario, pair_name

from flows.commands import Outcome, Status
from flows.orchestration.artifacts import conflict_rows
from flows.results import conflicts

everywhere = pytest.mark.parametrize("small", RING, indirect=True, ids=pair_name)


@pytest.fixture
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    made = Scenario.make(tmp_path, getattr(request, "param", PAIRS[0]), request)
    for side in (made.source, made.target):
        side.execute("CREATE TABLE t (k bigint PRIMARY KEY, v varchar(20), n numeric(9,2))")
    made.source.insert("t", [(1, "new", "1.50"), (2, "new", "2"), (3, "born", "3")])
    made.target.insert("t", [(1, "old", "1.50"), (2, "old", "2"), (9, "leaving", "9")])
    made.write({"t": {"from": "t", "key": ["k"]}})
    return made


def met(small: Scenario) -> Outcome:
    """What comes of a plan after which somebody changed one row, took one, entered one, and changed one that was to go."""
    planned = small.plan()
    small.target.execute("UPDATE t SET v = 'mine', n = 7 WHERE k = 1", "DELETE FROM t WHERE k = 2")
    small.target.execute("INSERT INTO t VALUES (3, 'theirs', 3)", "UPDATE t SET v = 'kept' WHERE k = 9")
    return small.apply(planned.report.plan)


@everywhere
def test_conflicts_are_shown_with_what_was_planned_and_found(small: Scenario) -> None:
    done = met(small)
    assert done.status == Status.CONFLICTS
    found = {json.loads(each.key)[0]: each for each in conflicts.listed(small.spec, (), ())}
    assert set(found) >= {1, 3, 9}
    assert [(c.column, c.planned_before, c.planned_after, c.found) for c in found[1].columns if c.column == "v"] == [
        ("v", "old", "new", "mine")
    ]
    assert "overwrites" in found[1].next_run
    assert [(c.column, c.planned_before, c.found) for c in found[9].columns if c.column == "v"] == [
        ("v", "leaving", "kept")
    ]
    assert "deletes" in found[9].next_run
    assert [(c.column, c.planned_after, c.found) for c in found[3].columns if c.column == "v"] == [
        ("v", "born", "theirs")
    ]
    page = Path(str(done.report.page)).read_text()
    shown = [page, json.dumps(done.report.as_dict()), json.dumps(conflict_rows(done.report))]
    shown += [syncline("conflicts", small.path, action).stdout for action in ("list", "show")]
    for text in shown:
        assert all(value in text for value in ("old", "new", "mine", "leaving", "kept", "born", "theirs")), text


def test_a_conflict_that_a_run_settles_is_open_no_more(small: Scenario) -> None:
    met(small)
    one = answer("conflicts", small.path, "list", "--table", "t", "--key", "1")
    assert [(each["key"], each["side"]) for each in one["conflicts"]] == [([1], "target")]
    count = one["open"]["t"]
    small.run(ranges=["t.k:1..2"])  # looks at a part: what it has not seen stays open
    assert conflicts.counted(small.spec) == {"t": count - 1}
    assert answer("conflicts", small.path, "list", "--table", "t", "--key", "1")["conflicts"] == []
    small.run()
    assert conflicts.counted(small.spec) == {}
    assert small.target.rows("t", "k, v") == [(1, "new"), (2, "new"), (3, "born")]  # as was said
    assert "No conflict is open." in syncline("conflicts", small.path, "list").stdout
    assert "settled by run" in syncline("conflicts", small.path, "list", "--all").stdout


def test_a_run_in_conflict_says_why_it_does_not_reconcile(small: Scenario) -> None:
    done = met(small)
    assert not any("Somebody else" in warning for warning in done.report.warning_texts)
    assert any("in conflict" in warning for warning in done.report.warning_texts)


def test_a_key_of_texts_may_be_given_as_the_numbers_and_words_that_they_look_like(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    words = Scenario.make(tmp_path, PAIRS[0], request)
    for side in (words.source, words.target):
        side.execute("CREATE TABLE t (k varchar(9), l varchar(9), v varchar(20), PRIMARY KEY (k, l))")
    words.source.insert("t", [("7", "true", "new")])
    words.target.insert("t", [("7", "true", "old")])
    words.write({"t": {"from": "t", "key": ["k", "l"]}})
    planned = words.plan()
    words.target.execute("UPDATE t SET v = 'mine'")
    assert words.apply(planned.report.plan).status == Status.CONFLICTS
    listed = json.loads(syncline("conflicts", words.path, "list", "--key", "[7, true]", "--json").stdout)
    assert [each["key"] for each in listed["conflicts"]] == [["7", "true"]]
    lines = json.loads(syncline("log", words.path, "t", "--key", "[7,true]", "--json").stdout)["changes"]
    assert [each["found"]["v"] for each in lines] == ["mine"]
