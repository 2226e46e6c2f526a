"""Lookups of a table into itself beside everything else that a table may have: quarantine, circles, `owns`, ranges, soft deletes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario import RING, Scenario, counts, pair_name, quarantine, reasons

from flows import commands
from flows.bind.roots import parse_root
from flows.check.assess import assess
from flows.commands import Status
from flows.history import quarantine as quarantining
from flows.plan.trees.chosen_tree import Trees
from transforms.vocabulary import DataError, PlanError, SpecError

everywhere = pytest.mark.parametrize("small", RING, indirect=True, ids=pair_name)
few = pytest.mark.parametrize("small", RING[1:3], indirect=True, ids=pair_name)
IDENTITY: dict[str, Any] = {"generate": "identity"}


@pytest.fixture
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    return Scenario.make(tmp_path, getattr(request, "param", ("sqlite", "sqlite")), request)


def cats(scenario: Scenario, *rows: tuple[Any, ...]) -> None:
    """Rows of the source: a code, the parent's code, and what becomes a number."""
    if "cats" not in scenario.source.tables():
        scenario.source.execute(
            "CREATE TABLE cats (code varchar(20) PRIMARY KEY, parent varchar(20), worth varchar(20))"
        )
    scenario.source.execute("DELETE FROM cats")
    scenario.source.insert("cats", rows)


def parent(missing: str | None = None, **more: Any) -> dict[str, Any]:
    looked = {"lookup": {"table": "cat", "match": {"code": "parent"}, "take": "id"} | more}
    return looked | ({"missing": missing} if missing else {})


def spec(scenario: Scenario, columns: dict[str, Any] | None = None, rows: int = 2, **table: Any) -> None:
    made = {"id": IDENTITY, "code": "code", "parent_id": parent(), "worth": {"from": "worth", "cast": "integer"}}
    entry = {"from": "cats", "key": ["code"], "columns": made | (columns or {}), **table}
    scenario.write({"cat": entry}, defaults={"window": {"rows": rows}})


def parents(scenario: Scenario) -> dict[str, str | None]:
    rows = scenario.target.ask("SELECT id, code, parent_id FROM cat")
    codes = {number: code for number, code, _ in rows}
    return {code: codes[number] if number is not None else None for _, code, number in rows}


@everywhere
def test_who_hangs_below_a_row_in_quarantine_goes_there_all_the_way_down_and_comes_back(small: Scenario) -> None:
    rows = [
        ("d", "c", "4"),
        ("c", "b", "3"),
        ("b", "a", "two"),
        ("a", None, "1"),
        ("x", "nobody", "5"),
        ("y", "x", "6"),
    ]
    cats(small, *rows)
    spec(small)
    done = small.run()
    assert parents(small) == {"a": None}
    assert quarantine(small) == [
        ("cat", ["b"], "text that is no integer without loss"),
        ("cat", ["c"], "its cat is in quarantine"), ("cat", ["d"], "its cat is in quarantine"),
        ("cat", ["x"], "no cat has this code"), ("cat", ["y"], "its cat is in quarantine"),
    ]  # fmt: skip
    assert counts(done, "cat") == {"source_rows": 6, "insert": 1, "quarantined": 5}
    small.settled()
    cats(small, *((code, "a" if code == "x" else up, "2" if code == "b" else worth) for code, up, worth in rows))
    again = commands.run(quarantining.retry(small.request("retry"), quarantining.Filter()) or small.request())
    assert again.status == Status.DONE
    assert parents(small) == {"a": None, "b": "a", "c": "b", "d": "c", "x": "a", "y": "x"}
    assert sorted(number for (number,) in small.target.ask("SELECT id FROM cat")) == [1, 2, 3, 4, 5, 6]
    assert quarantine(small) == []
    small.settled()


@few
def test_missing_parents_are_null_or_stop_the_plan(small: Scenario) -> None:
    cats(small, ("a", "nobody", "1"), ("b", "a", "2"))
    spec(small, {"parent_id": parent("null")})
    small.run()
    assert parents(small) == {"a": None, "b": "a"}
    small.settled()
    spec(small, {"parent_id": parent("fail")})
    with pytest.raises(DataError, match=r"cat\.parent_id: no cat has this code: 'nobody'"):
        small.plan()


