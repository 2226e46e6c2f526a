"""Both sides as they stood after each version, whatever was run, taken back and pruned between, on pairs of engines."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from command_line import answer, syncline
from scenario import Engine, Scenario, pair_name

from flows.commands import Status
from flows.history.asof import asof
from flows.history.log import changes_of, difference
from flows.history.prune import _now, prune
from flows.session.stores import store_of
from transforms.vocabulary import SIDES, PlanError, SideName

PAIRS: tuple[tuple[Engine, Engine], ...] = (("sqlite", "duckdb"), ("postgresql", "mysql"))
NAMES: dict[SideName, str] = {"source": "old", "target": "t"}


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Some rows on both sides, in windows of two; `own` is a column that the mapping does not show."""
    made = Scenario.make(tmp_path, getattr(request, "param", PAIRS[0]), request)
    made.source.execute("CREATE TABLE old (no integer PRIMARY KEY, v varchar(9), n integer, own varchar(9))")
    made.target.execute("CREATE TABLE t (id integer PRIMARY KEY, v varchar(9), n integer)")
    made.write(
        {"t": {"from": "old", "columns": {"id": "no", "v": "v", "n": "n"}, "initial": "policy"}},
        direction="two_way",
        defaults={"window": 2, "delete": {"max_ratio": 1.0}},
    )
    made.source.insert("old", [(n, f"v{n}", 10 * n, "mine") for n in range(1, 6)])
    made.target.insert("t", [(8, "eight", 0)])
    return made


class Past:
    """What both sides held after each version, from the first run on."""

    def __init__(self, shop: Scenario) -> None:
        self.shop, self.states = shop, dict[SideName, dict[int, list[Any]]](source={}, target={})

    def keep(self, number: int) -> None:
        for side in SIDES:
            table, columns = NAMES[side], "no, v, n" if side == "source" else "id, v, n"
            at = self.shop.source if side == "source" else self.shop.target
            self.states[side][number] = at.rows(table, columns)

    def run(self, *, source: tuple[str, ...] = (), target: tuple[str, ...] = ()) -> int:
        """Edit both sides, and bring them together; the newest version then."""
        self.shop.source.execute(*source)
        self.shop.target.execute(*target)
        assert self.shop.run().status is Status.DONE
        return self.newest()

    def newest(self) -> int:
        number = max(each["version"] for each in answer("history", self.shop.path)["versions"])
        self.keep(number)
        return int(number)

    def wrong(self) -> list[str]:
        """Where a side as it stood is not as it was."""
        return [
            f"{side} at {number}: {found} and not {rows}"
            for side, known in self.states.items()
            for number, rows in known.items()
            if (found := self.rows(number, side)) != rows
        ]

    def rows(self, number: int, side: SideName) -> list[Any]:
        rows = asof(self.shop.spec, number, "t", side=side)
        return sorted(zip(*rows.select(rows.column_names[:3]).to_pydict().values(), strict=True), key=str)


def lived(shop: Scenario) -> tuple[Past, list[int]]:
    """Runs that write either side or both, an undo of both, and one of one side alone."""
    past = Past(shop)
    past.keep(0)
    met = past.run()
    both = past.run(
        source=("UPDATE old SET v = 'S' WHERE no = 1", "DELETE FROM old WHERE no = 2"),
        target=("UPDATE t SET n = 99 WHERE id = 1", "UPDATE t SET v = 'T' WHERE id = 3", "DELETE FROM t WHERE id = 4"),
    )
    back = past.run(target=("UPDATE t SET v = 'B' WHERE id = 5", "INSERT INTO t VALUES (7, 'sev', 7)"))
    assert shop.undo(both, side="target").status is Status.DONE
    one = past.newest()
    again = past.run()
    assert shop.undo(again).status is Status.DONE
    return past, [
        met,
        both,
        back,
        one,
        again,
        past.newest(),
        past.run(source=("INSERT INTO old VALUES (6, 'six', 0, 'x')",)),
    ]


def test_what_both_sides_did_alike_is_known_where_a_run_had_nothing_else_to_do(shop: Scenario) -> None:
    past = Past(shop)
    met = past.run()
    edits = ("UPDATE {} SET v = 'alike' WHERE {} IN (1, 3)", "DELETE FROM {} WHERE {} = 2")
    both = {
        "source": tuple(each.format("old", "no") for each in edits),
        "target": tuple(each.format("t", "id") for each in edits),
    }
    alike = past.run(**both)
    assert shop.run().status is Status.DONE
    assert (past.newest(), alike) == (alike, met + 1), "no version for what both agree on already"
    listed = answer("history", shop.path)["versions"][0]
    counts = listed["counts"]
    assert (listed["version"], counts["insert"], counts["update"], counts["delete"]) == (alike, 0, 0, 0)
    last = past.run(source=("UPDATE old SET n = 77 WHERE no = 3",))
    assert past.wrong() == []
    assert "alike" not in str(syncline("show", shop.path, str(alike)).stdout)
    assert shop.undo(alike).status is Status.DONE
    assert past.newest() == last
    assert shop.undo(met, to=True).status is Status.DONE
    past.newest()
    assert past.wrong() == []


@pytest.mark.parametrize("shop", PAIRS, indirect=True, ids=pair_name)
def test_both_sides_are_known_as_they_stood_after_every_version_and_once_old_ones_are_pruned(shop: Scenario) -> None:
    past, numbers = lived(shop)
    assert past.wrong() == []
    ops = {side: _ops(shop, numbers[0], numbers[2], side) for side in SIDES}
    assert ops == {
        "source": {"[1]": "update", "[3]": "update", "[4]": "delete", "[5]": "update", "[7]": "insert"},
        "target": {"[1]": "update", "[2]": "delete"},
    }
    assert _ops(shop, numbers[2], numbers[0], "source")["[7]"] == "delete", "backwards"
    edits = list(store_of(shop.spec).root.rglob("edits/*/*.parquet"))
    assert len(edits) > 3
    prune(shop.spec, _now())
    assert not any(each.exists() for each in edits)
    last = numbers[-1]
    past.states = {side: {last: known[last]} for side, known in past.states.items()}
    assert past.wrong() == []


