"""The page of a run: what it shows, and that no text of the evidence breaks out of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest

from flows.evidence.page import bar, cut, drawing, duration, html_report, moment, number

VOID = {"meta", "br"}
NASTY = (
    "</title></svg></style><script>alert(1)</script><img onerror='x'>\"&amp; 🛫 \u202eمرحبا\x00\ud800 " + "W" * 10_000
)


class Page(HTMLParser):
    """A page taken apart; `faults` are tags that do not close each other."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.faults: list[str] = []
        self.rows: list[dict[str, str | None]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        self.faults += self._open

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.texts))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.faults.append(tag)

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.texts.append(data)


def counts(**known: int) -> dict[str, int]:
    names = ("source_rows", "target_rows", "insert", "update", "delete", "unchanged", "quarantined", "conflicts")
    return {name: known.get(name, 0) for name in names}


def rule(number: int, kind: str, **known: Any) -> dict[str, Any]:
    return {
        "number": number, "type": kind, "arguments": {"column": "price", "min_value": 0}, "severity": "critical",
        "passed": True, "checked": 1000, "unexpected": 0, "observed": None, "rows": [], "sample": [],
        "by": "Great Expectations", **known,
    }  # fmt: skip


def side(values: int, total: str | None = None, **odd: int) -> dict[str, Any]:
    return {"values": values, "nulls": 0, "total": total, "least": "a", "most": "z", "odd": odd}


def empty(**known: Any) -> dict[str, Any]:
    return {
        "format": 1, "migration": "shop", "run_id": "20261125T010000-ab12cd", "kind": "run",
        "at": "2026-11-25T01:00:00+00:00", "author": "root", "seconds": 0.0, "status": "done", "message": "",
        "version": None, "spec": {"path": "/x/spec.yaml", "digest": "9f86d081884c" + "0" * 52},
        "source": {"url": "sqlite:///legacy.db", "engine": "sqlite"},
        "target": {"url": "sqlite:///new.db", "engine": "sqlite"},
        "ranges": [], "warnings": [], "tables": [], "checkpoints": [], "reconciled": [], "orphans": [], **known,
    }  # fmt: skip


def rich(**known: Any) -> dict[str, Any]:
    """Two tables, rules that pass and fail, one table that reconciles and one that does not."""
    tables = [
        {
            "name": "customer", "target": "main.customer", "from": "customers", "key": ["code"],
            "counts": counts(source_rows=1_234_567, insert=1_234_500, quarantined=67),
            "reasons": {"city: no such city": 67}, "differing": {}, "created": True, "windows": 4,
            "mapping": [
                {"column": "customer_id", "from": [], "how": "generate", "about": "identity"},
                {"column": "code", "from": ["code"], "how": "rename", "about": ""},
                {"column": "full", "from": ["first", "last"], "how": "expr", "about": "first || last"},
            ],
        },
        {
            "name": "order", "target": "main.order", "from": "orders", "key": ["number"],
            "counts": counts(source_rows=10, target_rows=12, update=3, delete=2, unchanged=7),
            "reasons": {}, "differing": {"amount": 3}, "created": False, "windows": 1,
            "by_column": [{"column": "amount", "rows": 3, "of": 10, "match": 0.7}],
            "mapping": [{"column": "customer_id", "from": ["customer"], "how": "lookup", "about": "customer.customer_id"}],
        },
    ]  # fmt: skip
    checkpoints = [
        {
            "name": "planned", "table": "customer", "rows": 1000, "notes": ["customer: one was not looked at."],
            "results": [
                rule(0, "expect_column_values_to_be_unique"),
                rule(1, "expect_column_values_to_be_between", severity="warning", passed=False, unexpected=4321,
                     sample=["code=ada"], by="compiled rule"),
            ],
        },
        {
            "name": "loaded", "table": "order", "rows": None, "notes": [],
            "results": [rule(0, "expect_table_row_count_to_equal", checked=None, unexpected=None, observed="10")],
        },
    ]  # fmt: skip
    same = {"source": 1_234_500, "kept": 0, "target": 1_234_500}
    reconciled = [
        {
            "table": "customer", "equal": True, "afresh": True, "differences": [], "rows": same, "keys": same,
            "columns": [{"name": "code", "equal": True, "source": side(1), "kept": side(0), "target": side(1)}],
        },
        {
            "table": "order", "equal": False, "afresh": True, "differences": ["amount: total", "table: rows"],
            "rows": {"source": 10, "kept": 1, "target": 12}, "keys": {"source": 10, "kept": 1, "target": 11},
            "columns": [
                {"name": "amount", "equal": False, "source": side(10, "12345.50", NaN=1), "kept": side(1), "target": side(11, "99999.25")},
            ],
        },
    ]  # fmt: skip
    orphans = [
        {"table": "order", "columns": ["customer_id"], "refers": "customer", "refers_columns": ["customer_id"],
         "by": "lookup", "rows": 0, "keys": [], "held": False},
        {"table": "line", "columns": ["number", "part"], "refers": "order", "refers_columns": ["number", "part"],
         "by": "foreign key", "rows": 4711, "keys": ["[7]"], "held": False},
        {"table": "order", "columns": ["shop"], "refers": "shop", "refers_columns": ["id"],
         "by": "foreign key", "rows": 0, "keys": [], "held": True},
    ]  # fmt: skip
    return empty(
        tables=tables, checkpoints=checkpoints, reconciled=reconciled, orphans=orphans, warnings=["Mind the gap."], version=3,
        seconds=12.3, ranges=["order.number:1..100"], **known,
    )  # fmt: skip


