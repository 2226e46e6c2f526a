"""What the spec says of runs that read no more than what is new since the last one."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from flows.spec.columns import Strict
from flows.spec.conflict import span
from flows.spec.problems import Invalid


def _overlap(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise Invalid("is below zero")
        return value
    return span(value)


class Cursor(Strict):
    """By which column of the source a run finds the rows that are new since the last one, and how far below it begins."""

    column: str | None = Field(
        min_length=1,
        description="The source's column that grows with each change of a row, such as updated_at, or with each new row, such as id. "
        "xmin on PostgreSQL: the transaction that wrote the row, which every table has. off: every run reads all rows.",
        examples=["updated_at", "xmin"],
    )
    overlap: Annotated[timedelta | int | None, BeforeValidator(_overlap, json_schema_input_type=str | int)] = Field(
        default=None,
        description="How far below the mark a run begins, since rows are stamped before they are committed: 10m, 1h; of numbers a "
        "number. 10m if not given, of numbers 0.",
        examples=["1h"],
    )

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"column": None if value == "off" else value} if isinstance(value, str) else value
