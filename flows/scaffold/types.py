"""The type that a new column gets: what the source declares, what the rows say, and why."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa

from adapters.capabilities import Capabilities
from adapters.protocol import Definitions
from flows.scaffold.profile import Facts, number_text
from flows.spec.types import new_column, storable
from transforms.vocabulary import DATE_INFINITY, TIMESTAMP_INFINITY, ColumnShape
from transforms.vocabulary.texts import as_text

DAY: Final = 86_400_000_000  # in microseconds
BIGGEST: Final = 2**63 - 1
KEY_CHARACTERS: Final = 255  # of a text in an index, where that takes none without a length
CHARACTER_BYTES: Final = 4

_PLAIN: Final[dict[pa.DataType, str]] = {
    pa.int8(): "smallint", pa.int16(): "smallint", pa.int32(): "integer", pa.int64(): "bigint", pa.float32(): "real",
    pa.float64(): "double", pa.bool_(): "boolean", pa.date32(): "date", pa.time64("us"): "time", pa.timestamp("us"): "timestamp",
    pa.binary(): "bytea", pa.timestamp("us", "UTC"): "timestamptz", pa.duration("us"): "interval",
}  # fmt: skip
_WIDTH_OF_BITS: Final = ((15, "smallint"), (31, "integer"), (63, "bigint"))
_WIDTH: Final = ("boolean", "smallint", "integer", "bigint", "numeric(20,0)")
_LENGTH: Final = re.compile(r"(?:var|n|nvar)?(?:char|character|character varying)\w*\s*\(\s*(\d+)\s*\)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A new column: its type as the spec writes it, and what is to be known about the choice.

    `labels` are the values that a check lets in. `zero_date`: dates that are none become null. `zone`: instants are
    written as they are in that time zone. `unindexed` says why no index of the target takes it.
    """

    type: str
    nullable: bool
    notes: tuple[str, ...] = ()
    labels: tuple[str, ...] | None = None
    zero_date: bool = False
    zone: str = ""
    unindexed: str = ""

    def noting(self, note: str) -> Chosen:
        return replace(self, notes=(*self.notes, note))


def choose(column: ColumnShape, facts: Facts, source: str, target: Definitions, *, in_key: bool, room: int) -> Chosen:
    """The type of a new column. `in_key`: rows are matched by it. `room`: the bytes that the target's narrowest index
    of those that it is part of has for it, 0 where there is no end, or no index.
    """
    chosen = _by_kind(column, facts, source, target)
    if chosen.type == "boolean" and not pa.types.is_boolean(column.type) and (in_key or column.identity):
        chosen = Chosen("smallint", column.nullable)
    if room:
        chosen = _indexed(chosen, facts, target.capabilities, room, in_key=in_key)
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
    return _limited(chosen, column, facts, target)


def _indexed(chosen: Chosen, facts: Facts, target: Capabilities, room: int, *, in_key: bool) -> Chosen:
    """The choice for a column of an index: as long as the index takes it, or else without one."""
    sized = re.fullmatch(r"(?:var)?char\((\d+)\)", chosen.type)
    most, title = room // CHARACTER_BYTES, target.names.title
    if not target.indexes_any_text and (chosen.type == "text" or (sized and int(sized[1]) > most)):
        if facts.longest <= most or in_key:
            told = (
                f"{title} takes no TEXT in an index" if not sized else f"an index of {title} has {room:,} bytes for it"
            )
            if facts.longest > most:
                told += f": longer texts are quarantined, and the longest has {facts.longest:,} characters"
            length = most if sized else min(max(KEY_CHARACTERS, facts.longest), most)
            return replace(chosen, type=f"varchar({length})").noting(told)
        why = f"its texts go to {facts.longest:,} characters, and an index of {title} has {room:,} bytes for them"
        return replace(chosen, unindexed=why)
    if facts.octets > room:
        why = (
            f"its values go to {facts.octets:,} bytes, and an index of {target.names.engine} has some {room:,} for them"
        )
        return chosen.noting(why) if in_key else replace(chosen, unindexed=why)
    return chosen


def _limited(chosen: Chosen, column: ColumnShape, facts: Facts, target: Definitions) -> Chosen:
    """The choice with a note of what the rows hold and the target does not."""
    made = target.made(new_column(column.name, chosen.type, nullable=True))
    if facts.nul and not made.nul:
        chosen = chosen.noting(
            f"{facts.nul:,} of {facts.rows:,} rows hold NUL characters, which {target.engine} cannot store: they are "
            f"quarantined, or come in without them where the column says `nul: strip`"
        )
    if facts.odd and pa.types.is_floating(column.type) and not made.nan:
        chosen = chosen.noting(
            f"{facts.odd:,} of {facts.rows:,} rows hold NaN or infinity, which {target.engine} cannot store: they are "
            f"quarantined"
        )
    if made.meaning == "plain" and pa.types.is_string(made.type) and chosen.type in ("interval", "numeric"):
        chosen = chosen.noting(f"{target.engine} has no such type, so that it is a text there")
    if _is_dated(column.type) and _is_dated(made.type) and not _within(facts, made):
        chosen = chosen.noting(f"{target.engine} holds {_ends(made, 10)}: rows beyond that are quarantined")
    return chosen


