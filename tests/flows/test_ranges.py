"""Plans of a part: ranges over keys and other columns, and backfills step by step."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pytest
from scenario import PAIRS, Scenario, counts, pair_name, quarantine

from flows import commands
from flows.bind.ranges import RangeText, parse_range, steps
from flows.commands import Status
from flows.history.version_list import listed
from transforms.vocabulary import PlanError, SpecError, SynclineError

two_engines = pytest.mark.parametrize("sales", [PAIRS[0], PAIRS[2]], indirect=True, ids=pair_name)


@pytest.fixture
def sales(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Thirty sales, one a day in January 2024."""
    made = Scenario.make(tmp_path, getattr(request, "param", PAIRS[0]), request)
    made.source.execute("CREATE TABLE sales (id bigint PRIMARY KEY, day date, cents bigint, code text)")
    made.source.insert("sales", [(n, f"2024-01-{n:02}", 100 * n, f"c{n:02}") for n in range(1, 31)])
    made.target.execute("CREATE TABLE sale (id bigint PRIMARY KEY, sold_on date, euros numeric(9,2), code text UNIQUE)")
    made.write(SALES)
    return made


COLUMNS = {"id": "id", "sold_on": "day", "euros": {"expr": "(cents / 100)::decimal(9,2)"}, "code": "code"}
SALES = {"sale": {"from": "sales", "key": ["id"], "columns": COLUMNS}}
BY_CODE = {"sale": {"from": "sales", "key": ["code"], "columns": COLUMNS}}


def ids(scenario: Scenario) -> list[int]:
    return [number for (number,) in scenario.target.ask("SELECT id FROM sale ORDER BY id")]


@two_engines
@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("sale.id:5..8", [5, 6, 7]),
        ("sale.id:..3", [1, 2]),
        ("sale.id:29..", [29, 30]),
        ("sale.sold_on:2024-01-05..2024-01-08", [5, 6, 7]),
        ("sale.sold_on:..2024-01-03", [1, 2]),
        ("sale.euros:5.00..7.5", [5, 6, 7]),
        ("sale.code:c05..c08", [5, 6, 7]),
    ],
)
def test_a_range_loads_exactly_the_rows_inside(sales: Scenario, text: str, inside: list[int]) -> None:
    done = sales.run(ranges=[text])
    assert counts(done, "sale")["insert"] == len(inside)
    assert ids(sales) == inside
    sales.settled(ranges=[text])
    sales.run()
    sales.settled()


@pytest.mark.parametrize("text", ["sale.id:5..8", "sale.sold_on:2024-01-05..2024-01-08", "sale.euros:5..8"])
def test_rows_outside_of_a_range_are_neither_deleted_nor_mended(sales: Scenario, text: str) -> None:
    sales.run()
    sales.source.execute(
        "DELETE FROM sales WHERE id IN (6, 20)", "UPDATE sales SET code = 'new' || id WHERE id IN (7, 21)"
    )
    sales.source.insert("sales", [(99, "2025-01-01", 1, "far")])
    done = sales.run(ranges=[text])
    found = counts(done, "sale")
    assert (found["delete"], found["update"], found.get("insert", 0)) == (1, 1, 0)
    assert 20 in ids(sales)
    assert 6 not in ids(sales)
    assert dict(sales.target.ask("SELECT id, code FROM sale"))[21] == "c21"


@pytest.mark.parametrize("text", ["sale.id:5..8", "sale.code:c05..c08", "sale.euros:5..8"])
def test_counts_of_a_range_speak_of_the_range_alone(sales: Scenario, text: str) -> None:
    sales.run()
    planned = sales.plan(ranges=[text])
    assert planned.status == Status.DONE
    assert counts(planned, "sale") == {"source_rows": 3, "unchanged": 3}


def test_a_row_that_moves_into_a_range_or_out_of_it_is_mended(sales: Scenario) -> None:
    sales.run()
    sales.source.execute(
        "UPDATE sales SET day = '2024-01-06' WHERE id = 1", "UPDATE sales SET day = '2024-02-06' WHERE id = 6"
    )
    sales.source.execute("UPDATE sales SET day = '2024-03-01' WHERE id = 20")
    done = sales.run(ranges=["sale.sold_on:2024-01-05..2024-01-08"])
    assert counts(done, "sale")["update"] == 2
    sales.settled(ranges=["sale.sold_on:2024-01-05..2024-01-08"])


