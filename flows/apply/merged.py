"""Rows of which both sides get a part: what one side refuses of them is kept from the other, so that they are written on both or on
neither.

The target is written first, so what it refuses is known when the source's turn comes. What the source would refuse is found by
trials before that, for all that planning cannot know: triggers, above all, and rows that somebody has edited since. What happens to the
source after its trial is for the next run: both agree then on what the source held (`agreed_after`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from adapters.store import spill
from adapters.store.both_ways import pairs_of, stretches, wanted_keys
from adapters.store.manifest import PlannedTable
from adapters.store.plans import Plan, folder_name
from flows.apply.plan import AppliedPlan
from flows.apply.refused_rows import whys
from flows.apply.trials import Sifted, refusal_of, sift, trial_of
from flows.apply.windows import LEFT_OUT, LeftOut
from flows.bind.mirror import origins
from flows.plan.reading.refusals import own_uniques
from flows.session.session import Job, Session
from transforms import keys
from transforms.both_ways import as_in_target
from transforms.net_changes import changed_keys
from transforms.vocabulary import SIDES, Applied, ChangeSet, Reason, SideName, reason_of
from transforms.vocabulary.arrow import Indices, contiguous

_FOLDER: Final = "left_out"
_CHANGED: Final = Reason("changed_meanwhile").as_json()


@dataclass(frozen=True, slots=True)
class Merged:
    """Rows of a table that are to change on both sides: by their keys on either. `entry` is the name of its table of the source."""

    planned: PlannedTable
    entry: str
    of: Mapping[SideName, pa.Table]

    def name(self, side: SideName) -> str:
        return self.planned.name if side == "target" else self.entry


def merged_rows(session: Session, plan: Plan) -> Iterator[Merged]:
    """The rows of each table of a plan of the target that its two sides are to get. Memory: keys of rows that the source is to get."""
    entries = origins(session.bound)
    for planned in plan.manifest.tables:
        pairs = pairs_of(plan, planned.table) if planned.back is not None else None
        if pairs is None:
            continue
        key = session.bound.table(planned.name).key_schema
        windows = [each.window for each in stretches(plan, planned.table) if each.changed]
        there = [each.cast(key) for each in wanted_keys(plan, planned.table, windows)]
        ours, theirs = pairs.target.cast(key), pairs.source
        both = pa.array(keys.contained(ours, pa.concat_tables([key.empty_table(), *there]), tuple(key.names)))
        if ours.filter(both).num_rows:
            yield Merged(planned, entries[planned.name], {"target": ours.filter(both), "source": theirs.filter(both)})


def refused_by_source(
    merged: Sequence[Merged], session: Session, plan: Plan, back: Plan, back_job: Job, mirror: Session
) -> dict[SideName, LeftOut]:
    """Which of the rows the source refuses by itself, tried before the target is written: what neither side is to get.

    Safe to repeat: what was found first stays in the plan's folder, since the target may have gone on without those rows.
    Memory: a window, and the keys of what is refused. Errors: DataError for very many rows of a window (`sift`).
    """
    found: dict[SideName, LeftOut] = {side: {} for side in SIDES}
    for each in merged:
        path = plan.folder / _FOLDER / f"{folder_name(each.planned.table)}.arrow"
        if not path.exists():
            tried = _tried(each, session, back, back_job, mirror)
            spill.write_rows(path, [tried], tried.schema)
        rows = spill.read_rows(path)
        for side in SIDES:
            # what somebody has edited on the source is tried there all the same, and is a conflict then
            mine = rows if side == "target" else rows.filter(pc.not_equal(rows[LEFT_OUT], _CHANGED))
            if mine.num_rows:
                keyed = pa.Table.from_struct_array(mine[side])
                more = {each.name(side): keyed.append_column(LEFT_OUT, mine[LEFT_OUT])}
                found[side] = either(found[side], more)
    return found


def refused_by_target(merged: Sequence[Merged], applied: AppliedPlan) -> LeftOut:
    """Which of the rows the target refused while it was written, or had otherwise by then: what the source is not to get."""
    found: LeftOut = {}
    for each in merged:
        mine = [done for done in applied.done if done.table == each.name("target")]
        refused = [
            done.refused.filter(pc.not_equal(whys(done.refused), _CHANGED)) for done in mine if done.refused is not None
        ]
        refused += [_as_refused(done.conflicts) for done in mine if done.conflicts is not None]
        parts = [_of_refused(each, rows, "target") for rows in refused if rows.num_rows]
        if some := [rows for rows in parts if rows.num_rows]:
            whole = pa.concat_tables(some)
            rows = pa.Table.from_struct_array(whole["source"]).append_column(LEFT_OUT, whole[LEFT_OUT])
            found = either(found, {each.entry: rows})
    return found


def either(one: LeftOut, other: LeftOut) -> LeftOut:
    """What one of both leaves out."""
    return {name: pa.concat_tables([each[name] for each in (one, other) if name in each]) for name in {**one, **other}}


def _of_refused(merged: Merged, refused: pa.Table, side: SideName) -> pa.Table:
    """Those of refused rows that are merged: their keys on both sides, and why."""
    own = merged.of[side]
    keyed = pa.Table.from_struct_array(refused["key"]).select(own.column_names).cast(own.schema)
    place: Indices = keys.match(keyed, own, tuple(own.column_names))
    ends: dict[str, pa.Array] = {
        name: _structs(rows.take(pa.array(place[place >= 0]))) for name, rows in merged.of.items()
    }
    return pa.table({**ends, LEFT_OUT: whys(refused).filter(pa.array(place >= 0))})


def _as_refused(conflicts: pa.Table) -> pa.Table:
    """Rows that were edited since they were planned, as rows that are refused for that."""
    return conflicts.append_column("why", pa.array([_CHANGED] * conflicts.num_rows, pa.string()))


def _structs(rows: pa.Table) -> pa.Array:
    return pa.StructArray.from_arrays([contiguous(each) for each in rows.columns], fields=list(rows.schema))


def _tried(merged: Merged, session: Session, back: Plan, job: Job, mirror: Session) -> pa.Table:
    """Merged rows that the source refuses, with the reason, whose columns are the target's, and those that it has otherwise by now."""
    bound, own = mirror.bound.table(merged.entry), merged.of["source"]
    two_way = session.bound.table(merged.planned.name).two_way
    assert two_way is not None, "it goes both ways"
    ways = two_way.back.ways
    shape = mirror.shape(job, merged.entry, bound.shape.name)
    seen: list[Applied] = []
    trial = trial_of(mirror.sides.written("source").adapter, shape, known=seen.append)
    planned = back.manifest.of(bound.shape.name)
    steps = {*planned.first, *planned.interim} if planned is not None else set[int]()
    stepped = [changed_keys(back.changes(entry)) for entry in back.windows(bound.shape.name) if entry.window in steps]
    known = {frozenset(unique) for _, unique in own_uniques(bound)}
    none: dict[str, pa.Array] = {name: _structs(rows.slice(0, 0)) for name, rows in merged.of.items()}
    found = [pa.table({**none, LEFT_OUT: pa.array([], pa.string())})]
    for entry in back.windows(bound.shape.name):
        if entry.window in steps or not entry.has("update"):
            continue
        part = _only(back.changes(entry), own)
        why = refusal_of(trial, part) if len(part) else None
        sifted = Sifted(part) if why is None else sift(part, shape, trial, why)
        if why is not None:
            refusal_of(trial, sifted.good)
        if len(part) and seen and (changed := seen[-1].conflicts) is not None:
            found.append(_of_refused(merged, _as_refused(_without_steps(changed, stepped)), "source"))
        refused = sifted.refused
        if refused is not None:
            reasons = [reason_of(text) for text in whys(refused).to_pylist()]
            sure = pa.array([_of_the_row_alone(each, known) for each in reasons], pa.bool_())
            told = pa.array([as_in_target(each, ways).as_json() for each in reasons], pa.string())
            refused = refused.set_column(refused.column_names.index("why"), "why", told)
            found.append(_of_refused(merged, refused.filter(sure), "source"))
    return pa.concat_tables(found)


def _without_steps(changed: pa.Table, stepped: Sequence[pa.Table]) -> pa.Table:
    """Rows that are not as planned, without those that a step of the plan is to change before: nobody has edited these."""
    if not stepped or not changed.num_rows:
        return changed
    steps = pa.concat_tables(stepped)
    own = pa.Table.from_struct_array(changed["key"]).select(steps.column_names).cast(steps.schema)
    return changed.filter(pa.array(~keys.contained(own, steps, tuple(steps.column_names))))


def _only(changes: ChangeSet, own: pa.Table) -> ChangeSet:
    """The updates of some rows."""
    mine = pa.array(keys.contained(changes.after, own, tuple(own.column_names)))
    before, after = changes.before.filter(mine), changes.after.filter(mine)
    return replace(
        changes, inserts=changes.inserts.slice(0, 0), before=before, after=after, deletes=changes.deletes.slice(0, 0)
    )


def _of_the_row_alone(why: Reason, known: Collection[frozenset[str]]) -> bool:
    """Whether a row is refused whatever else of its plan is in. References, and unique values, have been looked at by the plan."""
    kind = why.facts.get("kind")
    return kind != "reference" and not (kind == "double" and frozenset(why.columns) in known)
