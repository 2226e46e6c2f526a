"""Values that others refer to, and that planned updates change: what ON UPDATE would do with those rows is planned, or refused.

Rows that the plan itself lets refer elsewhere are no matter: their updates come first, or in two steps. Rows that would still
refer to the old value are changed by the engine (CASCADE, SET NULL, SET DEFAULT) and by no plan. Of tables that the spec does not
name, `delete: {children: plan}` or `detach` makes that updates of the plan, at any depth; else such a plan is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from flows.bind.tables import BoundTable
from flows.plan.consequences.children import key_of, unplannable, values_let_go
from flows.plan.consequences.going import Going, Referring, referring_to
from flows.plan.decide import Planned, read_changes
from flows.plan.order.passed_on import Passing, may_be_empty
from flows.plan.references.references import related
from flows.plan.references.referrers import compared, inside, looked_through
from flows.session.scan import readable, rows_by_key
from flows.session.session import Job, Session
from flows.session.side import WrittenSide
from transforms import expressions, keys
from transforms.vocabulary import ForeignKey, Key, PlanError, Relation, TableName, TableShape
from transforms.vocabulary.values import same_rows

ACTIONS = ("CASCADE", "SET ")


@dataclass(frozen=True, slots=True)
class Edit:
    """New values for rows of a table that the spec does not name: `rows` have its key and the columns that change."""

    shape: TableShape
    rows: pa.Table


@dataclass(frozen=True, slots=True)
class _Moves:
    """Rows of a table that get other values: their keys and, row by row, the columns that change, before and after."""

    name: str
    shape: TableShape
    key: Key
    before: pa.Table
    after: pa.Table
    follows: bool

    def values(self, side: WrittenSide, names: Key) -> tuple[pa.Table, pa.Table, pa.Table]:
        """The keys of the rows that change in some columns, with all of these before and after."""
        before, after = self.before, self.after
        if lacking := [name for name in names if name not in before.column_names]:
            there = rows_by_key(side.snapshot, self.shape, lacking, before.select(list(self.key)), self.key)
            place = keys.match(before, there, self.key)
            for name in lacking:
                column = there.column(name).take(pa.array(place, mask=place < 0))
                before, after = before.append_column(name, column), after.append_column(name, column)
        chosen = pa.array(~same_rows(before, after, names, {}))
        return before.select(list(self.key)).filter(chosen), *(
            rows.select(list(names)).filter(chosen) for rows in (before, after)
        )


def moved_children(
    session: Session,
    job: Job,
    tables: Sequence[BoundTable],
    planned: Mapping[str, Sequence[Planned]],
    going: Mapping[TableName, Going],
    passing: Sequence[Passing] = (),
) -> list[Edit]:
    """What becomes of rows that refer to values which updates change, in tables that the spec does not name.

    In: what goes with the plan, and values that are `passing` to other rows, of which rows let go meanwhile. The catalog is asked of
    tables alone whose unique columns change, and the referring columns of tables with ON UPDATE are read. Memory: the updates of
    those tables, and the rows that refer to them.
    Errors: PlanError where the engine would change rows that no plan names.
    """
    side = session.sides.written(job.side)
    bound_of = {bound.shape.name: bound for bound in session.bound.tables}
    planned_of = {bound.shape.name: planned[bound.name] for bound in tables}
    waiting = [moves for bound in tables if (moves := _moves(session, job, bound, planned[bound.name])) is not None]
    found: list[Edit] = []
    while waiting:
        moves = waiting.pop(0)
        for child in related(side.adapter, [moves.shape.name]).values():
            for foreign in child.foreign_keys:
                if foreign.refers != moves.shape.name or not foreign.on_update.startswith(ACTIONS):
                    continue
                key, old, new = moves.values(side, foreign.refers_columns)
                if not key.num_rows:
                    continue
                own = bound_of.get(child.name)
                windows = planned_of.get(child.name, ())
                rows = _left_behind(side, job, child, foreign, old, own, windows, going.get(child.name))
                for each in passing:
                    if (each.child.name, each.foreign) == (child.name, foreign) and rows.values.num_rows:
                        rows = rows.filter(~each.among(side.adapter, rows.values))
                if not rows.keys.num_rows:
                    continue
                if own is None:
                    _must_not_pass(side, child, foreign, new, rows, moves)
                edit = _followed(side, child, foreign, old, new, rows, moves, known=own is not None)
                found.append(Edit(child, edit.after))
                waiting.append(edit)
    return found


def _moves(session: Session, job: Job, bound: BoundTable, planned: Sequence[Planned]) -> _Moves | None:
    """The updates of a table that change unique columns beside its key; None where there are none."""
    written = {name for each in planned for name, rows in each.differing.items() if rows}
    names = [
        name
        for name in bound.shape.names
        if name in written and any(name in unique and unique != frozenset(bound.key) for unique in bound.shape.uniques)
    ]
    if not names:
        return None
    parts = [read_changes(job, each.changes) for each in planned if each.changes and each.changes.has("update")]
    if not parts:
        return None
    images = [image for image in (*bound.key, *names) if image in parts[0].schema.names]
    before = pa.concat_tables([part.before.select(images) for part in parts])
    after = pa.concat_tables([part.after.select(images) for part in parts])
    follows = session.spec.delete_policy(bound.name).children != "refuse"
    return _Moves(bound.name, bound.shape, bound.key, before, after, follows)


def _left_behind(
    side: WrittenSide,
    job: Job,
    child: TableShape,
    foreign: ForeignKey,
    old: pa.Table,
    own: BoundTable | None,
    windows: Sequence[Planned],
    going: Going | None,
) -> Referring:
    """The rows that refer to values which go, and are neither deleted by the plan nor given another reference."""
    parent_values = compared(side.adapter, _parent(side, foreign), old, foreign.refers_columns)
    key = own.key if own is not None else key_of(child) or foreign.columns
    names = list(dict.fromkeys([*key, *foreign.columns]))
    taken = referring_to(side, child, foreign, key, parent_values)
    if own is not None:
        batches = readable(side.snapshot.scan(Relation(child.name), names), child.name, side.name, key)
        seen: Sequence[Referring] | None = [taken(pa.Table.from_batches([batch])) for batch in batches]
    else:
        seen = looked_through(side.adapter, child, names, taken)
    if seen is None:  # only the engine may look
        return Referring(parent_values, parent_values)
    schema = child.schema(key)
    found = Referring(
        pa.concat_tables([schema.empty_table(), *(each.keys.cast(schema) for each in seen)]),
        pa.concat_tables([parent_values.slice(0, 0), *(each.values for each in seen)]),
    )
    for away in _given_others(job, foreign, key, windows, going):
        if found.keys.num_rows and away.num_rows:
            found = found.filter(~inside(found.keys, away.cast(schema)))
    return found


def _given_others(
    job: Job, foreign: ForeignKey, key: Key, windows: Sequence[Planned], going: Going | None
) -> Iterator[pa.Table]:
    """The keys of rows that the plan deletes, or that it lets refer to others."""
    if going is not None and going.key == key and (deleted := going.columns(key)) is not None:
        yield deleted.filter(pa.array(~going.stays))
    for each in windows:
        if each.changes is None or not each.changes.has("update"):
            continue
        changes = read_changes(job, each.changes)
        if not set(foreign.columns) <= set(changes.schema.names):
            continue
        moved = pa.array(~same_rows(changes.before, changes.after, foreign.columns, {}))
        yield changes.before.select(list(key)).filter(moved)


def _followed(
    side: WrittenSide,
    child: TableShape,
    foreign: ForeignKey,
    old: pa.Table,
    new: pa.Table,
    rows: Referring,
    moves: _Moves,
    *,
    known: bool,
) -> _Moves:
    """The rows that refer, as ON UPDATE would leave them. PlanError where they are not to be changed, or cannot be planned."""
    why = "" if moves.follows else "the plan does not name them"
    why = "they are what the source says" if known else why or unplannable(child, whole=False)
    cascades, key = foreign.on_update == "CASCADE", key_of(child) or ()
    if not why and cascades and set(foreign.columns) & set(key):
        why = f"({', '.join(foreign.columns)}) is part of the key of {child.name}"
    values: Mapping[str, pa.Array] | str = "" if cascades else {}
    if not why and not cascades:
        values = values_let_go(side, child, foreign, foreign.on_update)
        why = values if isinstance(values, str) else ""
    if why:
        raise _refusal(child, foreign, rows, moves, why, known=known)
    names = tuple(name for name in child.names if name in key or name in foreign.columns)
    before = rows_by_key(side.snapshot, child, names, rows.keys, key).select(list(names))
    after = before
    if cascades:
        parent = _parent(side, foreign)
        there = compared(side.adapter, parent, old, foreign.refers_columns)
        mine = compared(side.adapter, child, before, foreign.columns, there.schema)
        place = pa.array(keys.match(mine, there, tuple(there.column_names)))
        values = {
            own: new.column(refers).take(place)
            for own, refers in zip(foreign.columns, foreign.refers_columns, strict=True)
        }
    assert not isinstance(values, str)
    for name, value in values.items():
        column = value if cascades else pa.repeat(value[0], before.num_rows)
        field = before.schema.field(name)
        after = after.set_column(names.index(name), field, column.cast(field.type))
    return _Moves(str(child.name), child, key, before, after, follows=True)


def _must_not_pass(
    side: WrittenSide, child: TableShape, foreign: ForeignKey, new: pa.Table, rows: Referring, moves: _Moves
) -> None:
    """PlanError where rows of a table that the spec does not name refer to a value that one row gives up and another takes: whose
    they are in the end would hang on the order in which the engine changes those two."""
    taken = compared(side.adapter, _parent(side, foreign), new, foreign.refers_columns, rows.values.schema)
    passes = inside(rows.values, taken)
    if not passes.any():
        return
    there, columns, count = ", ".join(foreign.refers_columns), ", ".join(foreign.columns), int(passes.sum())
    some = expressions.json_key(rows.filter(passes).keys)
    first = "" if may_be_empty(child, foreign) else f"in the target, let {child.name} ({columns}) be null; then "
    policy = "" if moves.follows else " and `delete: {children: plan}`"
    raise PlanError(
        f"{moves.name}: a value of ({there}) passes from one row to another, and {count:,} "
        f"{'row' if count == 1 else 'rows'} of {child.name}, which the spec does not name, "
        f"{'refers' if count == 1 else 'refer'} to it by ({columns}), such as {some}. What ON UPDATE {foreign.on_update} leaves there "
        f"would depend on which row changes first. Nothing was written.",
        fix=f"{first}name {child.name} in the spec, so that its rows let go of the value meanwhile, or make these changes in the source "
        f"in two steps, with a run after each{policy}: first without the row that takes the value.",
    )


def _refusal(
    child: TableShape, foreign: ForeignKey, rows: Referring, moves: _Moves, why: str, *, known: bool
) -> PlanError:
    count = rows.values.num_rows
    one = count == 1
    columns, there = ", ".join(foreign.columns), ", ".join(foreign.refers_columns)
    some = expressions.json_key(rows.keys)
    plan = (
        f"let them follow with `delete: {{children: plan}}` of {moves.name}, or "
        if not (known or moves.follows)
        else ""
    )
    mend = "in the source let those rows refer to the new value, or " if known else ""
    return PlanError(
        f"{moves.name}: updates change ({there}), and ON UPDATE {foreign.on_update} would change {count:,} "
        f"{'row' if one else 'rows'} of {child.name} that {'refers' if one else 'refer'} there by ({columns}), such as {some}: {why}. "
        f"Nothing was written.",
        fix=f"{plan}{mend}in the target let those rows refer to another row.",
    )


def _parent(side: WrittenSide, foreign: ForeignKey) -> TableShape:
    parent = side.adapter.describe(foreign.refers)
    assert parent is not None, "its rows change"
    return parent
