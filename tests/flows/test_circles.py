"""Tables whose foreign keys go in a circle: rows that need each other go in together, or in two steps, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cutting_off import full_disk_at
from scenario import Scenario, counts, quarantine

from flows.commands import Status
from flows.history.version_list import listed
from transforms.vocabulary import PlanError

DEFAULTS = {"window": 2, "delete": {"max_ratio": 1.0}}
DEFERRABLE = ("", " DEFERRABLE", " DEFERRABLE INITIALLY DEFERRED")


def circle(shop: Scenario, *, null: str = "", late: Sequence[str] = ("", "")) -> None:
    """Stores and their staff; `null` is the column that may be, `late` is how the keys of both are deferred."""
    for side, kind in ((shop.source, "integer"), (shop.target, "bigint")):
        makes = []
        for (name, column, other), when in zip(TABLES, late, strict=True):
            need = "" if null == column else " NOT NULL"
            key = f", FOREIGN KEY ({column}) REFERENCES {other} (id){when}"
            made = key if side.engine == "sqlite" and side is shop.target else ""
            makes.append(f"CREATE TABLE {name} (id {kind} PRIMARY KEY, {column} {kind}{need}, title varchar(20){made})")
        side.execute(*makes)
    if shop.target.engine != "sqlite":
        for (name, column, other), when in zip(TABLES, late, strict=True):
            shop.target.execute(f"ALTER TABLE {name} ADD FOREIGN KEY ({column}) REFERENCES {other} (id){when}")
    shop.write({name: {"from": name, "key": ["id"]} for name, _, _ in TABLES}, defaults=DEFAULTS)


deferred = pytest.mark.parametrize(
    ("shop", "late"),
    [("postgresql", ("", each)) for each in DEFERRABLE[1:]] + [("sqlite", ("", ""))],
    indirect=["shop"],
)
together = pytest.mark.parametrize(
    ("shop", "late"), [("postgresql", ("", DEFERRABLE[1])), ("sqlite", ("", ""))], indirect=["shop"]
)

TABLES = (("store", "manager", "staff"), ("staff", "store", "store"))


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """The target's engine, by the test's parameter."""
    return Scenario.make(tmp_path, ("sqlite", request.param), request)


def fill(shop: Scenario, stores: Sequence[Any], staff: Sequence[Any]) -> None:
    shop.source.execute("DELETE FROM store", "DELETE FROM staff")
    shop.source.insert("store", stores)
    shop.source.insert("staff", staff)


def refuse(shop: Scenario, table: str, title: str) -> None:
    """A trigger of the target that refuses new rows of a title."""
    if shop.target.engine == "sqlite":
        shop.target.execute(
            f"CREATE TRIGGER no BEFORE INSERT ON {table} WHEN new.title = '{title}' BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
        return
    shop.target.execute(
        f"CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF new.title = '{title}' THEN "
        "RAISE EXCEPTION 'refused'; END IF; RETURN new; END $$",
        f"CREATE TRIGGER no BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION no()",
    )


def states(shop: Scenario, *, hole: bool = False) -> None:
    """Rows that need each other come, change partners and go, by windows of two; each time nothing is left to do, and all of it
    can be taken back."""
    empty = shop.target.content()
    none = None if hole else 1
    seen = [empty]
    for stores, staff in (
        ([(1, 1, "a"), (2, 3, "b"), (3, none, "c")], [(1, 1, "x"), (2, 1, "y"), (3, 2, "z"), (4, 3, "w")]),
        ([(1, 4, "a"), (3, 1, "c"), (4, 5, "d")], [(1, 3, "x"), (2, 1, "y"), (4, 4, "W"), (5, 4, "v")]),
        ([(7, 7, "n")], [(7, 7, "n")]),
        ([], []),
    ):
        fill(shop, stores, staff)
        done = shop.run()
        assert done.status == Status.DONE
        assert shop.target.rows("store") == sorted(stores, key=str)
        assert shop.target.rows("staff") == sorted(staff, key=str)
        assert not shop.plan().report.pending
        shop.settled()
        seen.append(shop.target.content())
    version = len(seen) - 1
    for step in range(version):
        assert shop.undo(version - step).status == Status.DONE
        assert shop.target.content() == seen[-2 - step]
    assert shop.undo(version + 1, to=True).status == Status.DONE, "all but the last undo are undone, in one go"
    assert shop.target.content() == seen[-2]


@deferred
def test_rows_that_need_each_other_go_together_where_a_key_can_wait(shop: Scenario, late: Sequence[str]) -> None:
    circle(shop, late=late)
    states(shop)


@pytest.mark.parametrize("shop", ["postgresql", "mysql"], indirect=True)
@pytest.mark.parametrize("null", ["manager", "store"])
def test_rows_that_need_each_other_go_in_two_steps_where_a_column_may_be_null(shop: Scenario, null: str) -> None:
    circle(shop, null=null)
    states(shop, hole=null == "manager")


@pytest.mark.parametrize("shop", ["postgresql", "mysql"], indirect=True)
def test_rows_that_need_each_other_are_refused_where_nothing_helps(shop: Scenario) -> None:
    circle(shop)
    fill(shop, [(1, 1, "a")], [(1, 1, "x")])
    with pytest.raises(PlanError) as refused:
        shop.run()
    first = "make the foreign key " if shop.target.engine == "postgresql" else "let "
    assert "1 row of" in str(refused.value)
    assert f"Fix: in the target, {first}" in str(refused.value)
    assert "store.manager or" in str(refused.value) or "staff.store or" in str(refused.value)
    assert shop.target.count("store") == shop.target.count("staff") == 0


@together
def test_a_row_that_is_refused_stays_out_with_those_that_need_it_and_all_others_go_in(
    shop: Scenario, late: Sequence[str]
) -> None:
    circle(shop, late=late)
    refuse(shop, "staff", "bad")
    # 9 is refused, 2 has 9 for its manager, 8 works in 2; 4 has a manager who is nobody
    fill(shop, [(1, 1, "a"), (2, 9, "b"), (4, 99, "d")], [(1, 1, "x"), (3, 1, "z"), (8, 2, "y"), (9, 1, "bad")])
    done = shop.run()
    assert shop.target.rows("store") == [(1, 1, "a")]
    assert shop.target.rows("staff") == [(1, 1, "x"), (3, 1, "z")]
    assert counts(done, "store") == {"source_rows": 3, "insert": 1, "quarantined": 2}
    assert counts(done, "staff") == {"source_rows": 4, "insert": 2, "quarantined": 2}
    aside = {(table, key[0]): reason for table, key, reason in quarantine(shop)}
    assert set(aside) == {("store", 2), ("store", 4), ("staff", 8), ("staff", 9)}
    assert aside.pop(("store", 4)).startswith("no staff has this id")  # which the plan knows
    assert all("refused by the target" in reason for reason in aside.values())
    shop.source.execute("UPDATE staff SET title = 'good' WHERE id = 9", "UPDATE store SET manager = 8 WHERE id = 4")
    assert shop.run().status == Status.DONE
    assert quarantine(shop) == []
    shop.settled()


@together
def test_all_of_what_goes_together_is_in_or_nothing_of_it(shop: Scenario, late: Sequence[str]) -> None:
    circle(shop, late=late)
    fill(shop, [(1, 1, "a"), (2, 2, "b"), (3, 3, "c")], [(1, 1, "x"), (2, 2, "y"), (3, 3, "z")])
    with full_disk_at(3):
        shop.run()
    assert shop.target.count("store") == shop.target.count("staff") == 0
    shop.run()
    assert shop.target.count("store") == shop.target.count("staff") == 3
    assert [(each["version"], each["counts"]["insert"]) for each in listed(shop.spec)] == [(1, 6)]
    shop.settled()
    assert shop.undo(1).status == Status.DONE
    assert shop.target.count("store") == 0


@pytest.mark.parametrize("shop", ["postgresql", "mysql", "sqlite"], indirect=True)
def test_values_that_others_refer_to_change_with_the_rows_that_refer_to_them(shop: Scenario) -> None:
    shop.source.execute(
        "CREATE TABLE kind (id integer PRIMARY KEY, code varchar(5))",
        "CREATE TABLE item (id integer PRIMARY KEY, kind varchar(5))",
    )
    shop.target.execute(
        "CREATE TABLE kind (id integer PRIMARY KEY, code varchar(5) NOT NULL UNIQUE)",
        "CREATE TABLE item (id integer PRIMARY KEY, kind varchar(5), FOREIGN KEY (kind) REFERENCES kind (code))",
    )
    shop.source.insert("kind", [(1, "a"), (2, "b"), (3, "c")])
    shop.source.insert("item", [(1, "a"), (2, "a"), (3, "b"), (4, "c")])
    shop.write({"kind": {"from": "kind", "key": ["id"]}, "item": {"from": "item", "key": ["id"]}}, defaults=DEFAULTS)
    assert shop.run().status == Status.DONE
    first = shop.target.content()
    shop.source.execute(
        "UPDATE kind SET code = 'A' || code",
        "UPDATE item SET kind = 'A' || kind",
        "DELETE FROM item WHERE id = 4",
        "INSERT INTO item VALUES (5, 'Ac')",
    )
    done = shop.run()
    assert (done.status, counts(done, "item")) == (
        Status.DONE,
        {"source_rows": 4, "insert": 1, "update": 3, "delete": 1},
    )
    assert shop.target.rows("item") == [(1, "Aa"), (2, "Aa"), (3, "Ab"), (5, "Ac")]
    shop.settled()
    second = shop.target.content()
    assert shop.undo(2).status == Status.DONE
    assert shop.target.content() == first
    assert shop.undo(3).status == Status.DONE
    assert shop.target.content() == second


@pytest.mark.parametrize("shop", ["postgresql", "mysql"], indirect=True)
def test_tables_of_a_circle_go_in_order_where_one_of_them_has_nothing_to_write(shop: Scenario) -> None:
    names = ("a", "b", "c")
    for side in (shop.source, shop.target):
        side.execute(*(f"CREATE TABLE {name} (id integer PRIMARY KEY, r integer)" for name in names))
    for name, other in zip(names, "bca", strict=True):
        shop.target.execute(f"ALTER TABLE {name} ADD FOREIGN KEY (r) REFERENCES {other} (id)")
    shop.write({name: {"from": name} for name in names}, defaults=DEFAULTS)
    for name in names:
        shop.source.insert(name, [(1, 1)])
    assert shop.run().status == Status.DONE
    for new, old in zip(names, "cab", strict=True):  # the row that is referred to is another one
        shop.source.execute(f"UPDATE {new} SET id = 2", f"UPDATE {old} SET r = 2")
        assert shop.run().status == Status.DONE
        assert shop.target.content() == shop.source.content()
        shop.source.execute(f"UPDATE {new} SET id = 1", f"UPDATE {old} SET r = 1")
        assert shop.run().status == Status.DONE
    assert shop.target.content() == shop.source.content()
