"""What a plan has to note beside its changes, by what the ledger knows of its tables."""

from __future__ import annotations

from dataclasses import replace

from adapters.ledger.ledger import Choice, Ledger
from flows.plan.request import Request
from flows.session.stores import ledger_of


def listing(request: Request) -> Request:
    """A plan of ranges or trees, or of what is new, notes keys of tables that have some in quarantine or in conflict: they are listed no
    more when it is applied."""
    if not request.ranges and request.trees is None and not any(map(request.spec.cursor, request.spec.tables)):
        return request
    with ledger_of(request.spec) as ledger:
        if not ledger.there():
            return request
        name = request.spec.name
        return replace(
            request,
            listed=frozenset({*ledger.count_chosen(name, Choice(side="target")), *ledger.count_conflicts(name)}),
        )


def with_bases(request: Request, ledger: Ledger) -> Request:
    """Where a run looks at whole tables for the first time, it keeps what it finds: the beginning of their history."""
    if not request.whole:
        return request
    spec, known = request.spec, ledger.bases(request.spec.name, "target")
    missing = [name for name in spec.tables if str(spec.target_table(name)) not in known]
    return replace(request, bases=frozenset(name for name in missing if spec.history(name) == "full"))
