"""The matrix of casts as a page of the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cast_oracle import CASTS
from type_samples import Sample
from type_table import NAMES, NOTES, _code, _sentence, _short

if TYPE_CHECKING:
    from scenario import Engine

MOST = 9  # values in a note

INTRO = f"""\
# Casts to numbers and texts

What becomes of the values of each scalar type under `cast: double`, `cast: real`, `cast: text` and
`cast: "{CASTS["decimal"]}"`. There is a section for each source, a line in it for each of its types, and a cell for each cast:

- *all*: every value that was tried arrived, and is what an oracle says, to the last bit: the nearest double or real (ties to
  even, rounded once), the exact decimal, the text that reads back.
- *all but* (3): note 3 below the table lists values that have no equal in the other type. A row with one goes to quarantine.
- *none*: no value that was tried has an equal there. Types that are like that in every number are named below the table.
- *refused* (7): `syncline check` refuses the cast before anything is read, and note 7 has its words.

A number fits a double or real where the float is exactly that number, or the shortest text of the float is, or no other number
with as many decimal places is as near to it: 5477.40 fits, 9007199254740993 does not. A whole float becomes that whole number; another
one becomes the decimal that its shortest text names.

Nothing here is typed by hand: `UPDATE_DOCS=1 pytest tests/laws/test_cast_matrix.py` writes this page. The test casts the values at the
ends of each type, and others where casts go wrong, into DuckDB, reads both sides through the engines' own drivers, and reckons
what must have arrived with whole numbers alone (`tests/support/cast_oracle.py`).
"""


PLAIN = ["none", "none", "all", "none"]  # of a type whose values are no numbers


@dataclass
class Cell:
    """What became of one type under one cast: why it is refused, or which values have no equal there."""

    refused: str = ""
    aside: dict[str, list[str]] = field(default_factory=dict)  # by reason


def document(found: Mapping[Engine, tuple[tuple[Sample, ...], Mapping[tuple[str, str], Cell]]]) -> str:
    parts = [INTRO]
    for engine, (samples, cells) in found.items():
        notes: dict[str, int] = {}
        wordy = []
        lines = [f"| {NAMES[engine]} | {' | '.join(CASTS.values())} |", "|---" * (len(CASTS) + 1) + "|"]
        for sample in samples:
            name = sample.named or _code(sample.native)
            shown = [_cell(sample, cells[sample.name, cast], engine, notes) for cast in CASTS]
            if shown == PLAIN:
                wordy.append(name)
            else:
                lines.append(f"| {name} | {' | '.join(shown)} |")
        parts += [f"## From {NAMES[engine]}", "\n".join(lines)]
        parts.append(f"All as texts, and none as numbers: {', '.join(wordy)}.")
        parts += [NOTES.format(NAMES[engine]), "\n".join(f"{number}. {note}" for note, number in notes.items())]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _cell(sample: Sample, cell: Cell, engine: Engine, notes: dict[str, int]) -> str:
    if cell.refused:
        return f"*refused* ({notes.setdefault(_sentence(cell.refused), len(notes) + 1)})"
    if sum(map(len, cell.aside.values())) == len(sample.values):
        return "none"
    said = [f"{_listed(values, engine)}: {_sentence(reason)}" for reason, values in cell.aside.items()]
    numbers = sorted(notes.setdefault(each, len(notes) + 1) for each in said)
    return f"all but ({', '.join(map(str, numbers))})" if numbers else "all"


def _listed(values: list[str], engine: Engine) -> str:
    shown = [_code(" ".join(_short(each, engine).split()) or "(empty)") for each in values[:MOST]]
    return ", ".join(shown) + (f" and {len(values) - MOST} more" if len(values) > MOST else "")
