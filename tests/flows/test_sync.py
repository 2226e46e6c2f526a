"""`sync`: what changes on one side is on the other a moment later, by the keys that a feed told of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario import Scenario

from flows.commands import Status
from flows.follow.following import Asked, Told
from flows.follow.lag import Brought, Totals
from flows.follow.sync import sync
from flows.results.outcome import Outcome
from flows.session.stores import ledger_of
from transforms.vocabulary import BusyError, DriftError, SpecError

NOW = "strftime('%Y-%m-%d %H:%M:%f', 'now')"
STAMP = f"changed timestamp NOT NULL DEFAULT ({NOW})"
TABLES: dict[str, Any] = {
    "customer": {
        "from": "kunde",
        "key": ["legacy_id"],
        "columns": {
            "id": {"generate": "identity"},
            "legacy_id": "id",
            "name": "name",
            "country": {"lookup": {"side": "source", "table": "land", "match": {"code": "land"}, "take": "name"}},
        },
    },
    "orders": {
        "from": "bestellung",
        "key": ["nr"],
        "columns": {
            "nr": "nr",
            "customer_id": {"lookup": {"table": "customer", "match": {"legacy_id": "kunde"}, "take": "id"}},
            "customer_name": {"lookup": {"table": "customer", "match": {"legacy_id": "kunde"}, "take": "name"}},
            "total": "total",
        },
    },
}


class Heard(Told):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.first: bool | None = None
        self.batches: list[Brought] = []
        self.notices: list[str] = []
        self.comparisons = 0

    def began(self, first: bool) -> None:
        self.first = first

    def compared(self, outcome: Outcome) -> None:
        self.comparisons += 1

    def brought(self, brought: Brought) -> None:
        self.batches.append(brought)

    def notice(self, text: str) -> None:
        self.notices.append(text)


def once(scenario: Scenario) -> tuple[Heard, Totals]:
    """Bring over what is there to bring over."""
    heard = Heard()
    outcome, totals = sync(Asked(scenario.path, once=True), heard)
    assert outcome is None, outcome
    return heard, totals


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    made = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    made.source.execute(
        f"CREATE TABLE land (code varchar(2) PRIMARY KEY, name varchar(20), {STAMP})",
        f"CREATE TABLE kunde (id integer PRIMARY KEY, name varchar(20), land varchar(2), {STAMP})",
        f"CREATE TABLE bestellung (nr integer PRIMARY KEY, kunde int, total int, {STAMP})",
        "INSERT INTO land (code, name) VALUES ('AT', 'Austria'), ('CH', 'Schweiz')",
        "INSERT INTO kunde (id, name, land) VALUES (1, 'Ann', 'AT'), (2, 'Bob', 'CH')",
        "INSERT INTO bestellung (nr, kunde, total) VALUES (10, 1, 5), (11, 2, 6)",
    )
    made.target.execute(
        "CREATE TABLE customer (id integer PRIMARY KEY AUTOINCREMENT, legacy_id int UNIQUE NOT NULL, name varchar(20),"
        " country varchar(20))",
        "CREATE TABLE orders (nr int PRIMARY KEY, customer_id int NOT NULL REFERENCES customer (id), customer_name varchar(20),"
        " total int)",
    )
    made.write(TABLES, follow={"capture": "poll", "cursor": "changed", "every": "50ms"})
    return made


def test_what_was_there_is_compared_in_full_first_and_what_changes_then_comes_by_its_keys(shop: Scenario) -> None:
    heard, _ = once(shop)
    assert (heard.first, heard.comparisons) == (True, 1)
    shop.source.execute(
        "INSERT INTO kunde (id, name, land) VALUES (3, 'Cy', 'AT')",
        "INSERT INTO bestellung (nr, kunde, total) VALUES (12, 3, 7)",
        f"UPDATE bestellung SET total = 66, changed = {NOW} WHERE nr = 11",
    )
    heard, totals = once(shop)
    (batch,) = heard.batches
    assert (heard.first, heard.comparisons, batch.target.insert, batch.target.update, batch.version) == (
        False, 0, 2, 1, 2,
    )  # fmt: skip
    assert (totals.rows, batch.waiting) == (3, 0)
    shop.settled()
    heard, totals = once(shop)
    assert (heard.batches, totals.changes) == ([], {"source": 0, "target": 0})
    with ledger_of(shop.spec) as ledger:
        assert len(ledger.runs("shop")) == 2, "where nothing changes, nothing is put down"


def test_what_rows_look_up_changes_with_the_rows_that_they_look_it_up_in(shop: Scenario) -> None:
    once(shop)
    shop.source.execute(f"UPDATE land SET name = 'Switzerland', changed = {NOW} WHERE code = 'CH'")
    shop.source.execute(f"UPDATE kunde SET name = 'Anna', changed = {NOW} WHERE id = 1")
    once(shop)
    assert shop.target.rows("customer") == [(1, 1, "Anna", "Austria"), (2, 2, "Bob", "Switzerland")]
    assert [row[2] for row in shop.target.rows("orders")] == ["Anna", "Bob"]
    shop.settled()


def test_a_row_that_waits_for_another_comes_with_it(shop: Scenario) -> None:
    once(shop)
    shop.source.execute("INSERT INTO bestellung (nr, kunde, total) VALUES (13, 9, 1)")
    heard, _ = once(shop)
    assert heard.batches[-1].waiting == 1
    shop.source.execute("INSERT INTO kunde (id, name, land) VALUES (9, 'Zed', 'AT')")
    heard, _ = once(shop)
    assert heard.batches[-1].waiting == 0
    assert (13, "Zed") in [(row[0], row[2]) for row in shop.target.rows("orders")]
    shop.settled()


def test_one_follows_a_migration_at_a_time(shop: Scenario) -> None:
    once(shop)
    with ledger_of(shop.spec) as ledger, ledger.lease("shop~follows", "target", "another"), pytest.raises(BusyError):
        once(shop)


def test_a_schema_that_changed_stops_it(shop: Scenario) -> None:
    once(shop)
    shop.source.execute("ALTER TABLE kunde RENAME COLUMN name TO full_name")
    with pytest.raises(DriftError):
        once(shop)


def test_another_mapping_begins_anew(shop: Scenario) -> None:
    once(shop)
    tables = {
        "customer": {
            **TABLES["customer"],
            "columns": {**TABLES["customer"]["columns"], "name": {"expr": "upper(name)"}},
        }
    }
    shop.write({**TABLES, **tables}, follow={"capture": "poll", "cursor": "changed"})
    heard, _ = once(shop)
    assert heard.first
    assert [row[2] for row in shop.target.rows("customer")] == ["ANN", "BOB"]
    shop.settled()


@pytest.mark.parametrize(
    ("tables", "follow", "told"),
    [
        (
            {
                "orders": {
                    "from": {"query": "SELECT * FROM bestellung"},
                    "key": ["nr"],
                    "columns": {"nr": "nr", "total": "total", "customer_id": "kunde"},
                }
            },
            {},
            "by a query",
        ),
        ({}, {"cursor": "nothing"}, "cursor"),
        ({}, {"capture": "log", "cursor": "changed"}, "sqlite"),
    ],
)
def test_what_cannot_be_followed_is_refused_with_a_way_out(
    shop: Scenario, tables: Any, follow: dict[str, Any], told: str
) -> None:
    shop.write({**TABLES, **tables}, follow={"capture": "poll", "cursor": "changed", **follow})
    with pytest.raises(SpecError) as error:
        once(shop)
    assert told in str(error.value)
    assert error.value.fix


def test_a_quarantine_above_its_limit_stops_it_before_anything_is_written(shop: Scenario) -> None:
    shop.write(TABLES, defaults={"quarantine": {"max_rows": 1}}, follow={"capture": "poll", "cursor": "changed"})
    once(shop)
    before = shop.target.rows("orders")
    shop.source.execute("INSERT INTO bestellung (nr, kunde, total) VALUES (20, 8, 1), (21, 8, 1), (22, 1, 1)")
    outcome, _ = sync(Asked(shop.path, once=True), Heard())
    assert outcome is not None
    assert outcome.status is Status.QUARANTINE
    assert shop.target.rows("orders") == before


def test_edits_of_both_sides_meet(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    both = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    both.source.execute(f"CREATE TABLE person (id integer PRIMARY KEY, name varchar(20), age int, {STAMP})")
    both.target.execute(f"CREATE TABLE people (id integer PRIMARY KEY, full varchar(20), age int, {STAMP})")
    both.source.execute("INSERT INTO person (id, name, age) VALUES (1, 'Ann', 1), (2, 'Bob', 2)")
    both.write(
        {"people": {"from": "person", "key": ["id"], "columns": {"id": "id", "full": "name", "age": "age"}}},
        direction="two_way", initial="policy", follow={"capture": "poll", "cursor": "changed"},
    )  # fmt: skip
    once(both)
    both.source.execute(f"UPDATE person SET name = 'ANN', changed = {NOW} WHERE id = 1")
    both.target.execute(
        f"UPDATE people SET age = 11, changed = {NOW} WHERE id = 1",
        "INSERT INTO people (id, full, age) VALUES (3, 'Cy', 3)",
    )
    heard, totals = once(both)
    assert totals.rows == 3, [each.as_dict() for each in heard.batches]
    assert [row[:3] for row in both.source.rows("person")] == [(1, "ANN", 11), (2, "Bob", 2), (3, "Cy", 3)]
    assert [row[:3] for row in both.target.rows("people")] == [(1, "ANN", 11), (2, "Bob", 2), (3, "Cy", 3)]
    both.settled()


def test_it_ends_after_its_time_and_writes_figures_for_prometheus(shop: Scenario) -> None:
    shop.write(TABLES, follow={"capture": "poll", "cursor": "changed", "every": "50ms", "metrics": "out/live.prom"})
    once(shop)
    shop.source.execute("INSERT INTO kunde (id, name, land) VALUES (3, 'Cy', 'AT')")
    outcome, totals = sync(Asked(shop.path, seconds=1.0), Heard())
    assert (outcome, totals.rows) == (None, 1)
    told = (shop.folder / "out/live.prom").read_text()
    assert 'syncline_rows_total{migration="shop"} 1' in told
    assert "syncline_lag_seconds" in told
