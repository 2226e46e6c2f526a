"""Orphans as a report says them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from transforms.vocabulary import Key, Notice

By = Literal["foreign key", "lookup"]
"""What makes a reference of a column: the target's own constraint, or a lookup of the mapping."""


@dataclass(frozen=True, slots=True)
class Orphans:
    """What became of one reference: how many target rows find no row there, and the keys of some, as JSON.

    `held`: the engine itself allows none, so that nothing was read.
    """

    table: str
    columns: Key
    refers: str
    refers_columns: Key
    by: By
    rows: int = 0
    keys: tuple[str, ...] = ()
    held: bool = False

    @property
    def told(self) -> str:
        """The orphans in a line."""
        one = self.rows == 1
        return (
            f"{self.table}: {self.rows:,} {'row' if one else 'rows'} of the target {'refers' if one else 'refer'} by "
            f"({', '.join(self.columns)}) to a row of {self.refers} ({', '.join(self.refers_columns)}) that is not there, such "
            f"as {', '.join(self.keys)}. Fix: mend or delete them; where the mapping makes them, take the column from a "
            f"`lookup`."
        )

    @property
    def notice(self) -> Notice:
        facts = {"rows": self.rows, "columns": list(self.columns), "refers": self.refers}
        return Notice("orphans", self.told, self.table, facts)

    def as_dict(self) -> dict[str, Any]:
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
