"""Rows that wait for others: set aside for what these are, or kept in the target though the source has them no more.

They are looked at again behind each batch, since the others may be other ones by now.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from adapters.ledger.ledger import Ledger
from flows.follow.positions import KIND
from flows.history.quarantine import Filter, retry
from flows.plan.request import Request
from flows.results.outcome import Outcome
from flows.session.retry import retried
from flows.spec.model import Spec
from transforms.vocabulary.reasons import Code

WAITING: Final[tuple[Code, ...]] = (
    "no_match", "parent_quarantined", "no_parent", "duplicate_key", "colliding_key", "taken_key", "refused", "refused_on_write",
    "referred",
)  # fmt: skip
"""Why rows are set aside that other rows have to do with."""

Keys = Mapping[str, frozenset[str]]
"""Keys by table of the spec, as JSON arrays."""


@dataclass(slots=True)
class Waiting:
    """What waits. `kept` are rows that the source has no more and the target keeps, since others there refer to them: nothing tells of
    them when those let go. The ledger has them; what is kept of a plan is its first thousand of a table."""

    spec: Spec
    ledger: Ledger
    kept: Keys = field(default_factory=dict)

    @classmethod
    def of(cls, spec: Spec, ledger: Ledger) -> Waiting:
        """What waits since an earlier batch."""
        text = ledger.fact(spec.name, KIND, "kept").get("target") if ledger.there() else None
        found = json.loads(text) if text else {}
        return cls(spec, ledger, {name: frozenset(some) for name, some in found.items() if name in spec.tables})

    def compared(self, outcome: Outcome, tables: Sequence[str]) -> None:
        """Some tables, or all, were compared in full: nothing else of them waits than what is kept now."""
        left = {name: some for name, some in self.kept.items() if tables and name not in tables}
        self._keep(_united(left, _kept(outcome)))

    def brought(self, outcome: Outcome) -> None:
        """A batch is in."""
        self._keep(_united(self.kept, _kept(outcome)))

    def tried(self, outcome: Outcome) -> None:
        """All that waits was looked at again."""
        self._keep(_kept(outcome))

    def again(self, request: Request, most: int, tables: Sequence[str]) -> Request | None:
        """A request that looks at it again, at the first `most` rows of what was set aside of some tables; None where nothing waits."""
        found = retry(request, Filter(tuple(tables), codes=WAITING), most=most) if tables else None
        if not self.kept:
            return found
        of_all = _united(self.kept, (found.keys or {}) if found is not None else {})
        return replace(request, kind="retry", tables=tuple(sorted(of_all)), keys=of_all)

    def _keep(self, kept: Keys) -> None:
        if kept == self.kept:
            return
        self.kept = kept
        text = json.dumps({name: sorted(some) for name, some in sorted(kept.items())})
        retried(lambda: self.ledger.set_fact(self.spec.name, KIND, "kept", {"target": text}))


def _kept(outcome: Outcome) -> Keys:
    """The rows that stay though the source does not have them, as far as a plan names them."""
    found: dict[str, set[str]] = {}
    one_way = {table.name for table in outcome.report.of_spec if table.back is None}
    for notice in outcome.report.warnings:
        if notice.code == "rows_stay" and notice.table in one_way:
            found.setdefault(str(notice.table), set()).update(notice.facts.get("keys", ()))
    return {name: frozenset(some) for name, some in found.items() if some}


def _united(one: Keys, other: Keys) -> Keys:
    return {name: one.get(name, frozenset()) | other.get(name, frozenset()) for name in {*one, *other}}
