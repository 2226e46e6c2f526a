"""What a verification proved, what it did not, and how it ends."""

from __future__ import annotations

from flows.plan.reading.unproved import UNEXPLAINED
from flows.plan.reading.unproved import in_words as why_unproved
from flows.plan.thresholds import over_limit
from flows.results.agreement import in_words
from flows.results.outcome import Outcome, Status
from flows.results.shares import counted, percent
from flows.results.tables import Report, TableReport
from flows.spec.model import Spec
from transforms.vocabulary import Counts, Why


def proved(spec: Spec, report: Report, *, apart: bool = False) -> Outcome:
    """How a verification ends, with what it proved in words.

    QUARANTINE where more is set aside than the spec allows. CHANGES where rows differ, where columns are `apart`, where the
    target holds rows that no source row explains, and where it holds rows of a table and none of them could be compared. What both sides
    agreed on last is no reason: rows that are equal may be otherwise there, and it may be lost.
    """
    if over := over_limit(spec, report.counts):
        return Outcome(report, Status.QUARANTINE, over)
    total = report.total
    open_ = [table.name for table in report.tables if _unproved(table)]
    if total.changes or apart or open_:
        what = unequal(total) if total.changes or apart else "Not proved to be equal"
        where = f" ({', '.join(open_)})" if open_ and not total.changes else ""
        return Outcome(report, Status.CHANGES, f"{what}{where}{besides(report)}{_agreed(report)}")
    if not total.unchanged:
        what = (
            "Nothing was compared"
            if total.source_rows or total.target_rows
            else "Nothing to compare: no side has a row"
        )
        return Outcome(report, Status.DONE, f"{what}{besides(report)}{_agreed(report)}")
    are = "is" if total.unchanged == 1 else "are"
    equal = f"Equal: {counted(total.unchanged, 'row')} {are} the same on both sides through the mapping"
    return Outcome(report, Status.DONE, f"{equal}{besides(report)}{_agreed(report)}")


def unequal(total: Counts) -> str:
    """How many rows differ, as the beginning of a sentence."""
    return f"Not equal: {counted(total.changes, 'row')} {'differs' if total.changes == 1 else 'differ'}"


def _agreed(report: Report) -> str:
    """What the base of tables that go both ways adds to it; begins with a blank."""
    proofs = [(table.name, table.agreement) for table in report.tables if table.agreement is not None]
    return "".join(f" {sentence}" for sentence in in_words(proofs))


def _unproved(table: TableReport) -> bool:
    """Whether the target holds rows that nothing explains, or none that was compared."""
    if any(table.unproved.get(why) for why in UNEXPLAINED):
        return True
    compared = table.counts.unchanged + table.counts.changes
    waiting = table.unproved.get("quarantined", 0) + table.unproved.get("ignored", 0)
    return bool(waiting and not compared)


def besides(report: Report) -> str:
    """What was set aside, and which target rows were compared with nothing; ends the sentence."""
    total = report.total
    are = "is" if total.quarantined == 1 else "are"
    aside = f", {counted(total.quarantined, 'source row')} {are} in quarantine" if total.quarantined else ""
    share = f" ({percent(total.quarantined, total.source_rows)})" if total.quarantined else ""
    every: dict[Why, int] = {}
    for table in report.tables:
        for why, rows in table.unproved.items():
            every[why] = every.get(why, 0) + rows
    rest = f" Not proved: {counted(total.unproved, 'target row')}: {why_unproved(every)}." if every else ""
    return f"{aside}{share}.{rest}"
