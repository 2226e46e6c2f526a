"""A verification of two ways holds both sides to each other and to what they agreed on last, and says whose edits are not yet on the other."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from command_line import answer, syncline
from scenario import Engine, Scenario, pair_name

from flows.commands import Status
from flows.session.stores import store_of

PAIRS: tuple[tuple[Engine, Engine], ...] = (("sqlite", "duckdb"), ("mysql", "postgresql"))
ROWS = 20


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Rows on both sides, in windows of three, that have met; of one table keys have an order, of the other they have none."""
    made = Scenario.make(tmp_path, getattr(request, "param", PAIRS[0]), request)
    made.source.execute(
        "CREATE TABLE old (no integer PRIMARY KEY, v varchar(9), n integer)",
        "CREATE TABLE tags (tag varchar(9) PRIMARY KEY, v varchar(9), n integer)",
    )
    made.target.execute(
        "CREATE TABLE t (id integer PRIMARY KEY, v varchar(9), n integer)",
        "CREATE TABLE tags (tag varchar(9) PRIMARY KEY, v varchar(9), n integer)",
    )
    made.write(
        {
            "t": {"from": "old", "columns": {"id": "no", "v": "v", "n": "n"}},
            "tags": {"from": "tags", "columns": {"tag": "tag", "v": "v", "n": "n"}},
        },
        direction="two_way",
        initial="policy",
        defaults={"window": 3, "delete": {"max_ratio": 1.0}},
    )
    made.source.insert("old", [(n, f"v{n}", n) for n in range(ROWS)])
    made.source.insert("tags", [(f"t{n:02d}", f"v{n}", n) for n in range(ROWS)])
    assert made.run().status is Status.DONE
    return made


def proved(shop: Scenario, status: int = 0) -> tuple[dict[str, Any], str]:
    """What both tables prove, which is the same of both, and the message."""
    told = answer("verify", shop.path, status=status)
    one, other = (told["tables"][name]["agreement"] for name in ("t", "tags"))
    assert one == other
    return one, told["message"]


def counts(**some: int) -> dict[str, Any]:
    return {"base": "held", "agreed": ROWS, "alike": 0, "source": 0, "target": 0, "both": 0, "open": 0} | some


def edit(shop: Scenario, side: str, *edits: str) -> None:
    """Edits of both tables of a side; `{0}` is a table, `{k}` its key, and `{1}` and so on are keys."""
    place = shop.source if side == "source" else shop.target
    numbers = {f"k{n}": str(n) for n in range(30)}
    texts = {f"k{n}": f"'t{n:02d}'" for n in range(30)}
    table, key = ("old", "no") if side == "source" else ("t", "id")
    for each in edits:
        place.execute(each.format(table, k=key, **numbers), each.format("tags", k="tag", **texts))


@pytest.mark.parametrize("shop", PAIRS, indirect=True, ids=pair_name)
def test_rows_that_differ_are_told_by_whose_edit_they_wait_for(shop: Scenario) -> None:
    one, message = proved(shop)
    assert one == counts()
    assert message.endswith("All 40 are as both agreed on last.")
    edit(shop, "source", "UPDATE {0} SET v = 'S' WHERE {k} IN ({k1}, {k2})", "DELETE FROM {0} WHERE {k} = {k3}")
    edit(shop, "source", "INSERT INTO {0} VALUES ({k25}, 'new', 1)")
    edit(
        shop, "target", "UPDATE {0} SET v = 'T' WHERE {k} IN ({k2}, {k4})", "DELETE FROM {0} WHERE {k} IN ({k1}, {k5})"
    )
    one, message = proved(shop, 2)
    # keys 3 and 25 of the source, 4 and 5 of the target, and 1 and 2 of both
    assert one == counts(agreed=ROWS - 5, source=2, target=2, both=2)
    assert message.startswith("Not equal: 12 rows differ")
    assert (
        "Since both agreed: 4 edited on the source wait for the target, 4 edited on the target wait for the source, 4 edited on both, "
        in message
    )
    assert shop.run().status is Status.CONFLICTS
    one, message = proved(shop, 2)
    assert one == counts(agreed=ROWS - 3, both=2, open=2)
    assert "4 of them are open" in message


def test_what_both_edited_alike_is_no_difference_and_counted(shop: Scenario) -> None:
    for side in ("source", "target"):
        edit(
            shop,
            side,
            "UPDATE {0} SET v = 'B' WHERE {k} = {k1}",
            "DELETE FROM {0} WHERE {k} = {k7}",
            "INSERT INTO {0} VALUES ({k26}, 'x', 1)",
        )
    one, message = proved(shop)
    assert one == counts(agreed=ROWS - 2, alike=3)
    assert message.endswith("6 rows were edited alike on both since the last run.")
    shop.run()
    assert proved(shop)[0] == counts()


def test_rows_that_are_set_aside_are_no_edits(shop: Scenario) -> None:
    shop.source.execute("UPDATE tags SET n = 'odd' WHERE tag = 't01'", "UPDATE old SET n = 'odd' WHERE no = 1")
    shop.write(
        {
            "t": {"from": "old", "columns": {"id": "no", "v": "v", "n": {"from": "n", "cast": "integer"}}},
            "tags": {"from": "tags", "columns": {"tag": "tag", "v": "v", "n": {"from": "n", "cast": "integer"}}},
        },
        direction="two_way",
        initial="target",
        defaults={"window": 3, "quarantine": {"max_ratio": 1.0}},
    )
    shop.run()
    one, _ = proved(shop)
    assert (one["base"], one["alike"], one["source"], one["target"], one["both"]) == ("held", 0, 0, 0, 0)


def test_a_base_that_is_damaged_or_gone_is_said_so_with_what_comes_of_it(shop: Scenario) -> None:
    folder = store_of(shop.spec).agreed(shop.spec.name)
    for path in folder.rglob("*.parquet"):
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    one, message = proved(shop)
    assert one == {"base": "lost"}
    assert "What both sides of t, tags agreed on is not known any more: they meet anew with the next run" in message
    shutil.rmtree(folder)
    assert proved(shop)[0] == {"base": "lost"}
    for named, lost in (((), 2), (("--table", "t"), 1)):
        assert [each["code"] for each in answer("verify", shop.path, *named)["notices"]].count("base_lost") == lost
    edit(shop, "source", "DELETE FROM {0} WHERE {k} = {k3}")
    assert proved(shop, 2)[0] == {"base": "lost"}
    assert shop.run().status is Status.DONE
    assert proved(shop)[0] == counts()


def test_of_sides_that_have_not_met_or_of_which_some_rows_are_asked_for_the_base_says_nothing(shop: Scenario) -> None:
    told = answer("verify", shop.path, "--range", "t.id:3..6")
    assert "agreement" not in told["tables"]["t"]
    shop.write({"t": {"from": "old", "columns": {"id": "no", "v": "v", "n": "n"}}}, name="other", direction="two_way")
    told = answer("verify", shop.path)
    assert told["tables"]["t"]["agreement"] == {"base": "never"}
    assert "Both sides of t have not agreed on anything yet: they meet with the first run" in told["message"]


def test_people_and_the_page_are_told_what_was_held_to_the_base(shop: Scenario) -> None:
    edit(shop, "target", "UPDATE {0} SET v = 'T' WHERE {k} = {k4}")
    text = syncline("verify", shop.path, status=2).stdout
    assert "Since both agreed: 2 edited on the target wait for the source." in text
    page = Path(str(shop.verify().report.page)).read_text("utf-8")
    assert "19</b> as both agreed" in page and "1</b> edited on the target" in page
