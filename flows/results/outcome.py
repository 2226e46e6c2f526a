"""How a command ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from time import perf_counter
from typing import Final

from flows.results.shares import counted
from flows.results.tables import Report
from transforms.vocabulary import OPS, Notice

NAMED: Final = 5  # tables of a question


class Status(IntEnum):
    """How a command ends; the numbers are its exit statuses."""

    DONE = 0
    ERROR = 1
    CHANGES = 2
    CHECKPOINT = 3
    QUARANTINE = 4
    CONFLICTS = 5
    HOOK = 6


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did and how it ends; `message` says what a person should know or do next."""

    report: Report
    status: Status
    message: str = ""


def noting(outcome: Outcome, ended: Sequence[Notice]) -> Outcome:
    """The outcome with what became of runs that had been cut off."""
    return replace(outcome, report=replace(outcome.report, warnings=(*ended, *outcome.report.warnings)))


def timed(outcome: Outcome, began: float) -> Outcome:
    """The outcome with the time since a reading of the clock."""
    return replace(outcome, report=replace(outcome.report, seconds=perf_counter() - began))


def deletes_asked(report: Report) -> str:
    """What a person is asked before rows are deleted; empty where none is."""
    deletes = [(told.title, told.counts.delete) for told in report.tables]
    deletes += [
        (f"{told.back_table} in the source", told.back.delete) for told in report.tables if told.back is not None
    ]
    some = [f"{rows:,} of {name}" for name, rows in sorted(deletes, key=lambda each: -each[1]) if rows]
    if not some:
        return ""
    more = [f"{len(some) - NAMED:,} tables more"] if len(some) > NAMED else []
    return f"Delete {counted(sum(rows for _, rows in deletes), 'row')}: {', '.join([*some[:NAMED], *more])}?"


def in_source(report: Report, *, done: bool) -> str:
    """What happens to the source, where changes go both ways, as a sentence behind another one."""
    counts = [told.back for told in report.tables if told.back is not None]
    if not counts:
        return ""
    insert, update, delete = (sum(getattr(each, op) for each in counts) for op in OPS)
    if done:
        return f" In the source {insert:,} inserted, {update:,} updated, {delete:,} deleted."
    return f" In the source {insert:,} to insert, {update:,} to update, {delete:,} to delete."
