"""Whether a client or target differs from what its spec makes it, and since when: as check finds it, and as the store remembers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import Final

from adapters.plain_files import Dated
from adapters.store.layout import EVIDENCE, Store
from flows.check.findings import Assessment
from flows.plan.trees.chosen_tree import Trees
from flows.results.differing import Differing
from flows.session.session import Session
from flows.session.stores import store_of
from transforms.vocabulary import SIDES, Counts, PlanError

_MOST: Final = 200  # runs and verifications that are looked at
_WHOLE: Final = ("run", "verify", "apply")


def with_differing(found: Assessment, session: Session, trees: Trees | None) -> Assessment:
    """What was found, and whether a client or target differs; as it is for other specs, and for a part of the rows."""
    counts = {each.name: each.counts for each in found.tables if each.counts is not None}
    if session.spec.member is None or trees is not None or not counts:
        return found
    return replace(found, differing=_differing(session, counts))


def _differing(session: Session, counts: Mapping[str, Counts]) -> Differing:
    rows = {name: each.insert + each.update + each.delete + each.conflicts for name, each in counts.items()}
    if not any(rows.values()):
        return Differing(rows)
    at, by = _equal(store_of(session.spec), session.spec.name, set(counts))
    edited: dict[str, datetime] = {}
    for side in SIDES:
        adapter = session.sides[side].adapter
        edited |= adapter.changed() if isinstance(adapter, Dated) else {}
    return Differing(rows, at, by, {path: when for path, when in edited.items() if at is None or when > at})


def _equal(store: Store, migration: str, tables: set[str]) -> tuple[datetime | None, str | None]:
    """When both sides were equal last in these tables, and what knows that."""
    for run_id in islice(store.evidence_runs(migration), _MOST):
        try:
            told = store.evidence(migration, run_id)
        except PlanError:
            continue
        if told is None or told["status"] != "done" or told["kind"] not in _WHOLE or told["ranges"] or told["tree"]:
            continue
        if tables <= {each["name"] for each in told["tables"]}:
            ended = (store.evidence_folder(run_id) / EVIDENCE).stat().st_mtime  # behind the last write
            return datetime.fromtimestamp(ended, UTC), f"{told['kind']} {run_id}"
    return None, None