def poisoned(value: Any) -> Any:
    """The same evidence, with every text a nasty one."""
    if isinstance(value, Mapping):
        return {name: poisoned(each) for name, each in value.items()}
    if isinstance(value, list):
        return [poisoned(each) for each in value]
    return NASTY if isinstance(value, str) else value


@pytest.mark.parametrize("evidence", [empty(), rich(), poisoned(rich()), {**poisoned(rich()), "status": "done"}])
def test_every_tag_is_closed_and_every_id_is_there_once(evidence: dict[str, Any]) -> None:
    page = Page(html_report(evidence))
    assert page.faults == []
    ids = [known["id"] for _, known in page.attributes if "id" in known]
    assert len(ids) == len(set(ids))
    links = {known["href"] for tag, known in page.attributes if tag == "a"}
    assert links <= {f"#{each}" for each in ids}


def test_no_text_of_the_evidence_becomes_markup() -> None:
    text = html_report(poisoned(rich()))
    page, plain = Page(text), Page(html_report(rich()))
    assert set(page.tags) - {"details", "summary"} <= set(plain.tags)
    assert not {"script", "img", "iframe", "object", "link"} & set(page.tags)
    assert not [name for _, known in page.attributes for name in known if name.startswith("on")]
    assert "<script>alert(1)</script>" in page.text
    text.encode()  # half a surrogate pair is no reason to fail
    assert "\x00" not in text


def test_a_page_needs_nothing_from_anywhere() -> None:
    for evidence in (empty(), rich()):
        text = html_report(evidence)
        for sign in ("http", "src=", "@import", "url(", "<script", "<link"):
            assert sign not in text


def test_empty_evidence_makes_a_page_that_says_so() -> None:
    text = Page(html_report(empty())).text
    for said in (
        "No table was in this run",
        "No rule was looked at",
        "No row was set aside",
        "No warnings",
        "all rows",
    ):
        assert said in text


def test_what_was_asked_is_told() -> None:
    text = Page(html_report(rich())).text
    for said in ("shop", "sqlite:///legacy.db", "sqlite:///new.db", "2026-11-25 01:00:00 UTC", "root", "9f86d081884c",
                 "20261125T010000-ab12cd", "order.number:1..100", "12.3 s", "Mind the gap."):  # fmt: skip
        assert said in text
    assert "0" * 52 not in text


def test_every_table_and_every_rule_is_named() -> None:
    evidence = rich()
    text = Page(html_report(evidence)).text
    for table in evidence["tables"]:
        assert table["name"] in text
        assert table["target"] in text
        assert all(each["column"] in text and each["how"] in text for each in table["mapping"])
    for checkpoint in evidence["checkpoints"]:
        assert all(each["type"] in text for each in checkpoint["results"])
        assert all(note in text for note in checkpoint["notes"])


def test_counts_are_there_with_thousands_separators() -> None:
    text = Page(html_report(rich())).text
    assert "1,234,500 inserted" in text
    assert "67 quarantined" in text
    assert "1,234,577 source rows" in text
    assert re.search(r"city: no such city ?67 ?less than 1 %", text)


