"""The checks of a table, bound to its columns: row rules as masks where they compile, all as Great Expectations runs them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from adapters.expectations import run
from adapters.expectations.run import Expected
from flows.spec.model import Expectation, Spec
from transforms import keys
from transforms.mapping.column_mapping import RowCheck
from transforms.rules import rules
from transforms.rules.rules import Rule
from transforms.vocabulary import Counts, Key, Problem, Reason, SpecError
from transforms.vocabulary.arrow import Mask


def totals(counts: Counts) -> dict[str, int]:
    """What `$…` in an argument may name: the counts of the run, of which conflicts are not known before it.

    `written` are inserts and updates, `loaded` all wanted rows that were not set aside.
    """
    known = {name: count for name, count in counts.as_dict().items() if name != "conflicts"}
    written = counts.insert + counts.update
    return {**known, "written": written, "loaded": written + counts.unchanged}


@dataclass(frozen=True, slots=True)
class BoundCheck:
    """A row rule of a table: the mask where it compiles, else Great Expectations."""

    rule: Rule
    key: Key
    check: rules.Check | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return rules.columns_of(self.rule)

    @property
    def reason(self) -> Reason:
        given = {name: _plain(value) for name, value in self.rule.arguments.items() if not name.startswith("column")}
        given.pop("notes", None)
        return Reason("breaks_rule", None, {"rule": self.rule.type, "arguments": given}).of(self.columns)

    @property
    def across(self) -> bool:
        """Whether it looks across rows, so that a batch alone does not tell."""
        known = rules.ROW_RULES.get(self.rule.type)
        return self.check.across if self.check else known is not None and known.across

    def failing(self, rows: pa.Table) -> Mask:
        if self.check is not None:
            return self.check.failing(rows)
        mask = np.zeros(rows.num_rows, dtype=bool)
        if rows.num_rows:
            (found,) = run.check_rows(rows, self.key, [as_expected(self.rule)], {}, "rows about to be written")
            mask[list(found.rows)] = True
        return mask


@dataclass(frozen=True, slots=True)
class KnownOffenders:
    """A rule across rows, as its failing keys: found in a pass over the whole table before its windows are planned."""

    of: BoundCheck
    offenders: pa.Table

    @property
    def reason(self) -> Reason:
        return self.of.reason

    @property
    def columns(self) -> tuple[str, ...]:
        return self.of.columns

    def failing(self, rows: pa.Table) -> Mask:
        if not self.offenders.num_rows or not rows.num_rows:
            return np.zeros(rows.num_rows, dtype=bool)
        null = keys.null_keys(rows, self.of.key)
        known = np.zeros(rows.num_rows, dtype=bool)
        known[~null] = keys.contained(rows.filter(pa.array(~null)), self.offenders, self.of.key)
        return known


@dataclass(frozen=True)
class Checks:
    """The checks of one table: `expect` on the rows about to be written, `loaded` on the target afterwards.

    `rows` are the row rules of `expect`. Those that are warnings set rows aside; a critical one stops the run.
    """

    expect: tuple[Expected, ...] = ()
    loaded: tuple[Expected, ...] = ()
    rows: tuple[BoundCheck, ...] = ()

    @cached_property
    def aside(self) -> tuple[RowCheck, ...]:
        return tuple(each for each in self.rows if each.rule.severity == "warning" and not each.across)

    @cached_property
    def aside_across(self) -> tuple[BoundCheck, ...]:
        return tuple(each for each in self.rows if each.rule.severity == "warning" and each.across)

    @cached_property
    def watched(self) -> tuple[BoundCheck, ...]:
        """Rules that are counted over the rows about to be written, window by window."""
        return tuple(each for each in self.rows if each.rule.severity != "warning" and each.check and not each.across)


def bound_checks(spec: Spec, name: str, schema: pa.Schema, key: Key) -> Checks:
    """Bind the checks of a table, whose mapped columns have the schema.

    Errors: SpecError for a column that is not there, an argument that makes no sense, a regex that does not compile.
    """
    table = spec.tables[name]
    problems: list[Problem] = []
    made: list[BoundCheck] = []
    for number, each in enumerate(table.expect):
        rule = Rule(number, each.type, each.arguments, each.severity)
        try:
            made += _bound_rule(rule, schema, key)
        except SpecError as error:
            where = spec.where("tables", name, "expect", number)
            problems += [each.within(where) for each in error.problems]
    if problems:
        raise SpecError.of(problems)
    left = tuple(as_expected(each.rule) for each in made if each.check is None)
    validate_checks(spec, name, Checks(expect=left), schema.names, ())  # planning asks Great Expectations about them
    return Checks(tuple(_listed(table.expect)), tuple(_listed(table.loaded)), tuple(made))


def validate_checks(spec: Spec, name: str, checks: Checks, written: Sequence[str], columns: Sequence[str]) -> None:
    """Let Great Expectations look at every name and argument. Slow: it is imported.

    `written` are the columns of the rows about to be written, `columns` those of the target.
    Errors: SpecError with every problem, a line each.
    """
    problems: list[Problem] = []
    for suite, listed, there in (("expect", checks.expect, written), ("loaded", checks.loaded, columns)):
        for each in listed:
            where = f"{spec.where('tables', name, suite, each.number)}: tables.{name}.{suite}[{each.number}]"
            try:
                run.validated([each], there, totals(Counts()), where, planned=suite == "expect")
            except SpecError as error:
                problems += error.problems
    if problems:
        raise SpecError.of(problems)


def as_expected(rule: Rule) -> Expected:
    return Expected(rule.number, rule.type, rule.arguments, rule.severity)


def _bound_rule(rule: Rule, schema: pa.Schema, key: Key) -> Iterator[BoundCheck]:
    if rule.arguments.get("mostly", 1) != 1:
        return  # about a share of the rows, and not about each
    if rule.type in rules.ROW_RULES or run.is_row_rule(rule.type):
        yield BoundCheck(rule, key, rules.compiled(rule, schema, key))


def _listed(suite: Sequence[Expectation]) -> Iterator[Expected]:
    for number, each in enumerate(suite):
        yield Expected(number, each.type, each.arguments, each.severity)


def _plain(value: Any) -> Any:
    """An argument of a rule as a fact: dates and such as text."""
    if isinstance(value, str | int | float | None):
        return value
    return (
        list(value) if isinstance(value, list | tuple) and all(_plain(each) == each for each in value) else str(value)
    )
