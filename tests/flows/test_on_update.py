"""An update changes a value that others refer to: what ON UPDATE would do with them is part of the plan, or the plan is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario import Engine, Scenario, changes, counts, quarantine

from flows.commands import Status
from transforms.vocabulary import PlanError

ENGINES: tuple[Engine, ...] = ("sqlite", "postgresql", "mysql")
SITE = "CREATE TABLE site (no integer PRIMARY KEY, code varchar(9) NOT NULL UNIQUE)"


def made(folder: Path, engine: Engine, request: pytest.FixtureRequest, children: str, *tables: str) -> Scenario:
    """Three sites with codes that tables of the target refer to; the source gives the second one another code."""
    shop = Scenario.make(folder, ("sqlite", engine), request)
    shop.source.execute(SITE)
    shop.target.execute(SITE, *tables)
    for side in (shop.source, shop.target):
        side.insert("site", [(1, "a"), (2, "b"), (3, "c")])
    shop.source.execute("UPDATE site SET code = 'B2' WHERE no = 2")
    shop.write({"site": {"from": "site", "key": "no"}}, defaults={"delete": {"children": children, "max_ratio": 1.0}})
    return shop


def device(action: str, more: str = "") -> str:
    return (
        f"CREATE TABLE device (no integer PRIMARY KEY, site varchar(9){more}, name varchar(9), "
        f"FOREIGN KEY (site) REFERENCES site (code) ON UPDATE {action})"
    )


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("action", "becomes"), [("CASCADE", "B2"), ("SET NULL", None)])
def test_rows_beside_the_spec_follow_as_the_key_says(
    engine: Engine, action: str, becomes: str | None, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = made(tmp_path, engine, request, "plan", device(action))
    shop.target.insert("device", [(11, "a", "x"), (12, "b", "y"), (13, "b", None), (14, None, "z")])
    before = shop.target.content()
    planned = shop.plan()
    told = next(each for each in planned.report.tables if not each.in_spec)
    assert (told.counts.update, told.counts.delete) == (2, 0)
    assert len(changes(planned)["device"]["after"]) >= 2
    done = shop.run()
    assert done.status == Status.DONE
    assert counts(done, told.name) == {"source_rows": 2, "update": 2}
    assert shop.target.rows("device") == [(11, "a", "x"), (12, becomes, "y"), (13, becomes, None), (14, None, "z")]
    assert shop.target.rows("site") == [(1, "a"), (2, "B2"), (3, "c")]
    assert shop.plan().status == Status.DONE
    assert shop.undo(1).status == Status.DONE
    assert shop.target.content() == before


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("why", ["refuse", "its key", "source"])
def test_what_on_update_would_do_unplanned_is_refused(
    engine: Engine, why: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    own = "CREATE TABLE device (no varchar(9), site varchar(9) PRIMARY KEY, FOREIGN KEY (site) REFERENCES site (code) ON UPDATE CASCADE)"
    shop = made(
        tmp_path,
        engine,
        request,
        "refuse" if why == "refuse" else "plan",
        own if why == "its key" else device("CASCADE"),
    )
    rows = [("x", "b"), ("y", "a")] if why == "its key" else [(12, "b", "y"), (13, "a", None)]
    shop.target.insert("device", rows)
    if why == "source":  # which has the device with a code that is no site's any more
        shop.source.execute("CREATE TABLE device (no integer PRIMARY KEY, site varchar(9), name varchar(9))")
        shop.source.insert("device", rows)
        shop.write({name: {"from": name, "key": "no"} for name in ("site", "device")})
    before = shop.target.content()
    with pytest.raises(
        PlanError, match=r"site: updates change \(code\), and ON UPDATE CASCADE would change 1 row of"
    ) as error:
        shop.run()
    assert "device" in str(error.value)
    assert ("children: plan" in error.value.fix) == (why == "refuse")
    assert shop.target.content() == before
    shop.target.execute("UPDATE device SET site = 'c' WHERE site = 'b'")
    if why == "source":
        shop.source.execute("UPDATE device SET site = 'c' WHERE site = 'b'")
    assert shop.run().status == Status.DONE


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_values_are_followed_from_level_to_level(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A reference that is unique itself, and referred to by others; some of which go with another row that is deleted."""
    shop = made(
        tmp_path, engine, request, "plan", device("CASCADE ON DELETE CASCADE", " UNIQUE"),
        "CREATE TABLE part (no integer PRIMARY KEY, site varchar(9), at integer, "
        "FOREIGN KEY (site) REFERENCES device (site) ON UPDATE CASCADE ON DELETE SET NULL, "
        "FOREIGN KEY (at) REFERENCES site (no) ON DELETE SET NULL)",
    )  # fmt: skip
    shop.target.insert("device", [(11, "a", "x"), (12, "b", "y"), (13, "c", "z")])
    shop.target.insert("part", [(21, "b", 3), (22, "a", 1), (23, "c", 1)])
    shop.source.execute("DELETE FROM site WHERE no = 3")
    before = shop.target.content()
    done = shop.run()
    assert done.status == Status.DONE
    assert shop.target.content() == {
        "site": [(1, "a"), (2, "B2")],
        "device": [(11, "a", "x"), (12, "B2", "y")],
        "part": [(21, "B2", None), (22, "a", 1), (23, None, 1)],
    }
    assert shop.plan().status == Status.DONE
    assert shop.undo(1).status == Status.DONE
    assert shop.target.content() == before


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("action", ["CASCADE", "SET NULL"])
def test_a_value_stays_that_rows_came_to_refer_to_after_planning(
    engine: Engine, action: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = made(tmp_path, engine, request, "plan", device(action))
    shop.source.execute("UPDATE site SET code = 'C2' WHERE no = 3")
    shop.target.insert("device", [(11, "b", "x")])
    planned = shop.plan()
    shop.target.insert("device", [(12, "c", "y")])
    done = shop.apply(planned.report.plan)
    assert counts(done, "site")["update"] == 1
    assert [key for _, key, reason in quarantine(shop) if f"ON UPDATE {action}" in reason] == [[3]]
    becomes = "B2" if action == "CASCADE" else None
    assert shop.target.content() == {
        "site": [(1, "a"), (2, "B2"), (3, "c")],
        "device": [(11, becomes, "x"), (12, "c", "y")],
    }
    assert shop.run().status == Status.DONE
    assert quarantine(shop) == []
    assert shop.target.rows("site") == [(1, "a"), (2, "B2"), (3, "C2")]
    shop.target.insert("device", [(13, "C2", "z")])
    before = shop.target.content()
    with pytest.raises(PlanError, match="device"):  # an undo would give the site its old code
        shop.undo(2)
    assert shop.target.content() == before


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_rows_of_the_table_itself_that_the_plan_lets_follow_stand_in_no_way(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = Scenario.make(tmp_path, ("sqlite", engine), request)
    node = "CREATE TABLE node (no integer PRIMARY KEY, code varchar(9) UNIQUE, up varchar(9)"
    shop.source.execute(f"{node})")
    shop.target.execute(f"{node}, FOREIGN KEY (up) REFERENCES node (code) ON UPDATE CASCADE)")
    shop.write({"node": {"from": "node", "key": "no"}}, defaults={"window": 2})
    first = [(1, "a", "c"), (2, "b", "a"), (3, "c", None), (4, "d", "c"), (5, "e", "a")]
    shop.source.insert("node", first)
    assert shop.run().status == Status.DONE
    shop.source.execute(
        "UPDATE node SET code = 'A2' WHERE no = 1",
        "UPDATE node SET up = 'A2' WHERE no = 5",
        "UPDATE node SET up = 'd' WHERE no = 2",
    )
    planned = shop.plan()
    if engine == "sqlite":
        shop.target.execute("UPDATE node SET up = 'a' WHERE no = 4")
        shop.apply(planned.report.plan)
        assert [key for _, key, reason in quarantine(shop) if "ON UPDATE CASCADE" in reason] == [[1]]
        assert shop.target.rows("node")[0] == (1, "a", "c")
    assert shop.run().status == Status.DONE
    assert shop.target.rows("node") == [(1, "A2", "c"), (2, "b", "d"), (3, "c", None), (4, "d", "c"), (5, "e", "A2")]
