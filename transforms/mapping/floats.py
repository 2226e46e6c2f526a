"""Numbers as doubles and reals, and back: correctly rounded, or named where they do not come back as they were."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.mapping.failed_casts import apart
from transforms.vocabulary.arrow import Indices, Mask, as_mask, nulled
from transforms.vocabulary.decimals import decimals


@dataclass(frozen=True, slots=True)
class Form:
    """A binary format: whole numbers up to `whole` and powers of ten up to 10**`power` are exact in it, and a decimal
    of `digits` digits is told from its neighbours."""

    kind: type[np.floating[Any]]
    whole: int
    power: int
    digits: int


DOUBLE: Final = Form(np.float64, 2**53, 22, 15)
REAL: Final = Form(np.float32, 2**24, 10, 6)
FEW: Final = 6  # decimal places that most numbers do with
LONGEST: Final = 1200  # digits of a double written out in full, and of what is compared with it


def form_of(kind: pa.DataType) -> Form:
    return REAL if pa.types.is_float32(kind) else DOUBLE


def floats(values: pa.Array, target: pa.DataType) -> tuple[pa.Array, Mask]:
    """Decimals, whole numbers or texts of numbers as the nearest double or real (ties to even).

    Out: null and marked where the number would be another one afterwards: where it is neither what the float is
    exactly, nor the shortest number that names it, nor the nearest to it of as many decimal places.
    """
    if pa.types.is_integer(values.type):
        return _of_integers(values, target)
    if pa.types.is_decimal(values.type):
        return _of_decimals(values, target)
    read, bad = apart(values, target, lambda part: part.cast(target))  # Arrow's reader of texts rounds correctly
    known = ~bad & as_mask(pc.is_valid(values))
    bad[known] = _lost(values.filter(pa.array(known)), read.filter(pa.array(known)))
    return nulled(read, bad), bad


def nearest(values: pa.Array, target: pa.DataType) -> pa.Array:
    """Decimals as the nearest double or real, whatever they lose."""
    return _rounded(values, form_of(target), target)[0]


def exact_decimals(values: pa.Array, target: pa.DataType) -> tuple[pa.Array, Mask]:
    """Doubles or reals as decimals: whole numbers as they are, others as the shortest number that names them.

    Out: null and marked where the number has more digits than the decimal keeps, and for NaN and infinity.
    """
    form, scale = form_of(values.type), target.scale
    x = pc.fill_null(values, 0).to_numpy(zero_copy_only=False).astype(form.kind)
    whole, bad = x == np.rint(x), ~np.isfinite(x)
    number = np.zeros(len(x), np.int64)  # times 10**scale
    quick = ~bad & whole & (np.abs(x) < (2.0**63 / 10.0**scale if 0 <= scale <= 18 else 0))
    if quick.any():
        number[quick] = x[quick].astype(np.int64) * np.int64(10 ** max(scale, 0))
    if 0 < scale <= form.power:
        with np.errstate(over="ignore", invalid="ignore"):
            near = np.rint(x.astype(np.float64) * 10.0**scale)
        few = ~bad & ~whole & (np.abs(near) < 10**form.digits)  # so few that no other number of them is as near
        number[few] = near[few].astype(np.int64)
        bad |= few & ((number.astype(form.kind) / form.kind(10**scale)) != x)
        quick |= few
    if target.precision <= 18:
        bad |= quick & (np.abs(number) >= 10**target.precision)
    made = _scaled(np.where(bad | ~quick, 0, number), target)
    rest = ~bad & ~quick
    if rest.any():
        read, refused = apart(_texts(x[rest], whole[rest]), target, lambda part: decimals(part, target))
        made = pc.replace_with_mask(made, pa.array(rest), read)
        bad[rest] = refused
    return pc.if_else(pc.and_(pc.is_valid(values), pa.array(~bad)), made, pa.scalar(None, target)), bad


def _texts(x: npt.NDArray[Any], whole: Mask) -> pa.Array:
    """The shortest text of each number; of a whole one its digits."""
    texts = pa.array(x).cast(pa.string())
    if whole.any():  # rare: of 10**18 and more
        texts = pc.replace_with_mask(texts, pa.array(whole), pa.array([str(int(each)) for each in x[whole]]))
    return texts


def _scaled(numbers: Indices, target: pa.DataType) -> pa.Array:
    """Whole numbers as decimals of that many units of the last place."""
    words = target.byte_width // 8
    if not words:
        return _scaled(numbers, pa.decimal128(target.precision, target.scale)).cast(target)
    data = np.repeat((numbers >> 63)[:, None], words, axis=1)
    data[:, 0] = numbers
    return pa.Array.from_buffers(target, len(numbers), [None, pa.py_buffer(np.ascontiguousarray(data))])


def _units(values: pa.Array) -> tuple[Indices, Mask]:
    """Decimals as whole numbers of the last place's units, 0 for null; and where they fit in 64 bits."""
    if values.type.byte_width < 16:
        values = values.cast(pa.decimal128(values.type.precision, values.type.scale))
    words = values.type.byte_width // 8
    end = (values.offset + len(values)) * words
    data = np.frombuffer(values.buffers()[1], np.int64, end).reshape(-1, words)[values.offset :]
    low = data[:, 0].copy()
    fits = (data[:, 1:] == (low >> 63)[:, None]).all(axis=1)
    if values.null_count:
        null = pc.is_null(values).to_numpy(zero_copy_only=False)
        low[null], fits[null] = 0, True
    return low, fits


