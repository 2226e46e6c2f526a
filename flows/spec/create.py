"""The `create:` part of a table: what the target table is made like, where it is not there yet."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from flows.spec.columns import Strict, cast_type
from flows.spec.problems import Invalid, meant

_SIZED = re.compile(r"^(?P<name>varchar|char|character varying|character)\s*\(\s*(?P<length>\d+)\s*\)$")
_INTEGERS = ("smallint", "integer", "bigint")


def new_type(name: Any) -> Any:
    """A type that a new column can have: those of casts, and varchar(n) and char(n)."""
    if isinstance(name, str) and (match := _SIZED.match(" ".join(name.lower().split()))):
        length = int(match["length"])
        if not 1 <= length <= 1_000_000:
            raise Invalid("must have a length from 1 to 1,000,000")
        return f"{'varchar' if 'var' in match['name'] else 'char'}({length})"
    return cast_type(name)


def _names(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


NewType = Annotated[str, BeforeValidator(new_type, json_schema_input_type=str)]
Columns = Annotated[list[str], BeforeValidator(_names)]
Action = Annotated[
    Literal["no action", "restrict", "cascade", "set null", "set default"],
    BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value),
]
Sql = Annotated[str, Field(min_length=1)]


class NewColumn(Strict):
    """A column of a table that is yet to be made."""

    type: NewType | None = Field(
        default=None,
        description="smallint, numeric(12,2), varchar(40), char(2) and so on; the mapping's if not given.",
        examples=["varchar(40)"],
    )
    nullable: bool | None = Field(default=None, description="Whether it takes nulls; as in the source if not given.")
    default: Sql | None = Field(
        default=None, description="What the target fills in when nothing is given: its SQL.", examples=["now()"]
    )
    identity: bool = Field(default=False, description="The target numbers it when no value is given.")
    generated: Sql | None = Field(
        default=None, description="The target computes it from other columns: its SQL.", examples=["price * amount"]
    )

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"type": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> NewColumn:
        given = [name for name in ("default", "identity", "generated") if getattr(self, name)]
        if len(given) > 1:
            raise Invalid(f"has {' and '.join(given)}.", given[1], fix="keep one of them")
        if self.identity and self.type not in (None, *_INTEGERS):
            raise Invalid(f"is {self.type}, and only whole numbers can be an identity.", "type", fix="use bigint")
        if self.generated and self.type is None:
            raise Invalid("is computed by the target, which needs its type.", fix="add `type:`")
        return self


class Reference(Strict):
    """A foreign key."""

    columns: Columns = Field(min_length=1, description="The columns of this table.", examples=[["customer_id"]])
    table: str = Field(
        min_length=1, description="A table of this spec, or any table of the target.", examples=["customer"]
    )
    refers: Columns = Field(
        min_length=1, description="The columns that they refer to, pairwise.", examples=[["customer_id"]]
    )
    on_delete: Action = Field(default="no action", description="What becomes of rows here when theirs is deleted.")
    on_update: Action = Field(
        default="no action", description="What becomes of rows here when theirs gets another key."
    )

    @model_validator(mode="after")
    def _pairs(self) -> Reference:
        if len(self.columns) != len(self.refers):
            raise Invalid("must name as many columns as `columns` does", "refers")
        return self


class Create(Strict):
    """What the target table is made like, where it is not there yet. Foreign keys and indexes come after the rows."""

    columns: dict[str, NewColumn] = Field(
        default={},
        description="Types, defaults and so on of its columns.",
        examples=[{"name": {"type": "varchar(40)", "nullable": False}}],
    )
    primary_key: Columns | None = Field(
        default=None, description="The key by which rows are matched, if not given.", examples=[["customer_id"]]
    )
    unique: list[Columns] = Field(default=[], description="Columns whose values occur once.", examples=[[["email"]]])
    indexes: list[Columns] = Field(
        default=[], description="Columns of other indexes.", examples=[[["born"], ["name", "born"]]]
    )
    foreign_keys: list[Reference] = Field(
        default=[],
        description="References to other tables.",
        examples=[[{"columns": ["customer_id"], "table": "customer", "refers": ["customer_id"]}]],
    )
    checks: list[Sql] = Field(
        default=[], description="Conditions that every row keeps, in the target's SQL.", examples=[["price >= 0"]]
    )

    @model_validator(mode="after")
    def _one_identity(self) -> Create:
        numbered = [name for name, column in self.columns.items() if column.identity]
        if len(numbered) > 1:
            raise Invalid("is the second identity, and a table has one", "columns", numbered[1], "identity")
        return self

    def problems(self, mapped: Iterable[str] | None, alike: Callable[[str], str] = str) -> Iterator[Invalid]:
        """What does not fit the columns of the mapping, where it names them. `alike`: what names have in common that may be one."""
        computed = {name for name, column in self.columns.items() if column.generated}
        if mapped is None:
            return
        known = {*mapped, *computed}
        there = {*map(alike, known)}
        for name in self.columns:
            if alike(name) not in there:
                yield Invalid(f"is not among the mapped columns. {meant(name, known)}", "columns", name)
        for place, names in self._named():
            for position, name in enumerate(names):
                if alike(name) not in there:
                    yield Invalid(f"is not among the columns. {meant(name, known)}", *place, position)
                elif name in names[:position]:
                    yield Invalid("names a column twice", *place, position)

    def _named(self) -> Iterator[tuple[tuple[Any, ...], list[str]]]:
        yield ("primary_key",), self.primary_key or []
        for what, groups in (("unique", self.unique), ("indexes", self.indexes)):
            yield from (((what, number), names) for number, names in enumerate(groups))
        for number, reference in enumerate(self.foreign_keys):
            yield ("foreign_keys", number, "columns"), reference.columns