def test_two_ranges_over_one_table_are_both_meant(sales: Scenario) -> None:
    sales.run(ranges=["sale.id:3..10", "sale.sold_on:2024-01-01..2024-01-06"])
    assert ids(sales) == [3, 4, 5]


def test_a_range_on_the_spill_path(sales: Scenario) -> None:
    tables = {"sale": {**SALES["sale"], "columns": {**COLUMNS, "id": {"expr": "id * 10"}}}}
    sales.write(tables, defaults={"window": {"rows": 10}})
    sales.run(ranges=["sale.id:50..80"])
    assert ids(sales) == [50, 60, 70]
    sales.target.execute(
        "DELETE FROM sale WHERE id = 60", "INSERT INTO sale VALUES (65, NULL, 1, 'x'), (5, NULL, 1, 'y')"
    )
    done = sales.run(ranges=["sale.id:50..80"])
    assert counts(done, "sale") == {"source_rows": 3, "insert": 1, "delete": 1, "unchanged": 2}
    assert ids(sales) == [5, 50, 60, 70]


def test_quarantine_outside_of_a_range_is_not_swept(sales: Scenario) -> None:
    sales.source.insert("sales", [(31, "2024-01-31", 1, "c01"), (32, "2024-02-01", 1, "c02")])
    sales.write(BY_CODE)
    sales.run()
    assert len(quarantine(sales)) == 2
    sales.run(ranges=["sale.code:c10..c20"])
    assert len(quarantine(sales)) == 2


def test_max_ratio_holds_inside_of_a_range(sales: Scenario) -> None:
    sales.run()
    sales.write({"sale": {**SALES["sale"], "delete": {"max_ratio": 0.2}}})
    sales.source.execute("DELETE FROM sales WHERE id IN (5, 6)")
    with pytest.raises(PlanError, match="max_ratio"):
        sales.run(ranges=["sale.id:5..8"])
    assert len(ids(sales)) == 30


def test_a_range_picks_its_table(sales: Scenario) -> None:
    sales.write({**SALES, "copy": {"from": "sales"}})
    done = sales.run(ranges=["sale.id:1..3"])
    assert [table.name for table in done.report.tables] == ["sale"]
    assert "copy" not in sales.target.tables()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("sale", "is not a range"),
        ("sale.id:1", "is not a range"),
        ("sale.id:..", "neither a start nor a stop"),
        ("sales.id:1..2", "Did you mean sale"),
        ("sale.idd:1..2", "Did you mean id"),
        ("sale.id:1..x", "'x' is no"),
        ("sale.id:8..5", "not before the stop"),
        ("sale.id:5..5", "not before the stop"),
        ("sale.sold_on:2024-13-01..", "is no"),
    ],
)
def test_a_range_that_makes_no_sense_is_refused(sales: Scenario, text: str, match: str) -> None:
    for attempt in (sales.plan, sales.run):
        with pytest.raises(SpecError, match=match) as refused:
            attempt(ranges=[text])
        assert "Did you mean" in match or refused.value.fix.startswith("write TABLE.COLUMN:FROM..TO")
    with pytest.raises(SpecError, match=match):
        sales.backfill(text)
    assert ids(sales) == []


# --- backfills


@two_engines
@pytest.mark.parametrize(
    ("text", "every", "number"),
    [("sale.sold_on:2024-01-03..2024-01-10", "3d", 3), ("sale.id:3..10", "2", 4), ("sale.id:3..10", None, 1)],
)
def test_a_backfill_goes_step_by_step(sales: Scenario, text: str, every: str | None, number: int) -> None:
    done = sales.backfill(text, every)
    assert done.status == Status.DONE
    assert counts(done, "sale")["insert"] == 7
    assert ids(sales) == [3, 4, 5, 6, 7, 8, 9]
    assert len(listed(sales.spec)) == number
    assert done.report.version == number


def test_steps_that_are_done_are_not_run_again_and_open_ones_are(sales: Scenario) -> None:
    text = "sale.id:1..31"
    assert sales.backfill(text, "10").report.version == 3
    sales.source.execute("UPDATE sales SET code = 'edited'|| id")
    again = sales.backfill(text, "10")
    assert (again.status, again.report.total.update) == (Status.DONE, 0)
    assert "3 of 3 steps were done before" in again.message
    # another spec, another range or another step is other work
    assert sales.backfill("sale.id:1..11", "10").report.total.update == 10
    assert sales.backfill(text, "15").report.total.update == 20


