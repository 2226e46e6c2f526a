"""What people decided is applied to rows that are as they were then, and to no others."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from transforms.diff import Comparison, patched
from transforms.reconcile import Policy, Reconciled, left_open, open_rows, reconcile, weighed
from transforms.vocabulary import TIMESTAMP_INFINITY, TableName

T = TableName("boat")
SCHEMA = pa.schema([("no", pa.int64()), ("name", pa.string()), ("berth", pa.decimal128(9, 2))])
COMPARISON = Comparison(("no",), ("no", "name", "berth"))
MADE = pa.schema([(name, pa.string()) for name in ("key", "field", "take", "value", "kind", "source", "target")])
Row = tuple[int, str | None, str | None]


def table(*rows: Row) -> pa.Table:
    berths = [None if berth is None else Decimal(berth) for _, _, berth in rows]
    return pa.table([[no for no, *_ in rows], [name for _, name, _ in rows], berths], schema=SCHEMA)


def rows_of(rows: pa.Table) -> list[Row]:
    return sorted((r["no"], r["name"], None if r["berth"] is None else str(r["berth"])) for r in rows.to_pylist())


def met(base: pa.Table | None, source: pa.Table, target: pa.Table, policy: Policy | None = None) -> Reconciled:
    return reconcile(T, base, source, target, COMPARISON, policy or Policy("merge", initial="policy"))


def decided(outcome: Reconciled, *made: tuple[int, str | None, str, str | None]) -> pa.Table:
    """Decisions about conflicts of an outcome."""
    told = {row["key"]: row for row in open_rows(outcome.conflicts).to_pylist()}
    lines = [{**told[f"[{no}]"], "field": field, "take": take, "value": value} for no, field, take, value in made]
    return pa.Table.from_pylist(lines, schema=MADE)


def after(base: pa.Table, source: pa.Table, target: pa.Table, made: pa.Table) -> tuple[list[Row], list[Row], Any]:
    """Both sides once what was decided is applied, and what was weighed."""
    fair = weighed(made, base, source, target, ("no",))
    outcome = reconcile(T, fair.base, source, target, COMPARISON, Policy("merge"), decisions=fair.decisions)
    return rows_of(patched(source, outcome.source)), rows_of(patched(target, outcome.target)), fair


BASE = table((1, "Elsa", "4"), (2, "Ida", "1"))
SOURCE = table((1, "Ada", "5"), (2, "Ida", "1"))
TARGET = table((1, "Eva", "6"), (2, "Ida", "1"))


def test_images_are_texts_of_json_and_null_where_there_is_no_row() -> None:
    outcome = met(BASE, SOURCE, TARGET.slice(1))
    (row,) = open_rows(outcome.conflicts).to_pylist()
    assert (row["key"], row["kind"], row["target"]) == ("[1]", "update/delete", None)
    assert json.loads(row["source"]) == {"no": 1, "name": "Ada", "berth": "5.00"}
    assert json.loads(row["base"]) == {"no": 1, "name": "Elsa", "berth": "4.00"}
    assert open_rows(outcome.conflicts.slice(0, 0)).num_rows == 0


def test_every_value_has_a_text() -> None:
    odd = {
        "at": pa.array([TIMESTAMP_INFINITY, None], pa.timestamp("us", "UTC")),
        "bytes": pa.array([b"\x00\xff", b""]),
        "real": pa.array([float("nan"), -0.0]),
        "text": pa.array(['\x00😀\u202e"', ""]),
        "day": pa.array([2**30, None], pa.date32()),
        "yes": pa.array([True, None]),
    }
    target = pa.table({"no": [1, 2], **odd})
    source = target.set_column(4, "text", pa.array(["other", "another"]))
    outcome = reconcile(
        T, None, source, target, Comparison(("no",), ("no", "text")), Policy("manual", initial="policy")
    )
    first, second = (json.loads(text) for text in open_rows(outcome.conflicts)["target"].to_pylist())
    assert (first["at"], first["bytes"], first["text"], first["yes"]) == ("infinity", "00ff", '\x00😀\u202e"', True)
    assert (second["at"], second["text"], second["yes"]) == (None, "", None)


@pytest.mark.parametrize(
    ("made", "row"),
    [
        ([(1, None, "source", None)], (1, "Ada", "5.00")),
        ([(1, None, "base", None)], (1, "Elsa", "4.00")),
        ([(1, "name", "target", None), (1, "berth", "value", "7.5")], (1, "Eva", "7.50")),
    ],
)
def test_a_decision_about_rows_that_are_as_they_were_is_applied(made: Any, row: Row) -> None:
    source, target, fair = after(BASE, SOURCE, TARGET, decided(met(BASE, SOURCE, TARGET), *made))
    assert source == target == [row, (2, "Ida", "1.00")]
    assert fair.met.to_pylist() == ["[1]"] and fair.outdated.to_pylist() == []


@pytest.mark.parametrize("side", ["source", "target", "gone", "back"])
def test_a_decision_about_a_row_that_changed_again_is_outdated_and_not_applied(side: str) -> None:
    made = decided(met(BASE, SOURCE, TARGET), (1, None, "source", None))
    edited = table((1, "Uwe", "9"), (2, "Ida", "1"))
    source = {"source": edited, "gone": SOURCE.slice(1)}.get(side, SOURCE)
    target = {"target": edited, "back": BASE}.get(side, TARGET)
    left, right, fair = after(BASE, source, target, made)
    assert fair.outdated.to_pylist() == ["[1]"] and not fair.decisions.table.num_rows
    if side == "back":
        assert left == right == rows_of(SOURCE)  # no conflict any more
    else:
        assert (left, right) == (rows_of(source), rows_of(target))


def test_decisions_about_rows_of_other_windows_are_not_met() -> None:
    made = decided(met(BASE, SOURCE, TARGET), (1, None, "source", None))
    other = table((2, "Ida", "1"))
    assert not weighed(made, other, other, other, ("no",)).met
    fair = weighed(made, table((1, "Elsa", "4")), other.slice(0, 0), other.slice(0, 0), ("no",))
    assert fair.outdated.to_pylist() == ["[1]"]  # deleted on both sides since
    none = weighed(made.slice(0, 0), BASE, SOURCE, TARGET, ("no",))
    assert none.base == BASE and not none.met and not none.outdated and not none.decisions.table.num_rows


def test_a_decision_about_a_row_that_is_on_one_side_alone() -> None:
    gone = TARGET.slice(1)
    made = decided(met(BASE, SOURCE, gone), (1, None, "target", None))
    source, target, _ = after(BASE, SOURCE, gone, made)
    assert source == target == [(2, "Ida", "1.00")]
    assert after(BASE, SOURCE, TARGET, made)[2].outdated.to_pylist() == ["[1]"]  # it came back


def refused(base: pa.Table, source: pa.Table, target: pa.Table, kind: str, fields: list[str], no: int) -> Reconciled:
    return left_open(met(base, source, target), pa.table({"no": [no]}), kind, fields, base, source, target)


@pytest.mark.parametrize(
    ("take", "name", "row"),
    [
        ("source", None, (1, "Elsa", "4.00")),
        ("base", None, (1, "Elsa", "4.00")),
        ("target", None, (1, "Eva", "6.00")),
        ("source", "name", (1, "Elsa", "6.00")),
        ("target", "name", (1, "Eva", "6.00")),
    ],
)
def test_of_a_row_that_a_side_cannot_take_the_edit_or_the_former_state_may_stand(
    take: str, name: str | None, row: Row
) -> None:
    outcome = refused(BASE, BASE, TARGET, "no_inverse", ["name"], 1)
    made = decided(outcome, (1, name, take, None))
    source, target, fair = after(BASE, BASE, TARGET, made)
    assert source == target == [row, (2, "Ida", "1.00")]
    assert not fair.decisions.table.num_rows


def test_a_row_that_was_born_and_refused_may_go_again_and_one_that_was_deleted_may_come_back() -> None:
    born = table(*[(1, "Elsa", "4"), (2, "Ida", "1"), (3, "Neu", "8")])
    outcome = refused(BASE, born, BASE, "unique", ["name"], 3)
    source, target, _ = after(BASE, born, BASE, decided(outcome, (3, None, "target", None)))
    assert source == target == rows_of(BASE)
    outcome = refused(BASE, BASE.slice(1), BASE, "foreign_key", [], 1)
    source, target, _ = after(BASE, BASE.slice(1), BASE, decided(outcome, (1, None, "target", None)))
    assert source == target == rows_of(BASE)


def test_a_field_of_two_edits_that_a_side_cannot_take_keeps_the_other_edit() -> None:
    source, target = table((1, "Elsa", "5"), (2, "Ida", "1")), table((1, "Eva", "4"), (2, "Ida", "1"))
    outcome = refused(BASE, source, target, "no_inverse", ["name"], 1)
    left, right, _ = after(BASE, source, target, decided(outcome, (1, "name", "source", None)))
    assert left == right == [(1, "Elsa", "5.00"), (2, "Ida", "1.00")]