def _ops(shop: Scenario, first: int, second: int, side: SideName) -> dict[str, str]:
    """What happened to which rows of a side between two versions."""
    return {
        each.key: each.op
        for name, changes in difference(shop.spec, first, second, side=side)
        for each in changes_of(name, changes)
    }


def test_a_row_that_people_delete_on_a_source_whose_keys_are_others_is_gone_there(shop: Scenario) -> None:
    shop.target.execute("DROP TABLE t", "CREATE TABLE t (id varchar PRIMARY KEY, v varchar, n integer)")
    columns = {"id": {"from": "no", "map": {1: "one", 2: "two", 3: "three", 4: "four", 5: "five"}}, "v": "v", "n": "n"}
    shop.write({"t": {"from": "old", "columns": columns}}, direction="two_way", defaults={"delete": {"max_ratio": 1.0}})
    past = Past(shop)
    past.keep(0)
    past.run()
    past.run(source=("DELETE FROM old WHERE no = 2", "UPDATE old SET v = 'S' WHERE no = 3"))
    assert past.wrong() == []


def test_what_people_did_on_a_side_that_no_run_has_written_is_pruned_too(shop: Scenario) -> None:
    shop.target.execute("DELETE FROM t")
    past = Past(shop)
    for n in range(3):
        past.run(
            source=(f"UPDATE old SET v = 'S{n}' WHERE no = 1", f"INSERT INTO old VALUES ({20 + n}, 'new', 0, 'x')")
        )
    assert past.wrong() == []
    edits = list(store_of(shop.spec).root.rglob("edits/*/*.parquet"))
    prune(shop.spec, _now())
    assert edits and not any(each.exists() for each in edits)
    last = max(past.states["source"])
    with pytest.raises(PlanError):
        past.rows(last - 1, "source")
    past.states = {side: {last: known[last]} for side, known in past.states.items()}
    assert past.wrong() == []
    past.run(source=("DELETE FROM old WHERE no = 21",))
    assert past.wrong() == []
    assert prune(shop.spec, _now()).versions == 1
    assert past.rows(last + 1, "source") == past.states["source"][last + 1]


def test_where_both_sides_meet_anew_each_is_known_as_it_was_then(shop: Scenario) -> None:
    past = Past(shop)
    past.keep(0)
    past.run()
    past.run(source=("UPDATE old SET v = 'S' WHERE no = 1",))
    shutil.rmtree(store_of(shop.spec).agreed(shop.spec.name))
    past.run(
        source=("DELETE FROM old WHERE no = 5",),
        target=("INSERT INTO t VALUES (9, 'nine', 9)", "DELETE FROM t WHERE id = 3"),
    )
    past.run(target=("DELETE FROM t WHERE id = 3",))
    assert past.wrong() == []


def test_edits_that_somebody_damaged_or_took_away_are_missed(shop: Scenario) -> None:
    past = Past(shop)
    past.run()
    number = past.run(source=("UPDATE old SET v = 'S' WHERE no = 1",))
    (edits,) = store_of(shop.spec).root.rglob("edits/*/000000.parquet")
    edits.unlink()
    assert past.rows(number, "target")
    with pytest.raises(PlanError, match=f"version {number}"):
        past.rows(number, "source")


def test_a_side_is_asked_for_by_name_and_a_table_that_goes_one_way_has_no_past_on_its_source(shop: Scenario) -> None:
    past = Past(shop)
    past.keep(0)
    number = past.run(source=("UPDATE old SET v = 'S' WHERE no = 1",))
    told = answer("asof", shop.path, number, "t", "--side", "source")
    assert (told["side"], told["total"], {row["no"] for row in told["rows"]}) == (
        "source",
        6,
        {"1", "2", "3", "4", "5", "8"},
    )
    assert {row["id"] for row in answer("asof", shop.path, 0, "t")["rows"]} == {"8"}
    shop.write({"t": {"from": "old", "columns": {"id": "no", "v": "v", "n": "n"}}})
    assert "goes one way" in syncline("asof", shop.path, number, "t", "--side", "source", status=1).output


def test_a_source_that_several_tables_are_made_of_is_known_whichever_of_them_is_named(shop: Scenario) -> None:
    shop.target.execute("CREATE TABLE u (id integer PRIMARY KEY, n integer)")
    tables = {name: {"from": "old", "columns": {"id": "no", "n": "n"}} for name in ("t", "u")}
    shop.write(tables, direction="two_way", initial="policy", conflict={"resolve": "source_wins"})
    shop.source.execute("DELETE FROM old WHERE no = 1")
    assert shop.run().status is Status.DONE
    version = max(each["version"] for each in answer("history", shop.path)["versions"])
    assert answer("asof", shop.path, version, "u")["total"] == 5
    assert {answer("asof", shop.path, version, name, "--side", "source")["total"] for name in ("t", "u")} == {5}
    shop.source.execute("UPDATE old SET n = 77 WHERE no = 2")
    shop.target.execute("UPDATE t SET n = 78 WHERE id = 2", "UPDATE u SET n = 1 WHERE id = 3")
    shop.run()
    newest = max(each["version"] for each in answer("history", shop.path)["versions"])
    lost = [(each["table"], each["key"]) for each in answer("diff", shop.path, version, newest)["overruled"]]
    assert lost == [("t", "[2]")]