def test_a_backfill_that_stopped_goes_on_where_it_stopped(sales: Scenario) -> None:
    sales.write({"sale": {**SALES["sale"], "on_invalid": "fail", "columns": {
        **COLUMNS, "euros": {"expr": "cents", "cast": "numeric(9,2)"}, "code": {"from": "code", "map": {"c12": "x"}, "default": "keep"},
    }}})  # fmt: skip
    sales.source.execute("UPDATE sales SET cents = 99999999999 WHERE id = 15")
    with pytest.raises(SynclineError):
        sales.backfill("sale.id:1..31", "10")
    assert ids(sales) == list(range(1, 11))
    sales.source.execute("UPDATE sales SET cents = 1 WHERE id = 15")
    done = sales.backfill("sale.id:1..31", "10")
    assert counts(done, "sale") == {"source_rows": 20, "insert": 20}
    assert "1 of 3 steps were done before" in done.message
    sales.settled()


def test_a_backfill_creates_a_missing_table_once_and_numbers_on(sales: Scenario) -> None:
    sales.write({"fresh": {"from": "sales", "key": ["id"], "columns": {"no": {"generate": "identity"}, "id": "id"}}})
    done = sales.backfill("fresh.id:1..31", "10")
    assert counts(done, "fresh") == {"source_rows": 30, "insert": 30}
    assert sales.target.ask("SELECT count(DISTINCT no), min(no), max(no) FROM fresh") == [(30, 1, 30)]
    sales.settled()


def test_a_backfill_stops_at_the_quarantine_limit(sales: Scenario) -> None:
    sales.write(
        {"sale": {**SALES["sale"], "columns": {**COLUMNS, "code": {"from": "code", "map": {"c01": "c01"}}}}},
        defaults={"quarantine": {"max_rows": 3}},
    )
    assert sales.backfill("sale.id:1..31", "10").status == Status.QUARANTINE
    assert ids(sales) == []


def test_conflicts_left_open_by_a_backfill_are_tried_again(sales: Scenario) -> None:
    """A step with an open conflict is not done: started again, it settles it."""
    from dataclasses import replace
    from threading import Lock

    sales.run()
    sales.source.execute("UPDATE sales SET code = 'new' || id")
    request, lock, edited = sales.request("backfill", ranges=["sale.id:1..31"]), Lock(), list[int]()

    from flows.session.meter import Meter

    class Editor(Meter):
        """Somebody edits the target when the plan is made and before it is applied."""

        def expect(self, table: str, what: str, rows: int) -> None:
            with lock:
                if what == "apply" and not edited:
                    edited.append(1)
                    sales.target.execute("UPDATE sale SET code = 'by hand' WHERE id = 3")

    assert commands.backfill(request, None, meter=Editor()).status == Status.CONFLICTS
    assert dict(sales.target.ask("SELECT id, code FROM sale"))[3] == "by hand"
    assert commands.backfill(replace(request, run_id="later"), None).report.total.update == 1
    sales.settled()


def test_steps_cover_a_range_without_gap_or_overlap() -> None:
    def cut(start: str, stop: str, every: str) -> list[tuple[str, str]]:
        return [(each.start, each.stop) for each in steps(RangeText("t", "c", start, stop), every)]

    assert cut("2024-01-31", "2024-05-01", "1mo") == [
        ("2024-01-31", "2024-02-29"), ("2024-02-29", "2024-03-31"), ("2024-03-31", "2024-04-30"),
        ("2024-04-30", "2024-05-01"),
    ]  # fmt: skip
    assert cut("0", "25", "10") == [("0", "10"), ("10", "20"), ("20", "25")]
    assert cut("2024-02-29", "2026-03-01", "1y")[0] == ("2024-02-29", "2025-02-28")
    assert cut("2024-01-01 00:00:00", "2024-01-02 00:00:00", "6h")[1] == ("2024-01-01 06:00:00", "2024-01-01 12:00:00")
    assert date.fromisoformat(cut("2024-01-01", "2024-02-01", "1w")[-1][0]) == date(2024, 1, 29)
    assert datetime.fromisoformat(cut("2024-01-01 12:00", "2024-01-03 00:00", "1d")[-1][1]) == datetime(2024, 1, 3)


