"""Which type values of two columns are compared in, and the values in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.mapping import casts
from transforms.vocabulary import ColumnShape, Meaning
from transforms.vocabulary.arrow import Mask, as_mask, nulled
from transforms.vocabulary.decimals import ARROW_DIGITS, NUMBER, as_doubles
from transforms.vocabulary.deep_json import one_text
from transforms.vocabulary.values import Tolerance

Where = Literal["left", "right"]
WHERE: Final[tuple[Where, Where]] = ("left", "right")

_INTEGER_DIGITS: Final = {8: 3, 16: 5, 32: 10, 64: 20}  # of the widest integer of so many bits
_INSTANT: Final = pa.timestamp("us", "UTC")
_LOCAL: Final = pa.timestamp("us")
_LARGE: Final = {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}


@dataclass(frozen=True, slots=True)
class Common:
    """The type in which values of both sides are compared; `time_zone` is where times without a zone are."""

    type: pa.DataType
    meaning: Meaning = "plain"
    time_zone: str | None = None


@dataclass(frozen=True, slots=True)
class Unlike:
    """Why values of two columns are not compared; `zone`: they could be, if a time zone were known."""

    what: str
    zone: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A column of both sides, by its name on each, and what its values are compared in."""

    left: str
    right: str
    common: Common
    tolerance: Tolerance | None = None

    @property
    def name(self) -> str:
        """What it is called where one name has to do."""
        return self.left

    @property
    def takes_tolerance(self) -> bool:
        """Whether its values may be numbers."""
        kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_string)
        return self.common.meaning in ("plain", "decimal") and any(kind(self.common.type) for kind in kinds)

    def on(self, where: Where) -> str:
        return self.left if where == "left" else self.right


@dataclass(frozen=True, slots=True)
class Columns:
    """What rows are matched by, and what is compared of those that match."""

    key: tuple[Column, ...]
    values: tuple[Column, ...]

    @property
    def every(self) -> tuple[Column, ...]:
        return (*self.key, *self.values)

    def names(self, where: Where) -> tuple[str, ...]:
        """What is read of a side, the key first."""
        return tuple(column.on(where) for column in self.every)


def common(left: ColumnShape, right: ColumnShape, time_zone: str | None = None) -> Common | Unlike:
    """The type that keeps the values of both apart exactly where they differ; the same whichever way round they are given.

    Texts are read as what the other side holds. Values that are none of it are equal to nothing there.
    """
    if said := left.refused or right.refused:
        return Unlike(said)
    kinds = (_kind(left), _kind(right))
    one, two = left.type, right.type
    if "null" in kinds:
        other = right if kinds[0] == "null" else left
        return Common(other.type, other.meaning)
    if one.equals(two) and left.meaning == right.meaning:
        return Common(one, left.meaning) if kinds[0] != "list" else Common(pa.string())
    pair = frozenset(kinds)
    if (pair <= {"integer", "decimal", "text"} and pair & {"integer", "decimal"}) or (
        "number" in pair and _numeric(pair)
    ):
        return _exact(left, right, pair)
    if "float" in pair and _numeric(pair):
        return Common(_float(left, right))
    if "boolean" in pair and pair <= {"boolean", "integer", "decimal", "number", "text"}:
        return Common(pa.bool_())
    if pair <= {"local", "instant", "date", "text"}:
        return _time(pair, time_zone)
    if pair <= {"clock", "text"}:
        return Common(pa.time64("us"))
    if "duration" in pair and pair <= {"duration", "clock", "interval", "text"}:
        return Common(pa.duration("us"))
    for kind, meaning in (("json", "json"), ("uuid", "uuid")):
        if pair == {kind, "text"}:
            return Common(pa.string(), meaning)  # type: ignore[arg-type]
    if pair <= {"text", "opaque", "interval", "bytes", "list"}:
        bytes_alone = pair == {"bytes"}
        return Common(pa.binary() if bytes_alone else pa.string())
    return Unlike(f"{_called(left)} and {_called(right)}")


def _called(shape: ColumnShape) -> str:
    kind = _kind(shape)
    return kind if shape.meaning != "plain" or kind == "list" else casts.name_of(shape.type)


def _numeric(pair: frozenset[str]) -> bool:
    return pair <= {"integer", "decimal", "number", "float", "text"} or pair == {"float", "boolean"}


def _kind(shape: ColumnShape) -> str:
    types, kind = pa.types, shape.type
    if shape.meaning != "plain":
        return "number" if shape.meaning == "decimal" else shape.meaning
    if types.is_timestamp(kind):
        return "local" if kind.tz is None else "instant"
    known = {
        "null": types.is_null,
        "boolean": types.is_boolean,
        "integer": types.is_integer,
        "decimal": types.is_decimal,
        "float": types.is_floating,
        "date": types.is_date,
        "clock": types.is_time,
        "duration": types.is_duration,
        "text": lambda each: types.is_string(each) or types.is_large_string(each) or types.is_dictionary(each),
        "bytes": lambda each: types.is_binary(each) or types.is_large_binary(each) or types.is_fixed_size_binary(each),
        "list": lambda each: types.is_list(each) or types.is_large_list(each),
    }
    return next((name for name, holds in known.items() if holds(kind)), str(kind))


