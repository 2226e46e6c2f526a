"""Row rules in Great Expectations' names and arguments, compiled to masks over Arrow tables.

A compiled rule names the rows that Great Expectations 1.24 names when it runs on pandas (numpy types, nullable
integers, ArrowDtype for decimals and dates). What is not known to agree is not compiled. Where Great Expectations
itself breaks on a row (a null against an integer, say), the rule fails there, as it does for floats and text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa

from transforms.rules import masks, values
from transforms.rules.masks import Relation
from transforms.rules.values import kind
from transforms.vocabulary import Key, SpecError
from transforms.vocabulary.arrow import Mask

Test = Callable[[pa.Table], Mask]

COLUMN_ARGUMENTS: Final = ("column", "column_A", "column_B", "column_list")
_IDLE: Final = frozenset({"mostly", "row_condition", "condition_parser", "meta", "notes", "description", "id"})
"""Arguments that change nothing where `mostly` is 1 and there is no `row_condition`."""

_SIZED: Final = frozenset({"text", "integer"})  # other types have lengths and patterns by their Python notation
_PAIR_IGNORES: Final[Mapping[str, masks.Ignore]] = {
    "both_values_are_missing": "all",
    "either_value_is_missing": "any",
    "neither": "none",
}
_LIST_IGNORES: Final[Mapping[str, masks.Ignore]] = {
    "all_values_are_missing": "all",
    "any_value_is_missing": "any",
    "never": "none",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """A row rule in Great Expectations' name and arguments.

    `number` is its place in the table's `expect` list, from 0; `arguments` are without type and severity.
    """

    number: int
    type: str
    arguments: Mapping[str, Any]
    severity: str = "critical"

    def __str__(self) -> str:
        rest = [f"{name}={value}" for name, value in self.arguments.items() if name not in COLUMN_ARGUMENTS]
        return " ".join([f"{', '.join(columns_of(self))}:", self.type, *rest])


def columns_of(rule: Rule) -> tuple[str, ...]:
    """The columns that a rule's arguments name, in order, each once."""
    names: list[Any] = []
    for place in COLUMN_ARGUMENTS:
        given = rule.arguments.get(place, ())
        names += given if isinstance(given, list | tuple) else [given]
    return tuple(dict.fromkeys(str(name) for name in names))


@dataclass(frozen=True, slots=True)
class Check:
    """A compiled rule. It can be pickled.

    `across`: a row's answer depends on other rows of the table, and only those of one call are seen.
    """

    rule: Rule
    columns: tuple[str, ...]
    across: bool
    test: Test

    def failing(self, rows: pa.Table) -> Mask:
        """True for every row that breaks the rule.

        In: the schema that the rule was compiled for, or one with more columns. `rows` is not changed.
        """
        return self.test(rows) if rows.num_rows else np.zeros(0, dtype=bool)


@dataclass(frozen=True, slots=True)
class _Ask:
    """A rule and the schema that it is compiled for."""

    rule: Rule
    schema: pa.Schema

    def get(self, name: str, default: Any = None) -> Any:
        given = self.rule.arguments.get(name)
        return default if given is None else given

    def need(self, name: str) -> Any:
        if self.rule.arguments.get(name) is None:
            raise self.wrong(f"it needs {name}", f"give {name}")
        return self.rule.arguments[name]

    def wrong(self, what: str, fix: str) -> SpecError:
        return SpecError(f"expect[{self.rule.number}] ({self.rule}): {what}.", fix=f"{fix}.")

    def kind(self, name: str) -> str:
        return kind(self.schema.field(name).type)

    def types(self, names: Sequence[str]) -> list[pa.DataType]:
        return [self.schema.field(name).type for name in names]

    def flag(self, name: str) -> bool | None:
        """None: not a plain yes or no."""
        given = self.get(name, False)
        return given if isinstance(given, bool) else None

    def ignore(self, known: Mapping[str, masks.Ignore]) -> masks.Ignore:
        given = self.get("ignore_row_if", next(iter(known)))
        if not isinstance(given, str) or given not in known:
            raise self.wrong(f"ignore_row_if is {given!r}", f"use one of {', '.join(known)}")
        return known[given]


