"""How a command ended with each of many clients or targets, and with all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from flows.results.differing import Differing
from flows.results.shares import counted
from transforms.vocabulary import Counts

WORST: Final = (1, 3, 4, 5, 6, 2, 0)
"""Exit statuses, worst first."""
ENDS: Final = {
    0: "done", 1: "failed", 2: "with changes pending", 3: "held by a checkpoint", 4: "above the limit of quarantine",
    5: "with open conflicts", 6: "with a hook that failed",
}  # fmt: skip
NAMED: Final = ("failed", "away")
"""Ends that are said with names."""
COUNTS: Final = ("insert", "update", "delete", "unchanged", "quarantined")


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended with one. `status`: of the command; `away`: it was not there; `counts`: of all its tables, where rows were looked at;
    `page`: its own report; `differing`: whether both sides differ, where that was looked at."""

    name: str
    status: int
    message: str = ""
    away: bool = False
    counts: Counts | None = None
    version: int | None = None
    seconds: float = 0.0
    page: str | None = None
    differing: Differing | None = None

    @property
    def how(self) -> str:
        return "away" if self.away else ENDS.get(self.status, "failed")

    def as_dict(self) -> dict[str, Any]:
        rows = {} if self.counts is None else {name: getattr(self.counts, name) for name in COUNTS}
        apart = {} if self.differing is None else {"differs": self.differing.as_dict()}
        return {
            "how": self.how, "status": self.status, "message": self.message, **rows, **apart, "version": self.version,
            "seconds": round(self.seconds, 3), "report": self.page,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Summary:
    """How a command of a spec ended with each; `word` says whether they are clients or targets."""

    migration: str
    command: str
    word: str
    each: tuple[Ended, ...]

    @property
    def status(self) -> int:
        """The worst of all."""
        return min((ended.status for ended in self.each), key=WORST.index, default=0)

    @property
    def total(self) -> Counts:
        return sum((ended.counts for ended in self.each if ended.counts is not None), Counts())

    @property
    def line(self) -> str:
        """How many ended how, the worst of them last: `3 targets: 2 done, 1 failed (graz).`"""
        ends = [*(ENDS[each] for each in reversed(WORST)), "away"]
        found = [(how, [each.name for each in self.each if each.how == how]) for how in ends]
        parts = [f"{len(names)} {how}{f' ({_some(names)})' if how in NAMED else ''}" for how, names in found if names]
        known = [each for each in self.each if each.differing is not None]
        apart = [each.name for each in known if each.differing is not None and each.differing.total]
        verb = "differs" if len(apart) == 1 else "differ"
        differ = f" {len(apart):,} {verb}: {_some(apart)}." if apart else " None differs." if known else ""
        return f"{counted(len(self.each), self.word)}: {', '.join(parts)}.{differ}"

    def as_dict(self) -> dict[str, Any]:
        return {
            "migration": self.migration, "command": self.command, "status": self.status, "message": self.line,
            "total": {name: getattr(self.total, name) for name in COUNTS},
            "each": {ended.name: ended.as_dict() for ended in self.each},
        }  # fmt: skip


def _some(names: list[str], most: int = 10) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
