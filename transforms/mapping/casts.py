"""Casts that keep the value or name the rows where they cannot. Nothing is rounded, trimmed or wrapped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.mapping.failed_casts import apart, refused
from transforms.mapping.floats import exact_decimals, floats
from transforms.vocabulary import ColumnShape, Meaning, Reason
from transforms.vocabulary.arrow import Mask, as_mask, contiguous, nulled
from transforms.vocabulary.decimals import NUMBER, decimals
from transforms.vocabulary.reasons import Code
from transforms.vocabulary.texts import as_text, decimal_text, durations, one_number_one_text
from transforms.vocabulary.times import as_numbers, infinity_of

BOOLEAN_LIKE = ("tinyint(1)", "bit(1)")
"""What stands for a boolean where an engine (MySQL) has none: true and false go in as 1 and 0."""

DAY = 86_400_000_000  # in microseconds

_UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"


@dataclass(frozen=True, slots=True)
class Cast:
    """What an explicit cast asks for. `time_zone` is where naive timestamps are, or where aware ones go.

    `ambiguous` and `nonexistent` say what happens to local times that a clock change repeats or skips: "fault",
    "earliest" or "latest". `format` is a strptime pattern for text.
    """

    type: pa.DataType
    meaning: Meaning = "plain"
    time_zone: str | None = None
    ambiguous: str = "fault"
    nonexistent: str = "fault"
    format: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """The values, null where `bad` is true, and which of those are bad for which reason, without the column."""

    values: pa.Array
    bad: Mask
    faults: tuple[tuple[Mask, Reason], ...] = ()


def implicit(source: pa.DataType, source_meaning: Meaning, target: ColumnShape) -> bool:
    """Whether values may go from one type to the other without the spec asking for a cast.

    Only inside one family: 1, '1' and true are different, and so are naive and aware timestamps.
    """
    types = pa.types
    if source.equals(target.type):
        return source_meaning == target.meaning or "plain" in (source_meaning, target.meaning)
    if pa.types.is_null(source):
        return True
    exact = (types.is_integer, types.is_decimal)
    if any(kind(source) for kind in exact) and (
        any(kind(target.type) for kind in exact) or target.meaning == "decimal"
    ):
        return True
    if types.is_integer(source) and types.is_floating(target.type):
        return True
    if types.is_floating(source) and types.is_floating(target.type):
        return True
    if types.is_timestamp(source) and types.is_timestamp(target.type):
        return (source.tz is None) == (target.type.tz is None)
    if source_meaning == "decimal" and types.is_decimal(target.type):
        return True
    if types.is_boolean(source) and target.native in BOOLEAN_LIKE:
        return True
    if types.is_duration(source) or types.is_duration(target.type):
        other, meaning = (target.type, target.meaning) if types.is_duration(source) else (source, source_meaning)
        return bool(types.is_duration(other) or types.is_time(other) or meaning == "interval")
    if types.is_list(source) or types.is_large_list(source):
        return target.meaning == "opaque" and target.native.endswith("[]")
    return (
        (_is_text(source) and _is_text(target.type))
        or (_is_bytes(source) and _is_bytes(target.type))
        or (types.is_time(source) and types.is_time(target.type))
    )


def keeps_order(source: pa.DataType, source_meaning: Meaning, target: ColumnShape) -> bool:
    """Whether ascending values stay ascending and distinct ones distinct, so that key windows map to key windows."""
    exact = (pa.types.is_integer, pa.types.is_decimal)
    if any(kind(source) for kind in exact) and any(kind(target.type) for kind in exact):
        return True
    if _is_text(source) and _is_text(target.type):
        return source_meaning == target.meaning and source_meaning in ("plain", "uuid") and not target.padded
    return source.equals(target.type) and not pa.types.is_floating(source)


def cast(values: pa.Array, wanted: Cast) -> Result:
    """Cast each value exactly, or mark its row as bad."""
    source, target = values.type, wanted.type
    if _is_dictionary(source):
        return cast(values.dictionary_decode(), wanted)
    if wanted.meaning == "decimal":
        return _to_decimal_text(values)
    if wanted.meaning == "uuid":
        return _to_uuid(values)
    if source.equals(target) and wanted.time_zone is None:
        return _good(values)
    if pa.types.is_null(source):
        return _good(pa.nulls(len(values), target))
    if pa.types.is_boolean(target):
        return _to_boolean(values)
    if pa.types.is_timestamp(target) or pa.types.is_date(target):
        return _to_time(values, wanted)
    if pa.types.is_time(target) and (_is_text(source) or pa.types.is_timestamp(source)):
        return _to_clock(values, wanted)
    if pa.types.is_duration(target) or pa.types.is_duration(source):
        return _to_duration(values, target) if pa.types.is_duration(target) else _from_duration(values, target)
    if pa.types.is_string(target) and not _is_bytes(source):
        return _good(as_text(values))
    if pa.types.is_decimal(target) or pa.types.is_floating(target):
        return _to_number(values, target)
    return _by_halving(values, target, lambda part: part.cast(target))


def _good(values: pa.Array) -> Result:
    return Result(values, np.zeros(len(values), dtype=bool))


def _all_for(values: pa.Array, bad: Mask, code: Code, **facts: Any) -> Result:
    """What a step made of values, all bad ones for one reason."""
    return Result(values, bad, ((bad, Reason(code, None, facts)),))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _is_dictionary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(kind))


def name_of(kind: pa.DataType) -> str:
    """A type as people call it."""
    if pa.types.is_timestamp(kind):
        return "timestamp" if kind.tz is None else "timestamp with time zone"
    if pa.types.is_decimal(kind):
        return f"numeric({kind.precision},{kind.scale})"
    names = {"string": "text", "large_string": "text", "date32[day]": "date", "int16": "smallint", "int32": "integer",
             "int64": "bigint", "float": "real",
             "int8": "tinyint", "uint8": "unsigned tinyint", "uint16": "unsigned smallint", "uint32": "unsigned integer",
             "uint64": "unsigned bigint", "duration[us]": "interval", "bool": "boolean", "binary": "bytes",
             "time64[us]": "time"}  # fmt: skip
    return names.get(str(kind), str(kind))


def family(kind: pa.DataType) -> str:
    """What a type holds: integer, decimal, float, text, time, or other."""
    families = {
        "integer": pa.types.is_integer,
        "decimal": pa.types.is_decimal,
        "float": pa.types.is_floating,
        "text": _is_text,
        "time": pa.types.is_temporal,
    }
    return next((name for name, holds in families.items() if holds(kind)), "other")


def _inexact(made: pa.Array, bad: Mask, given: pa.DataType, wanted: pa.DataType, without: str = "loss") -> Result:
    families = [family(given), family(wanted)]
    return _all_for(
        made, bad, "inexact", given=name_of(given), wanted=name_of(wanted), families=families, without=without
    )


def _by_halving(values: pa.Array, target: pa.DataType, strict: Callable[[pa.Array], pa.Array]) -> Result:
    """Apply a cast that refuses a whole array for one bad value, and find the bad values."""
    whole, bad = apart(values, target, strict)
    return _inexact(whole, bad, values.type, target)


def _to_number(values: pa.Array, target: pa.DataType) -> Result:
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    given = values.type
    if pa.types.is_floating(values.type):
        if pa.types.is_decimal(target):
            return _inexact(*exact_decimals(values, target), given, target, "rounding")
        narrowed = values.cast(target)  # which rounds in silence: what does not come back as it was is refused
        differs = pc.and_not(pc.not_equal(narrowed.cast(values.type), values), pc.is_nan(values))
        bad = as_mask(differs)
        return _inexact(nulled(narrowed, bad), bad, given, target, "rounding")
    if pa.types.is_decimal(target):
        if _is_text(values.type):
            return _by_halving(values, target, lambda part: decimals(part, target))
        if pa.types.is_integer(values.type) or pa.types.is_decimal(values.type):
            return _exact_to_decimal(values, target)
    if _is_text(values.type) or pa.types.is_integer(values.type):
        return _inexact(*floats(values, target), given, target)
    if pa.types.is_decimal(values.type):
        return _inexact(*floats(values, target), given, target, "rounding")
    return _by_halving(values, target, lambda part: part.cast(target))


def _exact_to_decimal(values: pa.Array, target: pa.DataType) -> Result:
    """Exact numbers as decimals. Arrow's own cast wraps round on the way to a large scale, and so sees fitting ones only."""
    given = values.type
    bad = refused(values, target)
    values = nulled(values, bad)
    if pa.types.is_integer(values.type):
        values = values.cast(pa.decimal128(20 if pa.types.is_unsigned_integer(values.type) else 19, 0))
    made, late = apart(values, target, lambda part: part.cast(target))
    return _inexact(made, bad | late, given, target)


