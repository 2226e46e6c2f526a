"""Constants of the spec, held to the columns that get them."""

from __future__ import annotations

import pyarrow as pa

from adapters.protocol import Target
from transforms.mapping import casts
from transforms.mapping.column_limits import misfits
from transforms.mapping.column_mapping import Constant
from transforms.vocabulary import ColumnShape, Reason, SpecError, text_of


def constant_fits(origin: Constant, cast: casts.Cast | None, shape: ColumnShape, target: Target) -> None:
    """SpecError where a column does not take a constant."""
    if origin.value is None:
        if not shape.nullable:
            raise SpecError(f"const null, and {shape.name} takes no nulls.", fix="give another value.")
        return
    values = pa.array([origin.value])
    if cast is not None:
        values = casts.cast(values, cast).values
    result = casts.cast(values, casts.Cast(shape.type, shape.meaning))
    faults = [*(fault for fault in result.faults if fault[0].any()), *misfits(result.values, shape)]
    reasons = [reason for _, reason in faults]
    if not reasons and not target.kept(shape, result.values)[0].is_valid:
        reasons = [Reason("not_kept", shape.name)]
    if reasons or not result.values[0].is_valid:
        raise SpecError(
            f"const {origin.value!r} {text_of(reasons[0]) if reasons else 'cannot be cast'}.",
            fix=f"give a value of type {shape.native}.",
        )
