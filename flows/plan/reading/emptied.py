"""Sources of a table that are suddenly empty: of several, one without rows is as suspicious as all."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Final

from adapters.ledger.ledger import Ledger
from adapters.protocol import Snapshot
from flows.bind.tables import BoundTable
from flows.session.session import Session
from flows.session.stores import ledger_of
from flows.spec.model import Spec
from transforms.vocabulary import Counts, PlanError

FACT: Final = ("sources", "filled")
"""Kind and name of the ledger's fact: for each table with several sources those that had rows in the latest applied run."""


def hold_emptied(spec: Spec, bound: BoundTable, counts: Counts, source: Snapshot) -> None:
    """PlanError where rows are to be deleted, and a source has none that had some in the latest run; not with `max_ratio: 1`."""
    if not bound.parts or not counts.delete or bound.max_ratio >= 1:
        return
    with ledger_of(spec) as ledger:
        known = _known(ledger, spec).get(bound.name, []) if ledger.there() else []
    for part in bound.parts:
        if part.part in known and not _has_rows(source, part):
            raise PlanError(
                f"{bound.name}: {part.part} of the source has no rows at all, and had some in the latest run. This plan would delete "
                f"{counts.delete:,} of {counts.target_rows:,} target rows. Nothing was written.",
                fix=f"look at the source; if it is right, give --allow-deletes, or set delete.max_ratio to 1 "
                f"({spec.where('tables', bound.name, 'delete')}).",
            )


def remember_filled(ledger: Ledger, session: Session, tables: Collection[str]) -> None:
    """Take down which sources have rows, of the tables of a run that was applied; nothing where each has one alone."""
    merged = [bound for bound in (session.bound.table(name) for name in tables) if bound.parts]
    if not merged:
        return
    with session.sides.source.adapter.snapshot() as snapshot:
        now = {bound.name: [part.part for part in bound.parts if _has_rows(snapshot, part)] for bound in merged}
    known = _known(ledger, session.spec) | now
    ledger.set_fact(session.spec.name, *FACT, {"source": json.dumps(known, ensure_ascii=False)})


def _known(ledger: Ledger, spec: Spec) -> dict[str, list[str]]:
    text = ledger.fact(spec.name, *FACT).get("source")
    return dict(json.loads(text)) if text else {}


def _has_rows(snapshot: Snapshot, part: BoundTable) -> bool:
    return any(batch.num_rows for batch in snapshot.scan(part.source, part.reads))
