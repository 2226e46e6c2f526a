"""How to mend what does not fit, worded for the column and for what was found in it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from flows.check.findings import shortened
from flows.results.shares import counted
from flows.spec.columns import Column
from flows.spec.types import suggested
from transforms.expressions import quoted
from transforms.mapping.column_mapping import ColumnMapping, Constant, Expression, Function, LookUp, Rename
from transforms.mapping.samples import Evidence
from transforms.vocabulary import ColumnShape, Reason
from transforms.vocabulary.reasons import Code
from transforms.vocabulary.what_to_do import AGAINST

_LISTED = 8  # values in a fix
_FORMS = (
    (r"\d\d\.\d\d\.\d{4}", "%d.%m.%Y"),
    (r"\d\d/\d\d/\d{4}", "%m/%d/%Y"),
    (r"\d{8}", "%Y%m%d"),
    (r"\d\d\.\d\d\.\d{4} \d\d:\d\d:\d\d", "%d.%m.%Y %H:%M:%S"),
    (r"\d\d/\d\d/\d{4} \d\d:\d\d:\d\d", "%m/%d/%Y %H:%M:%S"),
    (r"\d{14}", "%Y%m%d%H%M%S"),
)  # how dates are often written
_WHOLE_TYPES = (("smallint", 15), ("integer", 31), ("bigint", 63), ("numeric(20)", 64))  # bits without the sign


@dataclass(frozen=True, slots=True)
class Place:
    """Where values do not fit: the column, how the spec makes it, and what is known of the values.

    `made`: the table is yet to be made, so that its types are the spec's own. `keyed`: the column is of the key.
    """

    column: ColumnMapping
    wanted: Column
    evidence: Evidence
    made: bool
    keyed: bool = False

    @property
    def shape(self) -> ColumnShape:
        return self.column.shape

    @property
    def value(self) -> str:
        """The column's values before any cast, as an `expr` writes them."""
        match self.column.origin:
            case Rename(source):
                return source if re.fullmatch(r"[a-z_][a-z0-9_]*", source) else quoted(source)
            case Expression(sql):
                return f"({sql})"
            case _:
                return "…"

    @property
    def source(self) -> str:
        """What people call the origin of the values."""
        match self.column.origin:
            case Rename(source):
                return f"{source} of the source"
            case LookUp() as lookup:
                return lookup.name
            case Constant() | Function():
                return "the value"
            case _:
                return "the source rows"

    def widened(self, wanted: str) -> str:
        return f"cast to {wanted} in the spec" if self.made else f"widen {self.shape.name} to {wanted}"


def remedy(reason: Reason, place: Place) -> str:
    """What to change, in the spec, in the target or in the source."""
    if reason.code == "inexact":
        return _inexact(reason.facts["families"], place)
    if reason.code == "not_interval" and reason.facts["given"] == "text":
        return _text(place)
    worded = _REMEDIES.get(reason.code)
    return worded(place) if worded else f"mend {place.source}, or leave these rows out with `where:`"


def fixes_of_rows(reason: Reason) -> str:
    """What to change about rows of which no single column is at fault."""
    if reason.code == "torn_row":
        return AGAINST["torn_row"]
    return "mend the source rows, or leave them out with `where:`"


def facts(reason: Reason, evidence: Evidence) -> dict[str, Any]:
    """The numbers behind a fix."""
    found: dict[str, Any] = {}
    if reason.code in ("too_long", "too_many_bytes"):
        found = {"longest": evidence.octets if reason.code == "too_many_bytes" else evidence.characters}
    elif _has_digits(reason) and evidence.whole is not None and not evidence.worded:
        found = {"digits": evidence.whole, "decimals": evidence.behind}
    if evidence.smallest is not None and reason.code not in ("null", "null_key"):
        found |= {"smallest": evidence.smallest, "largest": evidence.largest}
    if lists(reason) and evidence.counted is not None:
        found |= {"values": dict(evidence.counted.most_common())}
    return found


def lists(reason: Reason) -> bool:
    """Whether the values themselves are what is to be known: those of an enum, and the like."""
    return reason.code in _COUNTED or reason.facts.get("given") == "text"


def _has_digits(reason: Reason) -> bool:
    """Whether a decimal's digits are what is too many of."""
    return reason.code == "too_many_digits" or "decimal" in reason.facts.get("families", ())


_COUNTED: Final[frozenset[Code]] = frozenset(
    {"unknown_label", "unlisted_value", "not_boolean", "not_number", "no_match"}
)


