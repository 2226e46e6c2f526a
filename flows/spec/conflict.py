"""What the spec says of changes that go both ways: who wins where both sides changed a row, and what goes back to the source."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from flows.spec.columns import AnyScalar, Strict
from flows.spec.problems import Invalid, meant

Direction = Literal["one_way", "two_way"]
Resolve = Literal["source_wins", "target_wins", "newer_wins", "merge", "manual", "fail"]
Initial = Literal["policy", "source", "target", "newer", "report"]
RuleKind = Literal[
    "source_wins", "target_wins", "newer", "larger", "smaller", "sum", "union", "longer", "joined", "manual", "fail"
]  # fmt: skip
_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def span(value: Any) -> Any:
    """A time such as 500ms, 5s, 2m, 1h or 1d."""
    if isinstance(value, timedelta):
        return value
    written = re.fullmatch(r"(\d{1,9})(ms|s|m|h|d)", value.strip()) if isinstance(value, str) else None
    if written is None:
        raise Invalid("must be a time such as 500ms, 5s, 2m or 1h")
    return timedelta(**{_UNITS[written[2]]: int(written[1])})


Span = Annotated[timedelta, BeforeValidator(span, json_schema_input_type=str)]


class Clocks(Strict):
    """Which column of each side says when a row was changed; one name where both call it so."""

    source: str = Field(min_length=1, description="The source's column, or the mapped one.", examples=["updated_at"])
    target: str = Field(min_length=1, description="The target's column.", examples=["changed_at"])

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"source": value, "target": value} if isinstance(value, str) else value


class RuleSpec(Strict):
    """What becomes of a field that both sides changed, each to another value."""

    kind: RuleKind | None = Field(default=None, description="The rule, where it has no settings.")
    union: str | None = Field(
        default=None, min_length=1, description="union, with what the elements of a text lie between.", examples=[";"]
    )
    joined: str | None = Field(
        default=None, min_length=1, description="joined, with what stands between both texts.", examples=[", "]
    )
    python: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$",
        description="module.function: takes base, source and target as Series, gives a Series. The module lies beside the spec.",
        examples=["rules.decide"],
    )

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if isinstance(value, str):
            if value not in get_args(RuleKind):
                hint = 'write {python: "module.function"}' if value == "python" else ""
                said = "needs a function." if hint else f"is no rule. {meant(value, get_args(RuleKind))}"
                raise Invalid(said, fix=hint)
            return {"kind": value}
        return value

    @model_validator(mode="after")
    def _one(self) -> RuleSpec:
        given = [name for name in ("kind", "union", "joined", "python") if getattr(self, name) is not None]
        if len(given) != 1:
            rules = ", ".join(get_args(RuleKind))
            raise Invalid(
                "takes one rule", fix=f'write one of {rules}, {{joined: ", "}}, {{union: ";"}} or {{python: …}}'
            )
        return self

    @property
    def name(self) -> RuleKind | Literal["python"]:
        """The rule's name, with or without settings."""
        if self.kind is not None:
            return self.kind
        return "python" if self.python is not None else "union" if self.union is not None else "joined"

    @property
    def separator(self) -> str | None:
        """What parts of a text lie between; None for the rule's own."""
        return self.union or self.joined


class Conflict(Strict):
    """Who wins where both sides changed a row."""

    resolve: Resolve = Field(
        default="merge",
        description="merge decides field by field; the others take the row of a side, leave it alone and list it (manual), or stop.",
    )
    by: Literal["row", "field"] | None = Field(
        default=None, description="Whether a row is decided as a whole, or field by field as merge does."
    )
    clock: Clocks | None = Field(
        default=None,
        description="The column that says when a row was changed, or {source: …, target: …}.",
        examples=["updated_at"],
    )
    skew: Span = Field(
        default=timedelta(), description="Clocks that are this close are a tie: 500ms, 5s, 2m.", examples=["2s"]
    )
    tie: Literal["source", "target", "manual"] = Field(default="manual", description="Who wins a tie of clocks.")
    delete: Literal["delete_wins", "update_wins", "manual"] | None = Field(
        default=None, description="A row that one side deleted and the other changed; as `resolve` says if not given."
    )
    create: Resolve | None = Field(
        default=None, description="A key that both sides created; as `resolve` says if not given."
    )
    columns: dict[str, RuleSpec] = Field(
        default={},
        description="Of a table: rules of columns that are decided by themselves.",
        examples=[{"price": "larger"}],
    )

    def with_own(self, own: Conflict | None) -> Conflict:
        """Of the migration, overridden by what a table says, setting by setting."""
        return self.model_copy(update={name: getattr(own, name) for name in own.model_fields_set}) if own else self

    def spelled(self, own: Callable[[str], str], read: Callable[[str], str]) -> Conflict:
        """The same with the columns of both sides as their catalogs spell them."""
        clock = self.clock and Clocks(source=own(read(self.clock.source)), target=own(self.clock.target))
        spelt = {"clock": clock, "columns": {own(name): rule for name, rule in self.columns.items()}}
        return self.model_copy(update={name: value for name, value in spelt.items() if value != getattr(self, name)})

    def problems(self) -> Iterator[Invalid]:
        """What does not fit together, once both levels are one."""
        if self.resolve == "merge" and self.by == "row":
            yield Invalid(
                "is row, and merge decides field by field.", "by", fix="remove it, or choose another `resolve`"
            )
        if self.clock is None:
            for place in ("resolve", "create"):
                if getattr(self, place) == "newer_wins":
                    yield Invalid(
                        "is newer_wins, which needs a clock.", place, fix="add `clock:` and a timestamp column"
                    )
            for place in ("skew", "tie"):
                if place in self.model_fields_set:
                    yield Invalid("has a meaning only together with a clock.", place, fix="add `clock:`, or remove it")


class OnSource(Strict):
    """What a column of the source gets that the mapping does not show, in rows that were born on the target."""

    const: AnyScalar = Field(
        default=None, description="The same value in every row; null is allowed.", examples=["sync"]
    )
    expr: str | None = Field(
        default=None, min_length=1, description="DuckDB SQL over the target columns.", examples=["upper(name)"]
    )

    @model_validator(mode="before")
    @classmethod
    def _no_short_form(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise Invalid("must say what the column gets", fix='write {const: sync} or {expr: "…"}')
        return value

    @model_validator(mode="after")
    def _one(self) -> OnSource:
        if ("const" in self.model_fields_set) == (self.expr is not None):
            raise Invalid("takes one of const and expr")
        return self
