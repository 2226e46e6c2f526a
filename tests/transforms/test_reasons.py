"""Reasons as data: every code has a meaning and a text, and the texts are those that people know."""

from __future__ import annotations

import os
import re
from typing import Any, get_args

import pyarrow as pa
import pytest
import reason_table

from transforms.mapping.rejections import encoded, unread_faults
from transforms.vocabulary import Reason, named_text, reason_of, text_of, unread
from transforms.vocabulary.notices import NOTICES, NoticeCode
from transforms.vocabulary.reason_texts import TEXTS
from transforms.vocabulary.reasons import MEANINGS, UNREAD, Cast, Engine, Limit, Mapped, OtherRows, Unread
from transforms.vocabulary.what_to_do import AGAINST, ON_WARNING

# code, target's column, facts, and the text that has been read by people since the first version
SAMPLES: list[tuple[Any, str | None, dict[str, Any], str]] = [
    ("wrong_type", None, {"source": "n", "value": "x", "stored": "text", "type": "an integer"}, "column n: text 'x' is not an integer"),
    ("wrong_type", None, {"source": "n", "value": "a blob of 3 bytes", "type": "text"}, "column n: a blob of 3 bytes is not text"),
    ("wrong_type", None, {"type": "an integer"}, "is not an integer"),
    ("torn_row", None, {"value": "line 3 of t.csv: 3", "how": "fields_missing"}, "line 3 of t.csv: 3 has fewer fields than the header"),
    ("torn_row", None, {"how": "no_json"}, "is not valid JSON"),
    ("undecodable", None, {"source": "c", "value": "a\\xff", "stored": "text", "charset": "UTF-8"}, "column c: text 'a\\xff' is not valid UTF-8"),
    ("undecodable", None, {"source": "c", "value": "the bytes 98", "charset": "cp1251"}, "column c: the bytes 98 are no text in cp1251"),
    ("no_date", None, {"source": "d", "value": "0000-00-00"}, "column d: 0000-00-00 is no date"),
    ("beyond_timestamps", None, {"source": "m", "most": "294247-01-10 04:00:54.775806"}, "column m: the timestamp is beyond 294247-01-10 04:00:54.775806, where Arrow's microseconds end"),
    ("inexact", "c", {"given": "text", "wanted": "date", "families": ["text", "time"], "without": "loss"}, "text that is no date without loss"),
    ("inexact", "c", {"given": "double", "wanted": "numeric(3,1)", "families": ["float", "decimal"], "without": "rounding"}, "double that is no numeric(3,1) without rounding"),
    ("not_boolean", "c", {}, "is neither 0 nor 1, true nor false"),
    ("not_number", "c", {}, "is not a number"),
    ("not_uuid", "c", {}, "is not a UUID"),
    ("not_interval", "c", {"given": "text"}, "text that is no span of hours, minutes and seconds"),
    ("not_time_of_day", "c", {}, "is no time of day: it is below 0 or beyond 24 hours"),
    ("has_date", "c", {"given": "timestamp"}, "timestamp that is no time: it has a date"),
    ("wrong_format", "c", {"format": "%d.%m.%Y"}, "does not look like %d.%m.%Y"),
    ("repeated_time", "c", {"zone": "Europe/Vienna"}, "local time occurs twice in Europe/Vienna"),
    ("skipped_time", "c", {"zone": "Europe/Vienna"}, "local time does not exist in Europe/Vienna"),
    ("beyond_local_times", "c", {}, "is beyond the last or the first local time"),
    ("null", "c", {"type": "text"}, "null in c, which takes no nulls"),
    ("nan", "c", {"type": "double"}, "NaN cannot be stored in c (double)"),
    ("out_of_range", "c", {"type": "date", "least": "0001-01-01", "most": "9999-12-31"}, "outside the range of c (date): 0001-01-01 to 9999-12-31"),
    ("out_of_range", "c", {"type": "date", "least": "0001-01-01"}, "outside the range of c (date): from 0001-01-01 on"),
    ("out_of_range", "c", {"type": "date", "most": "9999-12-31"}, "outside the range of c (date): up to 9999-12-31"),
    ("too_fine", "c", {"type": "time(0)", "limit": 0}, "has more than the 0 digits of a second of c (time(0))"),
    ("too_long", "c", {"type": "varchar(40)", "limit": 40}, "longer than the 40 characters of c (varchar(40))"),
    ("too_many_bytes", "c", {"type": "tinyblob", "limit": 255}, "longer than the 255 bytes of c (tinyblob)"),
    ("nul_character", "c", {"type": "text"}, "NUL character cannot be stored in c (text)"),
    ("foreign_characters", "c", {"type": "text"}, "has characters that the character set of c (text) does not hold"),
    ("unknown_label", "c", {"type": "mood", "labels": ["ok", "sad"]}, "not one of the values of c: ok, sad"),
    ("too_many_digits", "c", {"type": "numeric(50,5)"}, "does not fit c (numeric(50,5)) without rounding"),
    ("not_kept", "c", {"type": "json"}, "is no value that c (json) keeps as it is"),
    ("null_key", "id", {}, "null in the key"),
    ("unlisted_value", "c", {}, "is not listed in the value map, which has no default"),
    ("merged_keys", "c", {}, "two keys of a JSON object are one without their NUL characters"),
    ("expression_failed", "c", {"message": "Conversion Error: {x} is no number"}, "Conversion Error: {x} is no number"),
    ("no_match", "c", {"table": "customer", "match": ["region", "no"]}, "no customer has this region, no"),
    ("parent_quarantined", "c", {"table": "customer"}, "its customer is in quarantine"),
    ("breaks_rule", "c", {"rule": "expect_x", "arguments": {"min_value": 0}}, "breaks expect_x (min_value 0)"),
    ("breaks_rule", "c", {"rule": "expect_x", "arguments": {}}, "breaks expect_x"),
    ("breaks_rule", "c", {"rule": "expect_x", "arguments": {"value_set": ["a" * 120]}}, f"breaks expect_x (value_set ['{'a' * 105}...)"),
    ("dates_replaced", "c", {}, "dates that are none are replaced by what zero_date says"),
    ("nul_stripped", "c", {}, "NUL characters are left out"),
    ("no_inverse", "c", {"why": "constant"}, "c cannot be written back to the source"),
    ("inverse_differs", "c", {}, "does not come back as it was from the source"),
    ("identity_ambiguous", "id", {"match": ["a", "b"]}, "several rows of a side have its (a, b), so which row of the target it is cannot be said"),
    ("identity_unknown", "id", {"match": ["a"]}, "has a null in (a), so which row of the target it is cannot be said"),
    ("duplicate_key", "id", {"table": "t"}, "duplicate key: several source rows map to one t"),
    ("colliding_key", "id", {"collation": "nocase"}, "key collides with another one under the collation nocase of the target"),
    ("double_key", "id", {}, "several rows of the target have this key"),
    ("taken_key", "id", {}, "a row of the target that is not among those that this table owns has this key"),
    ("not_owned", "id", {}, "would not be among the rows of the target that this table owns"),
    ("breaks_check", "c", {"check": "c > 0", "name": "positive"}, "breaks the target's check positive (c > 0)"),
    ("breaks_check", "c", {"check": "(c\n  > 0)"}, "breaks the target's check (c > 0)"),
    ("no_partition", None, {}, "fits no partition of the target"),
    ("no_parent", "c", {"table": "b", "refers": ["x", "y"]}, "no b has this x, y"),
    ("no_parent", "c", {"table": "b", "refers": ["x"], "constraint": "fk"}, "no b has this x (foreign key fk)"),
    ("partly_null", None, {"columns": ["x", "y"], "constraint": "fk"}, "null in some of these columns and not in all, which a foreign key MATCH FULL refuses (foreign key fk)"),
    ("refused", None, {"message": "no"}, "is refused by the target: no"),
    ("refused_on_write", None, {"message": "no"}, "refused by the target: no"),
    ("changed_by_target", None, {"message": "m"}, "refused by the target: the target did something else with it (a trigger or rule?): m"),
    ("changed_meanwhile", None, {}, "the row was edited on the other side after planning"),
    ("referred", None, {"table": "b", "by": ["x", "y"], "on_delete": "CASCADE"}, "rows of b refer to it by (x, y), and would be changed with it (ON DELETE CASCADE)"),
    ("referred", None, {"table": "b", "by": ["x", "y"], "on_update": "CASCADE"}, "rows of b refer to it by (x, y), and would be changed with it (ON UPDATE CASCADE)"),
    ("untyped", None, {"text": "as it was"}, "as it was"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "column", "facts", "text"), SAMPLES)