@pytest.mark.parametrize("every", ["0", "-1d", "d", "1x", "1.5d", ""])
def test_a_step_that_is_none_is_refused(every: str) -> None:
    with pytest.raises(SpecError, match="is not a step"):
        list(steps(RangeText("t", "c", "2024-01-01", "2024-02-01"), every))


@pytest.mark.parametrize(
    ("start", "stop", "every"),
    [("1", "10", "1d"), ("2024-01-01", "2024-02-01", "7"), ("a", "b", "1"), ("1", "", "1"), ("1", "2024-01-01", "1d"),
     ("2024-01-01", "2024-01-02", "6h"), ("10", "1", "2"), ("5", "5", "2")],
)  # fmt: skip
def test_steps_that_do_not_fit_the_range_are_refused(start: str, stop: str, every: str) -> None:
    with pytest.raises(SpecError):
        list(steps(RangeText("t", "c", start, stop), every))


def test_a_range_with_dots_and_colons_in_its_ends_is_read_whole(sales: Scenario) -> None:
    parsed = parse_range("sale.sold_on:2024-01-01 10:00:00.5..2024-01-02 00:00:00", sales.spec)
    assert (parsed.start, parsed.stop) == ("2024-01-01 10:00:00.5", "2024-01-02 00:00:00")


@pytest.mark.parametrize("sales", [PAIRS[3]], indirect=True, ids=pair_name)
def test_a_range_over_a_numeric_without_bounds_goes_by_value_or_is_refused_as_such(sales: Scenario) -> None:
    for side in (sales.source, sales.target):
        side.execute("CREATE TABLE n (k bigint PRIMARY KEY, x numeric)")
    sales.source.insert("n", [(1, "9"), (2, "10"), (3, "100"), (4, "9.5"), (5, None)])
    sales.write({"n": {"from": "n"}})
    try:
        sales.run(ranges=["n.x:9.5..100"])
    except SpecError as error:
        assert "without bounds" in str(error)
        return
    assert [key for (key,) in sales.target.ask("SELECT k FROM n ORDER BY k")] == [2, 4]


@pytest.mark.parametrize("sales", [PAIRS[3]], indirect=True, ids=pair_name)
def test_a_range_over_instants_reads_local_times_in_the_sources_zone(sales: Scenario) -> None:
    for side in (sales.source, sales.target):
        side.execute("CREATE TABLE n (at timestamptz PRIMARY KEY, v text)")
    sales.source.insert("n", [("2024-07-01 21:59:59+00", "a"), ("2024-07-01 22:00:00+00", "b"), ("infinity", "c")])
    sales.write({"n": {"from": "n"}}, source={**sales.source.endpoint, "time_zone": "Europe/Vienna"})
    sales.run(ranges=["n.at:2024-07-02..2024-07-03"])
    assert sales.target.ask("SELECT v FROM n") == [("b",)]
    sales.run(ranges=["n.at:2024-07-01T20:00:00Z..2024-07-01T22:00:00Z"])
    assert sales.target.ask("SELECT v FROM n ORDER BY v") == [("a",), ("b",)]
    sales.run()
    sales.settled()


@pytest.mark.parametrize("text", ["sale.id:5..8", "sale.code:c05..c08"])
def test_soft_deletes_go_by_the_range_too(sales: Scenario, text: str) -> None:
    sales.target.execute("ALTER TABLE sale ADD COLUMN gone boolean")
    sales.write({"sale": {**SALES["sale"], "delete": {"policy": "soft", "column": "gone"}}})
    sales.run()
    sales.source.execute("DELETE FROM sales WHERE id IN (6, 20)")
    done = sales.run(ranges=[text])
    assert (done.report.total.delete, done.report.total.update) == (1, 0)
    assert sales.target.ask("SELECT id FROM sale WHERE gone") == [(6,)]


@pytest.mark.parametrize("text", ["sale.sold_on:2024-01-05..2024-01-08", "sale.id:5..8"])
def test_quarantined_rows_outside_of_a_range_are_not_its_business(sales: Scenario, text: str) -> None:
    sales.write({"sale": {**SALES["sale"], "columns": {**COLUMNS, "euros": {"expr": "cents", "cast": "numeric(9,2)"}}}})
    sales.source.execute("UPDATE sales SET cents = 99999999999 WHERE id IN (6, 20, 21)")
    done = sales.run(ranges=[text])
    assert counts(done, "sale") == {"source_rows": 3, "insert": 2, "quarantined": 1}
    assert quarantine(sales)[0][1] == [6]
