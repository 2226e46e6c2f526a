"""Where the rows of a table come from: one source or several."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from flows.spec.columns import Column, Strict
from flows.spec.problems import Invalid


class Part(Strict):
    """One of several sources of a table: a source table or a query, which rows of it, and columns of its own."""

    table: str | None = Field(
        default=None, min_length=1, description="A source table, such as orders or sales.orders.", examples=["person"]
    )
    query: str | None = Field(
        default=None,
        min_length=1,
        description="A query in the source's dialect.",
        examples=["SELECT id, title FROM company"],
    )
    where: str | None = Field(
        default=None,
        min_length=1,
        description="Which of its rows, in the source's dialect; beside the table's own.",
        examples=["id > 0"],
    )
    columns: dict[str, Column] | None = Field(
        default=None,
        min_length=1,
        description="Target columns beside those of the table, or instead of them.",
        examples=[{"kind": {"const": "person"}}],
    )

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"table": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one(self) -> Part:
        if (self.table is None) == (self.query is None):
            raise Invalid("takes a table's name, or {query: …}")
        return self


PARTS = "parts"
"""The field of an origin that stands for a list: no key of the spec, and in no path of it."""


class Origin(Strict):
    """Where a table's rows come from: a source table, a query in the source's dialect, or several of them."""

    table: str | None = Field(
        default=None,
        min_length=1,
        description="A source table, such as orders or sales.orders.",
        examples=["sales.orders"],
    )
    query: str | None = Field(
        default=None,
        min_length=1,
        description="A query in the source's dialect.",
        examples=["SELECT * FROM orders WHERE paid"],
    )
    parts: tuple[Part, ...] = Field(default=(), description="Several sources of one table.")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if isinstance(value, dict) and PARTS in value:
            raise Invalid("takes a list itself, such as [{table: person}, {table: company}].", fix="leave out `parts:`")
        if isinstance(value, list):
            if not value:
                raise Invalid("is empty.", fix="name the tables that the rows come from")
            return {PARTS: value}
        return {"table": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one(self) -> Origin:
        if not self.parts and (self.table is None) == (self.query is None):
            raise Invalid("takes a table's name, or {query: …}", fix="a list takes several of them")
        return self
