"""Ranges that restrict a plan: `T.col:FROM..TO`, half-open, and the steps of a backfill."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa
from dateutil.relativedelta import relativedelta

from flows.bind.tables import BoundTable
from flows.spec.entries import asked_entry
from flows.spec.model import Spec
from flows.spec.problems import meant
from transforms.mapping import casts
from transforms.vocabulary import ColumnRange, SpecError

PATTERN = r"^(?P<table>[^.:]+)\.(?P<column>[^:]+):(?P<start>.*)\.\.(?P<stop>.*)$"
STEP = r"^(?P<number>[1-9]\d*)(?P<unit>[smhdw]|mo|y)?$"
_FORM = (
    "write TABLE.COLUMN:FROM..TO, such as flight.departed_on:2013-01-01..2013-02-01; FROM belongs to it, TO does not."
)


@dataclass(frozen=True, slots=True)
class RangeText:
    """A range as it was written: half-open, an empty end is unbounded."""

    table: str
    column: str
    start: str
    stop: str

    def __str__(self) -> str:
        return f"{self.table}.{self.column}:{self.start}..{self.stop}"


def parse_range(text: str, spec: Spec) -> RangeText:
    """Read `T.col:FROM..TO`; SpecError where the form or the table is wrong."""
    match = re.match(PATTERN, text)
    if match is None:
        raise SpecError(f"{text!r} is not a range.", fix=_FORM)
    try:
        table = asked_entry(spec, match["table"])
    except SpecError as error:
        raise SpecError(f"{text!r}: {error.what}", fix=error.fix) from error
    parsed = RangeText(table, match["column"], match["start"].strip(), match["stop"].strip())
    if not parsed.start and not parsed.stop:
        raise SpecError(f"{text!r} has neither a start nor a stop.", fix=_FORM)
    return parsed


def typed(text: RangeText, bound: BoundTable, zone: str | None) -> ColumnRange:
    """The range in the target column's type; SpecError where an end is no value of it."""
    shape = bound.shape.column(text.column)
    if shape is None or text.column not in bound.images:
        raise SpecError(f"{text}: {text.table} maps no column {text.column}. {meant(text.column, bound.images)}")
    if shape.meaning in ("decimal", "json", "opaque"):
        what = "a numeric without bounds" if shape.meaning == "decimal" else shape.native
        raise SpecError(
            f"{text}: {text.column} is {what}, which travels as text, and text has another order.",
            fix="take another column.",
        )
    ends: list[Any] = []
    for end in (text.start, text.stop):
        if not end:
            ends.append(None)
            continue
        aware = pa.types.is_timestamp(shape.type) and shape.type.tz is not None
        wanted = casts.Cast(shape.type, shape.meaning, (zone or "UTC") if aware and not _has_offset(end) else None)
        result = casts.cast(pa.array([end]), wanted)
        if result.bad.any():
            raise SpecError(f"{text}: {end!r} is no {shape.native}.", fix=_FORM)
        ends.append(result.values[0].as_py())
    if ends[0] is not None and ends[1] is not None and not ends[0] < ends[1]:
        raise SpecError(f"{text}: the start is not before the stop.", fix=_FORM)
    return ColumnRange(text.column, ends[0], ends[1])


def pushed(wanted: ColumnRange, bound: BoundTable) -> ColumnRange | None:
    """The same range over the source's column, None where the column is not an order-keeping copy of one."""
    name = bound.renamed.get(wanted.column)
    shape = bound.source_shape.column(name) if name else None
    target = bound.shape.column(wanted.column)
    if name is None or shape is None or target is None:
        return None
    ends = []
    for end in (wanted.start, wanted.stop):
        result = casts.cast(pa.array([end], target.type), casts.Cast(shape.type))
        if result.bad.any():
            return None
        ends.append(result.values[0].as_py())
    return ColumnRange(name, ends[0], ends[1])


def steps(text: RangeText, every: str | None) -> Iterator[RangeText]:
    """Cut a range of dates, times or whole numbers into steps: `1d`, `6h`, `1mo`, `1000`.

    Errors: SpecError for a step that does not fit the ends, or an end that is missing.
    """
    if every is None:
        yield text
        return
    match = re.match(STEP, every)
    if match is None:
        raise SpecError(
            f"{every!r} is not a step.",
            fix="write a number with s, m, h, d, w, mo or y, such as 1d, or a plain number.",
        )
    if not text.start or not text.stop:
        raise SpecError(f"{text}: steps need a start and a stop.", fix=_FORM)
    start, stop = _value(text.start), _value(text.stop)
    if type(start) is not type(stop) or (isinstance(start, int) != (match["unit"] is None)):
        raise SpecError(
            f"{text} cannot be cut into steps of {every}.",
            fix="give dates with a unit such as 1d, or whole numbers with a plain number.",
        )
    if not start < stop:
        raise SpecError(f"{text}: the start is not before the stop.", fix=_FORM)
    at, number = start, 0
    while at < stop:
        number += 1
        after = min(_advanced(start, int(match["number"]) * number, match["unit"]), stop)
        if after <= at:
            raise SpecError(f"{every!r} is no step forward from {at}.", fix="use whole days or more for dates.")
        yield RangeText(text.table, text.column, _written(at), _written(after))
        at = after


def _has_offset(text: str) -> bool:
    return re.search(r"(Z|[+-]\d\d(:?\d\d)?)$", text[10:]) is not None


def _value(text: str) -> Any:
    for read in (int, date.fromisoformat, datetime.fromisoformat):
        try:
            return read(text)
        except ValueError:
            continue
    raise SpecError(
        f"{text!r} is neither a date, a time nor a whole number, so it cannot be cut into steps.",
        fix="leave out --every.",
    )


def _written(value: Any) -> str:
    return value.isoformat(sep=" ") if isinstance(value, datetime) else str(value)


def _advanced(start: Any, number: int, unit: str | None) -> Any:
    if unit is None:
        return start + number
    if unit in ("mo", "y"):  # the 31st of a shorter month is its last day
        return start + (relativedelta(years=number) if unit == "y" else relativedelta(months=number))
    seconds = number * {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}[unit]
    if not isinstance(start, datetime):
        return start + timedelta(days=seconds // 86_400)
    return start + timedelta(seconds=seconds)
