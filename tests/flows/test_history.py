"""History: which versions there are, what each changed, the life of a row, and tables as they stood."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from scenario import PAIRS, Scenario, halves

from flows import commands
from flows.cli.main import main
from flows.commands import Status
from flows.history.asof import asof
from flows.history.log import changes_of, difference, life, shown
from flows.history.prune import prune
from flows.history.version_list import listed
from flows.session.stores import ledger_of, store_of
from transforms.vocabulary import PlanError, SpecError

one_half, other_half = halves("shop")
FAR = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    made = Scenario.make(tmp_path, getattr(request, "param", PAIRS[0]), request)
    made.source.execute("CREATE TABLE goods (sku varchar(9) PRIMARY KEY, title varchar(40), pieces integer)")
    made.target.execute("CREATE TABLE item (sku varchar(9) PRIMARY KEY, title varchar(40), pieces integer)")
    write(made)
    return made


def write(shop: Scenario, **table: Any) -> None:
    shop.write({"item": {"from": "goods", **table}})


def course(shop: Scenario) -> Iterator[list[Any]]:
    """Four versions and one run without changes; yields the table after each, from before the first on."""
    steps = (
        "INSERT INTO goods VALUES ('a', 'A', 1), ('b', NULL, 2), ('c', 'ü🚗', 3)",
        "UPDATE goods SET pieces = 9 WHERE sku = 'a'",
        "DELETE FROM goods WHERE sku = 'b'",
        "INSERT INTO goods VALUES ('b', 'again', NULL)",
    )
    yield shop.target.rows("item")
    for number, step in enumerate(steps, 1):
        shop.source.execute(step)
        assert shop.run().report.version == number
        yield shop.target.rows("item")
    assert shop.run().report.version is None


def rows_of(table: pa.Table) -> list[Any]:
    return sorted((tuple(row.values()) for row in table.to_pylist()), key=str)


@one_half
def test_a_table_is_given_as_it_stood_at_each_version_without_asking_the_target(shop: Scenario) -> None:
    shop.target.insert("item", [("c", "old", 3), ("z", "gone soon", 0)])
    states = list(course(shop))
    shop.target.execute("DROP TABLE item")
    for number, rows in enumerate(states):
        assert rows_of(asof(shop.spec, number, "item")) == rows
        assert rows_of(asof(shop.spec, number, str(shop.spec.target_table("item")))) == rows


def test_the_difference_of_two_versions_leads_from_one_to_the_other(shop: Scenario) -> None:
    list(course(shop))
    ((name, changes),) = difference(shop.spec, 1, 4)
    assert name == "item"
    found = {(change.op, change.key): (change.before, change.after) for change in changes_of(name, changes)}
    assert found == {
        ("update", '["a"]'): ({"pieces": "1"}, {"pieces": "9"}),
        ("update", '["b"]'): ({"title": None, "pieces": "2"}, {"title": "again", "pieces": None}),
    }
    ((_, back),) = difference(shop.spec, 4, 1)
    assert back.counts == {"insert": 0, "update": 2, "delete": 0}
    assert difference(shop.spec, 2, 2) == []
    assert difference(shop.spec, 0, 4)[0][1].counts == {"insert": 3, "update": 0, "delete": 0}


@other_half
def test_a_version_says_who_made_it_of_what_and_what_it_changed(shop: Scenario) -> None:
    list(course(shop))
    versions = listed(shop.spec)
    assert [version["version"] for version in versions] == [4, 3, 2, 1]
    for version in versions:
        assert version["synchronized_with"]["source"]
        assert version["synchronized_with"]["target"]
        assert version["spec_digest"] == shop.spec.digest
        assert version["author"]
    assert len({version["synchronized_with"]["target"] for version in versions}) == 4
    facts, changes = shown(shop.spec, 2)
    assert facts["counts"]["update"] == 1
    assert [(change.op, change.key, change.before, change.after) for change in changes] == [
        ("update", '["a"]', {"pieces": "1"}, {"pieces": "9"})
    ]
    assert [change.key for change in shown(shop.spec, 1, "item", ["c", "b"])[1]] == ['["b"]', '["c"]']
    assert len(shown(shop.spec, 1, limit=2)[1]) == 2


def test_the_life_of_a_row_says_when_by_which_run_and_why(shop: Scenario) -> None:
    list(course(shop))
    shop.undo(4)
    told = [(line["version"], line["op"], line["why"]) for line in life(shop.spec, "item", "b")]
    assert told == [
        (1, "insert", "mapping"),
        (3, "delete", "mapping"),
        (4, "insert", "mapping"),
        (5, "delete", "undo of version 4"),
    ]
    assert life(shop.spec, "item", "nobody") == []
    shop.run()
    shop.source.execute("UPDATE goods SET title = 'other' WHERE sku = 'a'")
    folder = shop.plan().report.plan
    shop.target.execute("UPDATE item SET title = 'mine' WHERE sku = 'a'")
    assert shop.apply(folder).status == Status.CONFLICTS
    *_, last = life(shop.spec, "item", "a")
    assert (last["why"], last["found"]["title"]) == ("conflict: left as it was", "mine")


def test_what_an_edit_by_hand_was_shows_from_the_version_that_met_it(shop: Scenario) -> None:
    states = list(course(shop))
    shop.target.execute("UPDATE item SET title = 'by hand' WHERE sku = 'a'")
    shop.run()
    assert rows_of(asof(shop.spec, 4, "item")) == states[4]
    assert [change.before for change in shown(shop.spec, 5)[1]] == [{"title": "by hand"}]


def test_a_column_that_came_later_is_not_in_the_table_as_it_stood_before(shop: Scenario) -> None:
    states = list(course(shop))
    for side, table in ((shop.source, "goods"), (shop.target, "item")):
        side.execute(f"ALTER TABLE {table} ADD COLUMN colour varchar(9)")
    write(shop, on_invalid="fail")
    shop.source.execute("UPDATE goods SET colour = 'red' WHERE sku = 'c'")
    assert shop.run().report.version == 5
    assert rows_of(asof(shop.spec, 4, "item")) == states[4]
    assert asof(shop.spec, 5, "item").column_names == ["sku", "title", "pieces", "colour"]
    assert rows_of(asof(shop.spec, 5, "item")) == shop.target.rows("item")
    assert shop.undo(3, to=True).status == Status.DONE
    assert shop.target.rows("item", "sku, title, pieces") == states[3]


def test_history_that_began_with_a_part_is_known_from_the_first_whole_run_backwards(shop: Scenario) -> None:
    shop.source.execute("INSERT INTO goods VALUES ('a', 'A', 1), ('m', 'M', 2)")
    shop.target.execute("INSERT INTO item VALUES ('z', 'Z', 0)")
    assert shop.backfill("item.sku:a..b").report.version == 1
    with pytest.raises(
        PlanError, match=r"Nobody knows all of item: no run has looked at the whole table yet\. Fix: run it"
    ):
        asof(shop.spec, 1, "item")
    assert shop.run().report.version == 2
    assert rows_of(asof(shop.spec, 0, "item")) == [("z", "Z", 0)]
    assert rows_of(asof(shop.spec, 1, "item")) == [("a", "A", 1), ("z", "Z", 0)]
    assert rows_of(asof(shop.spec, 2, "item")) == shop.target.rows("item")


@pytest.mark.parametrize("kept", ["keys", "off"])
def test_history_that_is_not_kept_is_not_there_and_says_so(shop: Scenario, kept: str) -> None:
    write(shop, history=kept)
    list(course(shop))
    assert list((shop.folder / "store").rglob("changes/item/*")) == []
    told = [(line["version"], line["op"]) for line in life(shop.spec, "item", "b")]
    assert told == ([(1, "insert"), (3, "delete"), (4, "insert")] if kept == "keys" else [])
    before = shop.target.content()
    with pytest.raises(PlanError, match=rf"Version 4 changed item, of which .* \(history: {kept}\)"):
        shop.undo(4)
    with pytest.raises(PlanError):
        asof(shop.spec, 2, "item")
    assert shop.target.content() == before
    shop.settled()


def test_pruned_history_still_knows_all_that_is_kept(shop: Scenario) -> None:
    shop.target.insert("item", [("z", "gone soon", 0)])
    states = list(course(shop))
    with ledger_of(shop.spec) as ledger:
        cut = ledger.versions("shop")[1].created_at  # of version 3: older are 1 and 2
    done = prune(shop.spec, cut)
    assert (done.versions, done.bases) == (2, {str(shop.spec.target_table("item")): 3})
    for number in (2, 3, 4):
        assert rows_of(asof(shop.spec, number, "item")) == states[number]
    with pytest.raises(PlanError, match=r"Version 2 changed .*item, whose changes were pruned"):
        asof(shop.spec, 1, "item")
    with pytest.raises(PlanError, match="whose changes were pruned"):
        shop.undo(2)
    assert [version["version"] for version in listed(shop.spec)] == [4, 3, 2, 1]
    assert shop.undo(2, to=True).status == Status.DONE
    assert shop.target.rows("item") == states[2]
    assert prune(shop.spec, cut).versions == 0
    assert prune(shop.spec, FAR).versions == 3
    assert rows_of(asof(shop.spec, 5, "item")) == states[2]
    assert shop.run().status == Status.DONE
    assert rows_of(asof(shop.spec, 6, "item")) == states[4]


def test_pruning_leaves_plans_that_are_younger_or_hold_quarantined_rows(shop: Scenario) -> None:
    write(shop, expect=[{"type": "expect_column_values_to_not_be_null", "column": "title", "severity": "warning"}])
    shop.source.execute("INSERT INTO goods VALUES ('a', NULL, 1), ('b', 'B', 2)")
    shop.run()
    unused = Path(str(shop.plan().report.plan))
    assert prune(shop.spec, datetime.now(UTC) - timedelta(days=1)).plans == 0
    done = prune(shop.spec, FAR)
    assert (done.versions, done.plans) == (1, 1)
    assert not unused.exists()
    assert done.freed > 0
    result = CliRunner().invoke(main, ["quarantine", str(shop.path), "show", "--json"])
    assert json.loads(result.output)["rows"][0]["source"]["sku"] == "a"
    shop.settled()


states = st.dictionaries(st.sampled_from("abcd"), st.one_of(st.none(), st.integers(0, 3)), max_size=4)


@settings(max_examples=8)
@given(st.lists(states, min_size=1, max_size=4), st.data())
def test_any_course_of_versions_can_be_asked_for_and_taken_back(
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
    turns: list[dict[str, Any]],
    data: st.DataObject,
) -> None:
    shop = Scenario.make(tmp_path_factory.mktemp("course"), ("sqlite", "sqlite"), request)
    shop.source.execute("CREATE TABLE goods (sku varchar(9) PRIMARY KEY, pieces integer)")
    shop.target.execute("CREATE TABLE item (sku varchar(9) PRIMARY KEY, pieces integer)")
    write(shop)
    known = {0: shop.target.rows("item")}
    for turn in turns:
        shop.source.execute("DELETE FROM goods")
        shop.source.insert("goods", list(turn.items()))
        version = shop.run().report.version
        if version is not None:
            known[version] = shop.target.rows("item")
    for version, rows in known.items():
        found = asof(shop.spec, version, "item") if len(known) > 1 else None
        assert found is None or rows_of(found) == rows
    if len(known) > 1:
        back = data.draw(st.sampled_from(sorted(known)[:-1]))
        assert shop.undo(back, to=True).status == Status.DONE
        assert shop.target.rows("item") == known[back]


def test_pruning_takes_reports_of_old_runs_and_leaves_the_latest_one(shop: Scenario) -> None:
    list(course(shop))
    store = store_of(shop.spec)
    runs = list(store.evidence_runs("shop"))
    assert len(runs) == 5
    assert prune(shop.spec, datetime.now(UTC) - timedelta(days=1)).reports == 0
    assert prune(shop.spec, FAR).reports == 4
    assert list(store.evidence_runs("shop")) == runs[:1]
    assert not store.evidence_folder(runs[1]).exists(), "nor its page"
    assert CliRunner().invoke(main, ["report", str(shop.path)]).exit_code == 0


def test_a_row_of_a_key_of_two_columns_is_asked_for_by_both(shop: Scenario) -> None:
    shop.source.execute("CREATE TABLE line (sale integer, no integer, n integer, PRIMARY KEY (sale, no))")
    shop.target.execute("CREATE TABLE line (sale integer, no integer, n integer, PRIMARY KEY (sale, no))")
    shop.source.insert("line", [(5, 1, 1), (5, 2, 2)])
    for kept in ("full", "keys"):
        shop.write({"line": {"from": "line", "key": ["sale", "no"], "history": kept}})
        assert shop.run().status is Status.DONE
        with pytest.raises(
            SpecError, match=r"The key of line is \(sale, no\), and 5 has 1 of these 2 values"
        ) as caught:
            life(shop.spec, "line", "5")
        assert caught.value.fix == """give all of them, in this order: --key '["<sale>", "<no>"]'."""
        assert [line["op"] for line in life(shop.spec, "line", "[5,2]")][:1] == ["insert"]
        assert life(shop.spec, "line", "[5,9]") == [], "nothing is known of that one"
        shop.source.execute("UPDATE line SET n = n + 1")


# The command line


def test_a_wrong_command_line_is_json_where_that_is_asked_for(shop: Scenario) -> None:
    for wrong in (["plan", "--tabel", "x"], ["asof", str(shop.path)], ["show", str(shop.path), "none"], ["plam"]):
        result = CliRunner().invoke(main, [*wrong, "--json"])
        said = json.loads(result.stdout)
        assert (result.exit_code, said["code"], said["fix"]) == (1, "usage", "--help shows how."), result.output
        assert result.stderr == f"error: {said['error']}\n"
        assert CliRunner().invoke(main, wrong).stdout == ""


def said(*arguments: str) -> Any:
    result = CliRunner().invoke(main, [*arguments, "--json"])
    assert result.exit_code in (0, 2), result.output
    return json.loads(result.output)


def test_the_commands_print_json_and_texts(shop: Scenario) -> None:
    states = list(course(shop))
    spec = str(shop.path)
    assert [version["version"] for version in said("history", spec)["versions"]] == [4, 3, 2, 1]
    assert said("show", spec, "2")["changes"][0]["after"] == {"pieces": "9"}
    assert said("log", spec, "item", "--key", "a")["changes"][1]["before"] == {"pieces": "1"}
    assert said("diff", spec, "1", "4")["tables"] == {"item": {"insert": 0, "update": 2, "delete": 0}}
    assert said("asof", spec, "1", "item")["total"] == 3
    file = shop.folder / "then.parquet"
    assert said("asof", spec, "1", "item", "-o", str(file)) == {
        "table": "item", "version": 1, "total": 3, "file": str(file),
    }  # fmt: skip
    assert rows_of(pq.read_table(file)) == states[1]
    assert said("undo", spec, "4", "--dry-run")["tables"]["item"]["delete"] == 1
    assert said("undo", spec, "--to", "2", "--direct")["version"] == 5
    assert said("prune", spec, "--keep", "0s")["versions"] == 5
    assert shop.target.rows("item") == states[2]
    for command, text in (
        (["history", spec], "takes back 3, 4"),
        (["show", spec, "5"], "Version 5, undo"),
        (["log", spec, "item", "--key", "nobody"], 'Nothing is known of item ["nobody"]'),
        (["asof", spec, "5", "item"], "ü🚗"),
        (["diff", spec, "5", "5"], "No changes."),
        (["prune", spec, "--keep", "9w"], "Nothing is that old."),
    ):
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 0, result.output
        assert text in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "9"], "shop has no version 9. It has 1 to 4"),
        (["asof", "9", "item"], "shop has no version 9"),
        (["asof", "1", "itme"], "shop has no table itme. Did you mean item?"),
        (["log", "nothing", "--key", "1"], "shop has no table nothing"),
        (["undo"], "Name one version to take back"),
        (["undo", "1", "--to", "2"], "Name one version to take back"),
        (["prune", "--keep", "soon"], "'soon' is no time. Write 60s, 5m, 12h, 30d or 2w."),
    ],
)
def test_what_is_not_there_is_said_in_a_line(shop: Scenario, arguments: list[str], message: str) -> None:
    list(course(shop))
    result = CliRunner().invoke(main, [arguments[0], str(shop.path), *arguments[1:]])
    assert result.exit_code == 1
    assert message in result.output


def test_a_ledger_without_versions_says_so(shop: Scenario) -> None:
    with pytest.raises(SpecError, match=r"shop has no version 1\. It has none yet"):
        shown(shop.spec, 1)
    result = CliRunner().invoke(main, ["history", str(shop.path)])
    assert "No run has changed anything yet." in result.output


def test_a_plan_that_was_made_before_another_run_wrote_says_nothing_of_what_there_was_between(shop: Scenario) -> None:
    shop.source.execute("INSERT INTO goods VALUES ('a', 'A', 1), ('b', 'B', 2), ('n', 'N', 3)")
    shop.target.execute("INSERT INTO item VALUES ('n', 'N', 3)")
    assert shop.run(ranges=["item.sku:a..b"]).report.version == 1
    shop.source.execute("UPDATE goods SET pieces = 7 WHERE sku = 'n'")
    planned = commands.plan(shop.request("plan", bases=frozenset({"item"})))
    shop.source.execute("UPDATE goods SET pieces = 8 WHERE sku = 'a'")
    assert shop.run(ranges=["item.sku:a..b"]).report.version == 2
    between = shop.target.rows("item")
    assert shop.apply(planned.report.plan).report.version == 3
    try:
        known = rows_of(asof(shop.spec, 2, "item"))
    except (PlanError, SpecError):
        return  # its history begins later
    assert known == between