def _inexact(families: Sequence[str], place: Place) -> str:
    given, wanted = families
    if given == "text":
        return _text(place)
    if "decimal" in families:
        return _digits(place)
    return _whole(place) if wanted == "integer" else _rounded(place)


def _longer(place: Place) -> str:
    longest = place.evidence.characters
    native = re.sub(r"\(\d+\)", f"({longest})", place.shape.native)
    wider = native if native != place.shape.native else f"{longest} characters"
    return f"{place.widened(wider)}, or shorten it with `expr: left({place.value}, {place.shape.length})`"


def _more_bytes(place: Place) -> str:
    return f"widen {place.shape.name} to a type that holds {place.evidence.octets:,} bytes, or shorten the values in an `expr`"


def _null(place: Place) -> str:
    if place.keyed:
        return _key(place)
    filled = f"fill them with `expr: coalesce({place.value}, …)`"
    return f"{filled}, let {place.shape.name} take nulls, or leave these rows out with `where:`"


def _nan(place: Place) -> str:
    return f"make them null with `expr: if(isnan({place.value}), null, {place.value})`, or leave these rows out with `where:`"


def _range(place: Place) -> str:
    ends = _ends(place)
    if not pa.types.is_temporal(place.shape.type):
        wider = _whole_type(place.evidence)
        return f"{ends}: " + (place.widened(wider) if wider else f"widen {place.shape.name}")
    low = f"`expr: if({place.value} < …, null, {place.value})`"
    return f"{ends}: take a wider type for {place.shape.name}, or map these values with {low}"


def _finer(place: Place) -> str:
    unit = {0: "second", 3: "millisecond"}.get(place.shape.digits or 0)
    cut = f"`expr: date_trunc('{unit}', {place.value})`" if unit else "an `expr`"
    native = re.sub(r"\(\d\)", "(6)", place.shape.native)
    return f"{place.widened(native)}, or cut the fraction off with {cut}"


def _nul(place: Place) -> str:
    return "leave them out with `nul: strip`"


def _characters(place: Place) -> str:
    return f"give {place.shape.name} a character set that holds them (utf8mb4), or replace them in an `expr`"


def _unknown_label(place: Place) -> str:
    return f"add {_values(place)} to {place.shape.native} in the target, or translate with `map:`"


def _unlisted(place: Place) -> str:
    return f"add {_values(place)} to `map:`, or say what becomes of others with `default:`"


def _digits(place: Place) -> str:
    whole, behind = place.evidence.whole or 0, place.evidence.behind or 0
    fixed = re.search(r"\((\d+), ?(-?\d+)\)", place.shape.native) or re.search(
        r"\((\d+), ?(-?\d+)\)", str(place.shape.type)
    )
    precision, scale = (int(fixed[1]), int(fixed[2])) if fixed else (38, 10)
    whole, behind = max(whole, precision - scale), max(behind, scale)
    wide = place.widened(f"numeric({whole + behind},{behind})") if whole + behind <= 76 else place.widened("numeric")
    if whole > precision - scale:
        return wide
    return f"{wide}, or round with `expr: round({place.value}, {scale})::decimal({precision},{scale})`"


def _whole(place: Place) -> str:
    wider = _whole_type(place.evidence)
    ends = _ends(place)
    return f"{ends}: {place.widened(wider)}" if wider else f"{ends}: take a wider type for {place.shape.name}"


def _rounded(place: Place) -> str:
    return f"take a type for {place.shape.name} that keeps every digit, or round in an `expr`"


def _boolean(place: Place) -> str:
    return f"found {_values(place)}: make {place.shape.name} a number, or translate with `map:`"


def _ends(place: Place) -> str:
    low, high = place.evidence.smallest, place.evidence.largest
    return f"found is {low}" if low == high else f"found are {low} to {high}"


