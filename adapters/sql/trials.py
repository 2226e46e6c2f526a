"""Rows tried out before anything is written: what an engine demands of them, and how those that it refuses are found."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import pyarrow as pa

from transforms.vocabulary import ChangeSet, Reason, TableShape

ASKED: Final = "syncline_asked"  # the rows in question, numbered by NUMBER
TRIED: Final = "syncline_tried"  # a table like the target's, with all that it demands
HELD: Final = "syncline_held"  # and one that demands nothing, with NUMBER
NUMBER: Final = "syncline_no"

_NAMES: Final = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Check:
    """A condition that may not be false, in the engine's own SQL. One without a name was given none."""

    expression: str
    name: str = ""
    columns: tuple[str, ...] = ()

    @property
    def reason(self) -> Reason:
        named = {"constraint": self.name} if self.name else {}
        return Reason("breaks_check", None, {"check": self.expression, **named}).of(self.columns)


@dataclass(frozen=True, slots=True)
class Demands:
    """What a table demands of a row beyond its shape. `generated` are (column, expression).

    `bounds` is a condition that says which rows a partition takes, where not every row has one. `always`: rows have to be
    tried whatever is known of them.
    """

    checks: tuple[Check, ...] = ()
    generated: tuple[tuple[str, str], ...] = ()
    bounds: Check | None = None
    always: bool = False

    @property
    def any(self) -> bool:
        return bool(self.checks or self.generated or self.bounds or self.always)

    def beside(self, shape: TableShape, written: Collection[str]) -> tuple[str, ...]:
        """The columns that are not written and may be looked at."""
        texts = [each.expression for each in self.checks] + [text for _, text in self.generated]
        texts += [self.bounds.expression] if self.bounds else []
        words = {word.lower() for text in texts for word in _NAMES.findall(text)}
        others = (each for each in shape.columns if each.name not in written and not each.generated)
        return tuple(each.name for each in others if set(map(str.lower, _NAMES.findall(each.name))) <= words)


def of_design(shape: TableShape) -> Demands:
    """What a table that is yet to be made will demand."""
    if shape.design is None:
        return Demands()
    checks = (Check(text, columns=mentioned(text, shape)) for text in shape.design.checks)
    return Demands(tuple(checks), shape.design.generated)


def mentioned(expression: str, shape: TableShape) -> tuple[str, ...]:
    """The columns that an expression seems to name, to be shown."""
    words = {word.lower() for word in _NAMES.findall(expression)}
    return tuple(each.name for each in shape.columns if each.name.lower() in words)


def refusal(message: str, constraint: str = "") -> Reason:
    """An engine's own words of a row that it does not take, and the constraint that it names."""
    return Reason("refused", None, {"message": message, **({"constraint": constraint} if constraint else {})})


class Trial(Protocol):
    """Rows staged in a session of an engine, to be tried out."""

    def take(self, first: int, stop: int) -> Reason | None:
        """Why the engine refuses one or another of the rows `first` to `stop` (exclusive), None where it takes them all."""

    def failing(self) -> Mapping[int, Reason]:
        """The rows that break checks, found at once; none where they cannot be evaluated for all rows together."""

    def discard(self, numbers: Sequence[int]) -> None:
        """Take rows out of those that are tried."""


def refused(trial: Trial, rows: int) -> dict[int, Reason]:
    """The rows that the engine refuses: those that break checks in one query, others by halving."""
    if not rows or trial.take(0, rows) is None:
        return {}
    found = dict(trial.failing())
    if found:
        trial.discard(sorted(found))
    waiting = [(0, rows)]
    while waiting:
        first, stop = waiting.pop()
        why = trial.take(first, stop)
        if why is None:
            continue
        if stop - first == 1:
            found[first] = why
            continue
        middle = (first + stop) // 2
        waiting += [(middle, stop), (first, middle)]
    return found


@dataclass(frozen=True, slots=True)
class Given:
    """The rows of a change set that are tried: inserts first, then after images, with their numbers."""

    rows: pa.Table
    inserts: int
    names: tuple[str, ...] = field(default=())

    @property
    def numbered(self) -> pa.Table:
        """NUMBER, then the columns as a0, a1, …"""
        number = pa.array(np.arange(self.rows.num_rows, dtype=np.int32))
        return pa.table([number, *self.rows.columns], names=[NUMBER, *(f"a{i}" for i in range(self.rows.num_columns))])


def given(changes: ChangeSet, names: Collection[str] | None = None) -> Given:
    """Some columns of what the changes write; all of them where None."""
    chosen = tuple(name for name in changes.schema.names if names is None or name in names)
    rows = pa.concat_tables([changes.inserts, changes.after]).select(list(chosen))
    return Given(rows, changes.inserts.num_rows, chosen)
