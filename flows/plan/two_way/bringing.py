"""Both sides of a window of a two-way table brought together, as they were read: nothing is written down here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flows.bind.tables import BoundTable
from flows.plan.lookups.own_rows import back_rows, renamed_rows
from flows.plan.reading.refusals import refused_rows
from flows.plan.reading.sifting import sifted
from flows.plan.reading.window_reader import PlanWork, lookup_rows
from flows.plan.two_way.leaving import Left, joined, left_in_source, left_on_both, with_left_in_target
from flows.plan.two_way.numbered import with_numbers
from flows.plan.two_way.reading import Read, aligned
from flows.plan.two_way.soft_deletes import living, with_flag
from flows.session.route import Route
from flows.session.session import Job, Session
from transforms import keys
from transforms.both_ways import BothSides, BothWays, Decided, OnSource, decide
from transforms.mapping.mapping import Mapped
from transforms.reconcile import Reconciled, prospects, weighed
from transforms.vocabulary import AccountingError, ChangeSet, Reason, SideName


@dataclass(frozen=True, slots=True)
class End:
    """What plans of one side are made with: its session, whose binding is of that side, and its job. `entries` are the names that tables
    go by in that binding, where they are others."""

    session: Session
    job: Job
    entries: Mapping[str, str] = field(default_factory=dict)

    def entry(self, name: str) -> str:
        return self.entries.get(name, name)

    def route(self, name: str) -> Route:
        return self.session.route(self.job, self.entry(name))


@dataclass(frozen=True, slots=True)
class Brought:
    """A window whose sides come together. `mapped` are the source's rows, of which some were set aside, `every` the target's, of which some
    are `flagged` as deleted, `double` keys of the target's rows
    that have no key of their own. `again` are those rows that were brought together once more, since others changed them."""

    read: Read
    rows: BothSides
    mapped: Mapped
    every: pa.Table
    flagged: pa.Table
    double: pa.Table
    source_rows: int
    decided: Decided
    meeting: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    outdated: tuple[str, ...] = ()
    again: Read | None = None


@dataclass(frozen=True, slots=True)
class Bringing:
    """What brings windows of a table together."""

    ends: Mapping[SideName, End]
    route: Route
    work: PlanWork
    ways: BothWays
    decided_by_people: pa.Table

    def together(self, number: int, read: Read) -> Brought:
        """Bring a window together."""
        route, work, bound = self.route, self.work, self.route.table
        there_now, flagged = living(bound, read.found)
        read = with_left_in_target(route, replace(read, found=there_now))
        read = replace(read, found=living(bound, read.found)[0])
        left = left_in_source(route, work, read)
        source_rows = read.mapped.rows.num_rows + read.mapped.rejected.num_rows + (left.rows.num_rows if left else 0)
        session = self.ends["target"].session
        every = pa.concat_tables([read.found, flagged])
        mapped, every, double = sifted(session, route, read.mapped, every, read.outside, read.kept)
        found, flagged = living(bound, every)
        mapped, raw = joined(mapped, aligned(read.raw, read.mapped.rows, mapped.rows, bound), left)
        aside = pa.concat_tables([_aside(bound, mapped, read, double, left), left_on_both(route, work, read)])
        lacking = read.lacking
        if lacking.num_rows:  # the rest of them was set aside after all
            lacking = lacking.filter(pa.array(keys.contained(lacking, mapped.rows, bound.key)))
        numbered = with_flag(bound, with_numbers(session, work.job, bound, mapped.rows, every, read.base))
        rows = BothSides(read.base, with_clock(bound, numbered, raw), raw, found, aside, lacking)
        decisions, outdated = None, list[str]()
        if self.decided_by_people.num_rows:
            known_rows = weighed(self.decided_by_people, rows.base, rows.source, rows.target, bound.key)
            fitting = known_rows.met.filter(pc.invert(pc.is_in(known_rows.met, value_set=known_rows.outdated)))
            rows, decisions = replace(rows, base=known_rows.base, decided=fitting), known_rows.decisions
            outdated = known_rows.outdated.to_pylist()
        decided = decide(rows, self.ways, partial(self._refusals, read), decisions)
        meeting: dict[str, dict[str, int]] = {}
        if decided.outcome.base is None:
            outcome, meeting = _met(rows, self.ways, decided.outcome)
            decided = replace(decided, outcome=outcome)
        _must_account(bound, number, rows, decided.outcome)
        return Brought(read, rows, mapped, every, flagged, double, source_rows, decided, meeting, tuple(outdated))

    def _refusals(self, read: Read, side: SideName, changes: ChangeSet) -> Mapping[int, Reason]:
        end = self.ends[side]
        route = self.route if side == "target" else end.route(self.route.table.name)
        refused = refused_rows(end.session, end.job, route, changes)
        if side == "source" and read.others is not None and changes.inserts.num_rows:
            held = read.others.outside.raw.select(list(changes.key)).cast(
                changes.inserts.select(list(changes.key)).schema
            )
            double = keys.contained(changes.inserts, held, changes.key) if held.num_rows else np.zeros(0, dtype=bool)
            why = Reason("refused", None, {"message": "another row has its key", "kind": "double"}).of(changes.key)
            refused |= dict.fromkeys(np.flatnonzero(double).tolist(), why)
        return refused


def _met(rows: BothSides, ways: BothWays, outcome: Reconciled) -> tuple[Reconciled, dict[str, dict[str, int]]]:
    """What each way to meet would do, where both sides meet for the first time and are only looked at. Sides that are equal have met."""
    source, target = (
        side.filter(pa.array(~keys.contained(side, rows.aside, ways.comparison.key)))
        if rows.aside is not None and rows.aside.num_rows and side.num_rows
        else side
        for side in (rows.source, rows.target)
    )
    choices = prospects(ways.table, source, target, ways.comparison, ways.policy)
    policy = choices["source"]
    if not (len(policy.source) or len(policy.target)):
        return replace(outcome, base=policy.base), {}
    return outcome, {name: _would(each) for name, each in choices.items()}


def _would(made: Reconciled) -> dict[str, int]:
    counts = {str(op): count for op, count in made.target.counts.items()}
    back = {f"back_{op}": count for op, count in made.source.counts.items()}
    return {**counts, **back, "conflicts": made.conflicts.num_rows}


def ways_of(bound: BoundTable, there: BoundTable, work: PlanWork) -> BothWays:
    """How a table goes both ways. In: the table, and the source's as it is written."""
    two_way = bound.two_way
    assert two_way is not None, "the table goes both ways"
    on_source = OnSource(there.shape.name, there.key, there.schema, there.comparison.compared, two_way.given)
    back = two_way.back
    if bound.lookups:
        lookups = lookup_rows(bound, work.job) | back_rows(bound, work.job)
        back = replace(back, lookups=lookups, renamed=renamed_rows(bound, work.job))
    return BothWays(bound.shape.name, two_way.comparison, two_way.policy, back, on_source)


