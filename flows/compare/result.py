"""What a comparison found, in counts and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from flows.results.shares import counted
from transforms.comparing.columns import Column, Where
from transforms.comparing.rows import Compared


@dataclass(frozen=True, slots=True)
class Unread:
    """Rows of a side that cannot travel, such as a text in a column of numbers in SQLite: why, and how many; the first key of each."""

    rows: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """What comparing two sides found.

    Of each side, `rows == same + different + only there + unread`.
    """

    left: str
    right: str
    key: tuple[Column, ...]
    values: tuple[Column, ...]
    types: Mapping[str, tuple[str, str]]
    only: Mapping[Where, tuple[str, ...]]
    unlike: Mapping[str, str]
    found: Compared
    unread: Mapping[Where, Unread]
    seconds: float
    tolerated: bool = False

    @property
    def matched(self) -> int:
        """Pairs of rows."""
        return self.found.same + self.found.different

    @property
    def rows_apart(self) -> int:
        """Rows that are not the same, pairs counted once."""
        return self.found.different + self.found.only_left + self.found.only_right

    @property
    def equal(self) -> bool:
        """Whether all rows and columns that were to be compared are there on both sides, and the same."""
        unread = sum(each.rows for each in self.unread.values())
        return not (self.rows_apart or unread or self.only or self.unlike)

    @property
    def by_column(self) -> dict[str, tuple[int, float | None]]:
        """In how many pairs each compared column differs, and the share in which it does not; None where there are no pairs."""
        pairs = self.matched
        told = {column.name: self.found.differing.get(column.name, 0) for column in self.values}
        return {name: (rows, 1 - rows / pairs if pairs else None) for name, rows in told.items()}

    @property
    def message(self) -> str:
        """How it ended, in a sentence or two."""
        columns = counted(len(self.values), "column")
        if self.equal:
            what = f"Equal: {counted(self.found.same, 'row')}, {columns} beside the key"
            return f"{what}{', within the tolerance' if self.tolerated else ''}."
        apart = [text for text in (self._rows_text, self._columns_text) if text]
        return f"Not equal: {'; '.join(apart)}."

    @property
    def _rows_text(self) -> str:
        found = self.found
        told = [(found.different, "different"), (found.only_left, "only left"), (found.only_right, "only right")]
        unread = sum(each.rows for each in self.unread.values())
        return ", ".join(f"{rows:,} {what}" for rows, what in [*told, (unread, "cannot be read")] if rows)

    @property
    def _columns_text(self) -> str:
        alone = sum(len(names) for names in self.only.values())
        told = [(alone, "on one side alone"), (len(self.unlike), "not compared")]
        return ", ".join(f"{counted(count, 'column')} {what}" for count, what in told if count)

    def as_dict(self) -> dict[str, Any]:
        """The JSON object, without the rows that differ."""
        found = self.found
        sides: tuple[Where, Where] = ("left", "right")
        of: dict[str, Any] = {}
        for side, url, counts in zip(sides, (self.left, self.right), (found.left, found.right), strict=True):
            unread = self.unread.get(side, Unread())
            of[side] = {"url": url} | asdict(counts) | {"unread": unread.rows, "unread_why": dict(unread.reasons)}
            of[side] |= {"columns_alone": list(self.only.get(side, ()))}
        return {
            "equal": self.equal,
            "message": self.message,
            "key": [column.name for column in self.key],
            **of,
            "same": found.same,
            "different": found.different,
            "only_left": found.only_left,
            "only_right": found.only_right,
            "columns": {
                name: {"left": self.types[name][0], "right": self.types[name][1], "different": rows, "match": match}
                for name, (rows, match) in self.by_column.items()
            },
            "not_compared": dict(self.unlike),
            "seconds": round(self.seconds, 3),
        }
