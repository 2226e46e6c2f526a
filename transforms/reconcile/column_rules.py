"""Fields that both sides changed, each to another value: what the rule of their column makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms import expressions
from transforms.mapping import casts
from transforms.mapping.casts import Cast
from transforms.reconcile.policy import Rule
from transforms.reconcile.unions import united
from transforms.vocabulary import ColumnShape, DataError, Meaning
from transforms.vocabulary.arrow import Mask, as_mask
from transforms.vocabulary.texts import as_text
from transforms.vocabulary.times import as_numbers
from transforms.vocabulary.values import unequal

Choices = npt.NDArray[np.int8]
"""One of these a row: of a field that is the same on both sides, the side whose value is taken, a value that the rule made,
or none."""
SAME, SOURCE, TARGET, MADE, OPEN, FAIL = (np.int8(each) for each in range(6))


@dataclass(frozen=True, slots=True)
class Cells:
    """The values of one column in rows where both sides changed it. `base` is None for rows that the base does not have.

    `newer` says for each row which side's clock is ahead: SOURCE, TARGET, or OPEN for a tie; None without a clock. `meeting`:
    the sides meet for the first time, and what they held before is not known.
    """

    name: str
    base: pa.Array | None
    source: pa.Array
    target: pa.Array
    meaning: Meaning
    newer: Choices | None
    meeting: bool = False


@dataclass(frozen=True, slots=True)
class Decided:
    """What is taken of each field; `made` has the values of those that are MADE. `lost` are the edits of the source and of the
    target that a made value does not hold."""

    choices: Choices
    made: pa.Array | None = None
    lost: tuple[Mask, Mask] | None = None


def decide(rule: Rule, cells: Cells) -> Decided:
    """What a rule makes of fields. In: one that fits the column (`problems`). DataError where a function fails."""
    size = len(cells.source)
    match rule.kind:
        case "source_wins":
            return Decided(np.full(size, SOURCE))
        case "target_wins":
            return Decided(np.full(size, TARGET))
        case "manual":
            return Decided(np.full(size, OPEN))
        case "fail":
            return Decided(np.full(size, FAIL))
        case "newer":
            return (
                Decided(cells.newer) if cells.newer is not None else _ranked(cells, later(cells.source, cells.target))
            )
        case "sum" if not cells.meeting:
            return _sum(cells)
        case "larger" | "clock" | "sum":
            return _ranked(cells, _larger(cells))
        case "smaller":
            return _ranked(cells, -_larger(cells))
        case "longer":
            return _ranked(cells, _longer(cells))
        case "union":
            result = united(cells.base, cells.source, cells.target, cells.meaning, rule.separator)
            return Decided(np.where(result.unable, OPEN, MADE), result.values, result.lost)
        case "joined":
            return _joined(cells, rule)
    return _called(rule, cells)


def later(source: pa.Array, target: pa.Array) -> npt.NDArray[np.int64]:
    """1 where the source's value is the larger one, -1 where the target's is, 0 where they are one. In: moments or numbers."""
    one, other = _comparable(source), _comparable(target)
    return _compared(one, other)


def within(source: pa.Array, target: pa.Array, skew: timedelta) -> Mask:
    """Where timestamps are at most that far apart."""
    one, other = (
        pc.fill_null(_comparable(each), 0).to_numpy(zero_copy_only=False).view(np.uint64) for each in (source, target)
    )
    ahead = np.where(later(source, target) > 0, one - other, other - one)  # exact, of infinities too
    both = as_mask(pc.and_(pc.is_valid(source), pc.is_valid(target)))
    close: Mask = np.logical_and(both, ahead <= np.uint64(skew // timedelta(microseconds=1)))
    return close


def _comparable(values: pa.Array) -> pa.Array:
    if pa.types.is_timestamp(values.type) and values.type.unit != "us":
        values = values.cast(pa.timestamp("us", values.type.tz))
    return as_numbers(values)


def _compared(one: pa.Array, other: pa.Array) -> npt.NDArray[np.int64]:
    return as_mask(pc.greater(one, other)).astype(np.int64) - as_mask(pc.less(one, other))


def _ranked(cells: Cells, order: npt.NDArray[np.int64]) -> Decided:
    """The value that comes last in an order; a null gives way to a value, and what has no order stays open."""
    there = [as_mask(pc.is_valid(each)).astype(np.int64) for each in (cells.source, cells.target)]
    order = np.where((there[0] & there[1]).astype(bool), order, there[0] - there[1])
    return Decided(np.select([order > 0, order < 0], [SOURCE, TARGET], OPEN).astype(np.int8))


def _larger(cells: Cells) -> npt.NDArray[np.int64]:
    kind = cells.source.type
    if pa.types.is_string(kind):
        return _larger_texts(cells.source, cells.target)
    if pa.types.is_boolean(kind):
        return _compared(cells.source.cast(pa.int8()), cells.target.cast(pa.int8()))
    order = later(cells.source, cells.target)
    if pa.types.is_floating(kind):
        odd = [as_mask(pc.is_nan(each)).astype(np.int64) for each in (cells.source, cells.target)]
        order = np.where((odd[0] | odd[1]).astype(bool), odd[0] - odd[1], order)
    return order


_WIDE: Final = pa.decimal256(74, 30)
"""Holds numbers that travel as text, but for the longest."""


def _larger_texts(source: pa.Array, target: pa.Array) -> npt.NDArray[np.int64]:
    """Which of two numbers, written as texts, is the larger one; 0 for those that are beyond comparing."""
    one, other = (casts.cast(each, Cast(_WIDE)).values for each in (source, target))
    return np.where(as_mask(pc.and_(pc.is_valid(one), pc.is_valid(other))), _compared(one, other), 0)


def _longer(cells: Cells) -> npt.NDArray[np.int64]:
    order = _compared(pc.utf8_length(cells.source), pc.utf8_length(cells.target))
    return np.where(order == 0, _compared(cells.source, cells.target), order)


def _sum(cells: Cells) -> Decided:
    """The base with both differences added. Open where the sum does not fit the column."""
    kind = cells.source.type
    wide = _room_for(kind)
    zero = pa.scalar(Decimal(0) if pa.types.is_decimal(wide) else 0.0, wide)
    unfit = np.zeros(len(cells.source), dtype=bool)
    numbers = []
    for part in (cells.source, cells.target, *([] if cells.base is None else [cells.base])):
        widened = casts.cast(as_numbers(part) if pa.types.is_duration(kind) else part, Cast(wide))
        unfit |= widened.bad
        numbers.append(pc.fill_null(widened.values, zero))
    total = pc.add(numbers[0], numbers[1])
    if len(numbers) == 3:
        total = pc.subtract(total, numbers[2])
    if pa.types.is_floating(kind):
        return Decided(np.where(unfit, OPEN, MADE), total.cast(kind, safe=False))
    made = casts.cast(total, Cast(pa.int64() if pa.types.is_duration(kind) else kind, cells.meaning))
    values = made.values.view(kind) if pa.types.is_duration(kind) else made.values
    return Decided(np.where(unfit | made.bad, OPEN, MADE), values)


def _room_for(kind: pa.DataType) -> pa.DataType:
    """A type in which numbers of a type are added without loss."""
    if pa.types.is_floating(kind):
        return pa.float64()
    if pa.types.is_string(kind):
        return _WIDE
    if pa.types.is_decimal(kind):
        return pa.decimal256(min(kind.precision + 2, _WIDE.precision), kind.scale)
    return pa.decimal256(40, 0)


def _joined(cells: Cells, rule: Rule) -> Decided:
    separator = "\n" if rule.separator is None else rule.separator
    both = pa.table({"one": cells.source, "other": cells.target})
    made = expressions.select(
        both,
        {
            "joined": f"""CASE WHEN one IS NULL OR contains(other, one) THEN other WHEN other IS NULL OR contains(one, other) THEN one
            WHEN one < other THEN one || {_literal(separator)} || other ELSE other || {_literal(separator)} || one END"""
        },
    )
    values = made.column(0).combine_chunks().cast(cells.source.type)
    return Decided(np.full(len(values), MADE), values)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _called(rule: Rule, cells: Cells) -> Decided:
    """What a function makes of base, source and target, as values of the column's type."""
    import pandas as pd  # half a second that only functions need

    assert rule.function is not None, "a rule by a function has one"
    kind, size = cells.source.type, len(cells.source)
    base = pa.nulls(size, kind) if cells.base is None else cells.base
    given = [
        pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([each])))
        for each in (base, cells.source, cells.target)
    ]
    where = f"Column {cells.name}: {rule.name}"
    try:
        answer: Any = rule.function(*given)
    except Exception as error:
        raise DataError(
            f"{where} failed: {type(error).__name__}: {error}.",
            fix="mend the function: it gets base, source and target, a Series each.",
        ) from error
    if not isinstance(answer, pd.Series) or len(answer) != size:
        got = f"a Series of {len(answer)}" if isinstance(answer, pd.Series) else f"a {type(answer).__name__}"
        raise DataError(f"{where} gave {got} for {size} rows.", fix="return one value a row.")
    try:
        values = pa.Array.from_pandas(answer)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"{where} gave values of several types: {error}.", fix="return values of one type.") from error
    values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    shown = casts.name_of(kind)
    if not casts.implicit(values.type, "plain", ColumnShape(cells.name, kind, shown, meaning=cells.meaning)):
        raise DataError(
            f"{where} gave {casts.name_of(values.type)} for {shown}.", fix="return values of the column's type."
        )
    made = casts.cast(values, Cast(kind, cells.meaning))
    if made.bad.any():
        value = as_text(values.filter(pa.array(made.bad)))[0].as_py()
        raise DataError(f"{where} gave {value!r}, which is no {shown}.", fix="return values that the column can hold.")
    none = np.zeros(size, dtype=bool)
    lost = [unequal(each, made.values, meaning=cells.meaning) for each in (cells.source, cells.target)]
    of_source, of_target = (none if mask is None else mask for mask in lost)
    return Decided(np.full(size, MADE), made.values, (of_source, of_target))
