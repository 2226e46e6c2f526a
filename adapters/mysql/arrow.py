"""Texts as MariaDB and MySQL send them, in the travel types of their columns."""

from __future__ import annotations

import codecs
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.mysql.types import Travel
from transforms.vocabulary import DataError, Relation, SpecError, unread
from transforms.vocabulary.arrow import Indices, Mask, as_mask, nulled
from transforms.vocabulary.texts import durations

SHOWN_BYTES: Final = 32  # of a text that is not valid, in the reason
FIRST_DAY: Final = -719_162  # 0001-01-01, from 1970
DAY: Final = 86_400_000_000  # in microseconds


def arrived(array: pa.Array, travel: Travel, relation: Relation) -> tuple[pa.Array, pa.Array | None]:
    """A column as it came off the wire, in its travel type; and why values cannot travel, null where they can.

    A value that cannot travel is null in the first array; None stands for no such value.
    Errors: DataError for a date that is none where the relation says `fail`.
    """
    wanted = travel.shape.type
    if pa.types.is_binary(wanted):
        return array, None
    if travel.is_text:
        return _text(array, travel)
    text = array.cast(pa.string())
    if pa.types.is_string(wanted):
        # a decimal of more digits than Arrow has: one text for each number, as keys are compared by it
        scaled = travel.shape.meaning == "decimal" and (travel.declared.scale or 0) > 0
        return pc.replace_substring_regex(text, r"\.?0+$", "") if scaled else text, None
    if pa.types.is_duration(wanted):
        return durations(text), None
    if pa.types.is_date32(wanted) or pa.types.is_timestamp(wanted):
        return _dates(text, travel, relation)
    return (text.cast(pa.float64()) if wanted == pa.float32() else text).cast(wanted), None


# ---------------------------------------------------------------------------------------------------------------------
# Texts


def _text(array: pa.Array, travel: Travel) -> tuple[pa.Array, pa.Array | None]:
    """Texts in UTF-8; one that is not valid in its character set cannot travel."""
    try:
        text = array.cast(pa.string())
    except pa.ArrowInvalid:
        bad = _undecodable(array)
    else:
        if travel.declared.charset != "ascii" or pc.all(pc.string_is_ascii(text), min_count=0).as_py():
            return text, None
        bad = as_mask(pc.invert(pc.string_is_ascii(text)))
    places = np.flatnonzero(bad)
    told = [_undecodable_text(value, travel) for value in array.take(pa.array(places)).to_pylist()]
    return nulled(array, bad).cast(pa.string()), _reasons(len(array), places, told)


def _undecodable_text(value: bytes, travel: Travel) -> str:
    if travel.reading == "converted":
        value = value[1:]  # without the byte that says that they are none of UTF-8
    shown = value[:SHOWN_BYTES].hex() + ("…" if len(value) > SHOWN_BYTES else "")
    return unread("undecodable", travel.name, f"the bytes {shown}", charset=travel.declared.charset)


def _undecodable(array: pa.Array) -> Mask:
    """Where the bytes are no UTF-8."""
    known = pc.fill_null(array, b"")
    starts = np.zeros(len(known) + 1, np.int64)
    np.cumsum(pc.binary_length(known).to_numpy() + 1, out=starts[1:])  # with a line break behind each
    one = pa.LargeListArray.from_arrays(pa.array([0, len(known)], pa.int64()), known)
    data = memoryview(pc.binary_join(one, b"\n")[0].as_buffer())
    bad, at = np.zeros(len(known), bool), 0
    while at < len(data):
        try:
            codecs.utf_8_decode(data[at:], "strict", True)
        except UnicodeDecodeError as error:
            row = int(np.searchsorted(starts, at + error.start, "right")) - 1
            bad[row], at = True, int(starts[row + 1])
        else:
            break
    return bad


def _reasons(length: int, places: Indices, told: list[str]) -> pa.Array:
    where = np.full(length, -1, np.int64)
    where[places] = np.arange(len(places))
    return pa.array(told, pa.string()).take(pa.array(where, mask=where < 0))


# ---------------------------------------------------------------------------------------------------------------------
# Dates and times


def _dates(text: pa.Array, travel: Travel, relation: Relation) -> tuple[pa.Array, pa.Array | None]:
    try:
        found = _plain_dates(text, travel.shape.type)
    except pa.ArrowInvalid:
        found = None
    if found is not None and not _before_the_calendar(found).any():
        return found, None
    bad = _no_dates(text)
    policy = dict(relation.zero_dates).get(travel.name)
    places = np.flatnonzero(bad)
    values = text.take(pa.array(places)).to_pylist()
    if policy == "fail" and values:
        raise DataError(
            f"{relation}, column {travel.name!r}: {values[0]} is no date.",
            fix="correct it, or say with zero_date what it is read as.",
        )
    found = _plain_dates(nulled(text, bad), travel.shape.type)
    if policy == "null":
        return found, None
    if policy is not None:
        return pc.if_else(pa.array(bad), _stand_in(policy, travel), found), None
    told = [unread("no_date", travel.name, value) for value in values]
    return found, _reasons(len(text), places, told)


def stands_in(array: pa.Array, travel: Travel, relation: Relation) -> pa.Array | None:
    """Where a value is not what the server sent but what the relation says of dates that are none; None where nowhere."""
    if dict(relation.zero_dates).get(travel.name, "fail") == "fail":
        return None
    text = array.cast(pa.string())
    try:
        if not _before_the_calendar(_plain_dates(text, travel.shape.type)).any():
            return None
    except pa.ArrowInvalid:
        pass
    return pa.array(_no_dates(text))


def _plain_dates(text: pa.Array, wanted: pa.DataType) -> pa.Array:
    if pa.types.is_date32(wanted):
        return text.cast(wanted)
    return text.cast(pa.timestamp("us")).view(wanted)


def _before_the_calendar(found: pa.Array) -> Mask:
    """Where a date is in the year 0, which is none."""
    date = pa.types.is_date32(found.type)
    numbers = pc.fill_null(found.view(pa.int32() if date else pa.int64()), 0).to_numpy()
    return np.asarray(numbers < (FIRST_DAY if date else FIRST_DAY * DAY))


def _no_dates(text: pa.Array) -> Mask:
    """Where `YYYY-MM-DD…` is no day of the calendar."""
    known = pc.fill_null(text, "2000-01-01")
    year, month, day = (
        pc.utf8_slice_codeunits(known, first, last).cast(pa.int64()).to_numpy()
        for first, last in ((0, 4), (5, 7), (8, 10))
    )
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    days = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])[month] + (leap & (month == 2))
    return np.asarray((year < 1) | (day < 1) | (day > days))


def _stand_in(iso: str, travel: Travel) -> pa.Scalar:
    """The value of a spec that stands for a date that is none."""
    try:
        return _plain_dates(pa.array([iso.replace("T", " ").removesuffix("Z")]), travel.shape.type)[0]
    except pa.ArrowInvalid as error:
        raise SpecError(
            f"Column {travel.name!r}: zero_date {iso!r} is no {travel.shape.native}.",
            fix="write null, fail or such as 1970-01-01.",
        ) from error
