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

What becomes of a column when Syncline makes the target's table. There is a section for each source, a line in it for each
of its types, and a cell for each target:

- `numeric(10,2)`: the target's column gets this type, and every value that was tried arrived exactly.
- `REAL` (3): the same, but note 3 below the table lists values that cannot arrive, with the reason. A row with one of them
  goes to quarantine, and all others arrive.
- `longtext` with `cast: text` (1): `syncline check` refuses the column and says which cast helps; note 1 has its words.
  With that cast every value arrived.
- *refused* (7): `syncline check` refuses the column before anything is read, and says in note 7 what helps.

A type that the target does not have arrives as text in the source's own notation, and numbers beyond the target's
precision as text in plain digits. A table that is there already may have other types: then a value fits exactly, or its
row is set aside, or `check` asks for a `cast`.

Nothing here is typed by hand: `UPDATE_DOCS=1 pytest tests/laws/test_type_matrix.py` writes this page. For each type the test
fills a column with the values at its ends (smallest, largest, zero, negative, empty, NaN, infinities, most decimal places,
the years 1 and 9999, microseconds, letters of four bytes, texts and bytes of one MiB) and null, runs the migration, and
reads both sides through the engines' own drivers. After it the next plan is empty and `verify` agrees, and so they do once
more after rows and values were taken from the target and brought back.
"""
NOTES = "Notes on {}, each with the values it is about:"


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
            cells = [_cell(found[source, target][sample.name], sample.name, source, notes) for target in engines]
            lines.append(f"| {_code(sample.native) if not sample.named else sample.named} | {' | '.join(cells)} |")
        parts += [f"## From {NAMES[source]}", "\n".join(lines), NOTES.format(NAMES[source])]
        parts.append("\n".join(f"{number}. {note}" for note, number in notes.items()))
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _cell(cell: Cell, name: str, source: Engine, notes: dict[str, int]) -> str:
    told: dict[str, list[str]] = {}
    if cell.refused:
        reason = re.sub(rf"^the source column {re.escape(name)} \((.*?)\) cannot be read exactly: ", "", cell.refused)
        told[reason.replace(f"{name} is", "it is", 1) if reason.startswith(f"{name} is") else reason] = ["every value"]
    for reason, values in cell.aside.items():
        plain = reason.removeprefix(f"column {name}: ").replace(f" {name} ({cell.native})", f" {cell.native}")
        for each in values:
            told.setdefault(_without_subject(plain, each), []).append(_code(_short(each, source)))
    said = [f"{', '.join(values)}: {_sentence(reason)}" for reason, values in told.items()]
    numbers = sorted(notes.setdefault(each, len(notes) + 1) for each in said)
    native = re.sub(r"^((small|medium|big)?int)\(\d+\)", r"\1", cell.native)  # the width that some versions show
    shown = _code(native) if cell.native else "*refused*"
    if cell.cast:
        shown += f" with `cast: {cell.cast}`"
    return f"{shown} ({', '.join(map(str, numbers))})" if numbers else shown


_SUBJECT = re.compile(
    r"(?:(?:text '(.*)'|(?:integer|real) (\S+)|(a blob) of \d+ bytes|([\d.-]+(?: [\d:.]+)?)) )?is (?=(?:not|no) )"
)


def _without_subject(reason: str, literal: str) -> str:
    """A reason without the value, which is said in front of it, so that one note is about many. A value that the
    source has made another of (SQLite stores 2^63 as a float) stays in it."""
    found = _SUBJECT.match(reason)
    named = next((each for each in found.groups() if each), None) if found else None
    same = named is None or named == "a blob" or named.startswith(literal.strip("'"))
    return reason[found.end() :] if found and same else reason


def _sentence(text: str) -> str:
    return text.replace("|", "\\|").rstrip(".") + "."


def _code(text: str) -> str:
    return f"`{text.replace('|', chr(92) + '|')}`"


def _short(literal: str, source: Engine) -> str:
    """A value as it is read best. In SQLite quotes tell a text from a number."""
    plain = re.fullmatch(r"'((?:[^']|'')*)'", literal) if source != "sqlite" else None
    text = plain[1].replace("''", "'") if plain else literal
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
