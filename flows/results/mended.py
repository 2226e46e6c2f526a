"""Values that differ from the source's because the spec says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from flows.bind.tables import BoundTable
from flows.plan.decide import Planned
from transforms.vocabulary import Notice, Reason, text_of


def mended(bound: BoundTable, planned: Sequence[Planned]) -> list[Notice]:
    """A line for each column whose values differ from the source's because the spec says so, with their number."""
    found: Counter[Reason] = Counter()
    for outcome in planned:
        found.update(outcome.mended)
    notices = []
    for reason, count in found.items():
        what = f"{text_of(reason)} in {count:,} of the rows that were read, as the spec says."
        facts = {"reason": reason.code, "column": reason.column, "rows": count}
        notices.append(Notice("changed_values", f"{bound.name}.{reason.column}: {what}", bound.name, facts))
    return sorted(notices, key=str)
