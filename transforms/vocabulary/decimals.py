"""Texts of numbers as decimals, exactly."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from transforms.vocabulary.texts import one_number_one_text

ARROW_DIGITS = 38  # of a decimal128
NUMBER = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,5})?$"
"""A number as text. What has an exponent of more digits is taken for none: nobody could write it out."""


def decimals(texts: pa.Array, target: pa.DataType) -> pa.Array:
    """Texts of numbers as decimals. ArrowInvalid for one that does not fit.

    Arrow's own cast wraps round what is beyond 2**127, also on the way to a large scale, and so sees fitting ones only.
    """
    long = pc.greater(pc.utf8_length(texts), ARROW_DIGITS)
    if pc.any(pc.or_(long, pc.match_substring(texts, "e", ignore_case=True))).as_py():
        if not pc.all(pc.match_substring_regex(texts, NUMBER), min_count=0).as_py():
            raise pa.ArrowInvalid("not a number")
        texts = one_number_one_text(texts)
    whole, behind = target.precision - target.scale, target.scale
    fits = pc.match_substring_regex(texts, rf"^[+-]?0*\d{{0,{whole}}}(\.\d{{0,{behind}}}0*)?$")
    if not pc.all(fits, min_count=0).as_py():
        raise pa.ArrowInvalid("too many digits")
    return texts.cast(target)


def as_doubles(values: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Decimals as the doubles nearest to them: by their text, for Arrow's own cast is off by a unit in the last place."""
    return values.cast(pa.string()).cast(pa.float64())
