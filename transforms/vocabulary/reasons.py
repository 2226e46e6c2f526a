"""Why a row is set aside, refused or warned of, as data: what decides goes by code and facts, and people read the text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, cast, get_args

Unread = Literal["wrong_type", "undecodable", "no_date", "beyond_timestamps", "torn_row"]
Cast = Literal[
    "inexact", "not_boolean", "not_number", "not_uuid", "not_interval", "not_time_of_day", "has_date", "wrong_format",
    "repeated_time", "skipped_time", "beyond_local_times",
]  # fmt: skip
Limit = Literal[
    "null", "nan", "out_of_range", "too_fine", "too_long", "too_many_bytes", "nul_character", "foreign_characters",
    "unknown_label", "too_many_digits", "not_kept",
]  # fmt: skip
Mapped = Literal[
    "null_key", "unlisted_value", "merged_keys", "expression_failed", "no_match", "parent_quarantined", "breaks_rule",
    "dates_replaced", "nul_stripped", "no_inverse", "inverse_differs",
    "identity_ambiguous", "identity_unknown",
]  # fmt: skip
OtherRows = Literal["duplicate_key", "colliding_key", "double_key", "taken_key", "not_owned"]
Engine = Literal[
    "breaks_check",
    "no_partition",
    "no_parent",
    "partly_null",
    "refused",
    "refused_on_write",
    "changed_by_target",
    "changed_meanwhile",
    "referred",
]
Code = Unread | Cast | Limit | Mapped | OtherRows | Engine | Literal["untyped"]

UNREAD: Final[frozenset[Code]] = frozenset(get_args(Unread))
"""The source's row could not be read: `source` is the column there, and none of a row that is torn; `value` what it holds, as people
read it."""

MEANINGS: Final[Mapping[Code, str]] = {
    "wrong_type": "a column of the source holds something else than its type says",
    "undecodable": "a text of the source is not valid in its character set",
    "no_date": "a date of the source is not a day of the calendar, such as 0000-00-00",
    "beyond_timestamps": "a timestamp of the source is beyond the last one that can travel",
    "torn_row": "a row of a file cannot be taken apart: a torn quote, too many or too few fields, bytes of another encoding, no JSON",
    "inexact": "a cast would lose something of the value, or round it",
    "not_boolean": "a cast to boolean of a value that is neither true nor false",
    "not_number": "a cast to a number of a text that is not a number",
    "not_uuid": "a cast to UUID of a text that is not a UUID",
    "not_interval": "a cast to an interval of a value that is not an interval",
    "not_time_of_day": "a cast to a time of day of an interval outside 00:00 to 24:00",
    "has_date": "a cast of a timestamp with a date to a time of day",
    "wrong_format": "a text does not look like the cast's `format`",
    "repeated_time": "a local time that a change of clocks repeats",
    "skipped_time": "a local time that a change of clocks skips",
    "beyond_local_times": "a timestamp for which the zone has no local time",
    "null": "null in a column that takes none",
    "nan": "NaN in a column that takes none",
    "out_of_range": "a value outside the range of the column",
    "too_fine": "a time with more digits of a second than the column keeps",
    "too_long": "a text with more characters than the column takes",
    "too_many_bytes": "a value with more bytes than the column takes",
    "nul_character": "a text with a NUL character, which the column does not take",
    "foreign_characters": "a text with characters that the column's character set does not hold",
    "unknown_label": "a value that is not among those of an enum",
    "too_many_digits": "a number with more digits than the column keeps",
    "not_kept": "a value that the column would give back as another one",
    "null_key": "null in a column of the key",
    "unlisted_value": "a value that `map` does not list, without a `default`",
    "merged_keys": "two keys of a JSON object would be one under `nul: strip`",
    "expression_failed": "an `expr` cannot be evaluated for the row",
    "no_match": "a lookup matches no row",
    "parent_quarantined": "the row that it refers to, by a lookup or a foreign key, is in quarantine itself",
    "breaks_rule": "the row breaks a rule of `expect`",
    "dates_replaced": "noted, not set aside: an invalid date became what `zero_date` says",
    "nul_stripped": "noted, not set aside: NUL characters were left out, as `nul: strip` says",
    "no_inverse": "a column was changed on the target that cannot be written back to the source",
    "inverse_differs": "what is written back to the source would be mapped to another value, or a value does not come back as it was",
    "identity_ambiguous": "several rows of a side have the values by which a row finds its partner (`key: {map: …, match: …}`)",
    "identity_unknown": "null in a column by which a row finds its partner, while the target has rows that have none",
    "duplicate_key": "several rows of the source have one key",
    "colliding_key": "the key is another row's under the target's collation",
    "double_key": "several rows of the target have this key",
    "taken_key": "a row of the target that the table does not own (`owns`) has this key",
    "not_owned": "the row would not be among those that the table owns (`owns`)",
    "breaks_check": "the row breaks a check of the target",
    "no_partition": "no partition of the target takes the row",
    "no_parent": "no row has what it refers to by a foreign key of the target",
    "partly_null": "some columns of a foreign key of the target are null and others are not, and it is MATCH FULL",
    "refused": "the target's engine refused the row when it was tried out, before anything was written",
    "refused_on_write": "the target refused the row while it was written",
    "changed_by_target": "the target did something else with the row than it was asked to",
    "changed_meanwhile": "a row of which both sides were to get a part was edited on the other side after planning",
    "referred": "a row that is to be deleted, or to get another value, is referred to by others that the engine would change with it",
    "untyped": "from a plan of an earlier version, which kept the text alone",
}
"""Every code and what it means."""


@dataclass(frozen=True, slots=True)
class Reason:
    """`column` is the target's, None where several are meant (`columns` among the facts) or none is known.

    `facts` are few, small, and of JSON's own types.
    """

    code: Code
    column: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.code, self.column, json.dumps(self.facts, sort_keys=True)))

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,) if self.column is not None else tuple(self.facts.get("columns", ()))

    def of(self, columns: Sequence[str]) -> Reason:
        """The same, about these columns of the target."""
        if len(columns) == 1:
            return replace(self, column=columns[0])
        return replace(self, column=None, facts={**self.facts, "columns": list(columns)} if columns else self.facts)

    def without(self, *names: str) -> Reason:
        """The same without some facts: what it has in common with others."""
        return replace(self, facts={name: fact for name, fact in self.facts.items() if name not in names})

    def as_json(self) -> str:
        """Itself as text; `reason_of` reads it."""
        return json.dumps([self.code, self.column, self.facts], ensure_ascii=False)


def reason_of(text: str) -> Reason:
    """The reason that `as_json` wrote."""
    code, column, facts = json.loads(text)
    return Reason(cast(Code, code), column, facts)


def unread(code: Unread, source: str, value: str | None = None, **facts: Any) -> str:
    """Why a row of a scan cannot travel, as its INVALID column says it.

    `source` is the column that was read, and `value` what it holds, as people read it: `stored="text"` puts it in quotes.
    """
    told = {"value": value} if value is not None else {}
    return Reason(code, None, {"source": source, **told, **facts}).as_json()