@few
def test_rows_that_are_their_own_ancestors_are_named_and_written(small: Scenario) -> None:
    cats(small, ("a", "c", "1"), ("b", "a", "2"), ("c", "b", "3"), ("d", "c", "4"), ("r", "r", "5"), ("s", "r", "6"))
    spec(small, rows=1)
    done = small.run()
    assert parents(small) == {"a": "c", "b": "a", "c": "b", "d": "c", "r": "r", "s": "r"}
    (told,) = [notice for notice in done.report.warnings if notice.code == "own_ancestors"]
    assert (told.table, told.facts["rows"], told.facts["column"]) == ("cat", 4, "parent_id")
    assert set(told.facts["keys"]) == {'["a"]', '["b"]', '["c"]'}
    assert "4 rows are their own ancestors by parent_id, such as" in str(told)
    small.settled()
    found = assess(small.spec, small.request().at)
    assert [(finding.level, finding.rows) for table in found.tables for finding in table.findings] == [("note", 4)]


@few
def test_a_natural_key_that_several_rows_have_stops_the_plan_if_it_is_asked(small: Scenario) -> None:
    small.source.execute("CREATE TABLE cats (no integer PRIMARY KEY, code varchar(9), parent varchar(9))")
    small.source.insert("cats", [(1, "a", None), (2, "a", None), (3, "b", "x"), (4, "x", None)])
    columns = {"id": IDENTITY, "no": "no", "code": "code", "parent_id": parent()}
    small.write({"cat": {"from": "cats", "key": ["no"], "columns": columns}}, defaults={"window": {"rows": 1}})
    small.run()
    small.source.execute("UPDATE cats SET parent = 'a' WHERE no = 4")
    with pytest.raises(SpecError, match=r"matches more than one row for \(code\) = \('a'\)"):
        small.plan()


@few
def test_two_lookups_lookups_by_several_columns_and_grandparents(small: Scenario) -> None:
    small.source.execute(
        "CREATE TABLE staff (no integer PRIMARY KEY, site varchar(9), code varchar(9), boss varchar(9), site2 varchar(9), "
        "mentor varchar(9))"
    )
    staff = [
        (1, "n", "a", "b", "s", "b"), (2, "n", "b", None, None, None), (3, "s", "b", "a", None, "a"),
        (4, "s", "a", None, "n", "a"), (5, "n", "c", "a", None, None), (6, "n", "e", "zz", None, None),
        (7, "n", "f", "c", "n", "e"),
    ]  # fmt: skip
    small.source.insert("staff", staff)
    looked = {"table": "person", "match": {"site": "site", "code": "boss"}, "take": "id"}
    columns = {
        "id": IDENTITY,
        "no": "no",
        "grand_id": {"lookup": {"table": "person", "match": {"id": "boss_id"}, "take": "boss_id"}},
        "boss_id": {"lookup": looked},
        "mentor_id": {"lookup": {"table": "person", "match": {"site": "site2", "code": "mentor"}, "take": "id"}},
        "site": "site",
        "code": "code",
    }
    small.write({"person": {"from": "staff", "key": ["no"], "columns": columns}}, defaults={"window": {"rows": 2}})
    small.run()
    number = dict(small.target.ask("SELECT no, id FROM person"))
    assert sorted(number) == [1, 2, 3, 4, 5]
    known = {(site, code): no for no, site, code, *_ in staff}
    expected = []
    for no, site, _, boss, site2, mentor in staff[:5]:
        above = known.get((site, boss)) if boss else None
        beyond = next((known[site, each[3]] for each in staff if each[0] == above and each[3]), None)
        helper = known[site2, mentor] if site2 and mentor else None
        expected.append((no, *(number[each] if each else None for each in (above, beyond, helper))))
    assert sorted(small.target.ask("SELECT no, boss_id, grand_id, mentor_id FROM person")) == expected
    assert [(key, why) for _, key, why in quarantine(small)] == [
        ([6], "no person has this site, code"), ([7], "its person is in quarantine"),
    ]  # fmt: skip
    small.settled()


@few
def test_what_the_target_or_a_rule_across_rows_refuses_takes_its_children_along(small: Scenario) -> None:
    cats(
        small,
        ("a", None, "-1"),
        ("b", "a", "2"),
        ("c", "b", "3"),
        ("e", None, "4"),
        ("f", "e", "5"),
        ("g", None, "4"),
        ("h", None, "6"),
    )
    unique = {"type": "expect_column_values_to_be_unique", "column": "worth", "severity": "warning"}
    spec(small, create={"checks": ["worth > 0"]}, expect=[unique], rows=1)
    done = small.run()
    assert parents(small) == {"h": None}
    assert small.target.ask("SELECT id FROM cat") == [(1,)]
    assert reasons(done, "cat")["parent_id: its cat is in quarantine"] == 3
    assert counts(done, "cat") == {"source_rows": 7, "insert": 1, "quarantined": 6}
    small.settled()
    found = assess(small.spec, small.request().at)
    rows = {finding.reason: finding.rows for table in found.tables for finding in table.findings}
    assert rows["its cat is in quarantine"] == 3
    assert sum(rows.values()) == 6


