"""Columns of a spec: where each target column comes from, and what is done to it on the way."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from flows.spec.problems import Invalid, closest, meant
from transforms.vocabulary import SideName

CAST_TYPES = (
    "text", "smallint", "integer", "bigint", "real", "double", "boolean", "date", "time", "timestamp", "timestamptz",
    "numeric", "uuid", "json", "bytea", "interval",
)  # fmt: skip
ALIASES = {
    "string": "text", "varchar": "text", "int": "integer", "int2": "smallint", "int4": "integer", "int8": "bigint",
    "float4": "real", "float8": "double", "float": "double", "double precision": "double", "bool": "boolean",
    "decimal": "numeric", "jsonb": "json", "blob": "bytea", "binary": "bytea", "datetime": "timestamp",
    "timestamp with time zone": "timestamptz", "timestamp without time zone": "timestamp",
}  # fmt: skip
_NUMERIC = re.compile(r"^(?P<name>numeric|decimal)\s*\(\s*(?P<precision>\d+)\s*(?:,\s*(?P<scale>\d+)\s*)?\)$")
SOURCES = ("from", "expr", "const", "generate", "lookup", "python")

Scalar = str | int | float | bool | None


class Strict(BaseModel):
    """A part of the spec: unknown keys are errors, and nothing changes after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def time_zone(name: Any) -> Any:
    from zoneinfo import ZoneInfo, available_timezones

    if not isinstance(name, str):
        raise Invalid("must be the name of a time zone, such as Europe/Vienna")
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        near = closest(name, available_timezones())
        if near is not None:
            raise Invalid(f"is no known time zone. Did you mean {near}?") from None
        raise Invalid("is no known time zone.", fix="use a name such as Europe/Vienna") from None
    return name


def cast_type(name: Any) -> Any:
    """The type's own name: `int8` is bigint, `Decimal( 9 , 2 )` is numeric(9,2)."""
    if not isinstance(name, str):
        raise Invalid("must be the name of a type, such as integer")
    lower = " ".join(name.lower().split())
    if match := _NUMERIC.match(lower):
        precision, scale = int(match["precision"]), int(match["scale"] or 0)
        if not 1 <= precision <= 76 or scale > precision:
            raise Invalid("must have 1 to 76 digits, and no more behind the point than in all")
        return f"numeric({precision},{scale})"
    plain = ALIASES.get(lower, lower)
    if plain not in CAST_TYPES:
        raise Invalid(f"{name!r} is not a type that Syncline casts to. {meant(lower, {*CAST_TYPES, *ALIASES})}")
    return plain


def scalar(value: Any) -> Any:
    if not isinstance(value, Scalar):
        raise Invalid("must be a single value: text, a number, true, false or null")
    return value


TimeZone = Annotated[str, BeforeValidator(time_zone, json_schema_input_type=str)]
CastType = Annotated[str, BeforeValidator(cast_type, json_schema_input_type=str)]
AnyScalar = Annotated[Any, BeforeValidator(scalar, json_schema_input_type=Scalar)]
ClockChange = Literal["quarantine", "raise", "earliest", "latest"]


class Cast(Strict):
    """The type that the values get. Never rounds, trims or wraps: a value that does not fit is invalid."""

    type: CastType = Field(
        description="text, integer, bigint, numeric(12,2), timestamptz and so on.", examples=["numeric(12,2)"]
    )
    time_zone: TimeZone | None = Field(
        default=None, description="Where naive timestamps are, or where aware ones go.", examples=["Europe/Vienna"]
    )
    ambiguous: ClockChange = Field(
        default="quarantine",
        description="For local times that a clock change repeats: set aside, an error, or one of both.",
        examples=["earliest"],
    )
    nonexistent: ClockChange = Field(
        default="quarantine",
        description="For local times that a clock change skips: set aside, an error, or moved before or behind it.",
        examples=["latest"],
    )
    format: str | None = Field(
        default=None, description="A strptime pattern for text, such as %d.%m.%Y.", examples=["%d.%m.%Y"]
    )

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"type": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _fits(self) -> Cast:
        if self.type not in ("timestamp", "timestamptz", "date", "time"):
            for name in ("time_zone", "ambiguous", "nonexistent", "format"):
                if name in self.model_fields_set:
                    raise Invalid(f"is for dates and times, and the type is {self.type}.", name, fix="remove it")
        return self