def _text(place: Place) -> str:
    """Texts that are no number or time: in another form, too long, or words."""
    found, kind = place.evidence.counted, place.wanted.cast.type if place.wanted.cast else suggested(place.shape)
    if not place.evidence.worded:
        return _digits(place) if pa.types.is_decimal(place.shape.type) else _whole_text(place)
    if pa.types.is_temporal(place.shape.type):
        for shape, form in _FORMS:
            if found and all(re.fullmatch(shape, value) for value in found):
                return f'say how they are written: `cast: {{type: {kind}, format: "{form}"}}`'
    words = [value for value in found or () if not re.fullmatch(r"-?\d+(\.\d+)?", value)]
    if not words or len(words) > _LISTED or not isinstance(place.column.origin, Rename):
        return f"mend {place.source}, or convert them in an `expr`"
    pairs = ", ".join(f"{json.dumps(value, ensure_ascii=False)}: null" for value in words)
    named = (
        f"add {pairs} to `map:`"
        if place.wanted.map
        else f"read them as null with `map: {{{pairs}}}` and `default: keep`"
    )
    others = (
        f"; for the numbers {_digits(place)}" if pa.types.is_decimal(place.shape.type) and place.evidence.whole else ""
    )
    return f"mend {place.source}, or {named}{others}"


def _whole_text(place: Place) -> str:
    whole, behind = place.evidence.whole or 0, place.evidence.behind or 0
    wanted = f"numeric({whole + behind},{behind})" if behind or whole > 18 else "bigint" if whole > 9 else "integer"
    return f"found are numbers of up to {counted(whole, 'digit')}, {behind} of them behind the point: {place.widened(wanted)}"


def _format(place: Place) -> str:
    return f"correct `format:` in the cast, or mend {place.source}"


def _uuid(place: Place) -> str:
    return f"mend {place.source}, or make {place.shape.name} a text column"


def _day(place: Place) -> str:
    return f"make {place.shape.name} an interval, or make these null in an `expr`"


def _kept(place: Place) -> str:
    return f"mend {place.source}, or make {place.shape.name} a text column, which keeps every text as it is"


def _change(word: str) -> Callable[[Place], str]:
    def worded(place: Place) -> str:
        kind = place.wanted.cast.type if place.wanted.cast else "timestamptz"
        return f"choose one with `cast: {{type: {kind}, {word}: earliest}}` or `latest`"

    return worded


def _lookup(place: Place) -> str:
    table = place.column.origin.name if isinstance(place.column.origin, LookUp) else "the table"
    return f"add to {table} what is missing there, {_values(place)}, or go without the reference with `missing: null`"


def _away(place: Place) -> str:
    return f"mend the findings of {place.source}: these rows come along then"


def _key(place: Place) -> str:
    return "choose a key that every row has, or leave these rows out with `where:`"


def _unread(place: Place) -> str:
    return f"mend {place.source}, or read it with a query that converts it: `from: {{query: …}}`"


def _zero_date(place: Place) -> str:
    return "say what they become: `zero_date: null`, or a date"


def _evaluated(place: Place) -> str:
    return f"mend {place.source}, or make the `expr` take such values, with try_cast or TRY(…)"


def _values(place: Place) -> str:
    found = place.evidence.counted
    if found is None:
        return "the many other values"
    listed = [f"{shortened(value, 40)!r} ({counted(count, 'row')})" for value, count in found.most_common(_LISTED)]
    more = f" and {len(found) - _LISTED:,} more" if len(found) > _LISTED else ""
    return ", ".join(listed) + more


def _whole_type(evidence: Evidence) -> str | None:
    """The narrowest type that holds all of these whole numbers."""
    try:
        low, high = int(evidence.smallest or 0), int(evidence.largest or 0)
    except ValueError:
        return None
    for name, bits in _WHOLE_TYPES:
        if -(2**bits) <= low and high < 2**bits:
            return name
    return f"numeric({max(len(str(abs(low))), len(str(high)))})"


_REMEDIES: Final[Mapping[Code, Callable[[Place], str]]] = {
    "too_long": _longer,
    "too_many_bytes": _more_bytes,
    "null_key": _key,
    "null": _null,
    "nan": _nan,
    "out_of_range": _range,
    "too_fine": _finer,
    "nul_character": _nul,
    "foreign_characters": _characters,
    "unknown_label": _unknown_label,
    "unlisted_value": _unlisted,
    "wrong_format": _format,
    "not_boolean": _boolean,
    "not_uuid": _uuid,
    "not_number": _text,
    "not_time_of_day": _day,
    "repeated_time": _change("ambiguous"),
    "skipped_time": _change("nonexistent"),
    "not_kept": _kept,
    "parent_quarantined": _away,
    "no_match": _lookup,
    "expression_failed": _evaluated,
    "no_date": _zero_date,
    "too_many_digits": _digits,
    "wrong_type": _unread,
    "undecodable": _unread,
    "beyond_timestamps": _unread,
}
"""Of every code what helps, where something more does than to mend the rows or to leave them out."""
