"""What `check` says of values that do not fit: every fault of every row is counted, shown and told how to mend."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from assessing import checked, columns, fails, findings, keys, table, the
from scenario import PAIRS, Engine, Scenario, pair_name, reasons

from flows.check.assess import assess
from flows.commands import Status

TO: tuple[Engine, ...] = ("sqlite", "duckdb", "postgresql")


@pytest.fixture
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Engine, Engine], Scenario]:
    """Two empty databases of the engines asked for."""

    def make(source: Engine = "sqlite", target: Engine = "duckdb") -> Scenario:
        return Scenario.make(tmp_path, (source, target), request)

    return make


@pytest.fixture(params=TO)
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """From SQLite to each engine."""
    return Scenario.make(tmp_path, ("sqlite", request.param), request)


# --- data that fits


@pytest.mark.parametrize("pair", PAIRS, ids=pair_name)
def test_data_that_fits_gives_no_finding_and_a_run_succeeds(made: Any, pair: tuple[Engine, Engine]) -> None:
    small = made(*pair)
    small.source.execute("CREATE TABLE t (k bigint PRIMARY KEY, v varchar(9), n numeric(9,2), d date)")
    small.source.insert("t", [(n, f"v{n}", "1.25", "2024-02-29") for n in range(25)])
    small.write({"t": {"from": "t"}}, defaults={"window": {"rows": 10}})
    found = checked(small)
    assert (found.status, found.verdict) == (0, "A run would succeed: 25 of 25 source rows fit.")
    assert findings(found) == []
    assert [line.name for line in found.tables[0].columns] == ["k", "v", "n", "d"]
    assert small.run().status == Status.DONE
    again = checked(small)
    assert (again.status, again.tables[0].counts.unchanged) == (0, 25)  # type: ignore[union-attr]


def test_an_empty_source_and_an_empty_target_fit(anywhere: Scenario) -> None:
    assert findings(checked(table(anywhere, "v text", "v text", []))) == []


# --- what does not fit: type, length, precision, range


def test_the_longest_text_is_told_and_how_wide_the_column_must_be(made: Any) -> None:
    rows = [(1, "fits"), (2, "x" * 11), (3, "x" * 14), (4, "é" * 10)]
    small = table(made("sqlite", "postgresql"), "v text", "v varchar(10)", rows)
    finding = the(checked(small), "v")
    assert (finding.level, finding.rows, keys(finding)) == ("quarantine", 2, [[2], [3]])
    assert finding.reason == "longer than the 10 characters of v (character varying(10))"
    assert finding.facts == {"longest": 14}
    assert finding.fix == "widen v to character varying(14), or shorten it with `expr: left(v, 10)`"
    assert finding.samples[0].value == "x" * 11
    small.write(columns(v={"expr": "left(v, 10)"}))
    assert findings(checked(small)) == []


def test_numbers_out_of_range_are_told_by_their_ends(made: Any) -> None:
    small = table(made(), "v bigint", "v smallint", [(1, 32767), (2, 32768), (3, -40000), (4, None), (5, 2**40)])
    finding = the(checked(small), "v")
    assert (finding.rows, keys(finding)) == (3, [[2], [3], [5]])
    assert finding.facts == {"smallest": "-40000", "largest": "1099511627776"}
    assert finding.fix == "found are -40000 to 1099511627776: widen v to bigint"


def test_decimals_are_told_by_their_most_digits(anywhere: Scenario) -> None:
    rows = [(1, "1.25"), (2, "1.239"), (3, "12345.5"), (4, "99.9999")]
    finding = the(checked(table(anywhere, "v numeric(12,4)", "v numeric(5,2)", rows)), "v")
    assert (finding.rows, keys(finding)) == (3, [[2], [3], [4]])
    assert finding.facts is not None
    assert (finding.facts["digits"], finding.facts["decimals"]) == (5, 4)
    assert "widen v to numeric(9,4)" in finding.fix


def test_digits_too_many_behind_the_point_may_be_rounded_when_told_so(made: Any) -> None:
    small = table(made(), "v numeric(12,4)", "v numeric(9,2)", [(1, "1.239")])
    assert "`expr: round(v, 2)::decimal(9,2)`" in the(checked(small), "v").fix
    small.write(columns(v={"expr": "round(v, 2)::decimal(9,2)"}))
    assert findings(checked(small)) == []


def test_texts_that_are_no_numbers_are_counted_by_value(made: Any) -> None:
    rows = [(1, "1"), (2, "n/a"), (3, "n/a"), (4, "1.005"), (5, "?")]
    small = table(made(), "v text", "v numeric(9,2)", rows, v={"from": "v", "cast": "numeric(9,2)"})
    finding = the(checked(small), "v")
    assert (finding.rows, finding.reason) == (4, "text that is no numeric(9,2) without loss")
    assert finding.facts == {"values": {"n/a": 2, "1.005": 1, "?": 1}}
    assert '`map: {"n/a": null, "?": null}` and `default: keep`' in finding.fix
    assert "for the numbers widen v to numeric(10,3)" in finding.fix


def test_the_advice_to_read_words_as_null_works(made: Any) -> None:
    rows = [(1, "2024-02-29"), (2, "0000-00-00"), (3, "0000-00-00")]
    small = table(made(), "v text", "v date", rows, v={"from": "v", "cast": "date"})
    finding = the(checked(small), "v")
    assert (finding.rows, finding.facts) == (2, {"values": {"0000-00-00": 2}})
    assert 'read them as null with `map: {"0000-00-00": null}` and `default: keep`' in finding.fix
    small.write(columns(v={"from": "v", "cast": "date", "map": {"0000-00-00": None}, "default": "keep"}))
    assert findings(checked(small)) == []


def test_dates_in_another_form_are_recognized(anywhere: Scenario) -> None:
    rows = [(1, "29.02.2024"), (2, "01.12.1999")]
    small = table(anywhere, "v text", "v date", rows, v={"from": "v", "cast": "date"})
    assert the(checked(small), "v").fix == 'say how they are written: `cast: {type: date, format: "%d.%m.%Y"}`'
    small.write(columns(v={"from": "v", "cast": {"type": "date", "format": "%d.%m.%Y"}}))
    assert findings(checked(small)) == []


def test_numbers_that_are_no_booleans_are_counted_by_value(made: Any) -> None:
    rows = [(1, 0), (2, 1), (3, 2), (4, -1), (5, 2)]
    small = table(made(), "v integer", "v boolean", rows, v={"from": "v", "cast": "boolean"})
    finding = the(checked(small), "v")
    assert (finding.rows, finding.facts and finding.facts["values"]) == (3, {"2": 2, "-1": 1})
    assert "found '2' (2 rows), '-1' (1 row): make v a number" in finding.fix


def test_times_with_too_many_digits_are_told(made: Any) -> None:
    rows = [(1, "2024-01-01 10:00:00"), (2, "2024-01-01 10:00:00.5"), (3, "2024-01-01 10:00:00.123456")]
    finding = the(checked(table(made(), "v timestamp", "v timestamp(0)", rows)), "v")
    assert (finding.rows, keys(finding)) == (2, [[2], [3]])
    assert "`expr: date_trunc('second', v)`" in finding.fix


def test_days_outside_of_the_targets_calendar_are_told(made: Any) -> None:
    small = made("duckdb", "postgresql")
    small.source.execute(
        "CREATE TABLE t (k BIGINT PRIMARY KEY, v DATE)",
        "INSERT INTO t VALUES (1, DATE '5000-01-01 (BC)'), (2, DATE '2024-02-29'), (3, DATE '5881000-01-01'), (4, 'infinity')",
    )
    small.target.execute("CREATE TABLE t (k bigint PRIMARY KEY, v date)")
    small.write(columns(v="v"))
    finding = assess(small.spec, datetime.now(UTC)).tables[0].findings[0]
    assert (finding.rows, keys(finding)) == (2, [[1], [3]])
    assert finding.reason.startswith("outside the range of v (date): ")
    assert "take a wider type for v" in finding.fix


def test_nan_is_told_where_the_target_has_none(made: Any) -> None:
    small = table(made("postgresql", "sqlite"), "v double precision", "v double", [(1, 1.5), (2, "NaN"), (3, None)])
    finding = the(checked(small), "v")
    assert (finding.rows, keys(finding)) == (1, [[2]])
    small.write(columns(v={"expr": "if(isnan(v), null, v)"}))
    assert findings(checked(small)) == []


def test_times_that_a_clock_change_repeats_or_skips_are_two_findings(made: Any) -> None:
    rows = [
        (1, "2013-11-03 01:30:00"),
        (2, "2013-03-10 02:30:00"),
        (3, "2013-11-03 01:59:59"),
        (4, "2013-07-01 12:00:00"),
    ]
    cast = {"type": "timestamptz", "time_zone": "America/New_York"}
    small = table(made(), "v timestamp", "v timestamptz", rows, v={"from": "v", "cast": cast})
    assert [(reason, n) for _, _, reason, n in findings(checked(small))] == [
        ("local time occurs twice in America/New_York", 2),
        ("local time does not exist in America/New_York", 1),
    ]
    small.write(columns(v={"from": "v", "cast": {**cast, "ambiguous": "earliest", "nonexistent": "latest"}}))
    assert findings(checked(small)) == []


# --- nulls, labels, value maps, characters


def test_nulls_are_counted_where_the_target_takes_none(anywhere: Scenario) -> None:
    finding = the(checked(table(anywhere, "v text", "v text NOT NULL", [(1, "a"), (2, None), (3, None)])), "v")
    assert (finding.level, finding.rows, keys(finding)) == ("quarantine", 2, [[2], [3]])
    assert "coalesce(v, …)" in finding.fix


@pytest.mark.parametrize("target", ["duckdb", "postgresql"])
def test_unknown_enum_values_are_counted_by_value(made: Any, target: Engine) -> None:
    small = made("sqlite", target)
    small.target.execute("CREATE TYPE kind AS ENUM ('novel', 'poem')")
    rows = [(1, "novel"), (2, "comic"), (3, "comic"), (4, ""), (5, None)]
    finding = the(checked(table(small, "v text", "v kind", rows)), "v")
    assert (finding.rows, finding.facts) == (3, {"values": {"comic": 2, "": 1}})
    assert finding.fix.startswith("add 'comic' (2 rows), '' (1 row) to ")


def test_values_that_a_map_does_not_list_are_counted_by_value(anywhere: Scenario) -> None:
    rows = [(1, "P"), (2, "C"), (3, "X"), (4, "X"), (5, "Y"), (6, None)]
    small = table(anywhere, "v text", "v text", rows, v={"from": "v", "map": {"P": "person", "C": "company"}})
    finding = the(checked(small), "v")
    assert (finding.rows, finding.facts) == (3, {"values": {"X": 2, "Y": 1}})
    assert finding.fix.startswith("add 'X' (2 rows), 'Y' (1 row) to `map:`")


def test_nul_characters_are_counted_and_those_stripped_as_told_are_a_note(made: Any) -> None:
    small = table(made("sqlite", "postgresql"), "v text", "v text", [(1, "a\0b"), (2, "ab"), (3, "\0"), (4, None)])
    finding = the(checked(small), "v")
    assert (finding.level, finding.rows, keys(finding)) == ("quarantine", 2, [[1], [3]])
    assert "`nul: strip`" in finding.fix
    small.write(columns(v={"from": "v", "nul": "strip"}))
    found = checked(small)
    assert findings(found) == [("note", "v", "NUL characters are left out", 2)]
    assert (found.status, found.total.quarantined) == (0, 0)


# --- values that the source's own column type does not promise


def test_mixed_values_of_a_sqlite_column_are_one_finding_whatever_they_are(made: Any) -> None:
    rows = [(1, 1), (2, "many"), (3, "few is not a few"), (4, b"\x00\x01"), (5, 1.5), (6, None)]
    small = table(made(), "v integer, w text", "v bigint NOT NULL, w text", [(*row, "w") for row in rows], v="v", w="w")
    found = checked(small)
    assert [(reason, n) for _, _, reason, n in findings(found)] == [
        ("is not an integer", 4),
        ("null in v, which takes no nulls", 1),
    ]
    first = found.tables[0].findings[0]
    assert keys(first) == [[2], [3], [4], [5]]
    assert [sample.value for sample in first.samples] == [
        "many", "few is not a few", "a blob of 2 bytes", "real 1.5",
    ]  # fmt: skip


def test_a_value_that_an_expression_cannot_read_is_found_under_its_column(made: Any) -> None:
    small = table(made(), "n integer", "v bigint", [(1, 1), (2, "many"), (3, 3)], v={"expr": "n + 1"})
    assert findings(checked(small)) == [("quarantine", "v", "is not an integer", 1)]


def test_an_expression_that_fails_for_a_row_is_found(made: Any) -> None:
    small = table(made(), "n text", "v bigint", [(1, "1"), (2, "x"), (3, "3")], v={"expr": "n::bigint"})
    finding = the(checked(small), "v")
    assert (finding.rows, keys(finding)) == (1, [[2]])
    assert "try_cast" in finding.fix


def test_texts_that_are_not_valid_in_their_character_set_are_found(made: Any) -> None:
    small = table(made(), "v text", "v text", [(1, "a")])
    with closing(sqlite3.connect(small.source.place)) as there, there:
        there.execute("INSERT INTO t VALUES (2, CAST(x'ff41' AS TEXT))")
    finding = assess(small.spec, datetime.now(UTC)).tables[0].findings[0]
    assert (finding.columns, finding.reason, finding.rows) == (("v",), "is not valid UTF-8", 1)


# --- counting


def test_every_fault_of_a_row_counts_and_the_row_is_set_aside_once(made: Any) -> None:
    rows = [(1, "toolong", 99999, None), (2, "x", 1, "c"), (3, "toolong", 1, "c")]
    small = table(
        made("sqlite", "postgresql"),
        "a text, b integer, c text",
        "a varchar(3), b smallint, c text NOT NULL",
        rows,
        a="a",
        b="b",
        c="c",
    )
    found = checked(small)
    assert [(column, n) for _, column, _, n in findings(found)] == [("a", 2), ("b", 1), ("c", 1)]
    assert (found.total.source_rows, found.total.quarantined) == (3, 2)
    assert sum(reasons(small.plan(), "t").values()) == 2


def test_a_null_that_a_bad_value_left_behind_is_no_fault_of_its_own(made: Any) -> None:
    small = table(made(), "v text", "v date NOT NULL", [(1, "never"), (2, None)], v={"from": "v", "cast": "date"})
    assert [(reason, n) for _, _, reason, n in findings(checked(small))] == [
        ("null in v, which takes no nulls", 1),
        ("text that is no date without loss", 1),
    ]


@pytest.mark.parametrize("path", ["t", {"query": "SELECT * FROM t"}], ids=["ordered", "spill"])
def test_counts_are_exact_and_samples_the_first_however_the_table_is_cut(made: Any, path: Any) -> None:
    rows = [(n, "bad" if n % 3 == 0 else "2024-01-01") for n in range(1, 301)]
    small = table(made(), "v text", "v date", rows)
    written = {"t": {"from": path, "key": ["k"], "columns": {"k": "k", "v": {"from": "v", "cast": "date"}}}}
    answers = []
    for size in (7, 100, 1000):
        small.write(written, defaults={"window": {"rows": size}})
        found = checked(small, samples=3)
        finding = the(found, "v")
        assert (finding.rows, keys(finding)) == (100, [[3], [6], [9]])
        answers.append(json.dumps([each.as_dict() for each in found.tables[0].findings]))
    assert len(set(answers)) == 1


def test_samples_are_as_many_as_asked_for(made: Any) -> None:
    small = table(made("sqlite", "postgresql"), "v text", "v varchar(1)", [(n, "long") for n in range(20)])
    assert [len(the(checked(small, samples=most), "v").samples) for most in (0, 1, 5, 50)] == [0, 1, 5, 20]


# --- MariaDB


def legacy(small: Scenario, *statements: str) -> Scenario:
    """A MariaDB that takes what old ones took."""
    small.source.execute("SET SESSION sql_mode = 'ANSI_QUOTES'", *statements)
    return small


def test_zero_and_partial_dates_are_counted_and_those_read_as_told_are_a_note(made: Any) -> None:
    small = legacy(
        made("mysql", "postgresql"),
        "CREATE TABLE t (k bigint PRIMARY KEY, v date, w datetime)",
        "INSERT INTO t VALUES (1, '2020-01-01', '2020-01-01'), (2, '0000-00-00', '0000-00-00'), (3, '2020-02-00', NULL)",
    )
    small.target.execute("CREATE TABLE t (k bigint PRIMARY KEY, v date, w timestamp)")
    small.write(columns(v="v", w="w"))
    found = checked(small)
    first = found.tables[0].findings[0]
    assert (first.level, first.columns, first.reason) == ("quarantine", ("v",), "is no date")
    assert (first.rows, keys(first), first.samples[0].value) == (2, [[2], [3]], "0000-00-00")
    assert first.fix == "say what they become: `zero_date: null`, or a date"
    small.write(columns(v={"from": "v", "zero_date": None}, w={"from": "w", "zero_date": "1970-01-01"}))
    found = checked(small)
    assert findings(found) == [
        ("note", "v", "dates that are none are read as null", 2),
        ("note", "w", "dates that are none are read as 1970-01-01", 1),
    ]
    assert (found.status, found.total.quarantined) == (0, 0)
    small.write(columns(v={"from": "v", "zero_date": "fail"}, w={"from": "w", "zero_date": None}))
    found = checked(small)
    assert [(level, column, n) for level, column, _, n in findings(found)] == [("refused", "v", 2), ("note", "w", 1)]
    assert fails(small)


def test_what_mariadb_holds_and_the_target_does_not_is_counted(made: Any) -> None:
    small = legacy(
        made("mysql", "postgresql"),
        "CREATE TABLE t (k bigint PRIMARY KEY, b tinyint(1), u bigint unsigned, d time, e enum('a','b'), f float)",
        "INSERT INTO t VALUES (1, 1, 1, '10:00:00', 'a', 0.1), (2, 2, 18446744073709551615, '100:00:00', 'b', NULL), "
        "(3, -1, 9223372036854775808, '-05:00:00', NULL, NULL)",
    )
    small.target.execute(
        "CREATE TYPE kind AS ENUM ('a')",
        "CREATE TABLE t (k bigint PRIMARY KEY, b boolean, u bigint, d time, e kind, f double precision)",
    )
    small.write(columns(b={"from": "b", "cast": "boolean"}, u="u", d={"from": "d", "cast": "time"}, e="e", f="f"))
    found = checked(small)
    assert [(column, n) for _, column, _, n in findings(found)] == [("b", 2), ("u", 2), ("d", 2), ("e", 1)]
    assert the(found, "u").fix == "found are 9223372036854775808 to 18446744073709551615: widen u to numeric(20)"
    assert "make d an interval" in the(found, "d").fix
    assert small.run().status == Status.DONE


def test_a_run_says_how_many_dates_it_replaced_as_the_spec_says(made: Any) -> None:
    small = legacy(
        made("mysql", "postgresql"),
        "CREATE TABLE t (k bigint PRIMARY KEY, v date, w datetime)",
        "INSERT INTO t VALUES (1, '2020-01-01', '2020-01-01'), (2, '0000-00-00', '0000-00-00'), (3, '2020-02-00', NULL)",
    )
    small.target.execute("CREATE TABLE t (k bigint PRIMARY KEY, v date, w timestamp)")
    small.write(columns(v={"from": "v", "zero_date": None}, w={"from": "w", "zero_date": "1970-01-01"}))
    said = "dates that are none are replaced by what zero_date says"
    for done in (small.plan(), small.run()):
        assert [warning for warning in done.report.warning_texts if said in warning] == [
            f"t.v: {said} in 2 of the rows that were read, as the spec says.",
            f"t.w: {said} in 1 of the rows that were read, as the spec says.",
        ]
    small.settled()
