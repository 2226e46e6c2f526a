"""`delete: {children: …}`: what hangs below a row that is deleted, in tables that the spec does not name, is planned or refused.

Nothing happens to it that the plan did not say, and an undo gives all of it back.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cutting_off import full_disk_at
from scenario import Engine, Scenario, changes, counts

from flows.commands import Status
from transforms.vocabulary import PlanError

ENGINES: tuple[Engine, ...] = ("sqlite", "duckdb", "postgresql", "mysql")
ACTING: tuple[Engine, ...] = ("sqlite", "postgresql", "mysql")  # DuckDB has no actions
SITES = (1, 2, 3)


def made(folder: Path, engine: Engine, request: pytest.FixtureRequest, *tables: str, **more: Any) -> Scenario:
    """A site that the spec names and the source has, with what the target has besides, as its tables say."""
    found = Scenario.make(folder, ("sqlite", engine), request)
    found.source.execute("CREATE TABLE site (no integer PRIMARY KEY, name varchar(20))")
    found.target.execute("CREATE TABLE site (no integer PRIMARY KEY, name varchar(20))", *tables)
    for side in (found.source, found.target):
        side.insert("site", [(no, f"site {no}") for no in SITES])
    spec(found, **more)
    return found


def spec(scenario: Scenario, children: str = "plan", **delete: Any) -> None:
    scenario.write(
        {"site": {"from": "site", "key": "no"}},
        defaults={"delete": {"children": children, "max_ratio": 1.0, **delete}},
    )


def bare(name: str) -> str:
    """The name without its schema, which PostgreSQL's have here."""
    return name.rpartition(".")[2]


def lose(scenario: Scenario, *numbers: int) -> None:
    scenario.source.execute(f"DELETE FROM site WHERE no IN ({', '.join(map(str, numbers))})")


def table(
    name: str, parent: str, *, action: str = "", engine: Engine = "sqlite", null: str = "", more: str = ""
) -> str:
    told = f" ON DELETE {action}" if action and engine != "duckdb" else ""
    return (
        f"CREATE TABLE {name} (no integer PRIMARY KEY, up integer {null}, note varchar(20){more}, "
        f"FOREIGN KEY (up) REFERENCES {parent} (no){told})"
    )


