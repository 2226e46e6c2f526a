"""Reconciliation: for every column the mapped source's counts, nulls, sums and ends, against the target's own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from adapters import interrupts
from adapters.in_pieces import InPieces
from adapters.pools import pool
from flows.bind.ranges import parse_range, typed
from flows.bind.tables import BoundTable
from flows.results.shares import counted
from flows.session.retry import retried
from flows.session.scan import readable
from flows.session.session import Session
from transforms import keys
from transforms.totals import differences, totals
from transforms.vocabulary import ColumnRange, Relation, Tally, Totals

READ_AHEAD = 4  # batches


@dataclass(frozen=True, slots=True)
class Reconciled:
    """A table's totals on both sides. `target` is what was read of it, without what stays there besides the mapping."""

    table: str
    source: Totals
    kept: Totals
    target: Totals
    afresh: bool  # read again after the load; else as planning read it, with nothing to change

    @property
    def differences(self) -> list[tuple[str, str]]:
        return differences(self.source + self.kept, self.target)

    def told(self, conflicts: int = 0, refused: int = 0, hooks: Sequence[str] = ()) -> str:
        """What is not the same, in a line, and why: `conflicts` rows were left as somebody else had made them, the target
        did not take `refused` ones, and `hooks` of the target may change what is written."""
        apart = [f"{what.replace('_', ' ')} of {column or 'all rows'}" for column, what in self.differences]
        kept_out = (
            f"{counted(refused, 'row')} {'was' if refused == 1 else 'were'} refused by the target." if refused else ""
        )
        others = "Somebody else may have written to the target; `syncline verify` names the rows."
        if hooks:
            others = (
                f"The target has {', '.join(hooks)}, which may have changed what was written; `syncline verify` names the rows. "
                f"Fix: map such columns to what the target makes of them, or list them under `ignore`."
            )
        clash = f"{counted(conflicts, 'row')} {'is' if conflicts == 1 else 'are'} in conflict and left as found."
        why = kept_out or (clash if conflicts else others)
        return (
            f"{self.table} does not reconcile: {', '.join(apart[:5])} {'is' if len(apart) == 1 else 'are'} not the same on both "
            f"sides. {why}"
        )

    def as_dict(self) -> dict[str, Any]:
        """In short, for `--json`; the evidence has the totals of each column."""
        sides = {"source": self.source, "kept": self.kept, "target": self.target}
        apart = [f"{column or 'table'}: {what}" for column, what in self.differences]
        rows = {name: side.rows for name, side in sides.items()}
        return {"equal": not apart, "rows": rows, "afresh": self.afresh, "differences": apart}


def tally(
    bound: BoundTable, wanted: pa.Table, found: pa.Table, rest: Sequence[pa.Table], *, changed: bool, proof: bool
) -> Tally:
    """The totals of one window. `rest` are rows of the target that stay there besides. `proof`: nothing will be written, so
    the target stays as it was found.

    In a window without changes that is not proved, each value was compared already: the target's totals are the source's.
    """
    made, kept = _totals(bound, wanted), _totals(bound, pa.concat_tables(rest))
    if proof:
        return Tally(made, kept, _totals(bound, found))
    return Tally(made, kept, None if changed else made + kept)


def with_kept(bound: BoundTable, planned: Tally, rows: pa.Table) -> Tally:
    """The totals of a window, with rows that stay after all; none where none were made."""
    return replace(planned, kept=planned.kept + _totals(bound, rows)) if planned != Tally() else planned


def together(tallies: Iterable[Tally]) -> Tally:
    return sum(tallies, Tally())


def reconciled(session: Session, tallies: Mapping[str, Tally], ranges: Sequence[str] = ()) -> Iterator[Reconciled]:
    """Hold tables to their totals, but for those that the spec leaves out, and those cut at columns beside their key."""
    texts = [parse_range(text, session.spec) for text in ranges]
    for name, planned in tallies.items():
        bound = session.bound.table(name)
        mine = [text for text in texts if text.table == name]
        if session.spec.checkpoint(name).reconcile and all(text.column in bound.key for text in mine):
            cut = tuple(typed(text, bound, session.spec.source.time_zone) for text in mine)
            yield reconcile(session, bound, planned, cut)


def reconcile(session: Session, bound: BoundTable, planned: Tally, ranges: tuple[ColumnRange, ...]) -> Reconciled:
    """Hold the target to the plan's totals. A table that was about to change is read again, from a new snapshot."""
    if planned.found is not None:
        return Reconciled(bound.name, planned.wanted, planned.kept, planned.found, afresh=False)
    there = retried(lambda: _read_again(session, bound, ranges), renewed=True)
    return Reconciled(bound.name, planned.wanted, planned.kept, there, afresh=True)


def _read_again(session: Session, bound: BoundTable, ranges: tuple[ColumnRange, ...]) -> Totals:
    names = list(dict.fromkeys([*bound.key, *_columns(bound)]))
    with session.sides.target.adapter.snapshot() as snapshot:

        def batches(piece: Relation) -> Iterator[pa.RecordBatch]:
            found = snapshot.scan(piece, names, ranges=ranges)
            return readable(found, bound.shape.name, "target", bound.key)

        most = session.spec.workers
        pieces = snapshot.pieces(bound.there, most) if isinstance(snapshot, InPieces) else [bound.there]
        if len(pieces) == 1:
            return _ahead(bound, batches(bound.there))
        with pool(len(pieces)) as threads:
            return sum(threads.map(lambda piece: _one_by_one(bound, batches(piece)), pieces), Totals())


def _one_by_one(bound: BoundTable, batches: Iterator[pa.RecordBatch]) -> Totals:
    there = Totals()
    for batch in batches:
        interrupts.check()
        there += _of_batch(bound, batch)
    return there


def _ahead(bound: BoundTable, batches: Iterator[pa.RecordBatch]) -> Totals:
    """The totals of batches, of which the next ones are read while one is added up."""
    there = Totals()
    with pool(1) as threads:
        waiting: deque[Future[Totals]] = deque()
        for batch in batches:
            waiting.append(threads.submit(_of_batch, bound, batch))
            if len(waiting) > READ_AHEAD:
                there += waiting.popleft().result()
        return sum((each.result() for each in waiting), there)


def _of_batch(bound: BoundTable, batch: pa.RecordBatch) -> Totals:
    # a null in the key is no row that could be matched
    return _totals(bound, keys.without_null_keys(pa.Table.from_batches([batch]), bound.key))


def _columns(bound: BoundTable) -> list[str]:
    """The columns that both sides are held to: those that are compared, without the flag of soft deletes."""
    flag = bound.soft.column if bound.soft else None
    return [name for name in bound.comparison.compared if name != flag]


def _totals(bound: BoundTable, rows: pa.Table) -> Totals:
    meanings = bound.comparison.meanings
    loose = [name for name, meaning in meanings.items() if meaning == "json"] + list(bound.comparison.tolerance)
    numbers = [name for name, meaning in meanings.items() if meaning == "decimal" and name not in loose]
    return totals(rows, bound.key, _columns(bound), counted=loose, numbers=numbers)