class Closeness(Strict):
    """How far two numbers may be apart and still count as equal; either is enough. What is written stays exact."""

    absolute: float = Field(
        default=0, ge=0, allow_inf_nan=False, description="In the column's own unit.", examples=[0.01]
    )
    relative: float = Field(
        default=0, ge=0, lt=1, description="A part of the larger of both, such as 1e-9.", examples=[1e-09]
    )

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return {"absolute": value}
        if not isinstance(value, dict | Closeness):
            raise Invalid("must be a number, {absolute: …} or {relative: …}")
        return value

    @model_validator(mode="after")
    def _some(self) -> Closeness:
        if not self.model_fields_set:
            raise Invalid("says nothing.", fix="write a number, {absolute: …} or {relative: …}")
        return self


class Lookup(Strict):
    """A value of another table, found by matching columns."""

    table: str = Field(
        description="A table of this spec, or any table of the side that is looked at.", examples=["customer"]
    )
    match: dict[str, str] | None = Field(
        default=None,
        min_length=1,
        description="Columns of the looked-up table: columns of the source.",
        examples=[{"code": "customer_code"}],
    )
    by: Annotated[list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)] | None = (
        Field(
            default=None,
            min_length=1,
            description="Instead of match, for a table with `key: {map: …}`: the columns of the source that hold the key which the "
            "looked-up row has there.",
            examples=[["customer_no"]],
        )
    )
    to: SideName | None = Field(
        default=None,
        description="With by: the side whose key is taken; target if not given. With source, by holds keys of the target.",
    )
    take: str = Field(
        description="The column of the looked-up table that gives the value; with by, if it is not the only one of the key.",
        examples=["customer_id"],
    )
    side: SideName = Field(default="target", description="Where the looked-up table is.")

    @model_validator(mode="before")
    @classmethod
    def _only_column(cls, value: Any) -> Any:
        """A key of one column needs no `take`."""
        return {"take": "", **value} if isinstance(value, dict) and "by" in value else value

    @model_validator(mode="after")
    def _one_way(self) -> Lookup:
        if (self.match is None) == (self.by is None):
            what = "has match and by" if self.match else "says not how rows are found"
            raise Invalid(f"{what}.", fix="give match, or by where the table has an identity map")
        if self.match is not None and self.to is not None:
            raise Invalid("has a meaning only together with by.", "to", fix="remove it")
        if self.by is not None and self.side == "source":
            raise Invalid("goes by an identity map, which is looked at by itself.", "side", fix="remove it")
        return self

    @property
    def matched(self) -> dict[str, str]:
        """Columns of the looked-up table, and what they are matched by; none where a row is found through an identity map."""
        return self.match or {}


def _missing(value: Any) -> Any:
    return "null" if value is None else value


def zero_date(value: Any) -> Any:
    """null, quarantine, fail, or a date or timestamp in ISO text."""
    if value is None or value in ("null", "quarantine", "fail"):
        return value or "null"
    if isinstance(value, dt.date):  # YAML reads an unquoted date as one
        return value.isoformat(" ") if isinstance(value, dt.datetime) else value.isoformat()
    try:
        dt.datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise Invalid('must be null, quarantine, fail, or a date such as "1970-01-01"') from None
    return value


ZeroDate = Annotated[str, BeforeValidator(zero_date, json_schema_input_type=str | None)]