def _rounded(values: pa.Array, form: Form, target: pa.DataType) -> tuple[pa.Array, Indices, Mask]:
    """Decimals as floats; with their units, and where those are few enough for one exact division."""
    if not len(values):
        return pa.array([], target), np.empty(0, np.int64), np.empty(0, bool)
    units, fits = _units(values)
    scale = values.type.scale
    few = fits & (units <= form.whole) & (units >= -form.whole) & (abs(scale) <= form.power)
    with np.errstate(over="ignore"):
        power = form.kind(10.0 ** min(abs(scale), form.power))
        made = units.astype(form.kind)
        made = made / power if scale >= 0 else made * power  # both exact, so that the result is rounded once
    found = pa.array(made, mask=~as_mask(pc.is_valid(values)))
    if not few.all():
        rest = pa.array(~few)
        found = pc.replace_with_mask(found, rest, values.filter(rest).cast(pa.string()).cast(target))
    return found, units, fits


def _of_decimals(values: pa.Array, target: pa.DataType) -> tuple[pa.Array, Mask]:
    precision, scale = values.type.precision, values.type.scale
    if precision > 18 and scale > FEW:  # wide columns mostly hold short numbers, which are quick
        short = (pa.decimal128 if precision <= 38 else pa.decimal256)(precision, FEW)
        cut = values.cast(short, safe=False)
        same = pc.equal(cut.cast(values.type, safe=False), values)
        if pc.all(same, min_count=0).as_py():
            return _of_scaled(cut, target)
        if pc.any(same).as_py():
            same = pc.fill_null(same, True)
            made, bad = _of_scaled(pc.if_else(same, cut, pa.scalar(None, short)), target)
            rest = pc.invert(same)
            made_rest, bad[as_mask(rest)] = _of_scaled(values.filter(rest), target)
            return pc.replace_with_mask(made, rest, made_rest), bad
    return _of_scaled(values, target)


def _of_scaled(values: pa.Array, target: pa.DataType) -> tuple[pa.Array, Mask]:
    form = form_of(target)
    found, units, fits = _rounded(values, form, target)
    most, scale = 10**form.digits, values.type.scale
    unsure = ~(fits & (units < most) & (units > -most) & (abs(scale) <= 30))  # beyond, small numbers have fewer digits
    bad = np.zeros(len(values), bool)
    unsure &= as_mask(pc.is_valid(values))
    if not unsure.any():
        return found, bad
    far = np.zeros(len(values), bool)
    if 0 <= scale <= DOUBLE.power:
        known = unsure & fits & (np.abs(units.astype(np.float64)) < 9.2e18)
        x = found.filter(pa.array(known)).to_numpy(zero_copy_only=False).astype(np.float64)
        off = _off(x, units[known], scale)
        unsure[known], far[known] = off > 0.499, off > 0.501
    these = pa.array(unsure)
    bad[unsure] = _lost(values.filter(these).cast(pa.string()), found.filter(these), far[unsure])
    return nulled(found, bad), bad


