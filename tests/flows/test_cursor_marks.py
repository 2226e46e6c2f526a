"""Marks of cursors: they never pass rows that are not in, whatever dies, and whoever is still writing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from scenario import Scenario, pair_name

from adapters.ledger.ledger import Ledger
from adapters.protocol import RowVersions
from adapters.registry import open_source
from flows.check.assess import assess
from flows.commands import Status
from flows.session.stores import ledger_of
from transforms.cursors import Scale

TABLES: dict[str, Any] = {"item": {"from": "items", "columns": {"id": "id", "name": "name"}}}


class Killed(BaseException):
    """The process died."""


def write(shop: Scenario, cursor: Any, tables: Any = TABLES) -> None:
    defaults = {"delete": {"max_ratio": 1.0}, "quarantine": {"max_ratio": 1.0}, "cursor": cursor}
    shop.write(tables, defaults=defaults, source={**shop.source.endpoint, "time_zone": "UTC"})


def read(shop: Scenario) -> Any:
    outcome = shop.run()
    assert outcome.status is Status.DONE, outcome.message
    return outcome.report.tables[0]


def mark(shop: Scenario) -> str | None:
    with ledger_of(shop.spec) as ledger:
        return ledger.fact("shop", "cursor", "item").get("source")


def killed(monkeypatch: pytest.MonkeyPatch, name: str, *, before: bool) -> None:
    original = getattr(Ledger, name)

    def dying(*args: Any, **named: Any) -> Any:
        if not before:
            original(*args, **named)
        raise Killed

    monkeypatch.setattr(Ledger, name, dying)


KILLS: dict[str, tuple[str, bool]] = {
    f"{'before' if before else 'after'} {name}": (name, before)
    for name in ("begin_applying", "add_version", "finish_run")
    for before in (True, False)
}


@pytest.mark.parametrize("shop", [("sqlite", "sqlite")], indirect=True, ids=pair_name)
def test_a_mark_moves_with_the_version_and_never_before_the_rows_are_in(
    shop: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.source.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT)", "INSERT INTO items VALUES (1, 'a')")
    write(shop, "id")
    read(shop)
    for number, (name, before) in enumerate(KILLS.values(), 2):
        known = mark(shop)
        shop.source.insert("items", [(number, f"n{number}")])
        with monkeypatch.context() as patched:
            killed(patched, name, before=before)
            with pytest.raises(Killed):
                shop.run()
        with ledger_of(shop.spec) as ledger:
            assert (mark(shop) != known) == (len(ledger.versions("shop")) == number)
        assert read(shop).cursor.since is not None
        assert shop.target.rows("item") == shop.source.rows("items")
    # what changed nothing moves the mark, too
    write(shop, {"column": "id", "overlap": 0}, {"item": {**TABLES["item"], "columns": {"id": "id"}}})
    assert read(shop).cursor.why == "spec"
    known = mark(shop)
    shop.source.execute("INSERT INTO items VALUES (2000, 'x')")
    shop.target.execute("INSERT INTO item VALUES (2000, 'x')")
    assert not shop.run().report.version
    assert mark(shop) != known


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    return Scenario.make(tmp_path, request.param, request)


@pytest.mark.parametrize("shop", [("postgresql", "sqlite")], indirect=True, ids=pair_name)
def test_transactions_that_end_late_are_not_missed(shop: Scenario) -> None:
    """By column without any overlap, since PostgreSQL says who is writing; and by the versions of rows, which no update escapes."""
    shop.source.execute(
        "CREATE TABLE items (id int PRIMARY KEY, name text, updated_at timestamptz NOT NULL DEFAULT now())",
        "INSERT INTO items VALUES (1, 'a', '2020-01-01'), (2, 'b', '2020-01-01')",
    )
    versions = {"item": {"from": "items", "columns": {"id": "id", "name": "name"}, "cursor": "xmin"}}
    for number, (cursor, tables) in enumerate([({"column": "updated_at", "overlap": "0s"}, TABLES), ("off", versions)]):
        write(shop, cursor, tables)
        read(shop)
        late, early = 10 * number + 3, 10 * number + 4
        with psycopg.connect(shop.source.place) as writing:
            writing.execute(f"SET search_path TO {shop.source.schema}")
            writing.execute(f"INSERT INTO items VALUES ({late}, 'late')")
            shop.source.execute(f"INSERT INTO items VALUES ({early}, 'early')")
            assert read(shop).counts.insert == 1
        first = read(shop)
        assert (first.cursor.why, first.counts.insert) == (None, 1)
        if tables is versions:
            shop.source.execute("UPDATE items SET name = 'unstamped' WHERE id = 1", "DELETE FROM items WHERE id = 2")
            found = read(shop)
            assert (found.cursor.rows, found.counts.update, found.counts.delete) == (1, 1, 0)
            assert "transaction" in found.cursor.since
    # of a view there are no versions, and none so old that they cannot be told
    with open_source_of(shop) as source:
        assert source.written_since(100, 100 + 2**31) is None
        assert source.written_since(200, 100) is None
        oldest = source.oldest_writer()
        assert oldest is not None and oldest <= datetime.now(UTC) + timedelta(seconds=5)


class open_source_of:
    def __init__(self, shop: Scenario) -> None:
        self.source = open_source(shop.source.place)

    def __enter__(self) -> RowVersions:
        assert isinstance(self.source, RowVersions)
        return self.source

    def __exit__(self, *_: object) -> None:
        self.source.close()


@pytest.mark.parametrize("shop", [("sqlite", "sqlite")], indirect=True, ids=pair_name)
def test_check_says_what_a_cursor_costs(shop: Scenario) -> None:
    shop.source.execute(
        "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, at DATETIME)",
        "CREATE TABLE tags (id INTEGER PRIMARY KEY)",
        "INSERT INTO items VALUES (1, 'a', NULL), (2, 'b', '2026-01-01 00:00:00')",
    )
    write(shop, "at", {**TABLES, "tag": {"from": "tags", "columns": {"id": "id"}}})

    def told() -> set[tuple[str, str | None]]:
        return {(each.code, each.table) for each in assess(shop.spec, datetime.now(UTC)).warnings}

    assert told() == {("cursor_without_index", "item"), ("cursor_nulls", "item"), ("cursor_not_there", "tag")}
    shop.source.execute("CREATE INDEX by_time ON items (at)", "DELETE FROM items WHERE at IS NULL")
    assert told() == {("cursor_not_there", "tag")}


NEW_YORK = Scale(pa.timestamp("us"), "America/New_York")
AUTUMN: list[tuple[datetime, datetime, datetime]] = [
    # the mark, what time it is in New York's zone of UTC, and from where on rows may be new
    (datetime(2026, 11, 1, 0, 30), datetime(2026, 11, 1, 5, 0, tzinfo=UTC), datetime(2026, 11, 1, 0, 20)),
    (datetime(2026, 11, 1, 1, 50), datetime(2026, 11, 1, 6, 30, tzinfo=UTC), datetime(2026, 11, 1, 0, 40)),
    (datetime(2026, 11, 1, 3, 0), datetime(2026, 11, 1, 9, 0, tzinfo=UTC), datetime(2026, 11, 1, 2, 50)),
    (datetime(2026, 3, 8, 1, 50), datetime(2026, 3, 8, 7, 30, tzinfo=UTC), datetime(2026, 3, 8, 1, 40)),
    (datetime(2026, 6, 1, 12, 0), datetime(2027, 6, 1, 12, 0, tzinfo=UTC), datetime(2026, 6, 1, 10, 50)),
]


def test_a_naive_mark_begins_an_hour_earlier_where_clocks_were_set_back_since() -> None:
    for known, now, start in AUTUMN:
        assert NEW_YORK.start(known, timedelta(minutes=10), now) == start
    days = Scale(pa.date32(), "UTC")
    assert str(days.start(datetime(2026, 5, 2).date(), timedelta(minutes=10), datetime.now(UTC))) == "2026-05-01"
    assert Scale(pa.int64(), None).start(100, 7, datetime.now(UTC)) == 93
    for scale, text in ((NEW_YORK, "2026-11-01T01:50:00"), (days, "2026-05-02"), (Scale(pa.int64(), None), "12")):
        assert scale.written(scale.read(text)) == text
    least = pa.array([-(2**63 - 1)]).cast(pa.timestamp("us", "UTC"))
    assert Scale(least.type, None).mark(least[0], datetime.now(UTC)) is None
    with pytest.raises(ValueError, match="2026-11"):
        NEW_YORK.read("2026-11-01T01:50:00+00:00")