def _to_boolean(values: pa.Array) -> Result:
    if pa.types.is_integer(values.type) or pa.types.is_decimal(values.type):
        whole = _by_halving(values, pa.int64(), lambda part: part.cast(pa.int64()))
        good = pc.is_in(whole.values, value_set=pa.array([0, 1], pa.int64()))
        truth = pc.if_else(good, pc.equal(whole.values, 1), pa.scalar(None, pa.bool_()))
    elif _is_text(values.type):
        lower = pc.utf8_lower(values)
        yes = pc.is_in(lower, value_set=pa.array(["true", "t", "1"], lower.type))
        no = pc.is_in(lower, value_set=pa.array(["false", "f", "0"], lower.type))
        good = pc.or_(yes, no)
        truth = pc.if_else(good, yes, pa.scalar(None, pa.bool_()))
    else:
        return _by_halving(values, pa.bool_(), lambda part: part.cast(pa.bool_()))
    bad = as_mask(pc.and_(pc.is_valid(values), pc.invert(good)))
    return _all_for(truth, bad, "not_boolean")


def _to_time(values: pa.Array, wanted: Cast) -> Result:
    target = wanted.type
    if _is_text(values.type) and wanted.format:
        read = pc.strptime(values, format=wanted.format, unit="us", error_is_null=True)
        bad = as_mask(pc.and_(pc.is_valid(values), pc.is_null(read)))
        after = _to_time(read, Cast(target, "plain", wanted.time_zone, wanted.ambiguous, wanted.nonexistent))
        return _then(((bad, Reason("wrong_format", None, {"format": wanted.format})),), after)
    if _is_text(values.type) and pa.types.is_timestamp(target) and wanted.time_zone:
        naive = _by_halving(values, pa.timestamp("us"), lambda part: part.cast(pa.timestamp("us")))
        return _then(naive.faults, _to_time(naive.values, wanted))
    if pa.types.is_date32(values.type) or pa.types.is_timestamp(values.type):
        return _between_times(values, wanted)
    return _by_halving(values, target, lambda part: part.cast(target))