def test_a_failing_rule_is_told_first_and_is_not_folded_away() -> None:
    evidence = rich()
    evidence["checkpoints"] *= 20
    page = html_report(evidence)
    card = page[page.index("customer</bdi>, before the load") - 120 :]
    assert '<details class="card" open>' in card[:120]
    assert card.index("expect_column_values_to_be_between") < card.index("expect_column_values_to_be_unique")
    text = Page(card).text
    assert re.search(r"✕ fail expect_column_values_to_be_between .*? warning 1,000 4,321 code=ada compiled rule", text)


def test_a_difference_is_marked_where_it_is_and_its_table_is_open() -> None:
    page = html_report(rich())
    assert '<td class="n sum differs"><span class="whole">≠ 99,999.25</span>' in page
    assert page.count(" differs") >= 2
    proofs = page[page.index('id="equality"') : page.index('id="warnings"')]
    assert [bool(open_) for open_ in re.findall(r'<details class="card"( open)?>', proofs)] == [False, True]
    assert "Kept besides" in Page(proofs).text
    assert "NaN 1" in Page(proofs).text


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"status": "done"}, "Done"),
        ({"status": "done", "kind": "verify"}, "Both sides are equal"),
        ({"status": "changes", "kind": "verify"}, "The two sides differ"),
        ({"status": "changes", "kind": "plan"}, "Changes are planned"),
        ({"status": "checkpoint", "message": "Price < 0."}, "Stopped by a checkpoint Nothing was written. Price < 0."),
        (
            {"status": "checkpoint", "message": "It failed. Nothing was written. Fix: mend it."},
            "Stopped by a checkpoint Nothing was written. It failed. Fix: mend it.",
        ),
        ({"kind": "retry"}, "report of a retry of quarantined rows"),
        ({"kind": "retry"}, "rows that were in quarantine"),
        ({"status": "quarantine", "message": "Too many."}, "Stopped: quarantine is above its limit Too many."),
        ({"status": "conflicts", "message": "2 rows."}, "Finished, with conflicts 2 rows."),
        ({"status": "unheard"}, "Ended as unheard"),
    ],
)
def test_the_verdict_is_clear(known: dict[str, Any], said: str) -> None:
    assert said in Page(html_report(empty(**known))).text


def test_columns_that_differ_are_a_table_with_the_share_that_is_the_same() -> None:
    def words(evidence: dict[str, Any]) -> str:
        return " ".join(Page(html_report(evidence).replace("</td>", " </td>").replace("</th>", " </th>")).text.split())

    evidence = rich()
    head = "in rows that are on both sides Column Rows that differ Of The same"
    assert f"Columns that differ: 1, {head} amount 3 10 70 %" in words(evidence)
    back = {"table": "orders", "counts": {"insert": 0, "update": 1, "delete": 0}, "differing": {"nr": 1}}
    evidence["tables"][1] |= {"back": back | {"by_column": [{"column": "nr", "rows": 1, "of": 1000, "match": 0.999}]}}
    assert f"Columns that differ in the source: 1, {head} nr 1 1,000 more than 99 %" in words(evidence)
    evidence["tables"][1] |= {"by_column": [], "back": back}  # as earlier versions wrote it
    assert "Columns that differ: amount 3" in words(evidence)
    assert "Columns that differ in the source: nr 1" in words(evidence)


def test_a_key_of_several_columns_breaks_between_its_parts_only() -> None:
    evidence = rich()
    evidence["checkpoints"][0]["results"][-1]["sample"] = ["carrier=US, departed_on=2014-01-01"]
    page = html_report(evidence)
    assert '<bdi class="part">carrier=US,</bdi> <bdi class="part">departed_on=2014-01-01</bdi>' in page
    assert "carrier=US, departed_on=2014-01-01" in Page(page).text


def test_a_checkpoint_of_one_rule_is_told_as_one() -> None:
    evidence = rich()
    evidence["checkpoints"] = [{**evidence["checkpoints"][-1], "results": evidence["checkpoints"][0]["results"][:1]}]
    for passed, said in ((True, "✓ passes"), (False, "✕ fails")):
        evidence["checkpoints"][0]["results"] = [{**evidence["checkpoints"][0]["results"][0], "passed": passed}]
        assert said in Page(html_report(evidence)).text


