"""Values as text that reads back exactly."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from transforms.vocabulary import DATE_INFINITY, TIMESTAMP_INFINITY

DURATION = r"^(?P<sign>-?)(?P<hours>\d{2,7}):(?P<minutes>[0-5]\d):(?P<seconds>[0-5]\d)(?:\.(?P<fraction>\d{1,6}))?$"
"""A span of time without months or days, as `as_text` writes it."""


def as_text(values: pa.Array) -> pa.Array:
    """Values as text that reads back exactly: no exponent in decimals, ISO times with a space, true and false,
    spans of time as PostgreSQL writes them, lists as its arrays."""
    kind = values.type
    if pa.types.is_decimal(kind):
        return decimal_text(values, trim=False)
    if pa.types.is_timestamp(kind):
        plain = (
            values.cast(pa.timestamp("us"))
            if kind.tz is None
            else values.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))
        )
        text = _without_zeros(_with_far(plain.cast(pa.string()), plain, _far_timestamp))
        text = text if kind.tz is None else pc.binary_join_element_wise(text, pa.scalar("+00"), "")
        return _infinity_text(values, text, TIMESTAMP_INFINITY, pa.int64())
    if pa.types.is_date(kind):
        days = values.cast(pa.date32())
        finite = pc.if_else(pc.less(pc.abs(days.view(pa.int32())), DATE_INFINITY), days, pa.scalar(None, days.type))
        return _infinity_text(days, _with_far(finite.cast(pa.string()), finite, _far_date), DATE_INFINITY, pa.int32())
    if pa.types.is_duration(kind):
        return duration_text(values, trim=True)
    if pa.types.is_time(kind):
        clock = values.cast(pa.time64("us"))
        return _without_zeros(_with_far(clock.cast(pa.string()), clock, _far_time))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return array_text(values)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return pa.array([None if v is None else v.hex() for v in values.to_pylist()], pa.string())
    return values.cast(pa.string())


def decimal_text(values: pa.Array, *, trim: bool) -> pa.Array:
    """Decimals without exponent; `trim`: without zeros at the end of the fraction."""
    text = values.cast(pa.string())
    if values.type.scale > 0 and pc.any(pc.match_substring(text, "E")).as_py():
        text = _all_places(values)  # Arrow writes small numbers with an exponent
    if trim and values.type.scale > 0:
        text = pc.replace_substring_regex(text, r"\.?0+$", "")
    return text


def _all_places(values: pa.Array) -> pa.Array:
    """Decimals by the digits of the whole numbers that they are without their scale."""
    scale = values.type.scale
    if values.type.byte_width < 16:
        values = values.cast(pa.decimal128(values.type.precision, scale))
    whole = pa.decimal256(76, 0) if pa.types.is_decimal256(values.type) else pa.decimal128(38, 0)
    units = pa.Array.from_buffers(whole, len(values), values.buffers(), values.null_count, values.offset)
    texts = units.cast(pa.string())
    digits = pc.utf8_lpad(pc.utf8_ltrim(texts, "-"), scale + 1, "0")
    sign = pc.if_else(pc.starts_with(texts, "-"), "-", "")
    before = pc.utf8_slice_codeunits(digits, 0, -scale)
    return pc.binary_join_element_wise(sign, before, ".", pc.utf8_slice_codeunits(digits, -scale), "")


_NEEDLESS = (
    (r"^\+", ""), (r"^(-?)0+(\d)", r"\1\2"), (r"^(-?)\.", r"\10."), (r"(\.\d*[1-9])0+$", r"\1"), (r"\.0*$", ""), ("^-0$", "0"),
    ("^(?i:nan)$", "NaN"), ("^(-?)(?i:inf(inity)?)$", r"\1Infinity"),
)  # fmt: skip


def one_number_one_text(numbers: pa.Array) -> pa.Array:
    """Texts of numbers without plus signs, exponents and needless zeros."""
    powers = pc.fill_null(pc.match_substring_regex(numbers, r"\d\.?[eE]"), False)
    if pc.any(powers).as_py():  # rare: written out in full
        plain = [format(Decimal(each), "f") for each in numbers.filter(powers).to_pylist()]
        numbers = pc.replace_with_mask(numbers, powers, pa.array(plain, numbers.type))
    for pattern, by in _NEEDLESS:
        numbers = pc.replace_substring_regex(numbers, pattern, by)
    return numbers


def duration_text(values: pa.Array, *, trim: bool) -> pa.Array:
    """Spans of time as hours, minutes and seconds: 100:00:00, -05:00:00, 00:00:01.5.

    In: `trim`: without zeros at the end of the fraction of a second; else all six digits, or none where no value has any.
    """
    micros = values.cast(pa.duration("us")).view(pa.int64())
    sign = pc.if_else(pc.less(micros, 0), "-", "")
    size = pc.abs(micros)
    seconds, fraction = _divided(size, 1_000_000)
    minutes, seconds = _divided(seconds, 60)
    hours, minutes = _divided(minutes, 60)
    clock = pc.binary_join_element_wise(*(_padded(part, 2) for part in (hours, minutes, seconds)), ":")
    text = pc.binary_join_element_wise(sign, clock, "")
    if not pc.any(pc.not_equal(fraction, 0)).as_py():
        return text
    text = pc.binary_join_element_wise(text, _padded(fraction, 6), ".")
    return _without_zeros(text) if trim else text


def durations(text: pa.Array) -> pa.Array:
    """The spans of time that texts like DURATION name; null for other texts."""
    parts = pc.extract_regex(text, DURATION)
    hours, minutes, seconds = (
        pc.struct_field(parts, name).cast(pa.int64()) for name in ("hours", "minutes", "seconds")
    )
    fraction = pc.utf8_rpad(pc.struct_field(parts, "fraction"), 6, "0").cast(pa.int64())
    whole = pc.add(pc.multiply(pc.add(pc.multiply(hours, 60), minutes), 60), seconds)
    micros = pc.add(pc.multiply(whole, 1_000_000), fraction)
    negative = pc.equal(pc.struct_field(parts, "sign"), "-")
    return pc.if_else(negative, pc.negate(micros), micros).view(pa.duration("us"))


def array_text(values: pa.Array) -> pa.Array:
    """Lists as PostgreSQL writes its arrays: {1,2}, {"two words",NULL,""}."""
    lists = values if pa.types.is_list(values.type) else values.cast(pa.list_(values.type.value_type))
    flat = lists.flatten()  # without what null lists hide
    text = as_text(flat)
    nested = pa.types.is_list(flat.type) or pa.types.is_large_list(flat.type)
    if pa.types.is_boolean(flat.type):
        text = pc.utf8_slice_codeunits(text, 0, 1)
    elif not nested:
        special = pc.match_substring_regex(text, r'^$|[{}",\\\s]|^(?i:null)$')
        escaped = pc.replace_substring_regex(text, r'(["\\])', r"\\\1")
        text = pc.if_else(special, pc.binary_join_element_wise('"', escaped, '"', ""), text)
    text = pc.fill_null(text, "NULL")
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    ends = pc.cumulative_sum(lengths.cast(pa.int32()))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    joined = pc.binary_join(pa.ListArray.from_arrays(offsets, text), ",")
    whole = pc.binary_join_element_wise("{", joined, "}", "")
    return pc.if_else(pc.is_valid(lists), whole, pa.scalar(None, pa.string()))


def _without_zeros(text: pa.Array) -> pa.Array:
    """Times without zeros at the end of the fraction of a second."""
    return pc.replace_substring_regex(pc.replace_substring_regex(text, r"(\.\d*[1-9])0+$", r"\1"), r"\.0+$", "")


def _with_far(text: pa.Array, values: pa.Array, spell: Callable[[int], str]) -> pa.Array:
    """Texts of Arrow with those put in for which it has none: years beyond 32767, and 24:00."""
    far = pc.fill_null(pc.starts_with(text, "<"), False)
    if not pc.any(far).as_py():
        return text
    numbers = values.filter(far).view(pa.int32() if pa.types.is_date32(values.type) else pa.int64())
    return pc.replace_with_mask(text, far, pa.array([spell(number) for number in numbers.to_pylist()], pa.string()))


def _far_date(days: int) -> str:
    """Days since 1970 in the Gregorian calendar, whose years are counted from March within 400 of them."""
    cycle, day = divmod(days + 719_468, 146_097)
    year = (day - day // 1_460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    return f"{400 * cycle + year + (month > 9):04}-{(month + 2) % 12 + 1:02}-{day - (153 * month + 2) // 5 + 1:02}"


def _far_timestamp(micros: int) -> str:
    days, clock = divmod(micros, 86_400_000_000)
    return f"{_far_date(days)} {_far_time(clock)}"


def _far_time(micros: int) -> str:
    seconds, fraction = divmod(micros, 1_000_000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{fraction:06}"


def _divided(numbers: pa.Array, by: int) -> tuple[pa.Array, pa.Array]:
    whole = pc.divide(numbers, by)
    return whole, pc.subtract(numbers, pc.multiply(whole, by))


def _padded(numbers: pa.Array, width: int) -> pa.Array:
    return pc.utf8_lpad(numbers.cast(pa.string()), width, "0")


def _infinity_text(values: pa.Array, text: pa.Array, infinity: int, number: pa.DataType) -> pa.Array:
    raw = values.cast(number)
    if not pc.any(pc.equal(pc.abs(raw), infinity)).as_py():
        return text
    text = pc.if_else(pc.equal(raw, infinity), pa.scalar("infinity"), text)
    return pc.if_else(pc.equal(raw, -infinity), pa.scalar("-infinity"), text)
