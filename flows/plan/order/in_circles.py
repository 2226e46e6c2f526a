"""Plans of tables whose foreign keys go in a circle, or whose rows change what others refer to: in which order they go in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import pyarrow as pa

from adapters.capabilities import Capabilities
from adapters.protocol import Snapshot
from adapters.store.plan_files import read_narrow
from adapters.store.plans import PlanWriter
from flows.bind.order import circles
from flows.bind.tables import BoundTable
from flows.plan.consequences.beside import WINDOW_ROWS, Beside
from flows.plan.consequences.children import key_of
from flows.plan.decide import Planned, read_changes
from flows.plan.order.circles import Link, Loosened, NoOrder, Order, order_of, parents_first, refusal
from flows.plan.order.levels import Leveling, Levels, shared_out
from flows.plan.order.moving_values import settled
from flows.plan.order.own_order import own_keys
from flows.plan.order.sharing import Share
from flows.plan.order.two_steps import Loose, in_steps
from flows.plan.references.foreseen import Foreseen, as_planned, foresee, narrowed
from flows.plan.references.references import needs_of
from flows.session.session import Job, Session
from transforms.net_changes import together
from transforms.vocabulary import Counts, Key, Relation, TableName, TableShape


@dataclass(frozen=True, slots=True)
class Written:
    """A table and the windows that write it, of at most so many `rows` each. `new`: it is yet to be made; one that is not
    `in_spec` changes because of rows of others alone."""

    name: str
    shape: TableShape
    key: Key
    windows: Sequence[Planned]
    rows: int
    new: bool = False
    in_spec: bool = True

    def changes(self, columns: Key) -> bool:
        """Whether updates write other values into some of these columns."""
        return any(each.differing.get(name) for each in self.windows for name in columns)


def written_tables(
    tables: Sequence[BoundTable], beside: Sequence[Beside], outcomes: Sequence[Planned]
) -> Iterator[Written]:
    """What a plan writes, table by table. Steps of rows whose real change is elsewhere do not count."""
    found = [Written(each.name, each.shape, each.key, (), each.window_rows, new=bool(each.ddl)) for each in tables]
    found += [
        Written(each.report.name, each.shape, key_of(each.shape) or (), (), WINDOW_ROWS, in_spec=False)
        for each in beside
    ]
    for table in found:
        if mine := [each for each in outcomes if each.table == table.name and each.changes and not each.interim]:
            yield replace(table, windows=mine)


def arranged(
    session: Session, job: Job, tables: Iterable[Written], outcomes: Sequence[Planned]
) -> tuple[list[Planned], Order]:
    """The windows of a plan in an order in which foreign keys hold that go in a circle, or whose values change.

    Out: the windows, some of whose rows are written in two steps, and how their steps follow each other. Nothing is read for
    other tables. Memory: of such tables the keys, and what refers and is referred to, of the rows that are written.
    Errors: PlanError where rows need each other, and nothing helps.
    """
    target = session.sides.written(job.side)
    written = {each.shape.name: each for each in tables}
    shapes = {
        name: _as_made(each.shape, target.adapter.capabilities) if each.new else each.shape
        for name, each in written.items()
    }
    groups = _groups(shapes, written)
    among = {name: group for group in groups for name in group}
    losing = {
        name for name, each in written.items() if any(one.changes and one.changes.has("delete") for one in each.windows)
    }
    # a circle of which some table is not written is none, and its tables stand where it happened to be cut
    besides = tuple(
        (earlier, later)
        for earlier, later in parents_first(
            shapes.values(), lambda one, other: other in shapes and other not in among.get(one, ())
        )
        if later.phase == "upsert" or later.table in losing
    )
    if not groups:
        return list(outcomes), Order(besides)
    links = [
        Link(child, foreign)
        for child, shape in shapes.items()
        for foreign in shape.foreign_keys
        if foreign.refers != child and child in among and foreign.refers in among[child]
    ]
    rows = _Rows(target.snapshot, frozenset(name for name, each in written.items() if each.new))
    known = {name: _foreseen(job, rows, each, links) for name, each in written.items() if name in among}
    needs = [
        need
        for child, foreign in links
        for need in needs_of(
            rows, shapes[child], shapes[foreign.refers], foreign, known[child], known[foreign.refers], whole_trees=True
        )
    ]
    if not needs:
        return list(outcomes), Order(besides)
    loosened = Loosened(shapes, known)
    try:
        order = order_of(needs, lambda need: bool(loosened.empty(need)), Leveling(shapes, known), besides)
    except NoOrder as error:
        raise refusal(error, shapes, defers=target.adapter.capabilities.defers_foreign_keys) from error
    loose = loosened.of(needs, order)
    leveled = {step.table for some in order.in_levels for step in some}
    apart = {each.name: each for table, each in written.items() if table in loose or table in leveled}
    left = [each for each in outcomes if each.table not in apart]
    for name, each in apart.items():
        mine = [outcome for outcome in outcomes if outcome.table == name]
        table = each.shape.name
        if table in leveled and each.in_spec:
            mine = settled(session, job, session.route(job, name), mine, {}, shared_out=True)
        if table in loose:
            mine = _in_two_steps(session, job, mine, loose[table])
        left += _in_levels(session, job, mine, each, order.levels) if table in leveled else mine
    return left, order


def _as_made(shape: TableShape, capabilities: Capabilities) -> TableShape:
    """A table that is yet to be made, with the foreign keys that it has while its rows come in."""
    if capabilities.adds_foreign_keys:
        return replace(shape, foreign_keys=())
    waits = capabilities.defers_foreign_keys
    return replace(shape, foreign_keys=tuple(replace(each, deferrable=waits) for each in shape.foreign_keys))


@dataclass(frozen=True, slots=True)
class _Rows:
    """What tables hold now; those that are yet to be made hold nothing."""

    snapshot: Snapshot
    new: frozenset[TableName]

    def scan(
        self, relation: Relation, columns: Sequence[str], *, keys: pa.Table | None = None
    ) -> Iterator[pa.RecordBatch]:
        return iter(()) if relation.table in self.new else self.snapshot.scan(relation, columns)


def _groups(shapes: Mapping[TableName, TableShape], written: Mapping[TableName, Written]) -> list[frozenset[TableName]]:
    """The tables whose rows have to be looked at together: foreign keys go in a circle, or values change that others refer to."""
    pairs = []
    for name, shape in shapes.items():
        for foreign in shape.foreign_keys:
            if foreign.refers in shapes and foreign.refers != name:
                pairs.append((foreign.refers, name))
                if written[foreign.refers].changes(foreign.refers_columns):
                    pairs.append((name, foreign.refers))
    return circles(pairs)


def _foreseen(job: Job, rows: _Rows, table: Written, links: Sequence[Link]) -> Foreseen:
    """What the plan will do to a table, in the columns that some foreign keys, and its own, are about."""
    linked = [foreign.columns for child, foreign in links if child == table.shape.name]
    linked += [foreign.refers_columns for _, foreign in links if foreign.refers == table.shape.name]
    linked += [columns for foreign in own_keys(table.shape) for columns in (foreign.columns, foreign.refers_columns)]
    names = list(dict.fromkeys([*table.key, *(name for columns in linked for name in columns)]))
    parts = [narrowed(read_changes(job, each.changes), names) for each in table.windows if each.changes]
    return as_planned(parts, names) or foresee(rows, table.shape, together(parts), linked)


def _in_two_steps(session: Session, job: Job, planned: Sequence[Planned], loose: Sequence[Loose]) -> list[Planned]:
    """The windows of a table, with references that are null for a while; what comes first and what completes is in windows of
    its own."""
    name = planned[0].table
    writer = PlanWriter(Path(job.folder), begun=True)
    numbers = count(max(each.window for each in planned) + 1)
    found: list[Planned] = []
    for each in planned:
        if each.changes is None or each.interim or each.first:
            found.append(each)
            continue
        changes = session.changes.take(name, each.window) or read_changes(job, each.changes)
        steps = in_steps(changes, loose)
        session.changes.keep(name, each.window, steps.main if steps else changes)
        if steps is None:
            found.append(each)
            continue
        left = writer.add(each.window, steps.main) if len(steps.main) else None
        found.append(replace(each, changes=left))
        for part, completing, interim in (
            (steps.early, False, True), (steps.rest, True, True), (steps.late, True, False)
        ):  # fmt: skip
            if part is not None:
                number = next(numbers)
                session.changes.keep(name, number, part)
                plain = Planned(name, number, Counts(), writer.add(number, part), None, None, clear=False)
                found.append(replace(plain, first=not completing, completing=completing, interim=interim))
    return found


def _in_levels(
    session: Session, job: Job, planned: Sequence[Planned], table: Written, levels: Sequence[Levels]
) -> list[Planned]:
    """The windows of a table, with those behind them that hold rows which go in level by level."""
    windows = {
        each.window: read_narrow(Path(job.folder), each.changes, table.key)
        for each in planned
        if each.changes is not None and not (each.first or each.completing or each.interim)
    }
    order, made = shared_out(levels, table.shape.name, windows, table.rows)
    if not order.leaving:
        return list(planned)
    share = Share(session, job, table.name, order, "levels")
    left = {each.window: share.taken(each) for each in planned if each.window in order.leaving}
    clear = all(each.clear for each in planned if each.window in order.leaving)
    start = max(each.window for each in planned) + 1
    new = [
        Planned(table.name, number, Counts(), entry, None, None, clear=clear, level=made[number - start])
        for number, entry in share.new(start)
    ]
    return [*(replace(each, changes=left.get(each.window, each.changes)) for each in planned), *new]
