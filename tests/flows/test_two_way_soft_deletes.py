"""Tables that go both ways, and whose rows the target flags as deleted instead of deleting them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario import RING, Rows, Scenario, Side, pair_name

from flows.commands import Status

everywhere = pytest.mark.parametrize("shop", RING, indirect=True, ids=pair_name)
FLAGS: dict[str, tuple[str, str, str]] = {
    "postgresql": ("timestamp", "NULL", "TIMESTAMP '2026-01-01 10:00:00'"),
    "sqlite": ("boolean", "0", "1"),
    "duckdb": ("boolean", "NULL", "true"),
    "mysql": ("datetime(6)", "NULL", "TIMESTAMP '2026-01-01 10:00:00'"),
}


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Items 1 to 8 in windows of three; 8 is flagged on the target, and not in the source."""
    made = Scenario.make(tmp_path, getattr(request, "param", ("sqlite", "sqlite")), request)
    made.source.execute("CREATE TABLE old (no integer PRIMARY KEY, title varchar(20), price integer)")
    kind, clear, flag = FLAGS[made.target.engine]
    made.target.execute(f"CREATE TABLE item (id integer PRIMARY KEY, name varchar(20), price integer, gone {kind})")
    made.source.insert("old", [(no, f"n{no}", no) for no in range(1, 8)])
    made.target.execute(f"INSERT INTO item VALUES (8, 'n8', 8, {flag}), (1, 'n1', 1, {clear})")
    write(made)
    assert made.run().status is Status.DONE
    return made


def write(shop: Scenario, **table: Any) -> None:
    columns = {"id": "no", "name": "title", "price": "price"}
    delete = {"policy": "soft", "column": "gone", "max_ratio": 1.0}
    entry = {"from": "old", "key": ["id"], "columns": columns, "delete": delete} | table
    shop.write({"item": entry}, direction="two_way", initial="policy", defaults={"window": 3})


def flag(shop: Scenario, *ids: int, clear: bool = False) -> str:
    _, no, yes = FLAGS[shop.target.engine]
    return f"UPDATE item SET gone = {no if clear else yes} WHERE id IN ({', '.join(map(str, ids))})"


def there(side: Side) -> Rows:
    """The rows that are there for people."""
    if "old" in side.tables():
        return side.rows("old")
    return sorted(row[:3] for row in side.rows("item") if not row[3])


def flagged(shop: Scenario) -> list[int]:
    return sorted(row[0] for row in shop.target.rows("item") if row[3])


def alike(shop: Scenario) -> None:
    """Both sides are equal for people, and a second run writes nothing."""
    assert there(shop.source) == there(shop.target)
    shop.settled()
    before = shop.source.content(), shop.target.content()
    again = shop.run()
    assert (again.status, again.report.pending) == (Status.DONE, False), again.message
    assert (shop.source.content(), shop.target.content()) == before


@everywhere
def test_a_deletion_flags_the_row_and_a_flag_is_a_deletion_until_it_is_cleared(shop: Scenario) -> None:
    assert flagged(shop) == [8]
    alike(shop)
    shop.source.execute(
        "DELETE FROM old WHERE no IN (1, 2)",
        "INSERT INTO old VALUES (8, 'again', 80)",
        "UPDATE old SET price = 30 WHERE no = 3",
    )
    shop.target.execute(flag(shop, 2, 4, 5), "INSERT INTO item (id, name, price) VALUES (9, 'n9', 9)")
    before = shop.source.content(), shop.target.content()
    outcome = shop.run()
    assert outcome.status is Status.DONE, outcome.message
    counts = outcome.report.tables[0].counts
    assert (counts.insert, counts.update, counts.delete) == (0, 2, 1)
    assert there(shop.source) == [(3, "n3", 30), (6, "n6", 6), (7, "n7", 7), (8, "again", 80), (9, "n9", 9)]
    assert flagged(shop) == [1, 2, 4, 5]
    alike(shop)
    after = shop.source.content(), shop.target.content()
    assert outcome.report.version is not None
    shop.undo(outcome.report.version)
    assert (shop.source.content(), shop.target.content()) == before
    assert shop.run().status is Status.DONE
    assert (there(shop.source), flagged(shop)) == (sorted(after[0]["old"]), [1, 2, 4, 5])
    shop.target.execute(flag(shop, 1, 4, clear=True), "UPDATE item SET price = 44 WHERE id = 4")
    assert shop.run().status is Status.DONE
    assert [row for row in there(shop.source) if row[0] < 5] == [(1, "n1", 1), (3, "n3", 30), (4, "n4", 44)]
    alike(shop)


def test_a_flag_against_an_edit_is_open_or_goes_by_the_policy(shop: Scenario) -> None:
    shop.source.execute("UPDATE old SET price = 10 WHERE no = 1", "DELETE FROM old WHERE no = 2")
    shop.target.execute(flag(shop, 1), "UPDATE item SET price = 20 WHERE id = 2")
    before = shop.source.content(), shop.target.content()
    assert shop.run().status is Status.CONFLICTS
    assert (shop.source.content(), shop.target.content()) == before
    write(shop, conflict={"delete": "update_wins"})
    assert shop.run().status is Status.DONE
    assert there(shop.source)[:2] == [(1, "n1", 10), (2, "n2", 20)]
    alike(shop)
    shop.source.execute("UPDATE old SET price = 11 WHERE no = 1", "DELETE FROM old WHERE no = 2")
    shop.target.execute(flag(shop, 1), "UPDATE item SET price = 21 WHERE id = 2")
    write(shop, conflict={"delete": "delete_wins"})
    assert shop.run().status is Status.DONE
    assert flagged(shop) == [1, 2, 8]
    alike(shop)


def test_what_both_sides_deleted_and_what_a_part_deletes_is_flagged_once(shop: Scenario) -> None:
    shop.source.execute("DELETE FROM old WHERE no IN (1, 2, 6)")
    shop.target.execute(flag(shop, 1, 7))
    assert shop.run(ranges=["item.id:1..3"]).status is Status.DONE
    assert (flagged(shop), len(there(shop.source))) == ([1, 2, 7, 8], 4)
    shop.target.execute("DELETE FROM item WHERE id = 5")
    assert shop.run().status is Status.DONE
    assert [row[0] for row in there(shop.source)] == [3, 4]
    alike(shop)