@dataclass(frozen=True, slots=True)
class RowRule:
    """How an expectation type is compiled: how it becomes a test, and the columns and other arguments that it takes."""

    build: Callable[[_Ask], Test | None]
    columns: tuple[str, ...] = ("column",)
    more: tuple[str, ...] = ()
    across: bool = False


def compiled(rule: Rule, schema: pa.Schema, key: Key) -> Check | None:
    """The rule as a function over tables of that schema; None where Great Expectations has to run it.

    None: a type that is not in ROW_RULES, `mostly` below 1, a `row_condition`, an argument or a column type for which
    agreement is not known. Rules that hold for equal values look `across` rows only where `key`, by which rows come
    together in one window, is not among their columns.
    Errors: SpecError for a column that is not in the schema, a regex that is none, and arguments without sense.
    """
    row_rule = ROW_RULES.get(rule.type)
    if row_rule is None:
        return None
    ask = _Ask(rule, schema)
    _look_at_columns(ask, row_rule)
    extra = rule.arguments.keys() - {*row_rule.columns, *row_rule.more, *_IDLE}
    parameter = any(isinstance(given, Mapping) for name, given in rule.arguments.items() if name != "meta")
    if extra or parameter or ask.get("mostly", 1) != 1 or ask.get("row_condition") is not None:
        return None
    test = row_rule.build(ask)
    if test is None:
        return None
    together = rule.type in _BY_VALUE and bool(key) and set(key) <= set(columns_of(rule))
    return Check(rule, columns_of(rule), row_rule.across and not together, test)


def _look_at_columns(ask: _Ask, row_rule: RowRule) -> None:
    for place in row_rule.columns:
        given = ask.need(place)
        names = given if place == "column_list" and isinstance(given, list | tuple) else [given]
        if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
            raise ask.wrong(f"{place} is {given!r}", "name each column once")
        if place == "column_list" and len(names) < 2:
            raise ask.wrong("column_list names fewer than two columns", "list two columns or more")
    for name in columns_of(ask.rule):
        if name not in ask.schema.names:
            there = ", ".join(ask.schema.names)
            raise ask.wrong(f"there is no column {name!r}; there are {there}", "name one of these columns")


def _single(ask: _Ask, test: Callable[..., Mask]) -> Test:
    return partial(test, column=ask.need("column"))


def _listed(ask: _Ask, wanted: bool) -> Test | None:
    given = ask.need("value_set")
    column = ask.need("column")
    if not isinstance(given, list | tuple):
        return None
    (of,) = ask.types([column])
    known = values.listed(given, of)
    return None if known is None else partial(masks.listed, column=column, values=known, wanted=wanted)


def _between(ask: _Ask) -> Test | None:
    column = ask.need("column")
    (of,) = ask.types([column])
    low, high = (values.bound(ask.get(name), of) for name in ("min_value", "max_value"))
    _look_at_ends(ask, low, high)
    strict = ask.flag("strict_min"), ask.flag("strict_max")
    if None in strict or values.UNREADABLE in (low, high):
        return None
    for end in (low, high):
        if end is not None and (fault := values.mismatch(end, of)):
            raise ask.wrong(*fault)
    ends = values.interval((low, high), (bool(strict[0]), bool(strict[1])), of)
    if ends is None:
        return None
    return partial(masks.outside, column=column, least=ends[0], most=ends[1])


def _look_at_ends(ask: _Ask, low: Any, high: Any) -> None:
    if low is None and high is None:
        raise ask.wrong("it has neither min_value nor max_value", "give one of them or both")
    try:
        reversed_ = low is not None and high is not None and low > high
    except TypeError:  # ends of two kinds: one of them does not fit the column either
        reversed_ = False
    if reversed_:
        raise ask.wrong("min_value is above max_value", "swap them")


def _sized_between(ask: _Ask) -> Test | None:
    low, high = ask.get("min_value"), ask.get("max_value")
    if any(end is not None and type(end) is not int for end in (low, high)):
        return None
    _look_at_ends(ask, low, high)
    above, below = ask.flag("strict_min"), ask.flag("strict_max")
    if above is None or below is None:
        return None
    return _sized(ask, None if low is None else low + above, None if high is None else high - below)


def _sized_equal(ask: _Ask) -> Test | None:
    size = ask.need("value")
    return _sized(ask, size, size) if type(size) is int else None


