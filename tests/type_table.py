"""The type matrix as a page of the documentation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from scenario import Engine
from type_samples import SAMPLES

NAMES: dict[Engine, str] = {
    "postgresql": "PostgreSQL",
    "mysql": "MariaDB",
    "sqlite": "SQLite",
    "duckdb": "DuckDB",
}
SHOWN = 48  # characters of a value

INTRO = """\
# Types between engines

This page is written by `tests/test_type_matrix.py` (`UPDATE_DOCS=1 pytest tests/test_type_matrix.py`): nothing in it is
typed by hand. For each type of a source the test fills a column with the values at its ends (smallest, largest, zero,
negative, empty, NaN, infinities, most decimal places, the years 1 and 9999, microseconds, letters of four bytes, texts
and bytes of one MiB) and null, lets Syncline make the target's table, and reads both sides through the engines' own
drivers. Then the second plan is empty, and `verify` agrees.

Each cell says which type the target's column gets. Where nothing else is said, every value arrived exactly. A number
refers to the notes below the table, which list the values that the target cannot hold, or that are none of the source's
declared type: their rows go to quarantine with the reason given there, and all others arrive. *Refused* means that
`syncline check` says so before anything is read; where a cast helps, the test took exactly that cast.

A type that the target does not have arrives as text in the source's own notation, and numbers beyond the target's
precision as text in plain digits. A table that is there already may have other types: then a value fits exactly, or its
row is set aside, or `check` asks for a `cast`.
"""


@dataclass(frozen=True)
class Cell:
    """What became of one type on one target: the column's type, or why there is none, and the values set aside."""

    native: str
    refused: str = ""
    cast: str = ""
    aside: dict[str, list[str]] = field(default_factory=dict)


def document(found: Mapping[tuple[Engine, Engine], Mapping[str, Cell]]) -> str:
    engines = list(dict.fromkeys(source for source, _ in found))
    parts = [INTRO]
    for source in engines:
        notes: dict[str, int] = {}  # each with its number
        lines = [
            f"| {NAMES[source]} | {' | '.join(f'to {NAMES[target]}' for target in engines)} |",
            "|---" * (len(engines) + 1) + "|",
        ]
        for sample in SAMPLES[source]:
            cells = [_cell(found[source, target][sample.name], sample.name, notes) for target in engines]
            lines.append(f"| {_code(sample.native) if not sample.named else sample.named} | {' | '.join(cells)} |")
        parts += [f"## From {NAMES[source]}", "\n".join(lines)]
        parts.append("\n".join(f"{number}. {note}" for note, number in notes.items()))
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _cell(cell: Cell, name: str, notes: dict[str, int]) -> str:
    numbers = []
    if cell.refused:
        reason = re.sub(rf"^the source column {re.escape(name)} \((.*?)\) cannot", "cannot", cell.refused)
        numbers.append(notes.setdefault(_sentence(reason[0].upper() + reason[1:]), len(notes) + 1))
    for reason, values in cell.aside.items():
        shown = ", ".join(_code(_short(each)) for each in values)
        reason = reason.removeprefix(f"column {name}: ").replace(f" {name} ({cell.native})", f" {cell.native}")
        numbers.append(notes.setdefault(f"{shown}: {_sentence(reason)}", len(notes) + 1))
    native = re.sub(r"^((small|medium|big)?int)\(\d+\)", r"\1", cell.native)  # the width that some versions show
    said = _code(native) if cell.native else "*refused*"
    if cell.cast:
        said += f" with `cast: {cell.cast}`"
    return f"{said} ({', '.join(map(str, numbers))})" if numbers else said


def _sentence(text: str) -> str:
    return text.replace("|", "\\|").rstrip(".") + "."


def _code(text: str) -> str:
    return f"`{text.replace('|', chr(92) + '|')}`"


def _short(literal: str) -> str:
    plain = re.fullmatch(r"'((?:[^']|'')*)'", literal)
    text = plain[1].replace("''", "'") if plain else literal
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
