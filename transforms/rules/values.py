"""What a rule's arguments mean for a column's type: bounds, sets and pairs as Great Expectations reads them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pyarrow as pa

from transforms.rules import masks
from transforms.vocabulary.arrow import Indices

EXACT: Final = 2.0**53  # below it a double tells whole numbers apart, so that numpy's comparisons are exact
UNREADABLE: Final = "unreadable"
"""A bound whose reading is left to Great Expectations."""

Bound = float | date | datetime | str | None

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:?\d\d)?")
_EPOCH: Final = datetime(1970, 1, 1)


def kind(of: pa.DataType) -> str:
    """The family in which a type is compared: integer, float, decimal, text, bool, date, timestamp or other."""
    tests = {
        "integer": pa.types.is_integer(of),
        "float": pa.types.is_float32(of) or pa.types.is_float64(of),
        "decimal": pa.types.is_decimal128(of) or pa.types.is_decimal256(of),
        "text": pa.types.is_string(of) or pa.types.is_large_string(of),
        "bool": pa.types.is_boolean(of),
        "date": pa.types.is_date32(of),
        "timestamp": pa.types.is_timestamp(of) and of.unit == "us",
    }
    return next((name for name, holds in tests.items() if holds), "other")


def bound(given: Any, of: pa.DataType) -> Bound:
    """A bound of `between` for a column of that type: a double, a date or a timestamp."""
    if kind(of) in ("date", "timestamp") and isinstance(given, str | date):
        known: Bound = moment(given, of)
        return known
    if given is None:
        return None
    if isinstance(given, date):
        return given
    if isinstance(given, bool) or not isinstance(given, int | float | Decimal | str):
        return UNREADABLE
    try:
        number = float(given)
    except (ValueError, OverflowError):
        return _parsed(given) if isinstance(given, str) else UNREADABLE
    return number if math.isfinite(number) else UNREADABLE


def moment(given: Any, of: pa.DataType) -> Any:
    """A date, timestamp or ISO text in the type of a date or timestamp column; what cannot be one stays as it is.

    A date is its midnight and the other way round; without a zone it is UTC where the column has a zone.
    """
    value = _parsed(given) if isinstance(given, str) else given
    if value == UNREADABLE:
        return UNREADABLE
    if kind(of) == "date":
        midnight = isinstance(value, datetime) and value.tzinfo is None and value.time() == time()
        return value.date() if midnight else value
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if isinstance(value, datetime) and of.tz is not None and value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return value


def _parsed(text: str) -> Any:
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
        if _TIME.fullmatch(text):
            return datetime.fromisoformat(text)
    except ValueError:
        pass
    return UNREADABLE


def mismatch(end: Bound, of: pa.DataType) -> tuple[str, str] | None:
    """What is wrong with comparing a column of that type with a bound, and how to mend it; None where it works."""
    family = kind(of)
    if family in ("integer", "float", "decimal"):
        return None if isinstance(end, float) else (f"{end} is no number", "give a number")
    if family == "date":
        plain = isinstance(end, date) and not isinstance(end, datetime)
        return None if plain else (f"{end} is no date", "write it as 2013-01-31")
    if family == "timestamp":
        if not isinstance(end, datetime):
            return f"{end} is no timestamp", "write it as 2013-01-31 00:00:00"
        unzoned = end.tzinfo is not None and of.tz is None
        return (f"{end} has a time zone, unlike the column", "leave out the offset") if unzoned else None
    if family == "text":
        return "Great Expectations has no order for text", "use a regex or a value set"
    return None


def interval(ends: tuple[Bound, Bound], strict: tuple[bool, bool], of: pa.DataType) -> tuple[Any, Any] | None:
    """The least and the most value among `masks.numbers`, both inclusive; None where answers may differ.

    In: ends without `mismatch`. Decimals are compared as doubles, since the bounds are: else 0.10 is below 0.1.
    """
    family = kind(of)
    if family not in ("integer", "float", "decimal", "date", "timestamp"):
        return None
    if family == "integer" and any(isinstance(end, float) and abs(end) >= EXACT for end in ends):
        return None  # numpy compares as doubles, nullable integers exactly
    least, most = (
        None if end is None else _on_grid(end, family, step, exclusive)
        for end, step, exclusive in zip(ends, (1, -1), strict, strict=True)
    )
    return least, most


def _on_grid(end: Any, family: str, step: int, exclusive: bool) -> Any:
    """The first number at an end or, where that is `exclusive`, beyond it; `step`: 1 is up, -1 down."""
    if family == "integer":
        whole = math.ceil(end) if step > 0 else math.floor(end)
        return whole + step * (exclusive and whole == end)
    if family == "date":
        return (end - date(1970, 1, 1)).days + step * exclusive
    if family == "timestamp":
        since = (end.astimezone(UTC).replace(tzinfo=None) if end.tzinfo else end) - _EPOCH
        return since // timedelta(microseconds=1) + step * exclusive
    return float(np.nextafter(end, step * math.inf)) if exclusive else end


def listed(given: Sequence[Any], of: pa.DataType, *, as_pairs: bool = False) -> pa.Array | None:
    """A value set as `masks.listed` takes it: what no value of the type equals is left out, and so is null.

    None where the reading is left to Great Expectations. `as_pairs`: by Python's equality, as sets of pairs are.
    """
    family = kind(of)
    known = [each for each in given if each is not None]
    kinds = {type(each) for each in known}
    if family == "integer":
        return _listed_integers(known, of)
    if family == "float" and _plain_numbers(known):
        return pa.array([float(each) + 0.0 for each in known if each == each], pa.float64())
    if family == "decimal":
        return _listed_decimals(known, of, as_pairs)
    if family == "text" and kinds <= {str}:
        return pa.array(known, of)
    if family == "bool" and kinds <= {bool}:
        return pa.array(known, of)
    if family in ("date", "timestamp"):
        return _listed_moments(known, of, as_pairs)
    return None


def _plain_numbers(known: list[Any]) -> bool:
    """Numbers that are the same as doubles."""
    return all(type(each) is float or (type(each) is int and abs(each) < EXACT) for each in known)


def _listed_integers(known: list[Any], of: pa.DataType) -> pa.Array | None:
    if any(type(each) is float for each in known):
        if not _plain_numbers(known) or any(abs(each) >= EXACT for each in known):
            return None
        known = [int(each) for each in known if each == math.floor(each)]
    if any(type(each) is not int for each in known):
        return None
    if any(abs(each) >= 2**63 for each in known):
        return None  # in a list with smaller ones numpy may read all of them as doubles
    signed = pa.types.is_signed_integer(of)
    least, most = (-(2 ** (of.bit_width - 1)), 2 ** (of.bit_width - 1) - 1) if signed else (0, 2**of.bit_width - 1)
    return pa.array([each for each in known if least <= each <= most], of)


def _listed_decimals(known: list[Any], of: pa.DataType, as_pairs: bool) -> pa.Array | None:
    if any(type(each) is float for each in known):
        # Arrow casts the column to doubles
        return pa.array(known, pa.float64()) if not as_pairs and _plain_numbers(known) else None
    if any(type(each) not in (int, Decimal) for each in known):
        return None
    fitting = []
    for each in known:
        try:
            fitting.append(pa.array([Decimal(each)], of)[0].as_py())
        except pa.ArrowInvalid:  # more digits than the type has
            continue
    return pa.array(fitting, of)


def _listed_moments(known: list[Any], of: pa.DataType, as_pairs: bool) -> pa.Array | None:
    if not as_pairs:
        known = [moment(each, of) if isinstance(each, str | date) else each for each in known]
    plain = date if kind(of) == "date" else datetime
    if any(type(each) is not plain for each in known):
        return None
    if plain is datetime and any((each.tzinfo is None) != (of.tz is None) for each in known):
        return None
    return pa.array(known, of)


def paired(
    given: Sequence[Sequence[Any]], types: Sequence[pa.DataType]
) -> tuple[tuple[pa.Array, pa.Array], Indices] | None:
    """A set of pairs as `masks.unpaired` takes it; None where the reading is left to Great Expectations."""
    kinds = {kind(of) for of in types}
    if pa.float32() in types or kinds >= {"integer", "float"} or not _same_signs(types):
        return None  # pandas makes one type of both
    sides = [listed([pair[side] for pair in given], of, as_pairs=True) for side, of in enumerate(types)]
    first, second = sides
    if first is None or second is None:
        return None
    ends = [(_place(left, first, types[0]), _place(right, second, types[1])) for left, right in given]
    pairs = [left * masks.width(second) + right for left, right in ends if left >= 0 and right >= 0]
    return (first, second), np.array(pairs, dtype=np.int64)


def _place(value: Any, known: pa.Array, of: pa.DataType) -> int:
    """Where a value of the rule stands, as `masks.places` says it of a column's values."""
    if value is None:
        return len(known)
    found = listed([value], of, as_pairs=True)
    assert found is not None, "its whole side was listed"
    return int(masks.places(found, known)[0]) if len(found) else -1