def _sized(ask: _Ask, least: int | None, most: int | None) -> Test | None:
    column = ask.need("column")
    if ask.kind(column) not in _SIZED:
        return None
    return partial(masks.ill_sized, column=column, least=least, most=most)


def _matched(ask: _Ask, wanted: bool) -> Test | None:
    return _patterns(ask, (ask.get("regex", "(?s).*"),), wanted, "any")


def _matched_by_list(ask: _Ask, wanted: bool) -> Test | None:
    given = ask.need("regex_list")
    together = ask.get("match_on", "any")
    if not isinstance(given, list | tuple) or not given:
        raise ask.wrong("regex_list is no list of patterns", "list one pattern or more")
    if together not in ("any", "all"):
        raise ask.wrong(f"match_on is {together!r}", "use any or all")
    return _patterns(ask, tuple(given), wanted, together)


def _patterns(ask: _Ask, given: tuple[Any, ...], wanted: bool, together: Literal["any", "all"]) -> Test | None:
    if not all(isinstance(pattern, str) for pattern in given):
        return None
    column = ask.need("column")
    alike = [_engines_agree(ask, pattern) for pattern in given]
    if not all(alike) or ask.kind(column) not in _SIZED:
        return None
    test = masks.unmatched if wanted else masks.matching
    return partial(test, column=column, patterns=given, together=together)


def _engines_agree(ask: _Ask, pattern: str) -> bool:
    try:
        return masks.engines_agree(pattern)
    except re.error as error:
        raise ask.wrong(f"{pattern!r} is no regular expression: {error}", "correct the pattern") from error


def _parsed(ask: _Ask) -> Test | None:
    column, form = ask.need("column"), ask.need("strftime_format")
    if not isinstance(form, str):
        return None
    try:
        datetime.strptime(datetime(2013, 1, 31, 23, 59).strftime(form), form)
    except (ValueError, re.error) as error:
        raise ask.wrong(f"{form!r} cannot be read back: {error}", "use a format that strptime knows") from error
    if ask.kind(column) != "text":
        raise ask.wrong(f"{column} is no column of text", "remove the rule: its type says that it is a time")
    return partial(masks.unparsed, column=column, form=form)


def _json(ask: _Ask) -> Test | None:
    column = ask.need("column")
    return partial(masks.not_json, column=column) if ask.kind(column) == "text" else None


def _ordered(ask: _Ask, down: bool) -> Test | None:
    column, strictly = ask.need("column"), ask.flag("strictly")
    if strictly is None or not values.steps_agree(*ask.types([column])):
        return None
    return partial(masks.disordered, column=column, down=down, strictly=strictly)


def _unique(ask: _Ask) -> Test | None:
    column = ask.need("column")
    if ask.kind(column) == "other":
        return None
    return partial(masks.duplicated, column=column)


def _compound_unique(ask: _Ask) -> Test | None:
    ignore = ask.ignore(_LIST_IGNORES)
    columns = tuple(ask.need("column_list"))
    if any(ask.kind(name) == "other" for name in columns):
        return None
    return partial(masks.repeated, columns=columns, ignore=ignore)


def _within(ask: _Ask, test: Callable[..., Mask]) -> Test | None:
    ignore = ask.ignore(_LIST_IGNORES)
    columns = tuple(ask.need("column_list"))
    if not values.comparable(ask.types(columns)):
        return None
    return partial(test, columns=columns, ignore=ignore)


def _sum(ask: _Ask) -> Test | None:
    ignore = ask.ignore(_LIST_IGNORES)
    columns, total = tuple(ask.need("column_list")), ask.need("sum_total")
    if type(total) not in (int, float) or abs(total) >= values.EXACT or not values.addable(ask.types(columns)):
        return None
    return partial(masks.sum_differs, columns=columns, total=float(total), ignore=ignore)


def _pair(ask: _Ask, relation: Relation) -> Test | None:
    ignore = ask.ignore(_PAIR_IGNORES)
    left, right = ask.need("column_A"), ask.need("column_B")
    or_equal = ask.flag("or_equal")
    if or_equal is None or not values.comparable(ask.types([left, right])):
        return None
    named: Relation = "greater_equal" if or_equal else relation
    return partial(masks.unlike, left=left, right=right, relation=named, ignore=ignore)


