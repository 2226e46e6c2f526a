"""The type that a new column gets: what the source declares, what the rows say, and why."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa

from flows.scaffold_profile import Facts, number_text
from flows.typenames import storable
from transforms.vocabulary import DATE_INFINITY, TIMESTAMP_INFINITY, ColumnShape

DAY: Final = 86_400_000_000  # in microseconds
BIGGEST: Final = 2**63 - 1
KEY_CHARACTERS: Final = 255  # of a text in an index of MySQL, which takes no TEXT there
BOUNDED: Final = ("duckdb", "mysql")
"""Engines whose numeric has an end."""

_PLAIN: Final[dict[pa.DataType, str]] = {
    pa.int8(): "smallint", pa.int16(): "smallint", pa.int32(): "integer", pa.int64(): "bigint", pa.float32(): "real",
    pa.float64(): "double", pa.bool_(): "boolean", pa.date32(): "date", pa.time64("us"): "time", pa.timestamp("us"): "timestamp",
    pa.binary(): "bytea", pa.timestamp("us", "UTC"): "timestamptz", pa.duration("us"): "interval",
}  # fmt: skip
_WIDTH: Final = ("boolean", "smallint", "integer", "bigint", "numeric(20,0)")
_LENGTH: Final = re.compile(r"(?:var|n|nvar)?(?:char|character|character varying)\w*\s*\(\s*(\d+)\s*\)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A new column: its type as the spec writes it, and what is to be known about the choice.

    `labels` are the values that a check lets in. `zero_date`: dates that are none become null.
    """

    type: str
    nullable: bool
    notes: tuple[str, ...] = ()
    labels: tuple[str, ...] | None = None
    zero_date: bool = False

    def noting(self, note: str) -> Chosen:
        return replace(self, notes=(*self.notes, note))


def choose(column: ColumnShape, facts: Facts, source: str, target: str, *, in_key: bool, indexed: bool) -> Chosen:
    """The type of a new column. `in_key`: rows are matched by it; `indexed`: it is part of any key or index."""
    chosen = _by_kind(column, facts, source, target)
    if chosen.type == "boolean" and not pa.types.is_boolean(column.type) and (in_key or column.identity):
        chosen = Chosen("smallint", column.nullable)
    if target == "mysql" and indexed and chosen.type == "text":
        chosen = replace(chosen, type=f"varchar({max(KEY_CHARACTERS, facts.longest)})").noting(
            "MySQL takes no TEXT in an index"
        )
    if facts.zero_dates:
        found = f"{facts.zero_dates:,} of {facts.rows:,} rows hold a date that is none (0000-00-00 and the like)"
        if in_key:
            chosen = chosen.noting(f"{found}: such rows are quarantined, because a key takes no nulls")
        else:
            chosen = replace(chosen, zero_date=True, nullable=True).noting(f"{found}: they become null")
    if facts.invalid:
        chosen = chosen.noting(
            f"{facts.invalid:,} of {facts.rows:,} rows hold something else ({facts.reason}): they are quarantined"
        )
    return chosen


def _by_kind(column: ColumnShape, facts: Facts, source: str, target: str) -> Chosen:
    native, kind = column.native.lower(), column.type
    plain = Chosen("text", column.nullable)
    if column.labels is not None and not native.startswith("set("):
        return _enum(column, facts, plain)
    if native.startswith("set("):
        return plain.noting(f"{_short(column.native)}: the labels of a set, joined by commas")
    if native.startswith("tinyint(1)"):
        return _flag(facts, plain)
    if native.startswith("bit(") and pa.types.is_integer(kind):
        return _bits(native, facts, plain)
    if source == "mysql" and native.startswith("year"):
        return replace(plain, type="smallint").noting("YEAR as a number")
    if pa.types.is_uint64(kind) or native == "ubigint":
        return _unsigned(facts, plain)
    if pa.types.is_duration(kind):
        return _time(facts, plain)
    if column.meaning == "decimal":
        return _number(facts, plain, target)
    if pa.types.is_decimal(kind):
        return replace(plain, type=f"numeric({kind.precision},{kind.scale})")
    if pa.types.is_string(kind):
        return _text(column, facts, plain, source)
    chosen = replace(plain, type=_PLAIN.get(storable(kind), "text"))
    if _endless(column, facts):
        chosen = chosen.noting("holds infinity")
    return chosen


def _short(native: str) -> str:
    return native if len(native) <= 60 else native[:57] + "…"


def _enum(column: ColumnShape, facts: Facts, plain: Chosen) -> Chosen:
    labels = column.labels or ()
    odd = sorted(facts.labels - set(labels))
    longest = max(map(len, (*labels, *odd)), default=1)
    chosen = replace(plain, type=f"varchar({max(longest, 1)})", labels=(*labels, *odd))
    chosen = chosen.noting("an enum becomes text with a check of its labels")
    if "" in odd:
        chosen = chosen.noting("the empty value that stands for an invalid label occurs, so the check lets it in")
    return chosen