def comparable(types: Sequence[pa.DataType]) -> bool:
    """Whether columns of these types are compared as they are: one type, or one family without loss."""
    families = {kind(of) for of in types}
    if len(families) > 1 or "other" in families:
        return False
    return len(set(types)) == 1 or (families <= {"integer", "float", "decimal"} and _same_signs(types))


def _same_signs(types: Sequence[pa.DataType]) -> bool:
    """False where numpy would compare integers as doubles."""
    whole = {of for of in types if pa.types.is_integer(of)}
    return len(whole) < 2 or all(pa.types.is_signed_integer(of) for of in whole)


def addable(types: Sequence[pa.DataType]) -> bool:
    """Whether a sum over these columns is known to come out as pandas has it."""
    if len(types) >= 8:
        return False  # numpy adds long rows in another order
    families = {kind(of) for of in types}
    if families == {"decimal"}:
        return len(set(types)) == 1 and types[0].precision + len(types) <= 38
    if families == {"integer"}:
        return all(pa.types.is_signed_integer(of) for of in types)
    return set(types) == {pa.float64()}


def steps_agree(of: pa.DataType) -> bool:
    """Whether the difference of neighbours is signed: pandas wraps unsigned and, with nulls, small integers."""
    if kind(of) == "decimal":
        return bool(of.precision < 38)
    return of in (pa.int32(), pa.int64()) or kind(of) in ("float", "date", "timestamp")