def _between_times(values: pa.Array, wanted: Cast) -> Result:
    """Dates and timestamps as each other; what is infinite stays so."""
    numbers, limit = as_numbers(values), infinity_of(values.type)
    ends = {sign: as_mask(pc.equal(numbers, sign * limit)) for sign in (1, -1)}
    endless = ends[1] | ends[-1]
    made = _finite_time(nulled(values, endless), wanted)
    if not endless.any():
        return made
    numbers, limit = as_numbers(made.values), infinity_of(made.values.type)
    for sign, mask in ends.items():
        numbers = pc.if_else(pa.array(mask), pa.scalar(sign * limit, numbers.type), numbers)
    return Result(numbers.view(wanted.type), made.bad, made.faults)


def _finite_time(values: pa.Array, wanted: Cast) -> Result:
    source, target = values.type, wanted.type
    if pa.types.is_date(source):
        if pa.types.is_date(target):
            return _by_halving(values, target, lambda part: part.cast(target))
        days = _by_halving(values, pa.timestamp("us"), lambda part: part.cast(pa.timestamp("us")))
        return days if target.tz is None else _then(days.faults, _localize(days.values, wanted))
    if pa.types.is_timestamp(target) and (source.tz is None) == (target.tz is None):
        return _by_halving(values, target, lambda part: part.cast(target))
    if source.tz is None and pa.types.is_timestamp(target):
        return _localize(values, wanted)
    local = values.cast(pa.timestamp("us"))
    if source.tz is not None:
        local = pc.local_timestamp(values.cast(pa.timestamp("us", wanted.time_zone or "UTC")))
    wrapped = _wrapped(values, local)
    if pa.types.is_timestamp(target):
        return _all_for(nulled(local, wrapped).cast(target), wrapped, "beyond_local_times")
    micros = local.view(pa.int64())
    bad = wrapped | as_mask(pc.not_equal(pc.multiply(pc.divide(micros, DAY), DAY), micros))
    return _inexact(nulled(local.cast(target), bad), bad, source, target)


def _wrapped(before: pa.Array, after: pa.Array) -> Mask:
    """Where a change of zone went beyond the last timestamp, or before the first."""
    left, right = before.view(pa.int64()), after.view(pa.int64())
    up = pc.and_(pc.greater(left, 2**62), pc.less(right, 0))
    return as_mask(pc.or_(up, pc.and_(pc.less(left, -(2**62)), pc.greater(right, 0))))