def test_a_reason_is_read_as_ever(code: Any, column: str | None, facts: dict[str, Any], text: str) -> None:
    assert text_of(Reason(code, column, facts)) == text
    assert reason_of(Reason(code, column, facts).as_json()) == Reason(code, column, facts)


def test_every_code_has_a_meaning_a_text_and_a_sample() -> None:
    listed = {code for group in (Unread, Cast, Limit, Mapped, OtherRows, Engine) for code in get_args(group)} | {
        "untyped"
    }
    assert MEANINGS.keys() == TEXTS.keys() == listed == {code for code, *_ in SAMPLES}
    assert all(re.fullmatch("[a-z_]+", code) for code in listed)


def test_the_page_lists_every_code_with_its_meaning_and_what_to_do() -> None:
    """`UPDATE_DOCS=1` writes its tables anew."""
    text = reason_table.PAGE.read_text(encoding="utf-8")
    made = reason_table.page(text)
    if os.environ.get("UPDATE_DOCS"):
        reason_table.PAGE.write_text(made, encoding="utf-8")
        text = made
    assert text == made, "docs/reasons.md is out of date: run the tests once with UPDATE_DOCS=1"
    assert NOTICES.keys() == set(get_args(NoticeCode)) == ON_WARNING.keys()
    assert MEANINGS.keys() == AGAINST.keys()


def test_reasons_that_are_equal_are_one_in_a_set_whatever_the_order_of_their_facts() -> None:
    assert len({Reason("null", "c", {"a": 1, "b": [2]}), Reason("null", "c", {"b": [2], "a": 1})}) == 1
    assert Reason("null_key").of(("a",)) == Reason("null_key", "a")
    assert Reason("null_key").of(("a", "b")).columns == ("a", "b")
    assert named_text(Reason("null_key").of(("a", "b"))) == "a, b: null in the key"


def test_what_a_reader_says_is_grouped_by_column_and_fault_and_not_by_value() -> None:
    whys = pa.array([unread("no_date", "d", "x"), None, unread("no_date", "d", "y"), unread("no_date", "e", "x")])
    assert [(each.reason.facts, each.rows.tolist()) for each in unread_faults(whys)] == [
        ({"source": "d"}, [True, False, True, False]),
        ({"source": "e"}, [False, False, False, True]),
    ]
    reasons, numbers = encoded(whys)
    assert {reason.code for reason in reasons} <= UNREAD
    assert numbers.tolist() == [0, -1, 1, 2]
