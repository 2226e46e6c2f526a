"""Value maps of the spec: what values are replaced by, and the type that this gives."""

from __future__ import annotations

import pyarrow as pa

from flows.spec.columns import Column
from transforms.mapping.column_mapping import Values
from transforms.vocabulary import Meaning, SpecError


def values_of(wanted: Column) -> Values | None:
    if wanted.map is None:
        return None
    pairs = tuple(wanted.map.items())
    if wanted.default in ("error", "keep"):
        return Values(pairs, "error" if wanted.default == "error" else "keep")
    return Values(pairs, "literal", wanted.default)


def values_type(values: Values, kind: pa.DataType | None, meaning: Meaning) -> tuple[pa.DataType | None, Meaning]:
    news = [new for _, new in values.pairs if new is not None] + (
        [values.literal] if values.literal is not None else []
    )
    if values.otherwise == "keep" and not news:
        return kind, meaning
    try:
        made: pa.DataType = pa.array(news).type
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise SpecError(
            "map: the new values are of different types.", fix="write them alike, with quotes or without."
        ) from error
    if (
        values.otherwise == "keep"
        and kind is not None
        and made != kind
        and pa.types.is_string(made) != pa.types.is_string(kind)
    ):
        raise SpecError(
            f"map with `default: keep` mixes {made} with the {kind} that is kept.",
            fix="write new values of the same type.",
        )
    return made, "plain"