def _off(x: npt.NDArray[np.float64], units: Indices, scale: int) -> npt.NDArray[np.float64]:
    """How far doubles lie from numbers of `units`, in units: exact but for the last bit. In: less than 2**63 units."""
    power = 10.0**scale
    product = x * power
    high = [each * 134217729.0 - (each * 134217729.0 - each) for each in (x, np.float64(power))]  # Dekker's halves
    low = [x - high[0], power - high[1]]
    error = ((high[0] * high[1] - product) + high[0] * low[1] + low[0] * high[1]) + low[0] * low[1]
    whole = np.rint(product)
    return np.abs((units - whole.astype(np.int64)).astype(np.float64) - (product - whole) - error)


def _of_integers(values: pa.Array, target: pa.DataType) -> tuple[pa.Array, Mask]:
    form = form_of(target)
    numbers = pc.fill_null(values, 0).to_numpy(zero_copy_only=False)
    made = numbers.astype(form.kind)
    bad = np.zeros(len(values), bool)
    if values.type.bit_width > 32 or form is REAL:
        top = made >= form.kind(2.0 ** (values.type.bit_width - pa.types.is_signed_integer(values.type)))
        bad = top | (np.where(top, 0, made).astype(numbers.dtype) != numbers)
    return pa.array(made, mask=bad | ~as_mask(pc.is_valid(values))), bad


def _lost(texts: pa.Array, found: pa.Array, far: Mask | None = None) -> Mask:
    """Where a number, given as text, would be another one if it were read from the float again. In: no nulls.

    `far`: where it is known that the float is not the nearest to it of as many decimal places.
    """
    form = form_of(found.type)
    x = found.to_numpy(zero_copy_only=False)
    normal = np.isfinite(x) & (np.abs(x) >= np.finfo(form.kind).tiny)
    bad = np.zeros(len(texts), bool)
    rest = np.flatnonzero(~(normal & as_mask(pc.less_equal(pc.binary_length(texts), form.digits))))
    if not len(rest):
        return bad
    texts = texts.take(pa.array(rest))
    shown = pa.array(x[rest]).cast(pa.string())
    unlike = ~as_mask(pc.equal(texts, shown))
    if not unlike.any():
        return bad
    rest = rest[unlike]
    texts, shown, x, normal = texts.filter(pa.array(unlike)), shown.filter(pa.array(unlike)), x[rest], normal[rest]
    known = _alike(texts, shown)
    digits = pc.replace_substring_regex(pc.replace_substring_regex(texts, "[eE].*$", ""), "[^0-9]", "")
    digits = pc.utf8_trim(digits, "0")
    known |= ~as_mask(pc.match_substring_regex(texts, "[0-9]"))  # NaN and infinity
    known |= as_mask(pc.equal(digits, "")) & (x == 0)
    known |= normal & as_mask(pc.less_equal(pc.utf8_length(digits), form.digits))
    if far is not None:  # and of the shortest number that names the float, all texts are alike but those with exponents
        sure = ~known & far[rest] & ~as_mask(pc.match_substring(shown, "e"))
        bad[rest[sure]] = True
        known |= sure
    left = np.flatnonzero(~known)  # more digits than are told apart: one by one
    pairs = zip(
        texts.take(pa.array(left)).to_pylist(), shown.take(pa.array(left)).to_pylist(), x[left].tolist(), strict=True
    )
    with localcontext(prec=LONGEST):
        bad[rest[left]] = [not _comes_back(Decimal(text), Decimal(short), each) for text, short, each in pairs]
    return bad


def _alike(texts: pa.Array, shown: pa.Array) -> Mask:
    """Where a text is what Arrow writes, but for zeros at the end of a fraction."""
    point = pc.and_not(pc.match_substring(texts, "."), pc.match_substring(texts, "e", ignore_case=True))
    plain = pc.if_else(point, pc.utf8_rtrim(pc.utf8_rtrim(texts, "0"), "."), texts)
    return as_mask(pc.equal(shown, plain))


def _comes_back(number: Decimal, shortest: Decimal, x: float) -> bool:
    if not shortest.is_finite() or not x:
        return False
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    return number == shortest or abs(Decimal(x) - number) < Decimal(5).scaleb(exponent - 1) or Decimal(x) == number