def _to_clock(values: pa.Array, wanted: Cast) -> Result:
    """Texts as times of the day: Arrow reads them only behind a date. A timestamp is none, but for the first day's."""
    if pa.types.is_timestamp(values.type):
        micros = values.cast(pa.timestamp("us")).view(pa.int64())
        dated = as_mask(pc.or_(pc.less(micros, 0), pc.greater_equal(micros, DAY)))
        clock = nulled(values, dated).cast(wanted.type)
        return _all_for(clock, dated, "has_date", given=name_of(values.type))
    if wanted.format:
        moments = _to_time(values, Cast(pa.timestamp("us"), format=wanted.format))
        return Result(moments.values.cast(wanted.type), moments.bad, moments.faults)
    first = "1970-01-01"
    return _by_halving(
        values,
        wanted.type,
        lambda part: pc.binary_join_element_wise(first, part, " ").cast(pa.timestamp("us")).cast(wanted.type),
    )


def _to_duration(values: pa.Array, target: pa.DataType) -> Result:
    if pa.types.is_time(values.type):
        return _good(values.cast(pa.time64("us")).view(pa.int64()).view(pa.duration("us")).cast(target))
    if _is_text(values.type):
        spans = durations(values).cast(target)
        bad = as_mask(pc.and_(pc.is_valid(values), pc.is_null(spans)))
        return _all_for(spans, bad, "not_interval", given=name_of(values.type))
    return _by_halving(values, target, lambda part: part.cast(target))


def _from_duration(values: pa.Array, target: pa.DataType) -> Result:
    if _is_text(target):
        return _good(as_text(values).cast(target))
    if not pa.types.is_time(target):
        return _by_halving(values, target, lambda part: part.cast(target))
    micros = values.cast(pa.duration("us")).view(pa.int64())
    bad = as_mask(pc.or_(pc.less(micros, 0), pc.greater_equal(micros, DAY)))
    return _all_for(nulled(micros, bad).view(pa.time64("us")).cast(target), bad, "not_time_of_day")


def _localize(values: pa.Array, wanted: Cast) -> Result:
    """Local times to instants; those that a clock change repeats or skips are faults unless told otherwise."""
    zone = wanted.time_zone or "UTC"
    micros = values.cast(pa.timestamp("us"))

    def resolve(ambiguous: str, nonexistent: str) -> pa.Array:
        return pc.assume_timezone(micros, zone, ambiguous=ambiguous, nonexistent=nonexistent).cast(wanted.type)

    early, late = resolve("earliest", "earliest"), resolve("latest", "latest")
    unsure = as_mask(pc.not_equal(early, late))
    if not unsure.any() and not _wrapped(micros, early).any():
        return _good(early)
    # a skipped time has no two readings of its own: choosing the later offset moves it across the gap
    repeated = unsure & as_mask(pc.equal(pc.local_timestamp(early.cast(pa.timestamp("us", zone))), micros))
    skipped = unsure & ~repeated
    chosen = early
    for mask, choice in ((repeated, wanted.ambiguous), (skipped, wanted.nonexistent)):
        if choice == "latest":
            chosen = pc.if_else(pa.array(mask), late, chosen)
    twice = repeated & (wanted.ambiguous == "fault")
    never = (skipped & (wanted.nonexistent == "fault")) | _wrapped(micros, chosen)
    after = _all_for(nulled(chosen, twice | never), never, "skipped_time", zone=zone)
    return _then(((twice, Reason("repeated_time", None, {"zone": zone})),), after)


def _then(before: tuple[tuple[Mask, Reason], ...], after: Result) -> Result:
    """What a second step made of the values, where the first one refused some already."""
    bad = after.bad
    for mask, _ in before:
        bad = bad | mask
    return Result(after.values, bad, (*before, *after.faults))


def _to_decimal_text(values: pa.Array) -> Result:
    if pa.types.is_decimal(values.type):
        return _good(decimal_text(values, trim=True))
    text = contiguous(as_text(values))
    number = pc.match_substring_regex(text, rf"{NUMBER}|^([Nn]a[Nn]|-?[Ii]nf(inity)?)$")
    bad = as_mask(pc.and_(pc.is_valid(text), pc.invert(number)))
    text = nulled(text, bad)
    return _all_for(one_number_one_text(text), bad, "not_number")


def _to_uuid(values: pa.Array) -> Result:
    lower = pc.utf8_lower(values.cast(pa.string()))
    good = pc.match_substring_regex(lower, _UUID)
    bad = as_mask(pc.and_(pc.is_valid(lower), pc.invert(good)))
    return _all_for(nulled(lower, bad), bad, "not_uuid")
