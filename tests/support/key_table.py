"""What becomes of each shape of foreign keys as a page of the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from key_shapes import FOUR, SHAPES
from type_table import NAMES

if TYPE_CHECKING:
    from scenario import Engine

INTRO = """\
# Foreign keys

What Syncline makes of a change that the target's foreign keys want in an order of its own. There is a line for each shape of keys,
and a cell for each engine of the target:

- *yes*: a run brings the target from one state to the other with all keys on, the next one has nothing to do, and `undo` gives
  the first state back. Nothing is done by the engine's own actions that the plan does not say, count and keep.
- *refused* (2): before anything is written, for the reason of note 2.
- *set aside* (3): rows do not go in, or stay; note 3 has the codes of [reasons and warnings](reasons.md). All others go in.
- *first load* or *undo* before these say which step it is about, where the others go well.
- –: the engine has no such key (DuckDB has neither actions nor keys that are added later, MariaDB no deferred ones and no SET DEFAULT).

In each line rows come, change and go; windows are as large as all of them where nothing else is said.
"""

OUTRO = """\
Nothing here is typed by hand: `UPDATE_DOCS=1 pytest tests/laws/test_foreign_keys.py` writes this page. The shapes, with their tables
and both states, are in `tests/support/key_shapes.py`.
"""


@dataclass(frozen=True)
class Cell:
    """What became of a shape on an engine: `yes`, `refused`, `set aside` or –, in which step, and why."""

    what: str
    step: str = ""
    why: str = ""


def document(found: Mapping[tuple[str, Engine], Cell]) -> str:
    notes: dict[str, int] = {}

    def shown(cell: Cell) -> str:
        if not cell.why:
            return cell.what
        number = notes.setdefault(cell.why, len(notes) + 1)
        return f"{cell.step} *{cell.what}* ({number})".strip()

    lines = [f"| shape | | {' | '.join(NAMES[engine] for engine in FOUR)} |", "|---" * (len(FOUR) + 2) + "|"]
    for shape in SHAPES:
        cells = " | ".join(shown(found[shape.name, engine]) for engine in FOUR)
        lines.append(f"| **{shape.name}** | {shape.about} | {cells} |")
    listed = "\n".join(f"{number}. {why}" for why, number in notes.items())
    return "\n\n".join(part.strip() for part in (INTRO, "\n".join(lines), listed, OUTRO) if part.strip()) + "\n"
