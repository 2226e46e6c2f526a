"""Stages: the steps in which a plan is applied, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from transforms.vocabulary.names import Phase, TableName

Do = Literal["create", "add_columns", "write", "number", "constrain", "drop"]
"""What a stage does with its table:

create, add_columns: make it, or columns of it, where they are not there. write: bring windows in, each in one transaction.
number: let its sequences follow the numbers that were written. constrain: add foreign keys and indexes. drop: take it away,
where it holds no rows.
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """A step of applying a plan, of one table. Safe to repeat.

    Of a `write`: `windows` go in at once, or `in_turn`, each whole or, as `phase` says, only its inserts and updates, or its
    deletes. Stages that follow each other with one number in `together`, above 0, go in in one transaction, whose foreign keys wait
    for its end.
    """

    do: Do
    table: TableName
    phase: Phase = "all"
    windows: tuple[int, ...] = ()
    in_turn: bool = False
    together: int = 0

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, for people: how many windows there are, not which."""
        rows = {"phase": self.phase, "windows": len(self.windows), "in_turn": self.in_turn}
        rows |= {"together": self.together} if self.together else {}
        return {"do": self.do, "table": str(self.table)} | (rows if self.do == "write" else {})
