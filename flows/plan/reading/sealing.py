"""Sealing a window: what both sides' rows are called, in the very snapshots in which nothing was to do with them."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from adapters.protocol import Sealing, Snapshot
from adapters.store.seals import Proof, Seal
from flows.plan.reading.window_reader import Window
from flows.session.route import Route
from transforms.totals import differences
from transforms.vocabulary import Key, KeyRange, Relation

SealedSide = tuple[Snapshot, Relation, tuple[str, ...], Key]


def source_side(route: Route) -> SealedSide:
    bound = route.table
    key = tuple(bound.renamed[name] for name in bound.order)
    return route.reads.snapshot, bound.source, tuple(dict.fromkeys([*key, *bound.reads])), key


def target_side(route: Route) -> SealedSide:
    bound = route.table
    return route.writes.snapshot, bound.there, tuple(dict.fromkeys([*bound.order, *bound.images])), bound.order


def checksums(side: SealedSide, windows: Sequence[KeyRange]) -> pa.Table | None:
    """The checksums of windows of a side; None where it has none."""
    snapshot, relation, columns, key = side
    return snapshot.checksums(relation, columns, key, windows) if isinstance(snapshot, Sealing) else None


def seal(route: Route, window: Window, proof: Proof | None) -> Seal:
    """The seal of a window; an open one where nothing was proved, or a side has no checksum for what was read."""
    open_seal = Seal(window.wanted.start, window.found.start)
    if proof is None or (proof.tally.found is not None and _apart(proof)):
        return open_seal
    names: list[str] = []
    for side, within in ((source_side(route), window.wanted), (target_side(route), window.found)):
        made = checksums(side, [within])
        if made is None or made["rows"][0].as_py() not in (None, proof.rows):  # it is of other rows than were read
            return open_seal
        names.append(str(made["checksum"][0]))
    source, target = names
    return Seal(open_seal.wanted, open_seal.found, source, target, proof)


def _apart(proof: Proof) -> bool:
    """Whether the totals of both sides differ where their rows do not: then they are told each time."""
    tally = proof.tally
    return tally.found is not None and bool(differences(tally.wanted + tally.kept, tally.found))
