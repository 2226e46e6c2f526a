"""What is done where both sides changed the same row: for a table, and for columns of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

import pyarrow as pa

from transforms.mapping import casts
from transforms.vocabulary import Key, Meaning, Problem, SideName

if TYPE_CHECKING:
    import pandas as pd  # half a second that only functions need

Resolve = Literal["source_wins", "target_wins", "newer_wins", "merge", "manual", "fail"]
Kind = Literal[
    "source_wins", "target_wins", "newer", "larger", "smaller", "sum", "union", "longer", "joined", "python", "manual",
    "fail", "clock",
]  # fmt: skip
Tie = Literal["source", "target", "manual"]
PolicyFunction = Callable[["pd.Series[Any]", "pd.Series[Any]", "pd.Series[Any]"], "pd.Series[Any]"]

SEPARATORS: Final[Mapping[Kind, str]] = {"union": ",", "joined": "\n"}


@dataclass(frozen=True, slots=True)
class Rule:
    """What becomes of a field that both sides changed, each to another value.

    source_wins, target_wins: that side's value. newer: that of the side whose clock is ahead; without a clock, the later value of
    a column of times. larger, smaller: NaN is the largest number and true larger than false. sum: the base with both
    differences added; null counts as 0, and so does a base that has no such row, but at a first meeting, where what both had is not
    known, it is the larger one. union: the elements of both, those of the base first, in its order, then the others in ascending
    order; of JSON arrays, arrays of PostgreSQL, and texts cut at `separator` (a comma). longer: more
    characters; of as many, the text that comes later in order. joined: both texts in ascending order, `separator` (a new line)
    between them, or the one that holds the other. python: what `function` makes of base, source and target, three Series in,
    one of their length out. In all but newer a null gives way to a value. manual: a conflict. fail: DataError.
    clock: the later value; of the columns that a policy names as its clock.
    """

    kind: Kind
    separator: str | None = None
    function: PolicyFunction | None = None
    name: str = "function"


@dataclass(frozen=True, slots=True)
class Clock:
    """Which column of either side's rows says when a row was changed: a date, a timestamp, or a number that grows.

    Clocks that are at most `skew` apart are a tie, and so are two nulls; null is older than all else.
    """

    source: str
    target: str
    skew: timedelta = timedelta()
    tie: Tie = "manual"

    @property
    def names(self) -> tuple[str, str]:
        return self.source, self.target


@dataclass(frozen=True, slots=True)
class Policy:
    """How a table is reconciled.

    `resolve` decides rows that both sides changed, each in its own way: as a whole, or field by field where `by` says so; merge
    always goes field by field, and leaves open what no rule decides. `columns` have rules of their own, by which their fields are
    decided whatever becomes of the rest of the row. A row with one open field is a conflict as a whole: neither side is written.

    `delete` is for a row that one side deleted and the other changed; None: as `resolve` says, and manual with newer_wins and
    merge, since a deletion has no clock. `create` is for a key that both sides created, or both hold at
    their first meeting; None: as `resolve` says; merge goes by `columns`, and all else decides whole rows without them. `initial` is for
    first meetings: by `create`, by one side, by the clock (and `create` for a tie), or not at all.
    """

    resolve: Resolve = "merge"
    by: Literal["row", "field"] | None = None
    clock: Clock | None = None
    columns: Mapping[str, Rule] = field(default_factory=dict)
    delete: Literal["delete_wins", "update_wins", "manual"] | None = None
    create: Resolve | None = None
    initial: Literal["policy", "source", "target", "newer", "report"] = "report"

    @property
    def by_field(self) -> bool:
        return self.resolve == "merge" or self.by == "field"

    def rule(self, column: str) -> Rule:
        """By what a field is decided that both sides changed, where it is decided by itself."""
        if column in self.columns:
            return self.columns[column]
        if self.clock is not None and column in self.clock.names:
            return Rule("clock")
        return Rule(_OF_FIELDS[self.resolve])

    def of_created(self) -> Policy:
        """What decides rows that both sides hold and the base does not."""
        if self.create is None:
            return self
        if self.create == "merge":
            return replace(self, resolve="merge", by=None)
        return self.of_whole_rows(self.create)

    def of_whole_rows(self, resolve: Resolve) -> Policy:
        """The same way for all columns."""
        return replace(self, resolve=resolve, by="row", columns={})

    def of_deleted(self, updated: SideName) -> Literal["delete", "update", "manual", "fail"]:
        """What becomes of a row that `updated` changed, and the other side deleted."""
        match self.delete or self.resolve:
            case "delete_wins":
                return "delete"
            case "update_wins":
                return "update"
            case "source_wins":
                return "update" if updated == "source" else "delete"
            case "target_wins":
                return "update" if updated == "target" else "delete"
            case "fail":
                return "fail"
        return "manual"


_OF_FIELDS: Final[Mapping[Resolve, Kind]] = {
    "source_wins": "source_wins",
    "target_wins": "target_wins",
    "newer_wins": "newer",
    "merge": "manual",
    "manual": "manual",
    "fail": "fail",
}


def problems(
    policy: Policy, key: Key, source: pa.Schema, target: pa.Schema, meanings: Mapping[str, Meaning]
) -> Iterator[Problem]:
    """What makes no sense about a policy for rows with these columns; `reconcile` takes one that has no problems.

    In: the columns of either side's rows as they are reconciled, with those that are there for the clock alone.
    """
    if policy.resolve == "merge" and policy.by == "row":
        yield Problem("merge decides field by field.", "remove `by: row`, or choose another `resolve`.")
    needs = [
        what
        for what, is_asked in (
            ("newer_wins", policy.resolve == "newer_wins"),
            ("newer_wins for rows that both sides created", policy.create == "newer_wins"),
            ("`initial: newer`", policy.initial == "newer"),
        )
        if is_asked
    ]
    if policy.clock is None:
        yield from (
            Problem(f"{what} needs a clock.", "name the column that says when a row was changed.") for what in needs
        )
    else:
        yield from _of_clock(policy.clock, source, target)
    for name, rule in policy.columns.items():
        if name in key:
            yield Problem(f"{name} is part of the key, by which rows are matched.", "give rules to other columns.")
        elif name not in source.names or name not in target.names:
            known = ", ".join(each for each in target.names if each in source.names and each not in key)
            yield Problem(f"there is no column {name} that both sides have.", f"name one of {known}.")
        elif why := _unfit(rule, policy, target.field(name).type, meanings.get(name, "plain")):
            yield Problem(f"{name} {why}.", "choose another rule for the column.")


def _of_clock(clock: Clock, source: pa.Schema, target: pa.Schema) -> Iterator[Problem]:
    lacking = [
        f"the {side} has no column {name}"
        for side, name, rows in (("source", clock.source, source), ("target", clock.target, target))
        if name not in rows.names
    ]
    if lacking:
        yield Problem(f"{' and '.join(lacking)} for the clock.", "name the column of each: {source: …, target: …}.")
        return
    one, other = source.field(clock.source).type, target.field(clock.target).type
    for name, kind in ((clock.source, one), (clock.target, other)):
        if not (_is_moment(kind) or pa.types.is_integer(kind)):
            yield Problem(
                f"{name} is {casts.name_of(kind)}, and no clock.",
                "name a date, a timestamp or a whole number that grows.",
            )
            return
    if _clock_kind(one) != _clock_kind(other):
        yield Problem(
            f"the clocks {clock.source} ({casts.name_of(one)}) and {clock.target} ({casts.name_of(other)}) are of different types.",
            "name clocks of one type; times with and without a zone cannot be compared.",
        )
    if clock.skew < timedelta():
        yield Problem("the clocks' skew is negative.", "write how far they may be apart, such as 5s.")
    elif clock.skew and not pa.types.is_timestamp(one):
        yield Problem(f"{clock.source} is {casts.name_of(one)}, which knows no skew.", "remove `skew`.")


def _is_moment(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def _clock_kind(kind: pa.DataType) -> str:
    return "number" if pa.types.is_integer(kind) else casts.name_of(kind)


def is_number(kind: pa.DataType, meaning: Meaning) -> bool:
    types = pa.types
    plain = types.is_integer(kind) or types.is_decimal(kind) or types.is_floating(kind)
    return bool(plain or (types.is_string(kind) and meaning == "decimal"))


def _unfit(rule: Rule, policy: Policy, kind: pa.DataType, meaning: Meaning) -> str:
    """Why a rule says nothing of values of a type; empty where it does."""
    types = pa.types
    number = is_number(kind, meaning)
    plain_text = types.is_string(kind) and meaning == "plain"
    shown = casts.name_of(kind) if plain_text or not types.is_string(kind) else f"{meaning} in a text"
    match rule.kind:
        case "sum" if not (number or types.is_duration(kind)):
            return f"is {shown}: a sum is of numbers"
        case "larger" | "smaller" if not (number or types.is_temporal(kind) or types.is_boolean(kind)):
            return f"is {shown}: what is larger is known of numbers and times"
        case "longer" | "joined" if not plain_text:
            return f"is {shown}: {rule.kind} is for texts"
        case "union" if not (types.is_string(kind) and meaning in ("plain", "json", "opaque")):
            return f"is {shown}: a union is of arrays and of texts"
        case "newer" if policy.clock is None and not _is_moment(kind):
            return "goes by the newer value, which needs a clock"
    return ""
