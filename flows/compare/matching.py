"""Which columns of two sides are compared, and by which rows are matched."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from flows.spec.problems import meant
from transforms.comparing.columns import WHERE, Column, Columns, Unlike, Where, common
from transforms.vocabulary import ColumnShape, Problem, SpecError, TableShape
from transforms.vocabulary.values import Tolerance


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a command line asks for: names, or `left=right` where a column is called otherwise on the right.

    Without a `key` it is the primary key that a side declares, without `columns` all that both sides have.
    """

    key: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    tolerances: Mapping[str, Tolerance] = field(default_factory=dict)
    time_zone: str | None = None


@dataclass(frozen=True, slots=True)
class Matched:
    """The columns of both sides, those that one side has alone, and why others are not compared, by name."""

    columns: Columns
    only: Mapping[Where, tuple[str, ...]]
    unlike: Mapping[str, str]


def tolerances(texts: Iterable[str]) -> dict[str, Tolerance]:
    """`column=0.01` in the column's unit, `column=0.1%` of the larger value. 0 is none. SpecError for what is neither."""
    found: dict[str, Tolerance] = {}
    for text in texts:
        name, equals, size = text.rpartition("=")
        share = size.strip().endswith("%")
        try:
            number = float(size.strip().removesuffix("%"))
        except ValueError:
            number = math.nan
        if not (name and equals and math.isfinite(number) and number >= 0 and not (share and number >= 100)):
            raise SpecError(f"--tolerance {text} says nothing.", fix="write --tolerance price=0.01, or price=0.1%.")
        if number:
            found[name] = Tolerance(relative=number / 100) if share else Tolerance(absolute=number)
    return found


def split_names(texts: Iterable[str]) -> tuple[str, ...]:
    """The names of one or more options, each a list with commas; a name with a comma stands in quotes."""
    import csv

    return tuple(name.strip() for row in csv.reader(texts, skipinitialspace=True) for name in row if name.strip())


def matched(left: TableShape, right: TableShape, wanted: Wanted) -> Matched:
    """Match the columns of two sides. SpecError with every problem, a line each."""
    problems: list[Problem] = []
    shapes: dict[Where, TableShape] = {"left": left, "right": right}
    key = [_pair(name, shapes, problems, "--key") for name in wanted.key or _declared(left, right)]
    of_key = [each for each in key if each is not None]
    if wanted.columns:
        named = [_pair(name, shapes, problems, "--columns") for name in wanted.columns]
    else:
        taken = {side: {each[place] for each in of_key} for place, side in enumerate(WHERE)}
        named = [(n, n) for n in left.names if n in right.names and n not in taken["left"] | taken["right"]]
    values = [each for each in named if each is not None and each not in of_key]
    unlike: dict[str, str] = {}
    made: dict[str, Column] = {}
    for names in dict.fromkeys([*of_key, *values]):
        both = _shape(left, names[0]), _shape(right, names[1])
        found = common(*both, wanted.time_zone)
        if isinstance(found, Unlike) or (names in of_key and found.meaning == "json"):
            why = f"{found.what}{_zone_hint(found)}" if isinstance(found, Unlike) else "JSON is no key"
            if names in of_key or wanted.columns:
                problems.append(Problem(f"{_shown(names)} cannot be compared: {why}.", _way_out(names in of_key)))
            unlike[_shown(names)] = why
        else:
            made[names[0]] = Column(*names, found, wanted.tolerances.get(names[0]))
    problems += _tolerance_problems(wanted, made, {each[0] for each in of_key})
    problems += _twice([*of_key, *values])
    if problems:
        raise SpecError.of(problems)
    columns = Columns(tuple(made[one] for one, _ in of_key), tuple(made[one] for one, _ in values if one in made))
    return Matched(columns, {} if wanted.columns else _only(shapes, [*of_key, *values]), unlike)


def _declared(left: TableShape, right: TableShape) -> tuple[str, ...]:
    """The primary key that one side declares, or both alike. SpecError where there is none, or are two."""
    keys = {each.primary_key for each in (left, right) if each.primary_key}
    if len({frozenset(each) for each in keys}) == 1:
        return left.primary_key or right.primary_key
    what = "No side declares a primary key." if not keys else "The primary keys of both sides are not the same columns."
    raise SpecError(what, fix="name the columns that rows are matched by: --key id, or --key id=ID.")


def _pair(
    text: str, shapes: Mapping[Where, TableShape], problems: list[Problem], option: str
) -> tuple[str, str] | None:
    """The names of a column on both sides, which the catalogs have so; None where one has not."""
    if all(text in each.names for each in shapes.values()):
        return text, text
    left, equals, right = text.partition("=")
    names = (left.strip(), right.strip()) if equals else (text, text)
    lost = [(side, name) for side, name in zip(WHERE, names, strict=True) if name not in shapes[side].names]
    for side, name in lost:
        other = " An other name on the right is said so: left=right." if not equals else ""
        fix = f"correct {option}.{other}"
        problems.append(Problem(f"the {side} side has no column {name!r}. {meant(name, shapes[side].names)}", fix))
    return None if lost else names


def _shape(table: TableShape, name: str) -> ColumnShape:
    found = table.column(name)
    assert found is not None, "its name was looked up"
    return found


def _shown(names: tuple[str, str]) -> str:
    return names[0] if names[0] == names[1] else f"{names[0]}={names[1]}"


def _zone_hint(found: Unlike) -> str:
    return "; --time-zone says where times without one are" if found.zone else ""


def _way_out(key: bool) -> str:
    return "cast it in a query, as in 'URL#(SELECT …)', or " + ("choose another key." if key else "leave it out.")


def _tolerance_problems(wanted: Wanted, made: Mapping[str, Column], key: set[str]) -> Iterable[Problem]:
    for name in wanted.tolerances:
        if name in key:
            yield Problem(f"{name} is of the key, which is compared exactly.", "leave its --tolerance out.")
        elif name not in made:
            yield Problem(f"there is no compared column {name!r}. {meant(name, made)}", "correct --tolerance.")
        elif not made[name].takes_tolerance:
            yield Problem(f"{name} is no number, and only numbers have a tolerance.", "leave its --tolerance out.")


def _twice(names: Sequence[tuple[str, str]]) -> Iterable[Problem]:
    for place, side in enumerate(WHERE):
        every = [each[place] for each in dict.fromkeys(names)]
        for name in dict.fromkeys(each for each in every if every.count(each) > 1):
            yield Problem(f"{name!r} of the {side} side is named twice.", "name it once.")


def _only(shapes: Mapping[Where, TableShape], names: Sequence[tuple[str, str]]) -> dict[Where, tuple[str, ...]]:
    found: dict[Where, tuple[str, ...]] = {}
    for place, side in enumerate(WHERE):
        used = {each[place] for each in names}
        if left := tuple(name for name in shapes[side].names if name not in used):
            found[side] = left
    return found


def checked_zone(name: str | None) -> str | None:
    """A time zone by its name. SpecError for one that is not known."""
    if name is None:
        return None
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SpecError(f"{name!r} is no time zone.", fix="write one such as Europe/Vienna or UTC.") from error
    return name
