"""What `check` says of keys, unique columns, references and lookups, and that a run then ends as it said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from assessing import LOOKED, checked, columns, comes_true, fails, family, findings, keys, table, the
from scenario import Engine, Scenario, counts

from flows.commands import Status
from transforms.vocabulary import DataError, PlanError

TO: tuple[Engine, ...] = ("sqlite", "duckdb", "postgresql")


@pytest.fixture
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Engine, Engine], Scenario]:
    """Two empty databases of the engines asked for."""

    def make(source: Engine = "sqlite", target: Engine = "duckdb") -> Scenario:
        return Scenario.make(tmp_path, (source, target), request)

    return make


@pytest.fixture(params=TO)
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """From SQLite to each engine."""
    return Scenario.make(tmp_path, ("sqlite", request.param), request)


# --- keys


@pytest.mark.parametrize("rows", [2, 1000])
def test_null_and_duplicate_keys_are_counted_over_the_whole_table(anywhere: Scenario, rows: int) -> None:
    anywhere.source.execute("CREATE TABLE t (id integer PRIMARY KEY, k text, v text)")
    anywhere.target.execute("CREATE TABLE t (k varchar(9) PRIMARY KEY, v text)")
    found = ["a", "b", "a", None, "c", "a", "d", "b", None]
    anywhere.source.insert("t", [(n, k, "v") for n, k in enumerate(found)])
    anywhere.write(columns(v="v"), defaults={"window": {"rows": rows}})
    answer = checked(anywhere)
    duplicate, null = sorted(answer.tables[0].findings, key=lambda each: "null" in each.reason)
    assert (duplicate.rows, duplicate.columns) == (5, ("k",))
    assert sorted((s.key, s.value) for s in duplicate.samples) == [('["a"]', "3 rows"), ('["b"]', "2 rows")]
    assert (null.rows, null.columns) == (2, ("k",))
    assert "choose a key that every row has" in null.fix
    assert answer.total.quarantined == 7


def test_keys_that_are_duplicates_only_after_mapping_are_found(made: Any) -> None:
    small = made()
    small.source.execute("CREATE TABLE t (k text PRIMARY KEY)")
    small.target.execute("CREATE TABLE t (k text PRIMARY KEY)")
    small.source.insert("t", [("a",), ("A",), ("b",)])
    small.write({"t": {"from": "t", "key": ["k"], "columns": {"k": {"expr": "lower(k)"}}}})
    finding = the(checked(small), "k")
    assert (finding.rows, finding.level) == (2, "quarantine")


def colliding(small: Scenario, **spec: Any) -> Scenario:
    """Keys that differ in case or in trailing blanks, into a target that does not see that."""
    small.source.execute("CREATE TABLE t (k text PRIMARY KEY, v integer)")
    if small.target.engine == "postgresql":
        small.target.execute("CREATE EXTENSION IF NOT EXISTS citext")
    kind = {"postgresql": "citext", "sqlite": "text COLLATE NOCASE"}[small.target.engine]
    small.target.execute(f"CREATE TABLE t (k {kind} PRIMARY KEY, v integer)")
    small.source.insert("t", [("Ann", 1), ("ANN", 2), ("Bob", 3), ("bob ", 4), ("Cy", 5), ("cY", 6), ("CY", 7)])
    small.write({"t": {"from": "t", "key": ["k"]}}, **spec)
    return small


@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
@pytest.mark.parametrize("rows", [1, 1000])
def test_keys_that_collide_under_the_targets_collation_are_found_before_loading(
    made: Any, target: Engine, rows: int
) -> None:
    small = colliding(made("sqlite", target), defaults={"window": {"rows": rows}})
    finding = the(checked(small), "k")
    assert (finding.level, finding.rows) == ("quarantine", 5)
    collation = {"postgresql": "citext", "sqlite": "NOCASE"}[target]
    assert finding.reason == f"key collides with another one under the collation {collation} of the target"
    met = {frozenset((*json.loads(s.key), *json.loads(s.other.key))) for s in finding.samples if s.other}
    assert frozenset({"Ann", "ANN"}) in met
    planned = small.plan()
    assert counts(planned, "t") == {"source_rows": 7, "insert": 2, "quarantined": 5}
    assert small.run().status == Status.DONE
    assert small.target.rows("t") == [("Bob", 3), ("bob ", 4)]
    small.settled()


@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
def test_a_key_that_collides_with_a_row_that_stays_is_found(made: Any, target: Engine) -> None:
    small = colliding(made("sqlite", target))
    small.target.insert("t", [("BOB", 9), ("zoe", 9)])
    assert the(checked(small), "k").rows == 5  # the target's BOB goes, and Bob comes
    assert small.run().status == Status.DONE
    small.target.execute("DELETE FROM t")
    small.target.insert("t", [("BOB", 9), ("zoe", 9)])
    small.write({"t": {"from": "t", "key": ["k"], "delete": "ignore"}})
    assert the(checked(small), "k").rows == 6
    assert counts(small.run(), "t") == {"source_rows": 7, "insert": 1, "quarantined": 6, "unproved": 2}
    assert small.target.rows("t") == [("BOB", 9), ("bob ", 4), ("zoe", 9)]


# --- the target's own constraints


def test_values_of_a_unique_column_that_are_there_twice_are_set_aside_but_for_the_first(anywhere: Scenario) -> None:
    rows = [(1, "a"), (2, "b"), (3, "a"), (4, None), (5, None), (6, "a")]
    small = table(anywhere, "v varchar(9)", "v varchar(9) UNIQUE", rows)
    found = checked(small)
    finding = the(found, "v")
    assert (finding.level, finding.rows, finding.reason) == (
        "quarantine",
        2,
        "(v) is unique: several rows have the same",
    )
    sample = finding.samples[0]
    assert sample.other is not None
    assert (sample.key, sample.value, sample.other.key, sample.other.value) == ("[1]", "a", "[6]", "a")
    assert found.verdict == "A run would succeed: 4 of 6 source rows fit, 2 would go to quarantine."
    assert comes_true(small, found)
    assert small.target.rows("t") == [(1, "a"), (2, "b"), (4, None), (5, None)]
    small.source.execute("DELETE FROM t WHERE k IN (3, 6)")
    found = checked(small)
    assert found.total.quarantined == 0
    assert comes_true(small, found)


def test_unique_columns_hold_together_and_only_rows_that_are_loaded_count(made: Any) -> None:
    rows = [(1, "a", "x"), (2, "a", "y"), (3, "a", "x"), (4, "toolong", "x"), (5, "toolong", "x")]
    small = table(
        made("sqlite", "postgresql"), "a text, b text", "a varchar(3), b text, UNIQUE (a, b)", rows, a="a", b="b"
    )
    aside, error = checked(small).tables[0].findings
    assert (error.columns, error.rows, error.samples[0].value) == (("a", "b"), 1, "a, x")
    assert aside.rows == 2


@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
def test_unique_values_that_only_the_collation_takes_for_one_are_named_in_pairs(made: Any, target: Engine) -> None:
    small = made("sqlite", target)
    kind = {"postgresql": "char(9)", "sqlite": "text COLLATE RTRIM"}[target]
    rows = [(1, "a"), (2, "a "), (3, "b"), (4, "A")]
    table(small, "v text", f"v {kind} UNIQUE", rows)
    found = checked(small)
    assert (the(found, "v").level, the(found, "v").rows) == ("quarantine", 1)
    assert comes_true(small, found)


def test_a_unique_index_over_lower_case_is_seen_too(made: Any) -> None:
    small = table(
        made("sqlite", "postgresql"), "v text", "v text", [(1, "Ann"), (2, "ANN"), (3, "Bob"), (4, "ÄNN"), (5, "änn")]
    )
    small.target.execute("CREATE UNIQUE INDEX i ON t (lower(v))")
    found = checked(small)
    finding = the(found, "v")
    assert (finding.level, finding.rows) == ("quarantine", 2)
    assert finding.reason == "(v) is unique: different values are one under the collation lower(v)"
    assert {sample.value for sample in finding.samples} == {"ANN", "änn"} or len(finding.samples) == 2
    assert comes_true(small, found)
    small.target.execute("DELETE FROM t")
    small.write({"t": {"from": "t", "key": ["v"]}})
    assert the(checked(small), "v").level == "quarantine"
    assert counts(small.run(), "t") == {"source_rows": 5, "insert": 1, "quarantined": 4}


def test_a_duckdb_index_looks_at_the_bytes_whatever_the_collation(made: Any) -> None:
    small = made("sqlite", "duckdb")
    small.source.execute("CREATE TABLE t (k text PRIMARY KEY, v integer)")
    small.target.execute("CREATE TABLE t (k VARCHAR COLLATE NOCASE PRIMARY KEY, v BIGINT)")
    small.source.insert("t", [("Ann", 1), ("ANN", 2), ("bob", 3)])
    small.write({"t": {"from": "t"}})
    assert findings(checked(small)) == []
    assert counts(small.run(), "t") == {"source_rows": 3, "insert": 3}
    small.source.execute("UPDATE t SET v = 9 WHERE k = 'ANN'", "DELETE FROM t WHERE k = 'Ann'")
    assert counts(small.run(), "t") == {"source_rows": 2, "update": 1, "delete": 1, "unchanged": 1}
    small.settled()


def test_a_unique_value_of_a_row_that_stays_in_the_target_counts(anywhere: Scenario) -> None:
    small = table(anywhere, "v varchar(9)", "v varchar(9) UNIQUE", [(1, "a"), (2, "b")])
    small.target.insert("t", [(9, "a")])
    assert checked(small).status == 0  # the row goes, and its value is free
    small.write(columns(v="v") | {"t": {**columns(v="v")["t"], "delete": "ignore"}})
    found = checked(small)
    assert the(found, "v").rows == 1
    assert comes_true(small, found)


def test_a_value_that_passes_from_a_deleted_parent_to_a_new_one_is_free_though_a_row_still_refers_to_the_old_one(
    anywhere: Scenario,
) -> None:
    anywhere.source.execute(
        "CREATE TABLE p (id bigint PRIMARY KEY, v varchar(9))", "CREATE TABLE c (k bigint PRIMARY KEY, p bigint)"
    )
    anywhere.target.execute("CREATE TABLE p (id bigint PRIMARY KEY, v varchar(9) UNIQUE)")
    anywhere.target.execute("CREATE TABLE c (k bigint PRIMARY KEY, p bigint REFERENCES p (id))")
    anywhere.source.insert("p", [(1, "a"), (2, "b")])
    anywhere.target.insert("p", [(1, "a"), (9, "b")])
    anywhere.write({"p": {"from": "p"}, "c": {"from": "c"}})
    found = checked(anywhere)
    assert findings(found, "p") == []
    assert comes_true(anywhere, found)
    anywhere.target.execute("DELETE FROM p WHERE id = 2")
    anywhere.target.insert("p", [(9, "b")])
    anywhere.target.insert("c", [(5, 9)])
    found = checked(anywhere)
    if anywhere.target.engine == "duckdb":  # which changes no unique value of such a row
        (finding,) = (each for table in found.tables if table.name == "p" for each in table.findings)
        assert (finding.level, "[9]" in finding.reason) == ("refused", True)
        assert fails(anywhere)
        return
    assert findings(found, "p") == []
    assert comes_true(anywhere, found)


def test_references_to_rows_that_will_not_be_there_are_orphans(anywhere: Scenario) -> None:
    small = family(anywhere)
    found = checked(small)
    below, finding = sorted(
        (each for each in found.tables[1].findings if "p" in each.columns), key=lambda each: each.rows
    )
    assert (finding.level, finding.rows, keys(finding)) == ("quarantine", 2, [[4], [6]])
    assert [sample.value for sample in finding.samples] == ["9", "9"]
    assert finding.reason == f"refers to {found.tables[0].target}, where no row will have this id"
    assert "`missing: null`" in finding.fix
    assert (below.level, below.rows, keys(below)) == ("quarantine", 1, [[3]])
    assert (below.reason, below.fix) == ("its p is in quarantine", "mend the findings of p: these rows come along then")
    assert comes_true(small, found)
    lookup = {"lookup": {"table": "p", "match": {"id": "p"}, "take": "id"}, "missing": "null"}
    small.write({"p": {"from": "p"}, "c": {"from": "c", "key": ["k"], "columns": {"k": "k", "p": lookup}}})
    found = checked(small)
    assert [(level, n) for level, _, _, n in findings(found, "c")] == [("quarantine", 1), ("note", 2)]
    assert comes_true(small, found)


def test_a_parent_outside_of_the_spec_is_the_target_as_it_is(anywhere: Scenario) -> None:
    small = family(anywhere, parents=False)
    small.target.insert("p", [(1, "there"), (9, "there too")])
    found = checked(small)
    assert (the(found, "p", "c").rows, keys(the(found, "p", "c"))) == (2, [[2], [3]])
    assert comes_true(small, found)


def test_a_parent_that_rows_refer_to_is_not_deleted(made: Any) -> None:
    small = family(made())
    small.source.execute("UPDATE p SET name = 'three'", "DELETE FROM c WHERE p = 9")
    assert comes_true(small, checked(small))
    small.source.execute("DELETE FROM p WHERE id = 2")
    found = checked(small)
    assert keys(the(found, "p", "c")) == [[2]]
    assert comes_true(small, found)


@pytest.mark.parametrize("target", ["sqlite", "duckdb", "postgresql"])
def test_tables_that_are_yet_to_be_made_are_held_to_what_they_will_be_made_with(made: Any, target: Engine) -> None:
    small = made("sqlite", target)
    small.source.execute(
        "CREATE TABLE p (id bigint PRIMARY KEY, v varchar(9))", "CREATE TABLE c (k bigint PRIMARY KEY, p bigint)"
    )
    small.source.insert("p", [(1, "a"), (2, "a"), (3, None)])
    small.source.insert("c", [(1, 1), (2, 9), (3, None)])
    reference = {"columns": ["p"], "table": "p", "refers": ["id"]}
    small.write(
        {"p": {"from": "p", "create": {"unique": [["v"]]}}, "c": {"from": "c", "create": {"foreign_keys": [reference]}}}
    )
    found = checked(small)
    assert (the(found, "v", "p").rows, the(found, "p", "c").rows) == (1, 1)
    assert the(found, "p", "c").level == ("error" if target == "postgresql" else "quarantine")
    assert comes_true(small, found) == (target != "postgresql")
    if target == "postgresql":
        with pytest.raises(
            DataError, match=r"c: its rows are in, and a key or index of `create:` .* is not: .*Fix: mend"
        ):
            small.run()


def test_a_tree_refers_to_itself(anywhere: Scenario) -> None:
    anywhere.source.execute("CREATE TABLE t (k bigint PRIMARY KEY, up bigint)")
    anywhere.target.execute("CREATE TABLE t (k bigint PRIMARY KEY, up bigint REFERENCES t (k))")
    anywhere.source.insert("t", [(1, None), (2, 1), (3, 2), (4, 7)])
    anywhere.write(columns(up="up"))
    anywhere.source.insert("t", [(5, 4), (6, 5)])
    found = checked(anywhere)
    assert (the(found, "up").rows, keys(the(found, "up"))) == (3, [[4], [5], [6]])
    assert comes_true(anywhere, found)


# --- lookups


@pytest.mark.parametrize(
    ("missing", "level", "status"), [("quarantine", "quarantine", 0), ("null", "note", 0), ("fail", "refused", 1)]
)
def test_lookups_that_find_nothing_are_told_by_what_the_spec_says(
    anywhere: Scenario, missing: str, level: str, status: int
) -> None:
    small = family(anywhere)
    small.write(
        {
            "p": {"from": "p"},
            "c": {"from": "c", "key": ["k"], "columns": {"k": "k", "p": {**LOOKED, "missing": missing}}},
        }
    )
    found = checked(small)
    told = {(each[0], each[2], each[3]) for each in findings(found, "c")}
    assert told == {(level, "no p has this id", 2), ("quarantine", "its p is in quarantine", 1)}
    assert found.status == status
    assert comes_true(small, found) == (not status)


# --- MariaDB


def test_keys_and_references_that_mariadb_takes_for_one_are_found_before_loading(made: Any) -> None:
    """Upper and lower case and trailing blanks do not count there, in keys, unique columns and references alike."""
    small = made("sqlite", "mysql")
    small.source.execute(
        "CREATE TABLE p (k text PRIMARY KEY, u text)", "CREATE TABLE c (k integer PRIMARY KEY, p text)"
    )
    kind = "varchar(40) COLLATE utf8mb4_general_ci"
    small.target.execute(
        f"CREATE TABLE p (k {kind} PRIMARY KEY, u {kind} UNIQUE)",
        f"CREATE TABLE c (k bigint PRIMARY KEY, p {kind}, FOREIGN KEY (p) REFERENCES p (k))",
    )
    small.source.insert("p", [("Ann", "1"), ("ANN ", "2"), ("Bob", "x"), ("Cy", "y"), ("Zoë", "z")])
    small.source.insert("c", [(1, "bob"), (2, "CY "), (3, "Ann"), (4, "zoe"), (5, None)])
    small.write({"p": {"from": "p"}, "c": {"from": "c"}})
    found = checked(small)
    finding = the(found, "k", "p")
    assert (finding.level, finding.rows) == ("quarantine", 2)
    assert finding.reason == "key collides with another one under the collation utf8mb4_general_ci of the target"
    assert keys(the(found, "p", "c")) == [[3]]
    small.source.execute("DELETE FROM c WHERE k = 3", "UPDATE p SET u = 'Y ' WHERE k = 'Bob'")
    found = checked(small)
    assert (the(found, "u", "p").level, the(found, "u", "p").rows) == ("quarantine", 1)
    assert comes_true(small, found)
    small.source.execute("UPDATE p SET u = 'x' WHERE k = 'Bob'")
    assert comes_true(small, checked(small))
    small.settled()


@pytest.mark.parametrize("late", [" NOT NULL", " NULL"])
@pytest.mark.parametrize("engine", ["sqlite", "postgresql", "mysql"])
def test_check_says_whether_rows_of_a_circle_that_need_each_other_are_written(
    made: Callable[[Engine, Engine], Scenario], engine: Engine, late: str
) -> None:
    shop = made("sqlite", engine)
    circle = (("store", "staff", late), ("staff", "store", " NOT NULL"))
    for name, other, null in circle:
        shop.source.execute(f"CREATE TABLE {name} (id integer PRIMARY KEY, {other} integer)")
        shop.source.insert(name, [(1, 1)])
        refers = f" REFERENCES {other}" if engine == "sqlite" else ""
        shop.target.execute(f"CREATE TABLE {name} (id bigint PRIMARY KEY, {other} bigint{null}{refers})")
    for name, other, _ in circle if engine != "sqlite" else ():
        shop.target.execute(f"ALTER TABLE {name} ADD FOREIGN KEY ({other}) REFERENCES {other} (id)")
    shop.write({name: {"from": name, "key": ["id"]} for name, _, _ in circle})
    found = checked(shop)
    (warning,) = found.warning_texts
    if engine != "sqlite" and late == " NOT NULL":
        assert "cannot be written, and a plan that has such rows is refused" in warning
        assert "would succeed" not in found.verdict
        assert "would fail" in found.verdict
        with pytest.raises(PlanError, match="need each other"):
            shop.run()
        return
    assert ("in one transaction" if engine == "sqlite" else "in two steps") in warning
    assert comes_true(shop, found)
    assert [shop.target.rows(name) for name, _, _ in circle] == [[(1, 1)], [(1, 1)]]
