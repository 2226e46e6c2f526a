"""How far numbers may be apart and still count as equal."""

from __future__ import annotations

import pyarrow as pa

from flows.spec.model import Spec
from transforms.vocabulary import ColumnShape, SpecError, TableShape
from transforms.vocabulary.values import Tolerance


def tolerances(spec: Spec, name: str, shape: TableShape) -> dict[str, Tolerance]:
    """The tolerance of each column that has one. SpecError for a column of what is no number."""
    found: dict[str, Tolerance] = {}
    columns = ((column, each) for part in spec.tables[name].parts for column, each in (part.columns or {}).items())
    for column, wanted in columns:
        if wanted.tolerance is None:
            continue
        made = shape.column(column)
        if made is not None and not _is_number(made):
            raise SpecError(
                f"{column} is {made.native}, and only numbers have a tolerance.",
                fix="remove it.",
                where=spec.where("tables", name, "columns", column, "tolerance"),
            )
        tolerance = Tolerance(wanted.tolerance.absolute, wanted.tolerance.relative)
        if found.setdefault(column, tolerance) != tolerance:
            raise SpecError(
                f"{column} has another tolerance in another source of {name}, and is compared in one way.",
                fix="say the same in both.",
                where=spec.where("tables", name, "columns", column, "tolerance"),
            )
    return found


def _is_number(shape: ColumnShape) -> bool:
    kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return shape.meaning == "decimal" or any(kind(shape.type) for kind in kinds)
