"""How a command ends."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from flows.results.tables import Report


class Status(IntEnum):
    """How a command ends; the numbers are its exit statuses."""

    DONE = 0
    ERROR = 1
    CHANGES = 2
    CHECKPOINT = 3
    QUARANTINE = 4
    CONFLICTS = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did and how it ends; `message` says what a person should know or do next."""

    report: Report
    status: Status
    message: str = ""