def carried_out(scenario: Scenario, expected: dict[str, list[Any]]) -> None:
    """A run does what its plan says and no more, the next one has nothing to do, and an undo gives all back."""
    before = scenario.target.content()
    planned = scenario.plan()
    said = {bare(each.name): (each.counts.update, each.counts.delete) for each in planned.report.tables}
    done = scenario.run()
    assert done.status == Status.DONE
    after = scenario.target.content()
    assert {name: rows for name, rows in after.items() if name in expected} == expected
    for name, rows in after.items():
        gone = {row[0] for row in before[name]} - {row[0] for row in rows}
        changed = [row for row in before[name] if row not in rows and row[0] not in gone]
        assert said.get(name, (0, 0)) == (len(changed), len(gone)), name
    assert {bare(each.name): (each.counts.update, each.counts.delete) for each in done.report.tables} == said
    assert scenario.plan().status == Status.DONE
    assert scenario.verify().status == Status.DONE
    assert scenario.undo(done.report.version or 0).status == Status.DONE
    assert scenario.target.content() == before


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_at_any_depth_go_with_the_row_that_they_hang_below(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = made(
        tmp_path, engine, request,
        table("device", "site", action="CASCADE", engine=engine), table("part", "device", engine=engine),
        table("screw", "part", action="CASCADE", engine=engine),
    )  # fmt: skip
    shop.target.insert("device", [(11, 1, "a"), (12, 2, None), (13, 2, "c")])
    shop.target.insert("part", [(21, 11, "a"), (22, 12, "b"), (23, None, "of nothing")])
    shop.target.insert("screw", [(31, 22, "a"), (32, 21, "b")])
    lose(shop, 2)
    planned = shop.plan()
    assert changes(planned)["device"]["delete"] == [(12, 2, None), (13, 2, "c")]
    told = {bare(each.name): each for each in planned.report.tables}
    assert [name for name, each in told.items() if not each.in_spec] == ["device", "part", "screw"]
    shown = planned.report.as_dict()["tables"]
    assert [shown[told[name].name].get("in_spec", True) for name in ("site", "part")] == [True, False]
    assert [sample.key for sample in told["screw"].samples] == ["31"]
    carried_out(
        shop,
        {
            "site": [(1, "site 1"), (3, "site 3")],
            "device": [(11, 1, "a")],
            "part": [(21, 11, "a"), (23, None, "of nothing")],
            "screw": [(32, 21, "b")],
        },
    )


@pytest.mark.parametrize("engine", ACTING)
def test_plan_does_what_the_foreign_key_says(engine: Engine, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """One row by several keys, of which one takes it along; others are set to null, or to their defaults."""
    default = "" if engine == "mysql" else ", stand integer DEFAULT 3 REFERENCES site (no) ON DELETE SET DEFAULT"
    shop = made(
        tmp_path, engine, request,
        table("device", "site", action="SET NULL", more=default),
        "CREATE TABLE link (no integer PRIMARY KEY, a integer, b integer, FOREIGN KEY (a) REFERENCES site (no) ON DELETE CASCADE, "
        "FOREIGN KEY (b) REFERENCES site (no) ON DELETE SET NULL)",
    )  # fmt: skip
    stand = [] if engine == "mysql" else [2]
    shop.target.insert("device", [(11, 1, "a", *stand), (12, 2, "b", *stand)])
    shop.target.insert("link", [(1, 1, 2), (2, 2, 1), (3, 2, 2), (4, 3, 3)])
    lose(shop, 2)
    stand = [] if engine == "mysql" else [3]
    carried_out(shop, {"device": [(11, 1, "a", *stand), (12, None, "b", *stand)], "link": [(1, 1, None), (4, 3, 3)]})


@pytest.mark.parametrize("engine", ENGINES)
def test_detach_leaves_the_rows_and_takes_their_references(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = made(
        tmp_path, engine, request,
        table("device", "site", action="CASCADE", engine=engine), table("part", "site", engine=engine),
        children="detach",
    )  # fmt: skip
    shop.target.insert("device", [(11, 1, "a"), (12, 2, "b"), (13, 3, None)])
    shop.target.insert("part", [(21, 3, "a")])
    lose(shop, 2, 3)
    carried_out(
        shop,
        {
            "site": [(1, "site 1")],
            "device": [(11, 1, "a"), (12, None, "b"), (13, None, None)],
            "part": [(21, None, "a")],
        },
    )


@pytest.mark.parametrize(
    ("engine", "children"), [*((engine, "detach") for engine in ENGINES), ("duckdb", "refuse"), ("mysql", "refuse")]
)
def test_rows_that_cannot_let_go_keep_what_they_refer_to(
    engine: Engine, children: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = made(
        tmp_path, engine, request, table("device", "site", action="CASCADE", engine=engine, null="NOT NULL"),
        children=children,
    )  # fmt: skip
    shop.target.insert("device", [(11, 1, "a"), (12, 2, "b"), (13, 2, "c")])
    lose(shop, 2, 3)
    before = shop.target.content()
    done = shop.run()
    assert shop.target.content() == {**before, "site": [(1, "site 1"), (2, "site 2")]}
    assert counts(done, "site") == {"source_rows": 1, "delete": 1, "unchanged": 1, "unproved": 1}
    (notice,) = [each for each in done.report.warnings if each.code == "rows_stay"]
    assert notice.facts["refers"].endswith("device") and (notice.facts["rows"], notice.facts["referring"]) == (1, 2)
    told = str(notice)
    assert "[2]" in told and "2 rows of" in told and "device" in told and "Fix: " in told
    assert ("children: plan" in told) == (children == "refuse")
    assert ("takes no nulls" in told) == (children == "detach")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_tree_that_hangs_below_goes_leaves_first(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A table that refers to itself, and its rows lead from one that is deleted to others that refer to none."""
    action = "" if engine == "duckdb" else " ON DELETE CASCADE"
    shop = made(
        tmp_path, engine, request,
        f"CREATE TABLE device (no integer PRIMARY KEY, site integer, up integer, FOREIGN KEY (site) REFERENCES site (no){action}, "
        f"FOREIGN KEY (up) REFERENCES device (no){action})",
        *(["CREATE INDEX device_up ON device (up)"] if engine != "mysql" else []),
    )  # fmt: skip
    alone = [] if engine == "duckdb" else [(7, None, 7)]
    shop.target.insert(
        "device", [(1, 2, None), (9, None, 1), (3, None, 9), (4, None, 3), (5, 1, None), (6, 1, 5), *alone]
    )
    lose(shop, 2)
    carried_out(shop, {"device": [(5, 1, None), (6, 1, 5), *alone]})


@pytest.mark.parametrize("engine", ENGINES)
def test_composite_keys_are_followed_whole(engine: Engine, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    shop = made(tmp_path, engine, request)
    action = "" if engine == "duckdb" else " ON DELETE CASCADE"
    shop.source.execute("CREATE TABLE room (no integer, site integer, PRIMARY KEY (site, no))")
    shop.target.execute(
        "CREATE TABLE room (no integer, site integer, PRIMARY KEY (site, no))",
        "CREATE TABLE bed (no integer, site integer, room integer, note varchar(20), PRIMARY KEY (no, site), "
        f"FOREIGN KEY (site, room) REFERENCES room (site, no){action})",
        "CREATE TABLE sheet (no integer PRIMARY KEY, site integer, bed integer, "
        f"FOREIGN KEY (bed, site) REFERENCES bed (no, site){action})",
    )
    shop.source.insert("room", [(1, 1), (2, 1)])
    shop.target.insert("room", [(1, 1), (2, 1), (3, 2), (4, 2)])
    shop.target.insert("bed", [(1, 1, 2, "a"), (2, 2, 3, None), (3, 2, 4, "c"), (9, 2, None, "no room")])
    shop.target.insert("sheet", [(1, 1, 1), (2, 2, 2), (3, None, 3), (4, 2, 9)])
    shop.write(
        {"room": {"from": "room", "key": ["site", "no"]}}, defaults={"delete": {"children": "plan", "max_ratio": 1.0}}
    )
    carried_out(
        shop,
        {
            "room": [(1, 1), (2, 1)],
            "bed": [(1, 1, 2, "a"), (9, 2, None, "no room")],
            "sheet": [(1, 1, 1), (3, None, 3), (4, 2, 9)],
        },
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_a_row_that_the_source_has_keeps_all_that_it_hangs_below(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """From a table that the spec names through one that it does not to another that it names: what of it stays, stays whole."""
    shop = made(tmp_path, engine, request)
    shop.source.execute("CREATE TABLE part (no integer PRIMARY KEY, up integer, note varchar(20))")
    shop.target.execute(
        table("device", "site", action="CASCADE", engine=engine), table("part", "device", action="CASCADE", engine=engine),
        table("tag", "device", action="CASCADE", engine=engine),
    )  # fmt: skip
    shop.target.insert("device", [(11, 2, "a"), (12, 2, "b"), (13, 3, "c")])
    shop.target.insert("tag", [(31, 11, "a"), (32, 12, "b"), (33, 13, "c")])
    for side in (shop.source, shop.target):
        side.insert("part", [(21, 11, "a"), (22, 13, "b")])
    shop.write(
        {"part": {"from": "part", "key": "no"}, "site": {"from": "site", "key": "no"}},
        defaults={"delete": {"children": "plan", "max_ratio": 1.0}},
    )
    lose(shop, 2, 3)
    shop.source.execute("DELETE FROM part WHERE no = 22")
    before = shop.target.content()
    done = shop.run()
    assert done.status == Status.DONE
    assert shop.target.content() == {
        "site": [(1, "site 1"), (2, "site 2")],
        "device": [(11, 2, "a"), (12, 2, "b")],  # the first has a part of the source's
        "part": [(21, 11, "a")],
        "tag": [(31, 11, "a"), (32, 12, "b")],
    }
    assert {bare(each.facts["refers"]) for each in done.report.warnings} == {"part", "device"}
    assert shop.plan().status == Status.DONE
    assert shop.undo(done.report.version or 0).status == Status.DONE
    assert shop.target.content() == before


def test_nothing_goes_along_with_a_row_that_stays(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A site that cannot go since one row holds it keeps the others, too; the line names the row that holds it alone."""
    shop = made(
        tmp_path, "sqlite", request, table("device", "site", action="CASCADE"), table("part", "device", action="CASCADE"),
        "CREATE TABLE held (up integer REFERENCES site (no))",
    )  # fmt: skip
    shop.target.insert("device", [(11, 2, "a"), (12, 3, "b")])
    shop.target.insert("part", [(21, 11, "a"), (22, 12, "b")])
    shop.target.insert("held", [(2,)])
    lose(shop, 2, 3)
    done = shop.run()
    assert shop.target.rows("device") == [(11, 2, "a")] and shop.target.rows("part") == [(21, 11, "a")]
    (notice,) = done.report.warnings
    assert notice.facts["refers"] == "held" and "primary key" in notice.facts["why"]


@pytest.mark.parametrize("engine", ["sqlite", "mysql"])
def test_too_many_rows_of_a_table_beside_the_spec_stop_the_plan(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = made(tmp_path, engine, request, table("device", "site", action="CASCADE", engine=engine), max_ratio=0.4)
    shop.target.insert("device", [(11, 1, "a"), (12, 2, "b")])
    lose(shop, 2)
    before = shop.target.content()
    with pytest.raises(PlanError, match=r"device.* would delete 1 of 2 target rows .*--allow-deletes"):
        shop.run()
    assert shop.target.content() == before
    assert shop.run(allow_deletes=True).status == Status.DONE
    assert shop.target.rows("device") == [(11, 1, "a")]


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_row_beside_the_spec_that_was_edited_since_stays_with_what_it_refers_to(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = made(tmp_path, engine, request, table("device", "site", action="CASCADE"))
    shop.target.insert("device", [(12, 2, "b"), (13, 3, "c")])
    lose(shop, 2, 3)
    planned = shop.plan()
    shop.target.execute("UPDATE device SET note = 'edited' WHERE no = 12")
    done = shop.apply(planned.report.plan)
    assert shop.target.content() == {"site": [(1, "site 1"), (2, "site 2")], "device": [(12, 2, "edited")]}
    device = next(each.name for each in done.report.tables if not each.in_spec)
    assert counts(done, device) == {"delete": 1, "conflicts": 1}
    assert bare(done.report.met[0].table) == "device"
    again = shop.run()
    assert counts(again, device) == {"delete": 1} and shop.target.rows("device") == []


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_run_that_is_cut_off_between_the_levels_is_finished_as_one_version(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = made(
        tmp_path, engine, request, table("device", "site", action="CASCADE"), table("part", "device", action="SET NULL")
    )
    shop.target.insert("device", [(11, 1, "a"), (12, 2, "b")])
    shop.target.insert("part", [(21, 12, "a"), (22, 11, "b")])
    lose(shop, 2)
    before = shop.target.content()
    with full_disk_at(2):
        shop.run()
    assert shop.target.content() == {**before, "part": [(21, None, "a"), (22, 11, "b")]}
    assert shop.run().status == Status.DONE
    assert shop.target.content() == {
        "site": [(1, "site 1"), (3, "site 3")], "device": [(11, 1, "a")], "part": [(21, None, "a"), (22, 11, "b")],
    }  # fmt: skip
    assert shop.undo(1).status == Status.DONE
    assert shop.target.content() == before
