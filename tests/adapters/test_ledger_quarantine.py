"""Rows that a ledger remembers as set aside: once for each reason, chosen, counted and forgotten."""

from __future__ import annotations

import time

import pyarrow as pa
import pytest
from ledgers import START, Clock, aside
from ledgers import clock as clock
from ledgers import ledger as ledger
from ledgers import server as server
from ledgers import url as url

from adapters.ledger.ledger import Choice, Ledger
from adapters.store.plans import QUARANTINE
from transforms.vocabulary import SynclineError, TransientError


def test_a_row_is_set_aside_once_for_each_reason_and_remembers_when_first(ledger: Ledger, clock: Clock) -> None:
    ledger.record_quarantine(
        "m", "target", aside(("[1]", "late"), ("[1]", "no parent"), ("[2]", "late")), "r1", "file1"
    )
    clock.forward(days=1)
    assert ledger.record_quarantine("m", "target", aside(("[1]", "late"), value="v"), "r2", "file2") == 1
    ledger.record_quarantine("other", "target", aside(("[1]", "late")), "r2")
    found = ledger.chosen("m", Choice(("flight",)))
    assert [(each.key, each.reason, each.run_id) for each in found] == [
        ("[1]", "late", "r2"), ("[1]", "no parent", "r1"), ("[2]", "late", "r1"),
    ]  # fmt: skip
    assert (found[0].first_seen, found[0].last_seen) == (START, clock.moment)
    assert (found[0].value, found[0].file, found[0].column_name) == ("v", "file2", "c")
    assert len(ledger.chosen("m", Choice(), 2)) == 2
    assert ledger.chosen("m", Choice(("airport",))) == []


def test_rows_that_share_a_key_are_counted(ledger: Ledger) -> None:
    ledger.record_quarantine(
        "m", "target", aside(("[null]", "null key"), ("[null]", "null key"), ("[1]", "late")), "r1"
    )
    assert [(each.key, each.rows) for each in ledger.chosen("m", Choice())] == [("[1]", 1), ("[null]", 2)]
    assert ledger.count_chosen("m", Choice()) == {"flight": 3}


def test_a_run_over_the_whole_table_forgets_what_it_did_not_set_aside_again(ledger: Ledger) -> None:
    ledger.record_quarantine("m", "target", aside(("[1]", "late"), ("[2]", "late")), "r1")
    ledger.record_quarantine("m", "target", aside(("[1]", "late"), table="airport"), "r1")
    ledger.record_quarantine("m", "target", aside(("[2]", "late")), "r2")
    assert ledger.sweep_quarantine("m", "target", "flight", "r2") == 1
    assert [(each.table_name, each.key) for each in ledger.chosen("m", Choice())] == [
        ("airport", "[1]"),
        ("flight", "[2]"),
    ]


def test_a_run_over_some_keys_forgets_only_those(ledger: Ledger) -> None:
    ledger.record_quarantine("m", "target", aside(*((f"[{key}]", "late") for key in range(4))), "r1")
    ledger.record_quarantine("m", "target", aside(("[1]", "late")), "r2")
    assert ledger.sweep_quarantine("m", "target", "flight", "r2", ["[1]", "[2]", "[9]"]) == 1
    assert [each.key for each in ledger.chosen("m", Choice())] == ["[0]", "[1]", "[3]"]