def test_a_run_that_does_not_add_up_is_not_simply_done() -> None:
    text = Page(html_report(rich())).text
    assert "Done, but the two sides do not add up" in text
    assert "equal on both sides: 1 of 2." in text
    assert "set aside: 67." in text


def test_counts_of_a_run_that_wrote_nothing_are_told_as_plans() -> None:
    evidence = rich(status="checkpoint")
    assert "1,234,500 inserted" in Page(html_report(evidence)).text  # the loaded checkpoint: the rows are in
    evidence["checkpoints"] = evidence["checkpoints"][:1]
    text = Page(html_report(evidence)).text
    assert "1,234,500 to insert" in text
    assert "inserted" not in text.replace("those inserted", "")


def test_headings_are_in_order_and_headers_have_a_scope() -> None:
    page = Page(html_report(rich()))
    levels = [int(tag[1]) for tag in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert all(known.get("scope") for tag, known in page.attributes if tag == "th")


def test_the_bar_of_a_table_has_a_share_for_each_kind_that_it_has() -> None:
    parts = bar(counts(insert=1, unchanged=3), written=True)
    assert [(each.label, each.share) for each in parts] == [("inserted", 250), ("unchanged", 750)]
    assert bar(counts(), written=True) == []


def test_a_drawing_has_a_curve_for_each_source_of_each_column() -> None:
    found = drawing(rich()["tables"][0]["mapping"])
    assert [name for _, name in found.sources] == ["code", "first", "last"]
    assert [how for _, how in found.lines] == ["rename", "expr", "expr"]
    assert all(0 < y < found.height for y, _ in (*found.sources, *found.targets))


def test_a_big_mapping_is_closed_at_first() -> None:
    evidence = rich()
    evidence["tables"][0]["mapping"] *= 10
    mappings = html_report(evidence).split('id="mapping"')[1]
    assert [bool(open_) for open_ in re.findall(r'<details class="card"( open)?>', mappings)] == [False, True]


def test_numbers_times_and_texts_read_well() -> None:
    assert [number(each) for each in (None, 1234567, "-1234.50", "123…", "1234.125…", "12a", 2.6)] == [
        "–", "1,234,567", "-1,234.50", "123…", "1,234.125…", "12a", "3",
    ]  # fmt: skip
    assert [duration(each) for each in (0.0, 0.004, 12.34, 245.2, 9000)] == [
        "0.0 s",
        "4 ms",
        "12.3 s",
        "4 min 5 s",
        "2 h 30 min",
    ]
    assert moment("2026-11-25T01:00:00.123+00:00") == "2026-11-25 01:00:00 UTC"
    assert [cut("abcdef", 6), cut("abcdefg", 6), cut("漢字漢字", 6)] == ["abcdef", "abcde…", "漢字…"]


def test_a_schema_of_500_tables_is_a_page_that_shows_what_is_to_be_seen_and_counts_the_rest() -> None:
    (table, _), (point, _), (proof, apart), (reference, *_) = (
        rich()[part] for part in ("tables", "checkpoints", "reconciled", "orphans")
    )
    passing = {**point, "results": point["results"][:1]}
    many = {
        "tables": [
            {**table, "name": f"t{n}", "counts": counts(source_rows=n, insert=n), "reasons": {}} for n in range(500)
        ],
        "checkpoints": [{**(point if n == 250 else passing), "table": f"t{n}"} for n in range(500)],
        "reconciled": [{**(apart if n == 251 else proof), "table": f"t{n}"} for n in range(500)],
        "orphans": [{**reference, "table": f"t{n}", "rows": int(n == 252)} for n in range(500)],
    }
    html = html_report({**rich(), **many})
    assert len(html.encode()) < 500_000
    page = Page(html)
    assert page.faults == []
    shown = [known.get("aria-label") or "" for _, known in page.attributes]
    assert "Rules of t250, planned" in shown
    assert "Totals of t251" in shown and "Totals of t499" not in shown
    for said in (
        "… and 480 tables more", "… and 480 checkpoints more", "… and 480 references more", "1 of 501 fail",
        "1 of 500 differ", "evidence.json",
    ):  # fmt: skip
        assert said in page.text, said
    assert all(f"t{n}" in page.text for n in range(500))  # in the table of all counts
