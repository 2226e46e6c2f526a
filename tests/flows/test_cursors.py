"""Runs that read what is new by a cursor column, on every engine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from command_line import answer, syncline
from scenario import RING, Scenario, counts, pair_name

from flows.commands import Status
from flows.proof.drift import accept, looked
from transforms.vocabulary import SpecError

NOON = datetime(2026, 3, 1, 12)
TIMES = {"sqlite": "DATETIME", "duckdb": "TIMESTAMP", "postgresql": "TIMESTAMP", "mysql": "DATETIME(6)"}
CURSOR = {"column": "updated_at", "overlap": "10m"}
TABLES: dict[str, Any] = {
    "region": {"from": "regions", "cursor": "off", "columns": {"id": "id", "name": "name"}},
    "customer": {
        "from": "customers",
        "columns": {
            "id": "id",
            "name": "name",
            "region": {"lookup": {"table": "region", "match": {"name": "region"}, "take": "id"}},
        },
    },
}


def at(minutes: int) -> str:
    return f"{NOON + timedelta(minutes=minutes):%Y-%m-%d %H:%M:%S}"


class Shop(Scenario):
    """Customers in regions; each change of a customer is stamped with its minute after noon."""

    def fill(self, **rest: Any) -> None:
        kind = TIMES[self.source.engine]
        self.source.execute(
            "CREATE TABLE regions (id INTEGER PRIMARY KEY, name VARCHAR(40) NOT NULL)",
            f"CREATE TABLE customers (id INTEGER PRIMARY KEY, name VARCHAR(40), region VARCHAR(40), updated_at {kind})",
        )
        self.source.insert("regions", [(1, "north"), (2, "south")])
        self.source.insert("customers", [(n, f"c{n}", "north", at(-100 - n)) for n in range(1, 21)])
        self.write_with(**rest)

    def write_with(self, cursor: Any = CURSOR, tables: Any = TABLES, **rest: Any) -> None:
        defaults = {"delete": {"max_ratio": 1.0}, "quarantine": {"max_ratio": 1.0}, "cursor": cursor}
        endpoint = {**self.source.endpoint, "time_zone": "UTC"}
        self.write(tables, **{"defaults": defaults, "source": endpoint, **rest})

    def put(self, number: int, name: str, region: str, minute: int | None) -> None:
        self.source.execute(f"DELETE FROM customers WHERE id = {number}")
        self.source.insert("customers", [(number, name, region, None if minute is None else at(minute))])

    def read(self, **asked: Any) -> Any:
        """A run, as its report says of the customers."""
        outcome = self.run(**asked)
        assert outcome.status is Status.DONE, outcome.message
        return next(each for each in outcome.report.tables if each.name == "customer")

    def names(self) -> dict[int, str]:
        return {int(number): name for number, name in self.target.ask('SELECT id, name FROM "customer"')}


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    made = Shop.make(tmp_path, request.param, request)
    made.fill()
    return made


every = pytest.mark.parametrize("shop", RING, indirect=True, ids=pair_name)
here = pytest.mark.parametrize("shop", [("sqlite", "duckdb")], indirect=True, ids=pair_name)


@every
def test_a_run_reads_what_is_new_and_a_full_one_settles_the_rest(shop: Shop) -> None:
    first = shop.read()
    assert first.cursor.why == "first"
    assert first.counts.insert == 20

    shop.put(3, "new name", "north", 0)
    shop.put(21, "born", "south", 1)
    shop.put(22, "no stamp", "south", None)
    shop.put(23, "waits", "nowhere", 2)
    shop.source.execute("DELETE FROM customers WHERE id = 4")
    second = shop.read()
    # the newest row before stands at minute -101, and the overlap goes ten minutes below it: ten rows besides
    assert (second.cursor.since, second.cursor.rows) == (f"{NOON - timedelta(minutes=111):%Y-%m-%dT%H:%M:%S}", 13)
    assert (second.counts.insert, second.counts.update, second.counts.delete) == (2, 1, 0)
    assert second.counts.quarantined == 1
    assert 4 in shop.names()

    # the row that waited is older than the overlap by now, and so is its region: it comes with its region all the same
    shop.put(24, "later", "north", 60)
    assert shop.read().counts.insert == 1
    shop.source.insert("regions", [(3, "nowhere")])
    third = shop.read()
    assert (third.counts.insert, third.counts.quarantined) == (1, 0)
    assert third.cursor.rows == 2  # the one at minute 60, and the one without a stamp

    # ties at the mark are read again; what is older by more than the overlap is not
    shop.put(25, "tie", "north", 60)
    shop.put(5, "late", "north", 20)
    assert shop.read().counts.insert == 1
    assert shop.names()[5] == "c5"
    assert shop.verify().status is not Status.DONE

    full = shop.read(full=True)
    assert (full.cursor.why, full.counts.update, full.counts.delete) == ("asked", 1, 1)
    shop.settled()
    assert shop.read().counts.changes == 0


@here
def test_what_a_mark_does_not_say_for_certain_is_read_whole(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.read()
    assert shop.read().cursor.since is not None

    # another spec maps other rows: all are new to it
    shop.write_with(tables={**TABLES, "customer": {**TABLES["customer"], "where": "id < 20"}})
    assert shop.read().cursor.why == "spec"
    shop.write_with()
    assert shop.read().cursor.why == "spec"

    # a column that is altered stamps no row
    shop.source.execute("ALTER TABLE customers RENAME TO before", "ALTER TABLE before RENAME COLUMN name TO n")
    shop.source.execute(
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, name VARCHAR(41), region VARCHAR(40), updated_at DATETIME)",
        "INSERT INTO customers SELECT id, upper(n), region, updated_at FROM before",
    )
    accept(shop.spec, looked(shop.spec)[0], datetime.now(UTC))
    altered = shop.read()
    assert (altered.cursor.why, altered.counts.update) == ("shapes", 20)

    # another database under the same name: the environment may say which one it is
    elsewhere = shop.folder / "elsewhere.db"
    elsewhere.write_bytes(Path(shop.source.place).read_bytes())
    shop.path.write_text(shop.path.read_text().replace("legacy.db", "${LEGACY}"))
    monkeypatch.setenv("LEGACY", "legacy.db")
    assert [shop.read().cursor.why for _ in range(2)] == ["spec", None]
    monkeypatch.setenv("LEGACY", "elsewhere.db")
    assert [shop.read().cursor.why for _ in range(2)] == ["shapes", None]
    shop.write_with()
    shop.read()

    # the newest row is gone, as where clocks were set back: what is stamped below the mark by now could be new
    shop.source.execute("DELETE FROM customers WHERE id = 1")
    shop.put(2, "clock", "north", -500)
    back = shop.read()
    assert (back.cursor.why, back.counts.update, back.counts.delete) == ("clock", 1, 1)

    # a stamp ahead of the clock is no mark: what is written until then would be missed
    shop.put(30, "future", "north", 60 * 24 * 365 * 100)
    shop.read()
    now = (datetime.now(UTC).replace(tzinfo=None) - NOON) // timedelta(minutes=1)
    shop.put(31, "now", "north", now)
    assert shop.read().counts.insert == 1

    # what was taken back is new again
    shop.put(31, "again", "north", now)
    shop.undo(int(str(shop.run().report.version)))
    assert shop.names()[31] == "now"
    undone = shop.read()
    assert (undone.cursor.why, undone.counts.update) == ("first", 1)

    # an emptied target
    shop.target.execute('DELETE FROM "customer"')
    assert (shop.read().cursor.why, len(shop.names())) == ("target", 21)


@here
def test_parts_of_a_table_are_read_whole_and_move_no_mark(shop: Shop) -> None:
    shop.read()
    shop.put(5, "old stamp", "north", -5000)
    shop.source.execute("DELETE FROM customers WHERE id = 6")
    assert shop.run(tables=["customer"]).report.total.changes == 0
    part = shop.run(ranges=["customer.id:5..7"]).report
    assert (part.total.update, part.total.delete) == (1, 1)
    assert all(each.cursor is None for each in part.tables)
    assert shop.read().cursor.since is not None


@here
def test_a_plan_that_waited_moves_no_mark_that_others_moved(shop: Shop) -> None:
    shop.read()
    shop.put(30, "planned", "north", 0)
    folder = shop.plan().report.plan
    shop.put(31, "meanwhile", "north", 30)
    shop.read()
    shop.apply(folder)
    shop.put(32, "after", "north", 25)
    assert shop.read().counts.insert == 1
    # a plan of before an undo does not bring the mark back that the undo took away
    shop.put(33, "undone", "north", 40)
    folder = shop.plan().report.plan
    done = shop.run()
    shop.undo(int(str(done.report.version)))
    shop.apply(folder)
    assert shop.read().cursor.why == "first"


@here
def test_rows_that_share_a_key_are_found_though_one_of_them_is_old(shop: Shop) -> None:
    shop.source.execute("CREATE TABLE notes (id INTEGER, text VARCHAR(20), updated_at DATETIME)")
    shop.source.insert("notes", [(1, "one", at(0)), (2, "two", at(-60))])
    tables = {"note": {"from": "notes", "key": "id", "cursor": CURSOR, "columns": {"id": "id", "text": "text"}}}
    shop.write_with(tables=tables)
    shop.run()
    shop.source.insert("notes", [(2, "twin", at(1))])
    double = shop.run()
    assert counts(double, "note") == {"source_rows": 3, "unchanged": 1, "quarantined": 2, "unproved": 1}
    assert shop.target.rows("note") == [(1, "one"), (2, "two")]
    shop.source.execute("DELETE FROM notes WHERE text = 'two'")
    shop.run()
    assert shop.target.rows("note") == [(1, "one"), (2, "twin")]


@here
def test_rows_found_changed_in_the_target_are_looked_at_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.read()
    shop.put(7, "wanted", "north", 0)
    folder = shop.plan().report.plan
    shop.target.execute("""UPDATE "customer" SET name = 'edited' WHERE id = 7""")
    assert shop.apply(folder).status is Status.CONFLICTS
    shop.put(30, "newer", "north", 60)
    shop.read()
    assert shop.names()[7] == "wanted"
    shop.put(8, "waits", "nowhere", 60)
    assert shop.read().counts.quarantined == 1
    with monkeypatch.context() as patched:
        patched.setattr("flows.plan.cursors.MOST_NEW", 1)
        assert shop.read().cursor.why == "many"
    monkeypatch.setattr("flows.plan.cursors.MOST_WAITING", 0)
    assert shop.read().cursor.why == "waiting"


WRONG: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no such column": ("updated", {}, "customers has no column updated to find new rows by. .*updated_at"),
    "the target's column": (
        "cust_name",
        {},
        "has no column cust_name: that is the target's. Fix: name the source's own, name",
    ),
    "text": ("name", {}, "name is VARCHAR.*: no number, date or time"),
    "a number for times": ({"column": "updated_at", "overlap": 5}, {}, "overlap is a number, and updated_at is"),
    "a time for numbers": ({"column": "id", "overlap": "5m"}, {}, "overlap is a time, and id is"),
    "no zone": ("updated_at", {"source": {}}, "nothing says in which time zone.*give source.time_zone"),
    "both ways": ("updated_at", {"direction": "two_way"}, "cursor is for changes that go one way"),
    "no time": ({"column": "updated_at", "overlap": "soon"}, {}, "must be a time such as"),
    "below zero": ({"column": "id", "overlap": -1}, {}, "is below zero"),
}


@pytest.mark.parametrize("shop", [("sqlite", "sqlite")], indirect=True, ids=pair_name)
def test_a_cursor_that_rows_cannot_be_found_by_is_refused(shop: Shop) -> None:
    columns = {"id": "id", "cust_name": "name"}
    for why, (cursor, more, message) in WRONG.items():
        rest = dict(more)
        if "source" in rest:
            rest["source"] = shop.source.endpoint
        shop.write_with("off", {"customer": {"from": "customers", "columns": columns, "cursor": cursor}}, **rest)
        with pytest.raises(SpecError, match=message):
            shop.plan()
            pytest.fail(why)
    # what the defaults say holds where it can be
    shop.write_with("no_such_column", {"customer": {"from": "customers", "columns": columns}})
    assert next(iter(shop.run().report.tables)).cursor is None


@here
def test_the_commands_and_the_page_say_since_when_a_table_was_read(shop: Shop) -> None:
    first = answer("run", "--direct", shop.path)["tables"]["customer"]["cursor"]
    assert first == {"column": "updated_at", "since": None, "full": "first"}
    shop.put(30, "new", "north", None)
    told = answer("plan", shop.path, status=2)["tables"]["customer"]["cursor"]
    since = f"{NOON - timedelta(minutes=111):%Y-%m-%dT%H:%M:%S}"
    assert told == {"column": "updated_at", "since": since, "full": None, "rows": 12, "of": 21, "nulls": 1}
    line = f"read since {since} by updated_at: 12 of about 21 rows (57 %), 1 row without a value among them"
    shown = syncline("run", "--direct", shop.path).stdout
    assert f"customer: {line}" in shown
    assert "region: " not in shown
    page = next(word for word in shown.split() if word.endswith("report.html"))
    assert line in (shop.folder / page).read_text()
    shop.source.execute("DELETE FROM customers WHERE id = 30")
    assert (
        "customer: all rows were read, and not what is new by updated_at: as asked."
        in syncline("run", "--direct", "--full", shop.path).stdout
    )
    assert 30 not in shop.names()
    assert answer("verify", shop.path)["tables"]["customer"].get("cursor") is None