def _is_dated(kind: pa.DataType) -> bool:
    return bool(pa.types.is_date32(kind) or pa.types.is_timestamp(kind))


def _within(facts: Facts, made: ColumnShape) -> bool:
    """Whether all dates of the rows are between the ends of a column."""
    least, most = (None if end is None else pa.scalar(end, made.type).value for end in (made.least, made.most))
    early = least is not None and facts.least is not None and facts.least < least
    late = most is not None and facts.most is not None and facts.most > most
    return not early and not late


def _ends(made: ColumnShape, letters: int) -> str:
    """The dates between which a column's values are, as far as their first letters; an end that it has not is left open."""
    return " to ".join("…" if end is None else end.isoformat()[:letters] for end in (made.least, made.most))


def _by_kind(column: ColumnShape, facts: Facts, source: str, target: Definitions) -> Chosen:
    native, kind = column.native.lower(), column.type
    plain = Chosen("text", column.nullable)
    if column.labels is not None and not native.startswith("set("):
        return _enum(column, facts, plain)
    if native.startswith("enum("):
        return plain.noting(f"{_short(column.native)}: an enum whose labels {source} does not tell becomes text")
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
        return _time(facts, plain, target.capabilities)
    if column.meaning == "decimal":
        return _number(column, facts, plain, target.capabilities)
    if pa.types.is_decimal(kind):
        chosen = replace(plain, type=f"numeric({kind.precision},{kind.scale})")
        if pa.types.is_string(target.made(new_column(column.name, chosen.type, nullable=True)).type):
            return plain.noting(f"{column.native} as text: {target.engine} has no number of so many decimals")
        return chosen
    if pa.types.is_timestamp(kind) and kind.tz:
        return _instant(facts, plain, target)
    if "zerofill" in native:
        plain = plain.noting(f"{column.native}: the number is the same, and is shown without zeros before it")
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
    bits = int(re.sub(r"\D", "", native))
    if bits == 64:
        return _unsigned(facts, plain, "bit(64) as the number of its bits")
    type_ = next(name for most, name in _WIDTH_OF_BITS if bits <= most)
    return replace(plain, type=type_).noting(f"{native} as the number of its bits")


def _instant(facts: Facts, plain: Chosen, target: Definitions) -> Chosen:
    """A point in time; where the target's instants end too early for the rows, the time that it is in UTC."""
    made = target.made(new_column("at", "timestamptz", nullable=True))
    if _within(facts, made):
        return replace(plain, type="timestamptz")
    return replace(plain, type="timestamp", zone="UTC").noting(
        f"instants beyond {_ends(made, 4)}, which is all that a TIMESTAMP of {target.engine} holds: "
        f"a plain timestamp that is in UTC"
    )


def _unsigned(facts: Facts, plain: Chosen, what: str = "an unsigned bigint") -> Chosen:
    if facts.most is None or facts.most <= BIGGEST:
        most = "there are none" if facts.most is None else f"the largest is {number_text(facts.most)}"
        return replace(plain, type="bigint").noting(f"{what} whose values fit a signed one: {most}")
    return replace(plain, type="numeric(20,0)").noting(
        f"{what} that goes to {number_text(facts.most)}, beyond what bigint holds"
    )


def _time(facts: Facts, plain: Chosen, target: Capabilities) -> Chosen:
    if not target.has_spans or facts.least is None or (facts.least >= 0 and facts.most < DAY):
        return replace(plain, type="time")
    ends = " to ".join(as_text(pa.array([facts.least, facts.most], pa.duration("us"))).to_pylist())
    return replace(plain, type="interval").noting(f"TIME that holds {ends}: a span, and no time of day")


def _number(column: ColumnShape, facts: Facts, plain: Chosen, target: Capabilities) -> Chosen:
    """A number without an end, or with a far one; where the target has none such, as wide as it gets."""
    (most, finest), engine = target.decimal_digits or (38, 38), target.names.engine
    if most > 38 and column.number and column.number[0] <= most and column.number[1] <= finest:
        return replace(plain, type=f"numeric({column.number[0]},{column.number[1]})")
    if target.decimal_digits is None or facts.odd:
        chosen = replace(plain, type="numeric")
        return chosen.noting(f"{facts.odd:,} of {facts.rows:,} rows hold NaN or infinity") if facts.odd else chosen
    if facts.least is None and not facts.whole + facts.decimals:
        return replace(plain, type="numeric(38,10)").noting(f"{engine} asks for an end, and no value says where")
    digits = facts.whole + facts.decimals
    if digits > most or facts.decimals > finest:
        return plain.noting(f"numbers of {digits} digits, which no numeric of {engine} holds")
    digits = 38 if digits <= 38 else most
    scale = min(max(facts.decimals, 10 if facts.decimals else 0), digits - facts.whole)
    return replace(plain, type=f"numeric({digits},{scale})").noting(
        f"{engine} asks for an end: the values have {facts.whole} digits before the point and {facts.decimals} behind it"
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