def _pair_listed(ask: _Ask) -> Test | None:
    ignore = ask.ignore(_PAIR_IGNORES)
    left, right, given = ask.need("column_A"), ask.need("column_B"), ask.need("value_pairs_set")
    if not isinstance(given, list | tuple):
        return None
    if any(not isinstance(pair, list | tuple) or len(pair) != 2 for pair in given):
        raise ask.wrong("value_pairs_set holds what is no pair", "write each pair as a list of two values")
    known = values.paired(given, ask.types([left, right]))
    if known is None:
        return None
    sides, pairs = known
    return partial(masks.unpaired, left=left, right=right, values=sides, pairs=pairs, ignore=ignore)


_ENDS: Final = ("min_value", "max_value", "strict_min", "strict_max")
_SKIP: Final = ("ignore_row_if",)
_PAIR: Final = ("column_A", "column_B")
_LIST: Final = ("column_list",)
_BY_VALUE: Final = frozenset({"expect_column_values_to_be_unique", "expect_compound_columns_to_be_unique"})
_VALUES: Final = "expect_column_values_to_"

ROW_RULES: Final[Mapping[str, RowRule]] = MappingProxyType(
    {
        f"{_VALUES}not_be_null": RowRule(partial(_single, test=masks.absent)),
        f"{_VALUES}be_null": RowRule(partial(_single, test=masks.present)),
        f"{_VALUES}be_in_set": RowRule(partial(_listed, wanted=True), more=("value_set",)),
        f"{_VALUES}not_be_in_set": RowRule(partial(_listed, wanted=False), more=("value_set",)),
        f"{_VALUES}be_between": RowRule(_between, more=_ENDS),
        f"{_VALUES}match_regex": RowRule(partial(_matched, wanted=True), more=("regex",)),
        f"{_VALUES}not_match_regex": RowRule(partial(_matched, wanted=False), more=("regex",)),
        f"{_VALUES}match_regex_list": RowRule(partial(_matched_by_list, wanted=True), more=("regex_list", "match_on")),
        f"{_VALUES}not_match_regex_list": RowRule(partial(_matched_by_list, wanted=False), more=("regex_list",)),
        f"{_VALUES}match_strftime_format": RowRule(_parsed, more=("strftime_format",)),
        f"{_VALUES}be_json_parseable": RowRule(_json),
        f"{_VALUES}be_increasing": RowRule(partial(_ordered, down=False), more=("strictly",), across=True),
        f"{_VALUES}be_decreasing": RowRule(partial(_ordered, down=True), more=("strictly",), across=True),
        f"{_VALUES}be_unique": RowRule(_unique, across=True),
        "expect_column_value_lengths_to_be_between": RowRule(_sized_between, more=_ENDS),
        "expect_column_value_lengths_to_equal": RowRule(_sized_equal, more=("value",)),
        "expect_compound_columns_to_be_unique": RowRule(_compound_unique, _LIST, _SKIP, across=True),
        "expect_select_column_values_to_be_unique_within_record": RowRule(
            partial(_within, test=masks.alike_within), _LIST, _SKIP
        ),
        "expect_multicolumn_values_to_be_equal": RowRule(partial(_within, test=masks.different_within), _LIST, _SKIP),
        "expect_multicolumn_sum_to_equal": RowRule(_sum, _LIST, (*_SKIP, "sum_total")),
        "expect_column_pair_values_to_be_equal": RowRule(partial(_pair, relation="equal"), _PAIR, _SKIP),
        "expect_column_pair_values_a_to_be_greater_than_b": RowRule(
            partial(_pair, relation="greater"), _PAIR, (*_SKIP, "or_equal")
        ),
        "expect_column_pair_values_to_be_in_set": RowRule(_pair_listed, _PAIR, (*_SKIP, "value_pairs_set")),
    }
)
"""Every expectation type that can be compiled."""

ACROSS: Final = frozenset(
    {name for name, row_rule in ROW_RULES.items() if row_rule.across}
    | {"expect_column_values_to_not_be_outliers", "expect_column_value_z_scores_to_be_less_than"}
)
"""The types, compiled or not, that tell about a row by looking at others."""
