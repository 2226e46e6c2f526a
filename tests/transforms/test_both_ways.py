"""What a conflict is called of a row that a side cannot take."""

from __future__ import annotations

import pytest

from transforms.both_ways import kind_of
from transforms.vocabulary import Reason

KINDS = {
    "foreign_key": [
        Reason("no_parent"), Reason("partly_null"), Reason("parent_quarantined"), Reason("referred"),
        Reason("refused_on_write", None, {"kind": "reference"}),
    ],
    "unique": [Reason("refused_on_write", None, {"kind": "double"})],
    "not_null": [Reason("null")],
    "no_inverse": [Reason("no_inverse"), Reason("unlisted_value"), Reason("no_match")],
    "check": [Reason("breaks_check"), Reason("too_long"), Reason("out_of_range"), Reason("refused_on_write")],
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_conflict_is_named_after_what_the_side_holds_against_the_row(kind: str) -> None:
    assert [kind_of(reason) for reason in KINDS[kind]] == [kind] * len(KINDS[kind])