def _exact(left: ColumnShape, right: ColumnShape, pair: frozenset[str]) -> Common:
    """Exact numbers: as the narrowest type for both, or as texts that are the same for the same number."""
    one, two = left.type, right.type
    if pair == {"integer"}:
        signs = {pa.types.is_unsigned_integer(each) for each in (one, two)}
        if signs == {True}:
            return Common(pa.uint64())
        wide = any(pa.types.is_unsigned_integer(each) and each.bit_width == 64 for each in (one, two))
        return Common(pa.decimal128(20, 0)) if wide else Common(pa.int64())
    if pair <= {"integer", "decimal"}:
        sizes = [_size(each) for each in (one, two)]
        scale = max(size[1] for size in sizes)
        digits = max(size[0] - size[1] for size in sizes) + scale
        if digits <= ARROW_DIGITS:
            return Common(pa.decimal128(digits, scale))
    if "float" in pair:
        return Common(_float(left, right))
    return Common(pa.string(), "decimal")


def _size(kind: pa.DataType) -> tuple[int, int]:
    """Digits in all, and behind the point."""
    if pa.types.is_integer(kind):
        return _INTEGER_DIGITS[kind.bit_width], 0
    return (kind.precision, kind.scale) if kind.scale >= 0 else (kind.precision - kind.scale, 0)


def _float(left: ColumnShape, right: ColumnShape) -> pa.DataType:
    """The float of the one side that has one; the wider of two."""
    floats = [each.type for each in (left, right) if pa.types.is_floating(each.type)]
    return pa.float32() if all(each.bit_width <= 32 for each in floats) else pa.float64()


def _time(pair: frozenset[str], time_zone: str | None) -> Common | Unlike:
    if "instant" not in pair:
        return Common(pa.date32()) if pair <= {"date", "text"} else Common(_LOCAL)
    if pair & {"local", "date"}:
        if time_zone is None:
            kind = "a date without a zone" if "date" in pair else "a timestamp without a zone"
            return Unlike(f"{kind} and a timestamp with one", zone=True)
        return Common(_INSTANT, time_zone=time_zone)
    return Common(_INSTANT, time_zone=time_zone if "text" in pair else None)


def in_common(values: pa.Array, own: Meaning, column: Column, *, spelled: bool = False) -> tuple[pa.Array, Mask | None]:
    """Values of one side in the type that they are compared in, null and marked where they are none of it.

    In: `own` is what texts of that side stand for. `spelled`: equal values are to be equal texts, too.
    Out: None for the mask where all are.
    """
    wanted = column.common
    if (plain := _LARGE.get(values.type)) is not None:
        values = values.cast(plain)
    if spelled and wanted.meaning == "json":
        return one_json_one_text(values), None
    if column.tolerance is not None and pa.types.is_floating(wanted.type):
        return _nearest(values, wanted.type)
    respell = wanted.meaning == "decimal" and (spelled or own != "decimal")
    if values.type.equals(wanted.type) and not respell and (own == wanted.meaning or wanted.meaning != "uuid"):
        return values, None
    if wanted.meaning in ("decimal", "uuid"):
        result = casts.cast(values, casts.Cast(wanted.type, wanted.meaning))
    else:
        result = casts.cast(values, casts.Cast(wanted.type, time_zone=wanted.time_zone))
    return result.values, result.bad if result.bad.any() else None


def _nearest(values: pa.Array, target: pa.DataType) -> tuple[pa.Array, Mask | None]:
    """Numbers as the floats nearest to them: within a tolerance they need not be exact. Texts that are no numbers are marked."""
    bad: Mask | None = None
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    if pa.types.is_string(values.type):
        number = pc.match_substring_regex(values, rf"{NUMBER}|^(?i:nan|[+-]?inf(inity)?)$")
        bad = as_mask(pc.and_(pc.is_valid(values), pc.invert(number)))
        values = nulled(values, bad)
    made = as_doubles(values) if pa.types.is_decimal(values.type) else values.cast(pa.float64(), safe=False)
    return made.cast(target, safe=False), bad if bad is not None and bad.any() else None


def one_json_one_text(values: pa.Array) -> pa.Array:
    """JSON texts that are the same for the same value; what is no JSON stays as it is, behind a sign that JSON does not begin with."""

    def spelled(text: str | None) -> str | None:
        try:
            return None if text is None else one_text(text)
        except (ValueError, ArithmeticError):
            return f"?{text}"

    return pa.array([spelled(text) for text in values.to_pylist()], pa.string())


def anything_bad(masks: list[Mask | None], rows: int) -> Mask:
    """Where any of some masks is true."""
    bad = np.zeros(rows, dtype=bool)
    for mask in masks:
        if mask is not None:
            bad |= mask
    return bad