class Column(Strict):
    """A target column. Exactly one of from, expr, const, generate, lookup and python says where it comes from."""

    from_: str | None = Field(
        default=None, alias="from", min_length=1, description="The source column of this name.", examples=["born"]
    )
    expr: str | None = Field(
        default=None,
        min_length=1,
        description="DuckDB SQL over the source columns.",
        examples=["(cents * 0.01)::decimal(12,2)"],
    )
    const: AnyScalar = Field(
        default=None, description="The same value in every row; null is allowed.", examples=["legacy"]
    )
    generate: Literal["identity", "uuid"] | None = Field(
        default=None, description="identity: the next free number; uuid: a UUID made from the key. For new rows only."
    )
    lookup: Lookup | None = Field(
        default=None,
        description="A value of another table.",
        examples=[{"table": "customer", "match": {"customer_id": "customer"}, "take": "customer_id"}],
    )
    python: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$",
        description="module.function: takes a DataFrame, gives a Series. The module lies beside the spec.",
        examples=["rules.score"],
    )
    columns: list[str] | None = Field(
        default=None, description="With python: the source columns in the DataFrame.", examples=[["a", "b"]]
    )
    except_: list[str] | None = Field(
        default=None,
        alias="except",
        description="Of the column *: source columns that go nowhere.",
        examples=[["internal_note"]],
    )
    cast: Cast | None = Field(
        default=None,
        description="The type that the values get.",
        examples=["date", {"type": "timestamptz", "ambiguous": "earliest"}],
    )
    map: dict[AnyScalar, AnyScalar] | None = Field(
        default=None, min_length=1, description="Old values: new values.", examples=[{"P": "person", "C": "company"}]
    )
    default: AnyScalar = Field(
        default="error",
        description="With map, for other values: error (the row is invalid), keep, or the value to write.",
        examples=["keep"],
    )
    inverse: dict[str, Annotated[str, Field(min_length=1)]] | None = Field(
        default=None,
        min_length=1,
        description="With two_way: source columns, and the SQL over the target columns that gives them.",
        examples=[{"cents": "(price * 100)::bigint"}],
    )
    tolerance: Closeness | None = Field(
        default=None,
        description="Numbers this close count as equal: 0.01, {relative: 1e-9}, or both.",
        examples=[0.01, {"relative": 1e-09}],
    )
    missing: Annotated[Literal["null", "quarantine", "fail"], BeforeValidator(_missing)] = Field(
        default="quarantine",
        description="With lookup, where nothing matches: null, quarantine or fail.",
        examples=[None],
        json_schema_extra={"enum": ["null", "quarantine", "fail", None], "type": ["string", "null"]},
    )

    zero_date: ZeroDate = Field(
        default="quarantine",
        description="With from and expr, for dates that are none (0000-00-00, 2020-02-00): null, quarantine, fail, or a date.",
        examples=[None, "1970-01-01"],
        json_schema_extra={"type": ["string", "null"]},
    )
    nul: Literal["quarantine", "strip"] = Field(
        default="quarantine",
        description="For texts with NUL characters, and JSON with escaped ones: strip takes them out.",
    )

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"from": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_source(self) -> Column:
        given = [name for name in SOURCES if self._given(name)]
        if self.except_ is not None:
            if self.model_fields_set - {"except_"}:
                raise Invalid("stands alone, in the column *.", "except", fix="remove what is beside it")
            return self
        if len(given) != 1:
            what = f"has {' and '.join(given)}" if given else "says not where its values come from"
            raise Invalid(f"{what}.", fix=f"give exactly one of {', '.join(SOURCES)}")
        for name, needs in (("missing", "lookup"), ("default", "map"), ("columns", "python")):
            if name in self.model_fields_set and not self._given(needs):
                raise Invalid(f"has a meaning only together with {needs}.", name, fix=f"add {needs} or remove {name}")
        if "zero_date" in self.model_fields_set and not (self.from_ or self.expr):
            raise Invalid("has a meaning only together with from and expr.", "zero_date", fix="remove it")
        if self.generate and (self.map or self.cast):
            raise Invalid("is generated, so there is nothing to map or cast.", fix="remove map and cast")
        return self

    def _given(self, name: str) -> bool:
        if name == "const":  # null is a constant like any other
            return "const" in self.model_fields_set
        return getattr(self, "from_" if name == "from" else name) is not None

    @property
    def kind(self) -> str:
        """Which of SOURCES the column has."""
        return next(name for name in SOURCES if self._given(name))
