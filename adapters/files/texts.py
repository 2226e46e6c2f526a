"""Texts of files as values of a type, exactly or not at all, and which type all texts of a column have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from adapters.duckdb.design import literal
from adapters.duckdb.snapshot import Session
from adapters.duckdb.types import quoted
from adapters.files.formats import Format

SAMPLE_ROWS: Final = 100_000  # which say of what type a column is that is not declared
_CLOCK: Final = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6}0*)?)?"
_ISO: Final[Mapping[str, str]] = {
    "DATE": r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "TIMESTAMP": rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[ T]{_CLOCK}",
    "TIMESTAMP WITH TIME ZONE": rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[ T]{_CLOCK}(Z|[+-][0-9]{{2}}(:?[0-9]{{2}})?)",
    "TIME": _CLOCK,
    "UUID": r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
}
_DATES: Final = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y")
_TRUTHS: Final = {"true": ("true", "t", "yes", "y", "1"), "false": ("false", "f", "no", "n", "0")}
_MOST_DIGITS: Final = 38
_USUAL_DIGITS: Final = 18


def not_finite(json: str) -> str:
    """SQL of whether a text that DuckDB takes for JSON has NaN or an infinity, which are none."""
    word = "'(?i)nan|inf'"
    strings = literal(r'"(\\.|[^"\\])*"')
    return f"(regexp_matches({json}, {word}) AND regexp_matches(regexp_replace({json}, {strings}, '', 'g'), {word}))"


def as_value(text: str, native: str, format: Format) -> str:
    """SQL of a text as a value of the type; null where it is none, or would lose something."""
    if native == "VARCHAR":
        return text
    if native == "JSON":
        return f"CASE WHEN json_valid({text}) AND NOT {not_finite(text)} THEN CAST({text} AS JSON) END"
    if native == "BOOLEAN":
        # of IN with so many DuckDB makes a join, which costs more and mixes the order of the rows
        told = [f"WHEN {literal(each)} THEN {value}" for value, some in _TRUTHS.items() for each in some]
        return f"CASE lower({text}) {' '.join(told)} END"
    if native == "DATE" and format.dates:
        return f"CAST(try_strptime({text}, {literal(format.dates)}) AS DATE)"
    if native.startswith("TIMESTAMP") and format.timestamps:
        return f"CAST(try_strptime({text}, {literal(format.timestamps)}) AS {native})"
    if native in _ISO:
        return _matched(text, _ISO[native], text, native)
    return _matched(text, _number(native, format.decimal or "."), _pointed(text, format), native)


def _matched(text: str, pattern: str, read: str, native: str) -> str:
    return f"CASE WHEN regexp_full_match({text}, {literal(pattern)}) THEN TRY_CAST({read} AS {native}) END"


def _pointed(text: str, format: Format) -> str:
    return text if format.decimal in (None, ".") else f"replace({text}, {literal(format.decimal or '')}, '.')"


def _number(native: str, point: str) -> str:
    dot = re.escape(point)
    if found := re.fullmatch(r"DECIMAL\(\d+,(\d+)\)", native):
        return rf"[+-]?[0-9]*({dot}[0-9]{{0,{found[1]}}}0*)?"
    if native == "DOUBLE":
        return rf"[+-]?([0-9]+{dot}?[0-9]*|{dot}[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(inf|infinity)|nan"
    return r"[+-]?[0-9]+"


def profiled(session: Session, texts: str, names: Iterable[str], format: Format) -> Format:
    """The format with types for all columns: what all texts of the first SAMPLE_ROWS of `texts`, which stands behind FROM, are.

    Numbers with leading zeros stay texts. A decimal comma and days before months are taken where everything else is wrong.
    """
    open_ = [each for each in names if each not in format.types]
    if not open_:
        return format
    sample = f"(SELECT * FROM {texts} LIMIT {SAMPLE_ROWS})"  # noqa: S608
    told = {each: _facts(session, sample, each, format) for each in open_}
    if format.decimal is None and _only_commas(told.values()):
        format = replace(format, decimal=",")
        told = {each: _facts(session, sample, each, format) for each in open_}
    if format.dates is None and (dates := _dates(told.values())):
        format = replace(format, dates=dates)
    return replace(format, types={**format.types, **{each: _type(told[each], format) for each in open_}})


def _facts(session: Session, sample: str, name: str, format: Format) -> dict[str, Any]:
    text, iso = quoted(name), replace(format, dates=None)
    number = rf"[+-]?[0-9]*({re.escape(format.decimal or '.')}[0-9]*)?"
    asked = {
        "texts": f"count({text})",
        "zeros": f"bool_or(regexp_matches({text}, '^[+-]?0[0-9]'))",
        "commas": f"bool_and(regexp_full_match({text}, '[+-]?[0-9]+(,[0-9]+)?')) AND bool_or(contains({text}, ','))",
        "decimal": f"bool_and(regexp_full_match({text}, {literal(number)}) AND regexp_matches({text}, '[0-9]'))",
        "scale": f"max(length(regexp_extract({text}, {literal(re.escape(format.decimal or '.') + '([0-9]*)')}, 1)))",
        "whole": f"max(length(regexp_extract({text}, '[0-9]*[0-9]')))",
        "truths": f"bool_and(lower({text}) IN ('true', 'false'))",
    }
    kinds = ("BIGINT", "DOUBLE", "DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIME", "UUID")
    asked |= {kind: f"bool_and({as_value(text, kind, iso)} IS NOT NULL)" for kind in kinds}
    asked |= {each: f"bool_and(try_strptime({text}, {literal(each)}) IS NOT NULL)" for each in _DATES}
    listed = ", ".join(f"{sql} AS {quoted(called)}" for called, sql in asked.items())
    return session.rows(f"SELECT {listed} FROM {sample} WHERE {text} IS NOT NULL")[0]  # noqa: S608


def _only_commas(told: Iterable[Mapping[str, Any]]) -> bool:
    found = list(told)
    return any(each["commas"] for each in found) and not any(each["decimal"] and each["scale"] for each in found)


def _dates(told: Iterable[Mapping[str, Any]]) -> str | None:
    """The one format that all dates have which are not those of ISO 8601."""
    odd = [each for each in told if not each["DATE"] and any(each[one] for one in _DATES)]
    fitting = [one for one in _DATES if odd and all(each[one] for each in odd)]
    return fitting[0] if len(fitting) == 1 and not any(each["DATE"] for each in told) else None


def _type(told: Mapping[str, Any], format: Format) -> str:
    if not told["texts"]:
        return "VARCHAR"
    if told["BIGINT"] and not told["zeros"]:
        return "BIGINT"
    if told["decimal"] and not told["zeros"] and told["whole"] + told["scale"] <= _MOST_DIGITS:
        return f"DECIMAL({max(_USUAL_DIGITS, told['whole'] + told['scale'])},{told['scale']})"
    if told["DOUBLE"] and not told["zeros"]:
        return "DOUBLE"
    if format.dates and told[format.dates]:
        return "DATE"
    for kind in ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIME", "UUID"):
        if told[kind]:
            return kind
    return "BOOLEAN" if told["truths"] else "VARCHAR"
