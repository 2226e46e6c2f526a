"""What a value is after a cast to double, real, text or decimal, reckoned by Python's Decimal and Fraction alone."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, Literal

import numpy as np
from type_samples import Sample
from type_values import value

Form = Literal["double", "real"]
PRECISION, SCALE = 38, 10
CASTS: Final = {"double": "double", "real": "real", "text": "text", "decimal": f"numeric({PRECISION},{SCALE})"}
ASIDE: Final = object()
"""A value that has no equal in the other type: its row goes to quarantine."""

_FORMATS: Final = {"double": (-1074, 53, 1024), "real": (-149, 24, 128)}  # the least power of two, bits, the most
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf(inity)?)", re.IGNORECASE)
_REALS: Final = re.compile(r"real|float(\(.*)?", re.IGNORECASE)


def nearest(number: Decimal, form: Form) -> float:
    """The float of a number, by whole numbers alone: rounded once, ties to even."""
    least, bits, most = _FORMATS[form]
    exact = abs(Fraction(number))
    if not exact:
        return -0.0 if number.is_signed() else 0.0
    power = exact.numerator.bit_length() - exact.denominator.bit_length()
    power = max((power if exact >= Fraction(2) ** power else power - 1) - bits + 1, least)
    size = round(exact / Fraction(2) ** power)  # half to even
    found = math.inf if size * Fraction(2) ** power >= Fraction(2) ** most else float(size * Fraction(2) ** power)
    return math.copysign(found, -1 if number.is_signed() else 1)


def shortest(x: float, form: Form) -> Decimal:
    return Decimal(repr(x) if form == "double" else np.format_float_scientific(np.float32(x), unique=True))


def comes_back(number: Decimal, scale: int, form: Form) -> bool:
    """Whether a float names the number: exactly, as its shortest one, or as the nearest with as many decimal places."""
    if abs(number) >= Decimal("1e310") or (number and number.adjusted() < -400):
        return False
    x = nearest(number, form)
    if math.isinf(x) or (number and not x):
        return False
    half = Fraction(1, 2) / Fraction(10) ** scale
    return number == shortest(x, form) or Decimal(x) == number or abs(Fraction(x) - Fraction(number)) < half


def as_float(number: Decimal, scale: int, form: Form) -> Any:
    if not number.is_finite():
        return "NaN" if number.is_nan() else float(number)
    return nearest(number, form) if comes_back(number, scale, form) else ASIDE


def as_decimal(number: Decimal, precision: int = PRECISION, scale: int = SCALE) -> Any:
    if not number.is_finite() or number.adjusted() > precision or (number and number.adjusted() < -scale):
        return ASIDE
    scaled = Fraction(number) * 10**scale
    return number if scaled.denominator == 1 and abs(scaled) < 10**precision else ASIDE


def written(x: float, form: Form, precision: int = PRECISION, scale: int = SCALE) -> Any:
    """The decimal of a float: a whole number as it is, another one as the shortest that names it."""
    if not math.isfinite(x):
        return ASIDE
    return as_decimal(Decimal(int(x)) if x == int(x) else shortest(x, form), precision, scale)


def expected(engine: str, sample: Sample, text: str, cast: str) -> Any:
    """What the target holds for a value that the source's driver gives as `text`, to be compared with `arrived`."""
    before = value(sample.family, text)
    if cast == "text":
        if sample.family == "float" and math.isfinite(float(text)):
            return shortest(float(text), form_of(engine, sample))
        return before if sample.family != "bytes" else text_of(bytes.fromhex(text))
    if sample.family == "bytes":
        return ASIDE
    if sample.family == "boolean":
        return Decimal(before) if cast == "decimal" else float(before)
    if sample.family == "float":
        x, form = float(text), form_of(engine, sample)
        if cast == "decimal":
            return written(x, form)
        narrow = math.isfinite(x) and cast == "real"
        return before if not narrow or np.float64(np.float32(x)) == x else ASIDE
    if sample.family == "number" or _NUMBER.fullmatch(text):
        number = Decimal(text)
    else:
        return ASIDE
    if cast == "decimal":
        return as_decimal(number)
    exponent = number.as_tuple().exponent
    places = -exponent if isinstance(exponent, int) else 0
    places = max(places, 0) if sample.family == "number" else places
    return as_float(number, places, "real" if cast == "real" else "double")