@pytest.mark.parametrize(
    ("choice", "keys"),
    [
        (Choice(), ["[1]", "[2]", "[3]"]),
        (Choice(tables=("flight",)), ["[1]", "[2]"]),
        (Choice(keys=("[1]", "[3]", "[9]")), ["[1]", "[3]"]),
        (Choice(reason="LATE 100%"), ["[1]"]),
        (Choice(reason="l_te"), []),
        (Choice(reason="Größe"), ["[2]"]),
        (Choice(("flight",), ("[2]", "[3]"), "late"), []),
        (Choice(("flight",), ("[2]", "[3]"), "no Größe"), ["[2]"]),
        (Choice(codes=("too_long", "nan")), ["[3]"]),
        (Choice(codes=("nan",)), []),
        (Choice(reason="late", codes=("too_long",)), ["[3]"]),
    ],
)
def test_a_choice_is_told_counted_and_forgotten_in_the_database(
    ledger: Ledger, choice: Choice, keys: list[str]
) -> None:
    ledger.record_quarantine(
        "m", "target", aside(("[1]", "late 100% of it"), ("[2]", "no Größe"), ("[2]", "no Größe")), "r1"
    )
    ledger.record_quarantine("m", "target", aside(("[3]", "late"), table="airport", code="too_long"), "r1")
    ledger.record_quarantine("other", "target", aside(("[1]", "late 100% of it")), "r1")
    assert sorted(each.key for each in ledger.chosen("m", choice)) == keys
    assert [each.key for each in ledger.chosen("m", choice, 1)] in ([], keys[:1], keys[-1:])
    assert sorted(key for _, key in ledger.chosen_keys("m", choice)) == keys
    rows = len(keys) + keys.count("[2]")
    assert sum(ledger.count_chosen("m", choice).values()) == rows
    assert ledger.drop_quarantined("m", choice) == rows
    assert ledger.chosen("m", choice) == []
    assert len(ledger.chosen("m", Choice())) == 3 - len(keys) and len(ledger.chosen("other", Choice())) == 1


def test_a_line_without_a_code_has_one_once_its_row_is_set_aside_again(ledger: Ledger) -> None:
    ledger.record_quarantine("m", "target", aside(("[1]", "late")), "r1")
    (line,) = ledger.chosen("m", Choice())
    assert (line.code, line.facts) == (None, None)
    ledger.record_quarantine("m", "target", aside(("[1]", "late"), code="too_long"), "r2")
    (line,) = ledger.chosen("m", Choice())
    assert (line.code, line.facts, line.run_id) == ("too_long", {"limit": 40}, "r2")


def test_keys_and_reasons_of_any_length_and_with_any_quote_are_kept(ledger: Ledger) -> None:
    keys = ["[" + "x" * 20_000 + "]", '["\'; DROP TABLE runs; --"]', '["\u00fc\U0001f600"]']
    ledger.record_quarantine("m", "target", aside(*((key, "r" * 5000) for key in keys)), "r1")
    assert sorted(each.key for each in ledger.chosen("m", Choice())) == sorted(keys)
    assert ledger.sweep_quarantine("m", "target", "flight", "r2", keys) == 3


def test_characters_that_databases_lack_are_stored_as_escapes(ledger: Ledger) -> None:
    rows = aside(("[1]", "no number: a\0b"), value="a\0b\\", code="not_number")
    facts = r'{"given": "\u0000 \ud800"}'
    rows = rows.set_column(rows.schema.get_field_index("facts"), "facts", pa.array([facts]))
    for run in ("r1", "r2"):
        ledger.record_quarantine("m", "target", rows, run)
    (found,) = ledger.chosen("m", Choice(reason=r"A\x00b"))
    assert (found.reason, found.value) == (r"no number: a\x00b", "a\\x00b\\")
    assert found.facts == {"given": "\0 \ud800"}
    assert ledger.sweep_quarantine("m", "target", "flight", "r3") == 1


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_what_the_driver_refuses_to_send_is_the_same_the_next_time(ledger: Ledger) -> None:
    with pytest.raises(SynclineError) as caught:
        ledger.record_quarantine("m\0", "target", aside(("[1]", "late")), "r1")
    assert not isinstance(caught.value, TransientError)


def test_nothing_set_aside_is_nothing_to_write(ledger: Ledger) -> None:
    assert ledger.record_quarantine("m", "target", QUARANTINE.empty_table(), "r1") == 0
    assert ledger.chosen("m", Choice()) == []


def test_tens_of_thousands_of_rows_take_a_moment(ledger: Ledger) -> None:
    rows = aside(*((f'["{key:08d}", "flight"]', "late") for key in range(10_000)))
    for run in ("r1", "r2"):
        began = time.monotonic()
        ledger.record_quarantine("m", "target", rows, run)
        assert time.monotonic() - began < 20, "some 0.2 s on an idle machine; row by row it is a minute"
    assert ledger.sweep_quarantine("m", "target", "flight", "r3", rows["key"].to_pylist()) == 10_000