def with_clock(bound: BoundTable, rows: pa.Table, raw: pa.Table) -> pa.Table:
    """The mapped rows with the source's clock, where that is no column of them."""
    clock = bound.two_way.policy.clock if bound.two_way is not None else None
    if clock is None or clock.source in rows.column_names:
        return rows
    return rows.append_column(clock.source, raw.column(clock.source))


def _aside(bound: BoundTable, mapped: Mapped, read: Read, double: pa.Table, left: Left | None) -> pa.Table:
    """The keys of rows that nothing is known of on some side."""
    key = list(bound.key)
    parts = [keys.without_null_keys(mapped.rejected_rows.select(key), bound.key), double.select(key)]
    if read.kept is not None:
        parts.append(read.kept.select(key))
    if left is not None:
        parts.append(left.aside)
    return pa.concat_tables([part.cast(bound.key_schema) for part in parts])


def _must_account(bound: BoundTable, number: int, rows: BothSides, outcome: Reconciled) -> None:
    """AccountingError where a row that one side alone has is neither brought to the other side, nor deleted, nor left open."""
    if outcome.base is None:
        return
    one, other = (
        each.filter(pa.array(~keys.contained(each, rows.aside, bound.key)))
        if rows.aside is not None and each.num_rows
        else each
        for each in (rows.source.select(list(bound.key)), rows.target.select(list(bound.key)))
    )
    met = int((keys.match(one, other, bound.key) >= 0).sum())
    here, there = (pc.is_valid(outcome.conflicts[name]) for name in ("source", "target"))
    alone = (pc.sum(pc.and_not(here, there)).as_py() or 0, pc.sum(pc.and_not(there, here)).as_py() or 0)
    known = (
        outcome.target.inserts.num_rows + outcome.source.deletes.num_rows + alone[0],
        outcome.source.inserts.num_rows + outcome.target.deletes.num_rows + alone[1],
    )
    if (one.num_rows - met, other.num_rows - met) != known:
        raise AccountingError(
            f"{bound.name} window {number}: {one.num_rows - met} rows are on the source alone and {other.num_rows - met} on the target "
            f"alone, and {known[0]} and {known[1]} are accounted for. Nothing was written. This is a defect: please report it."
        )
