"""People decide about rows that are open between both sides: which, what, who and why; and what cannot be decided so is an error."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from command_line import answer, syncline
from scenario import PAIRS, Scenario

from flows.evidence.page import html_report
from flows.results.conflicts import listed
from flows.session.open_rows import note_open, row_kind
from flows.session.session import connect, with_binding
from flows.session.stores import ledger_of
from transforms.reconcile import Policy, left_open, reconcile

SCHEMA = pa.schema(
    [pa.field("k", pa.int64(), nullable=False), ("v", pa.string()), ("n", pa.decimal128(9, 2)), pa.field("m", pa.int64(), nullable=False)]
)  # fmt: skip
Row = tuple[int, str | None, str | None, int]

BASE: list[Row] = [(1, "x", "1", 0), (2, "y", "2", 0), (3, "z", "3", 0), (4, "same", "4", 0)]
SOURCE: list[Row] = [
    (1, "<b>s</b>", "5", 0),
    (2, "s2", "2", 1),
    (4, "same", "4", 0),
    (5, "born", "1", 0),
    (6, "p", "9", 0),
]
TARGET: list[Row] = [
    (1, "t\u202e1", "7.5", 0),
    (2, "t2", "2", 0),
    (3, "z", "8", 0),
    (4, "same", "4", 0),
    (5, "also", "1", 0),
]


def table(rows: list[Row]) -> pa.Table:
    columns = [list(each) for each in zip(*rows, strict=True)]
    columns[2] = [Decimal(each) for each in columns[2]]
    return pa.table(columns, schema=SCHEMA)


@pytest.fixture
def small(tmp_path: Path, request: pytest.FixtureRequest) -> Scenario:
    """Rows 1 and 2 changed on both sides, 3 deleted and updated, 5 created on both, 6 refused by the target."""
    made = Scenario.make(tmp_path, PAIRS[0], request)
    for side in (made.source, made.target):
        side.execute("CREATE TABLE t (k bigint PRIMARY KEY, v varchar(20), n numeric(9,2), m bigint NOT NULL)")
    made.write({"t": {"from": "t", "key": ["k"]}})
    with connect(made.spec) as opened, ledger_of(made.spec) as ledger:
        bound = with_binding(opened).bound.table("t")
        rows = [table(each) for each in (BASE, SOURCE, TARGET)]
        outcome = reconcile(bound.shape.name, *rows, bound.comparison, Policy("merge"))
        refused = left_open(outcome, pa.table({"k": [6]}), "unique", ["v"], *rows)
        assert note_open(made.spec, ledger, bound, refused.conflicts, "r1") == 5
        kind = row_kind(made.spec, ledger, "t")
        assert kind is not None and kind.schema == SCHEMA and kind.key == ("k",)
    return made


def resolve(small: Scenario, *words: str, status: int = 0) -> Any:
    return answer("conflicts", small.path, "resolve", *words, status=status)


def waiting(small: Scenario) -> list[tuple[str, str | None, str, str | None]]:
    with ledger_of(small.spec) as ledger:
        found = ledger.open_rows.decisions_of(small.spec.name, "t").to_pylist()
    return sorted((each["key"], each["field"], each["take"], each["value"]) for each in found)


def test_open_rows_are_listed_with_base_source_and_target(small: Scenario) -> None:
    told = answer("conflicts", small.path, "list")
    assert told["open"] == {"t": 5}
    rows = {row["key"][0]: row for row in told["conflicts"]}
    assert {key: (row["kind"], row["fields"]) for key, row in rows.items()} == {
        1: ("update/update", ["v", "n"]),
        2: ("update/update", ["v"]),
        3: ("delete/update", ["n"]),
        5: ("insert/insert", ["v"]),
        6: ("unique", ["v"]),
    }
    assert (rows[3]["base"], rows[3]["source"]) == ({"k": "3", "v": "z", "n": "3.00", "m": "0"}, None)
    assert (rows[5]["base"], rows[5]["target"]["v"]) == (None, "also")
    listed = syncline("conflicts", small.path, "list").output
    assert "1.00 5.00 7.50" in " ".join(listed.split()) and "(no row)" in listed and "\u202e" not in listed
    shown = syncline("conflicts", small.path, "show", "--key", "2").output
    assert "v: base y, source s2, target t2" in shown
    assert "m: base 0, source 1, target 0, not in conflict" in shown
    assert "until somebody decides" in shown


def test_a_row_a_field_and_a_value_are_decided_with_who_and_why(small: Scenario) -> None:
    assert resolve(small, "--table", "t", "--key", "1", "--take", "source", "--why", "the shop said so") == {
        "migration": small.spec.name, "decided": {"t": 1}, "left": {},
    }  # fmt: skip
    resolve(small, "--table", "t", "--key", "2", "--field", "v", "--take", "third")
    resolve(small, "--key", "6", "--take", "target")
    assert waiting(small) == [
        ("[1]", None, "source", None),
        ("[2]", "v", "value", "third"),
        ("[6]", None, "target", None),
    ]
    shown = syncline("conflicts", small.path, "show").output
    assert "take source: the shop said so" in shown and "v: take third" in shown
    (one,) = answer("conflicts", small.path, "list", "--key", "1")["conflicts"]
    assert [(each["take"], each["why"], bool(each["by"])) for each in one["decided"]] == [
        ("source", "the shop said so", True)
    ]


def test_words_that_stand_for_something_can_be_values(small: Scenario) -> None:
    for take, value in (("value:source", "source"), ("value:null", "null"), ("null", None), ("value:", "")):
        resolve(small, "--key", "1", "--field", "v", "--take", take)
        assert waiting(small) == [("[1]", "v", "value", value)]


def test_many_rows_are_decided_by_a_filter(small: Scenario) -> None:
    done = resolve(small, "--where", "source.n < target.n AND kind = 'update/update'", "--take", "target")
    assert done["decided"] == {"t": 1} and waiting(small) == [("[1]", None, "target", None)]
    done = resolve(small, "--where", "source IS NULL OR base IS NULL", "--take", "base")
    assert done["decided"] == {"t": 1} and sum(done["left"].values()) == 2
    assert ("[3]", None, "base", None) in waiting(small)
    done = resolve(small, "--all", "--field", "v", "--take", "source")
    assert done["decided"] == {"t": 4} and sum(done["left"].values()) == 1
    assert resolve(small, "--table", "t", "--take", "source")["decided"] == {"t": 5}
    assert len(waiting(small)) == 5


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--take", "source"], ["no row was chosen"]),
        (["--key", "4", "--take", "source"], ["[4]", "in conflict"]),
        (["--key", "99", "--take", "source"], ["[99]"]),
        (["--table", "nothing", "--take", "source"], ["nothing"]),
        (["--table", "t", "--field", "vv", "--take", "source"], ["no column vv", "v"]),
        (["--table", "t", "--field", "k", "--take", "source"], ["part of the key"]),
        (["--key", "1", "--take", "soruce"], ["--field"]),
        (["--key", "1", "--field", "n", "--take", "nine"], ["nine", "t.n"]),
        (["--key", "1", "--field", "n", "--take", "1.234"], ["1.234"]),
        (["--key", "1", "--field", "m", "--take", "null"], ["t.m", "null"]),
        (["--key", "2", "--field", "n", "--take", "source"], ["n is not open"]),
        (["--key", "3", "--field", "n", "--take", "target"], ["deleted", "--field"]),
        (["--key", "5", "--take", "base"], ["no base"]),
        (["--key", "6", "--field", "v", "--take", "other"], ["cannot take"]),
        (["--where", "source.nn > 1", "--take", "source"], ["nn"]),
        (["--where", "source.n + 1", "--take", "source"], ["no condition"]),
        (["--where", "source.n > 1000", "--take", "source"], ["condition"]),
        (["--where", "sum(source.n) > 1000", "--take", "source"], ["aggregate"]),
    ],
)
def test_what_cannot_be_decided_is_an_error_and_nothing_is_noted(
    small: Scenario, words: list[str], told: list[str]
) -> None:
    error = resolve(small, *words, status=1)
    assert all(each in error["error"] for each in told) and error["fix"], error
    assert waiting(small) == []


def test_options_of_resolve_are_its_own(small: Scenario) -> None:
    assert "--take" in syncline("conflicts", small.path, "resolve", "--all", status=1).output
    assert "resolve" in syncline("conflicts", small.path, "list", "--take", "source", status=1).output


def test_the_life_of_a_row_tells_who_decided_what_and_why(small: Scenario) -> None:
    small.source.insert("t", [(1, "a", 1, 0)])
    small.run()
    with connect(small.spec) as opened, ledger_of(small.spec) as ledger:
        bound = with_binding(opened).bound.table("t")
        rows = [table(each) for each in (BASE, SOURCE, TARGET)]
        note_open(
            small.spec, ledger, bound, reconcile(bound.shape.name, *rows, bound.comparison, Policy()).conflicts, "r2"
        )
        resolve(small, "--key", "1", "--take", "source", "--why", "they know")
        resolve(small, "--key", "1", "--field", "v", "--take", "null")
        assert ledger.open_rows.outdate(small.spec.name, "t", ["[1]"], "r3") == 2
    lines = answer("log", small.path, "t", "--key", "1")["changes"]
    assert [(line["op"], line.get("ended")) for line in lines] == [
        ("insert", None), ("decision", "outdated"), ("decision", "outdated"),
    ]  # fmt: skip
    assert (lines[1]["why"], lines[1]["decision"]["take"], lines[1]["decision"]["source"]["n"]) == (
        "they know",
        "source",
        "5.00",
    )
    told = syncline("log", small.path, "t", "--key", "1").output
    assert "take source" in told and "they know" in told and "outdated by run r3" in told and "take null for v" in told


def test_the_page_of_a_run_has_base_source_and_target_side_by_side(small: Scenario) -> None:
    resolve(small, "--key", "2", "--field", "v", "--take", "</td><script>x</script>", "--why", "they & we")
    shown = [asdict(met) for met in listed(small.spec, (), ())]
    assert len(shown) == 5
    evidence = json.loads((Path(str(small.run().report.page)).parent / "evidence.json").read_text())
    page = html_report({**evidence, "status": "conflicts", "conflicts": json.loads(json.dumps(shown))})
    cards = re.findall(r'<article class="card open-row">.*?</article>', page, re.DOTALL)
    assert len(cards) == 5
    texts = [re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", card)) for card in cards]
    assert "v open x ≠ &lt;b&gt;s&lt;/b&gt; ≠ t\u202e1" in texts[0] and "n open 1.00 ≠ 5.00 ≠ 7.50" in texts[0]
    assert "the source deleted it, and the target changed it" in texts[2] and "no row" in texts[2]
    assert "<script>" not in page and "they &amp; we" in page and "&lt;/td&gt;&lt;script&gt;" in page