def text_of(data: bytes) -> Any:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return ASIDE


def form_of(engine: str, sample: Sample) -> Form:
    """SQLite's floats are doubles, whatever they are called."""
    return "real" if engine != "sqlite" and _REALS.fullmatch(sample.native) else "double"


def arrived(sample: Sample, text: str | None, cast: str) -> Any:
    """What a target's driver gives as text, as `expected` has it."""
    if text is None:
        return None
    if cast == "text":
        if sample.family == "float" and math.isfinite(float(text)):
            return Decimal(text)
        return value(sample.family, text) if sample.family != "bytes" else text
    if cast == "decimal":
        return Decimal(text)
    return value("float", text)


def same(left: Any, right: Any) -> bool:
    """Equal, and of one sign where both are zero."""
    if isinstance(left, float) and isinstance(right, float):
        return left == right and math.copysign(1, left) == math.copysign(1, right)
    return bool(left == right)


def is_scalar(sample: Sample) -> bool:
    return not re.search(r"\[|STRUCT|MAP|UNION|VARIANT|\bpair\b|^point$|^geometry$", sample.native)


_FLOATS: Final = ("5477.4", "1234567.89", "16777217", "0.009", "4194304.1", "1e25", "8388608.5")
_MONEY: Final = ("5477.40", "0.07", "-99999999.99")
MORE: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("postgresql", "real"): tuple(f"'{each}'" for each in _FLOATS),
    ("postgresql", "double precision"): tuple(f"'{each}'" for each in (*_FLOATS, "123456789012.34", "1e300")),
    ("postgresql", "numeric(10,2)"): _MONEY,
    ("postgresql", "numeric"): ("5477.4", "3.14159265358979323846", "9007199254740993", "16777217", "1e-400", "1e309"),
    ("postgresql", "bigint"): ("9007199254740993", "16777217", "1152921504606846976"),
    ("postgresql", "text"): (
        "'5477.40'",
        "'1e400'",
        "' 1'",
        "'NaN'",
        "'0x10'",
        "'-1e-400'",
        "'0.1000000000000000055511151231257827'",
        "'16777217'",
    ),
    ("postgresql", "money"): ("5477.40",),
    ("mysql", "float"): tuple(f"'{each}'" for each in _FLOATS),
    ("mysql", "double"): tuple(f"'{each}'" for each in (*_FLOATS, "123456789012.34", "1e300")),
    ("mysql", "decimal(10,2)"): _MONEY,
    ("mysql", "decimal(65,30)"): ("5477.4", "3.141592653589793238462643383279", "16777217"),
    ("mysql", "bigint unsigned"): ("9007199254740993", "9223372036854775808"),
    ("mysql", "longtext"): ("'5477.40'", "'1e400'", "'12,5'"),
    ("sqlite", "REAL"): (*_FLOATS, "123456789012.34"),
    ("sqlite", "DECIMAL(10,2)"): _MONEY,
    ("sqlite", "TEXT"): ("'5477.40'", "'1e400'", "'+.5'", "'0.30000000000000004'"),
    ("duckdb", "FLOAT"): _FLOATS,
    ("duckdb", "DOUBLE"): (*_FLOATS, "123456789012.34", "1e300"),
    ("duckdb", "DECIMAL(18,3)"): ("0.009", "5477.400", "123456789012345.678", "9007199254740.993"),
    ("duckdb", "DECIMAL(38,10)"): ("5477.4", "1234567.89", "12345678901234567890.1234567890"),
    ("duckdb", "HUGEINT"): ("9007199254740993", "1152921504606846976"),
    ("duckdb", "VARCHAR"): ("'5477.40'", "'1e400'", "'1_000'"),
}
"""Values besides those at the ends of a type: money, numbers that are no double or no real, and texts of numbers."""