def _flag(facts: Facts, plain: Chosen) -> Chosen:
    if facts.least is None or (facts.least >= 0 and facts.most <= 1):
        seen = "0, 1 and null" if facts.nulls else "0 and 1"
        return replace(plain, type="boolean").noting(
            f"tinyint(1) that holds only {seen}"
            if facts.least is not None
            else "tinyint(1), and no value to say otherwise"
        )
    return replace(plain, type="smallint").noting(
        f"tinyint(1) that holds {number_text(facts.least)} to {number_text(facts.most)}: no boolean"
    )


def _bits(native: str, facts: Facts, plain: Chosen) -> Chosen:
    if native == "bit(1)":
        return replace(plain, type="boolean").noting("bit(1) as a boolean")
    wide = facts.most is not None and facts.most > BIGGEST
    return replace(plain, type="numeric(20,0)" if wide else "bigint").noting(f"{native} as the number of its bits")


def _unsigned(facts: Facts, plain: Chosen) -> Chosen:
    if facts.most is None or facts.most <= BIGGEST:
        most = "it is empty" if facts.most is None else f"the largest value is {number_text(facts.most)}"
        return replace(plain, type="bigint").noting(f"an unsigned bigint whose values fit: {most}")
    return replace(plain, type="numeric(20,0)").noting(
        f"an unsigned bigint that goes to {number_text(facts.most)}, beyond what bigint holds"
    )


def _time(facts: Facts, plain: Chosen) -> Chosen:
    if facts.least is None or (facts.least >= 0 and facts.most < DAY):
        return replace(plain, type="time")
    hours = [round(end / 3_600_000_000, 1) for end in (facts.least, facts.most)]
    return replace(plain, type="interval").noting(
        f"TIME that holds {hours[0]} to {hours[1]} hours: a span, and no time of day"
    )


def _number(facts: Facts, plain: Chosen, target: str) -> Chosen:
    """A number without an end; where the target has none such, as wide as it gets."""
    if target not in BOUNDED or facts.odd:
        note = f"{facts.odd:,} values are no numbers (NaN, infinity)" if facts.odd else ""
        chosen = replace(plain, type="numeric")
        return chosen.noting(note) if note else chosen
    if facts.whole + facts.decimals > 38:
        return plain.noting(f"numbers of {facts.whole + facts.decimals} digits, which no numeric of {target} holds")
    scale = min(max(facts.decimals, 10 if facts.decimals else 0), 38 - facts.whole)
    return replace(plain, type=f"numeric(38,{scale})").noting(
        f"{target} asks for an end: the values have {facts.whole} digits before the point and {facts.decimals} behind it"
    )


def _text(column: ColumnShape, facts: Facts, plain: Chosen, source: str) -> Chosen:
    if column.meaning in ("uuid", "json", "interval"):
        return replace(plain, type=column.meaning)
    if column.meaning == "opaque":
        return plain.noting(f"{_short(column.native)} as the text that {source} writes it in")
    if column.length:
        return replace(plain, type=f"{'char' if column.padded else 'varchar'}({column.length})")
    declared = _LENGTH.fullmatch(column.native.strip())
    if declared is None or not int(declared[1]):
        return plain
    length = int(declared[1])
    if facts.longest > length:
        return plain.noting(f"declared {column.native}, and holds texts of {facts.longest:,} characters")
    return replace(plain, type=f"varchar({length})")


def _endless(column: ColumnShape, facts: Facts) -> bool:
    limit = DATE_INFINITY if pa.types.is_date32(column.type) else TIMESTAMP_INFINITY
    dated = pa.types.is_date32(column.type) or pa.types.is_timestamp(column.type)
    return bool(dated and (facts.most == limit or facts.least == -limit))


Place = tuple[str, str]
"""A table and a column of it."""


def alike(chosen: Mapping[Place, Chosen], linked: Iterable[tuple[Place, Place]]) -> dict[Place, Chosen]:
    """Give both ends of a foreign key one type: the wider whole number of all that are linked to each other."""
    groups: dict[Place, set[Place]] = {place: {place} for place in chosen}
    for one, other in linked:
        if one in groups and other in groups and groups[one] is not groups[other]:
            groups[one] |= groups[other]
            for place in groups[other]:
                groups[place] = groups[one]
    result = dict(chosen)
    for place, group in groups.items():
        types = {chosen[each].type for each in group}
        if len(types) < 2 or not types <= set(_WIDTH):
            continue
        widest = max(types - {"boolean"}, key=_WIDTH.index)
        if chosen[place].type != widest:
            others = sorted(f"{table}.{name}" for table, name in group if chosen[table, name].type == widest)
            result[place] = replace(chosen[place], type=widest).noting(
                f"{widest}, as {others[0]} which it is linked to"
            )
    return result