@few
def test_ranges_number_what_they_write_and_rows_of_others_are_not_found(small: Scenario) -> None:
    cats(small, ("a", None, "1"), ("b", "a", "2"), ("c", "b", "3"), ("d", "c", "4"))
    spec(small)
    done = small.run(ranges=["cat.code:b..d"])
    assert counts(done, "cat") == {"source_rows": 2, "quarantined": 2}
    small.run(ranges=["cat.code:a..c"])
    small.run(ranges=["cat.worth:3..4"])
    assert parents(small) == {"a": None, "b": "a", "c": "b"}
    small.run()
    assert parents(small) == {"a": None, "b": "a", "c": "b", "d": "c"}
    assert sorted(small.target.ask("SELECT id FROM cat")) == [(1,), (2,), (3,), (4,)]
    small.settled()
    with pytest.raises(SpecError, match=r"a range over cat\.parent_id, which is looked up in cat itself"):
        small.run(ranges=["cat.parent_id:1..9"])
    spec(small, owns="worth < 4")
    cats(small, ("a", None, "1"), ("b", "d", "2"), ("c", "b", "3"))
    done = small.run()  # d is not among the rows that lookups see
    assert [(key, why) for _, key, why in quarantine(small)] == [(["b"], "no cat has this code")]
    assert parents(small) == {"a": None, "b": "a", "c": "b", "d": "c"}


@few
def test_a_row_that_is_deleted_softly_or_ignored_is_found(small: Scenario) -> None:
    cats(small, ("a", None, "1"), ("b", "a", "2"))
    flag = {"policy": "soft", "column": "gone"}
    small.target.execute(
        "CREATE TABLE cat (id bigint NOT NULL PRIMARY KEY, code varchar(20) NOT NULL UNIQUE, parent_id bigint, worth integer, "
        "gone boolean DEFAULT false)"
    )
    spec(small, {"id": {"expr": "ascii(code)::bigint"}}, delete=flag)
    small.run()
    cats(small, ("b", "a", "2"), ("c", "a", "3"))
    small.run()
    assert parents(small) == {"a": None, "b": "a", "c": "a"}
    small.settled()


def test_a_tree_by_such_lookups_has_the_numbers_of_its_own_plan(small: Scenario) -> None:
    rows = [("a", None, "1"), ("b", "a", "2"), ("c", "b", "3"), ("d", "c", "4"), ("x", None, "5"), ("y", "x", "6")]
    cats(small, *rows)
    spec(small)

    def run(root: str, *, with_parents: bool = False) -> None:
        commands.run(small.request(trees=Trees((parse_root(root, small.spec),), with_parents)))

    run("cat:b", with_parents=True)
    assert parents(small) == {"a": None, "b": "a", "c": "b", "d": "c"}
    cats(small, *((code, "x" if code == "c" else up, worth) for code, up, worth in rows))
    with pytest.raises(PlanError, match=r'cat refers to cat \["x"\] by \(parent_id\)'):
        run("cat:c")
    run("cat:c", with_parents=True)
    assert parents(small) == {"a": None, "b": "a", "c": "x", "d": "c", "x": None}
    small.run()
    small.settled()


def test_a_key_or_a_circle_of_columns_that_needs_itself_is_refused(small: Scenario) -> None:
    cats(small)
    spec(small, key=["code", "parent_id"])
    with pytest.raises(
        SpecError, match="key column parent_id is looked up in cat itself, whose rows are matched by it"
    ):
        small.plan()
    spec(small, {"p": parent(take="q"), "q": parent(take="p")})
    with pytest.raises(SpecError, match="in a circle: p -> q -> p"):
        small.plan()
    spec(small, {"parent_id": parent(match={"cod": "parent"})})
    with pytest.raises(SpecError, match=r"lookup: cat has no column cod\. Did you mean code"):
        small.plan()


@pytest.mark.parametrize("small", [RING[2], ("sqlite", "duckdb")], indirect=True, ids=pair_name)
def test_names_in_another_case_and_numbers_of_their_own(small: Scenario) -> None:
    cats(small, ("b", "a", "2"), ("a", None, "1"), ("c", "b", "3"))
    looked = {"lookup": {"table": "CAT", "match": {"CODE": "PARENT"}, "take": "ID"}}
    spec(small, {"id": {"from": "worth", "cast": "bigint"}, "parent_id": looked})
    small.run()
    assert sorted(small.target.ask("SELECT id, parent_id FROM cat")) == [(1, None), (2, 1), (3, 2)]
    small.settled()
