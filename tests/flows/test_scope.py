"""What of both sides a table is about: columns that are not named, rows of the target that it owns, and how close is equal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from scenario import RING, Scenario, counts, pair_name, quarantine, reasons

from flows import commands
from flows.commands import Status
from flows.history.quarantine import Filter, retry
from transforms import expressions
from transforms.vocabulary import Reason, SpecError, text_of

TAKEN = text_of(Reason("taken_key"))
FOREIGN = text_of(Reason("not_owned"))


@pytest.fixture(params=RING, ids=pair_name)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    return Scenario.make(tmp_path, request.param, request)


@pytest.fixture
def small(tmp_path: Path, request: pytest.FixtureRequest) -> Scenario:
    return Scenario.make(tmp_path, ("sqlite", "duckdb"), request)


# --- rows of the target


@pytest.mark.parametrize("ordered", [True, False])
def test_rows_of_the_target_outside_owns_are_neither_compared_nor_deleted(pair: Scenario, ordered: bool) -> None:
    columns = "id integer PRIMARY KEY, region varchar(9), name varchar(9)"
    for side in (pair.source, pair.target):
        side.execute(f"CREATE TABLE customer ({columns})")
    pair.source.insert("customer", [(n, "EU", f"n{n}") for n in range(1, 6)])
    pair.target.insert(
        "customer", [(2, "EU", "old"), (4, "US", "theirs"), (7, "EU", "gone"), (8, "US", "theirs"), (9, None, "theirs")]
    )
    rest: dict[str, Any] = (
        {} if ordered else {"columns": {"id": {"expr": "id"}, "region": "region", "name": "name"}, "key": ["id"]}
    )
    pair.write({"customer": {"from": "customer", "owns": "region = 'EU'"} | rest})
    plan = pair.plan()
    assert counts(plan, "customer") == {"source_rows": 5, "insert": 3, "update": 1, "delete": 1, "quarantined": 1}
    assert reasons(plan, "customer") == {f"id: {TAKEN}": 1}
    done = pair.run()
    assert (done.status, done.report.warning_texts) == (Status.DONE, ())
    theirs = [(4, "US", "theirs"), (8, "US", "theirs"), (9, None, "theirs")]
    assert pair.target.rows("customer") == sorted([(n, "EU", f"n{n}") for n in (1, 2, 3, 5)] + theirs, key=str)
    assert quarantine(pair) == [("customer", [4], TAKEN)]
    again = pair.plan()
    assert (again.report.total.changes, again.report.tables[0].counts.target_rows) == (0, 4)
    pair.undo(1)
    assert pair.target.rows("customer") == sorted([(2, "EU", "old"), (7, "EU", "gone"), *theirs], key=str)


def test_a_row_that_leaves_owns_after_planning_is_a_conflict_and_so_is_one_that_has_our_key(pair: Scenario) -> None:
    """Also where the spec does not map the column that `owns` names; and an undo leaves such a row alone, too."""
    columns = "id integer PRIMARY KEY, region varchar(9) DEFAULT 'EU:%', name varchar(9)"
    for side in (pair.source, pair.target):
        side.execute(f"CREATE TABLE customer ({columns})")
    pair.source.insert("customer", [(n, "EU:%", f"n{n}") for n in range(1, 6)])
    ours = [(1, "n1"), (2, "old"), (3, "old"), (7, "gone"), (8, "gone")]
    pair.target.insert("customer", [(key, "EU:%", name) for key, name in ours] + [(9, "US", "theirs")])
    named = {"id": "id", "name": "name"}
    pair.write({"customer": {"from": "customer", "key": ["id"], "owns": "region = 'EU:%'", "columns": named}})
    plan = pair.plan()
    assert counts(plan, "customer") == {"source_rows": 5, "insert": 2, "update": 2, "delete": 2, "unchanged": 1}
    pair.target.execute(
        "UPDATE customer SET region = 'US' WHERE id IN (2, 7)", "UPDATE customer SET region = 'EU:%' WHERE id = 9",
        "INSERT INTO customer VALUES (4, 'US', 'n4'), (5, NULL, 'n5')",
    )  # fmt: skip
    done = pair.apply(plan.report.plan)
    assert counts(done, "customer") == {"source_rows": 5, "update": 1, "delete": 1, "unchanged": 1, "conflicts": 4}
    theirs = [(2, "US", "old"), (4, "US", "n4"), (5, None, "n5"), (7, "US", "gone"), (9, "EU:%", "theirs")]
    assert pair.target.rows("customer") == sorted([(1, "EU:%", "n1"), (3, "EU:%", "n3"), *theirs], key=str)
    pair.target.execute("UPDATE customer SET region = 'US' WHERE id = 3")
    undone = pair.undo(1)
    assert counts(undone, "customer") == {"source_rows": 2, "insert": 1, "conflicts": 1}
    theirs += [(3, "US", "n3")]
    assert pair.target.rows("customer") == sorted([(1, "EU:%", "n1"), (8, "EU:%", "gone"), *theirs], key=str)


def test_owns_of_no_row_never_loads_over_a_full_table(small: Scenario) -> None:
    for side in (small.source, small.target):
        side.execute("CREATE TABLE customer (id integer PRIMARY KEY, region varchar)")
    small.source.insert("customer", [(1, "EU"), (2, "EU")])
    small.target.insert("customer", [(2, "US")])
    small.write({"customer": {"from": "customer", "owns": "region = 'EU'"}})
    small.run()
    assert small.target.rows("customer") == [(1, "EU"), (2, "US")]
    small.source.execute("DELETE FROM customer")
    small.run()
    assert small.target.rows("customer") == [(2, "US")]


@pytest.mark.parametrize(
    ("owns", "written"),
    [
        ("region = 'EU' AND id < 3", [1]),
        ("region IN ('EU', 'UK') OR id = 4", [1, 2, 3, 4]),
        ("NOT region IS NULL AND id BETWEEN 2 AND 3", [2, 3]),
    ],
)
def test_a_row_that_would_not_be_owned_is_never_written(small: Scenario, owns: str, written: list[int]) -> None:
    for side in (small.source, small.target):
        side.execute("CREATE TABLE customer (id integer PRIMARY KEY, region varchar)")
    small.source.insert("customer", [(1, "EU"), (2, "UK"), (3, "EU"), (4, "US"), (5, None)])
    small.write({"customer": {"from": "customer", "owns": owns}})
    done = small.run()
    assert [row[0] for row in small.target.rows("customer")] == written
    assert reasons(done, "customer") == {f"id: {FOREIGN}": 5 - len(written)}
    small.settled()


def test_a_condition_that_engines_may_read_differently_is_left_to_the_target(small: Scenario) -> None:
    assert not any(
        map(expressions.means_the_same, ("id / 2 = 1", "lower(region) = 'eu'", "region = 'EU'; DROP", "id::text = '1'"))
    )
    for side in (small.source, small.target):
        side.execute("CREATE TABLE customer (id integer PRIMARY KEY, region varchar)")
    small.source.insert("customer", [(1, "EU"), (2, "US")])
    small.write({"customer": {"from": "customer", "owns": "lower(region) = 'eu'"}})
    assert small.run().report.warning_texts  # one row is there, and not among those that are owned
    assert reasons(small.plan(), "customer") == {f"id: {TAKEN}": 1}


def test_a_retry_sees_the_key_of_anothers_row_as_the_unique_index_does(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folding = Scenario.make(tmp_path, ("sqlite", "mysql"), request)
    folding.source.execute("CREATE TABLE customer (code varchar(10) PRIMARY KEY, region varchar(10))")
    folding.target.execute(
        "CREATE TABLE customer (code varchar(10) PRIMARY KEY, region varchar(10)) COLLATE utf8mb4_general_ci"
    )
    folding.source.insert("customer", [("a", "EU"), ("b", "EU"), ("c", "EU")])
    folding.target.insert("customer", [("A", "US")])
    folding.write(
        {"customer": {"from": "customer", "owns": "region = 'EU'"}}, defaults={"quarantine": {"max_ratio": 1.0}}
    )
    assert reasons(folding.run(), "customer") == {f"code: {TAKEN}": 1}
    aside = quarantine(folding)
    request = retry(folding.request(), Filter())
    assert request is not None
    retried = commands.run(request)
    assert (retried.report.total.insert, retried.report.total.conflicts) == (0, 0)
    assert quarantine(folding) == aside


# --- columns that are not named


def test_the_column_star_stands_for_all_that_are_not_named(pair: Scenario) -> None:
    pair.source.execute(
        "CREATE TABLE customer (id integer PRIMARY KEY, name varchar(9), secret varchar(9), cents integer)"
    )
    pair.source.insert("customer", [(1, "Ada", "s", 250)])
    columns: dict[str, Any] = {"cents": {"expr": "cents * 2"}, "*": {"except": ["secret"]}, "label": "name"}
    pair.write({"customer": {"from": "customer", "key": ["id"], "columns": columns}})
    pair.run()
    pair.settled()
    assert set(pair.target.ask("SELECT id, name, cents, label FROM customer")) == {(1, "Ada", 500, "Ada")}
    with pytest.raises(Exception, match="secret"):
        pair.target.ask("SELECT secret FROM customer")
    columns["*"] = {"except": ["secrt"]}
    pair.write({"customer": {"from": "customer", "key": ["id"], "columns": columns}})
    with pytest.raises(SpecError, match=r"spec.yaml:\d+: the source has no column secrt. Did you mean secret\?"):
        pair.plan()


# --- how close is equal


def test_a_tolerance_is_for_comparing_only(pair: Scenario) -> None:
    kinds = "id integer PRIMARY KEY, price decimal(12,4), weight double precision, name varchar(9)"
    for side in (pair.source, pair.target):
        side.execute(
            f"CREATE TABLE item ({kinds.replace('double precision', 'double') if side.engine == 'duckdb' else kinds})"
        )
    pair.source.insert(
        "item",
        [
            (1, "10.0100", 1000.0, "a"),
            (2, "10.0100", 1000.0, "b"),
            (3, "10.0101", 1000.0, "c"),
            (4, "10.01", 1001.1, "d"),
        ],
    )
    pair.target.insert(
        "item",
        [
            (1, "10.0000", 1001.0, "a"),
            (2, "10.0000", 1001.0, "B"),
            (3, "10.0000", 1000.0, "c"),
            (4, "10.01", 1000.0, "d"),
        ],
    )
    columns = {
        "*": "*",
        "price": {"from": "price", "tolerance": 0.01},
        "weight": {"from": "weight", "tolerance": {"relative": 0.001}},
    }
    pair.write({"item": {"from": "item", "columns": columns}})
    assert counts(pair.run(), "item") == {"source_rows": 4, "update": 3, "unchanged": 1}
    rows = {
        row[0]: (float(row[1]), float(row[2]), row[3])
        for row in pair.target.ask("SELECT id, price, weight, name FROM item")
    }
    assert rows == {1: (10, 1001, "a"), 2: (10.01, 1000, "b"), 3: (10.0101, 1000, "c"), 4: (10.01, 1001.1, "d")}
    pair.settled()


def test_an_edit_within_the_tolerance_after_planning_is_a_conflict_as_any_other(pair: Scenario) -> None:
    """And an undo writes what was there, to the last digit."""
    kinds = "id integer PRIMARY KEY, price decimal(12,4), name varchar(9)"
    for side in (pair.source, pair.target):
        side.execute(f"CREATE TABLE item ({kinds})")
    pair.source.insert("item", [(n, "10.0100", "new") for n in (1, 2, 3)])
    pair.target.insert("item", [(1, "10.0000", "old"), (2, "10.0000", "old"), (3, "10.0000", "new")])
    pair.write({"item": {"from": "item", "columns": {"*": "*", "price": {"from": "price", "tolerance": 0.02}}}})
    plan = pair.plan()
    assert counts(plan, "item") == {"source_rows": 3, "update": 2, "unchanged": 1}
    pair.target.execute("UPDATE item SET price = 10.0001 WHERE id = 2")
    done = pair.apply(plan.report.plan)
    assert counts(done, "item") == {"source_rows": 3, "update": 1, "unchanged": 1, "conflicts": 1}

    def there() -> dict[int, tuple[float, str]]:
        return {key: (float(price), name) for key, price, name in pair.target.ask("SELECT id, price, name FROM item")}

    assert there() == {1: (10.01, "new"), 2: (10.0001, "old"), 3: (10, "new")}
    pair.undo(1)
    assert there() == {1: (10, "old"), 2: (10.0001, "old"), 3: (10, "new")}


def test_only_numbers_have_a_tolerance(small: Scenario) -> None:
    small.source.execute("CREATE TABLE item (id integer PRIMARY KEY, name text)")
    small.write({"item": {"from": "item", "columns": {"id": "id", "name": {"from": "name", "tolerance": 1}}}})
    with pytest.raises(
        SpecError, match=r"spec.yaml:\d+: name is VARCHAR, and only numbers have a tolerance. Fix: remove it."
    ):
        small.plan()


# --- lookups that match by what another one gives


def chain(pair: Scenario, columns: dict[str, Any]) -> None:
    tables = {
        "country": {"from": "country"},
        "region": {"from": "region"},
        "shop": {"from": "shop", "key": ["id"], "columns": columns},
    }
    pair.path.write_text(yaml.safe_dump(pair.document(tables), sort_keys=False))


def test_a_lookup_matches_by_a_column_that_is_looked_up_itself(pair: Scenario) -> None:
    for side in (pair.source, pair.target):
        side.execute(
            "CREATE TABLE country (id integer PRIMARY KEY, code varchar(9) UNIQUE)",
            "CREATE TABLE region (id integer PRIMARY KEY, country_id integer, code varchar(9))",
        )
    pair.source.insert("country", [(1, "AT"), (2, "DE")])
    pair.source.insert("region", [(10, 1, "N"), (20, 2, "N"), (30, 2, "S")])
    pair.source.execute("CREATE TABLE shop (id integer PRIMARY KEY, cc varchar(9), rc varchar(9))")
    pair.source.insert("shop", [(1, "AT", "N"), (2, "DE", "N"), (3, "AT", "S"), (4, "FR", "N"), (5, None, "N")])
    region = {"lookup": {"table": "region", "match": {"country_id": "nation", "code": "rc"}, "take": "id"}}
    columns: dict[str, Any] = {
        "id": "id",
        "region_id": region,
        "nation": {"lookup": {"table": "country", "match": {"code": "cc"}, "take": "id"}},
    }
    chain(pair, columns)
    pair.run()
    assert sorted(pair.target.ask("SELECT id, nation, region_id FROM shop")) == [
        (1, 1, 10),
        (2, 2, 20),
        (5, None, None),
    ]
    assert [(key, reason) for _, key, reason in quarantine(pair)] == [
        ([3], "no region has this country_id, code"), ([4], "no country has this code"),
    ]  # fmt: skip
    pair.settled()
    columns["nation"]["lookup"]["match"] = {"code": "region_id"}
    chain(pair, columns)
    with pytest.raises(SpecError, match="lookups match by each other in a circle: region_id -> nation -> region_id"):
        pair.plan()
