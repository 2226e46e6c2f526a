"""In which stages a plan is applied, and in which order: decided here, once, and written into the manifest.

Whoever applies a plan only follows the list: run, apply, backfill, retry, undo, and the recovery of a run that was cut off.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import groupby
from typing import Final, Literal, NamedTuple

from adapters.store.manifest import PlannedTable
from adapters.store.plan_files import FileEntry
from flows.bind.tables import Binding
from transforms.vocabulary import OPS, Marker, Op, Phase, Stage, TableName

WRITES: Final[Mapping[Phase, tuple[Op, ...]]] = {
    "all": OPS,
    "upsert": ("insert", "update"),
    "delete": ("delete",),
}
"""The changes that a phase writes."""


Turn = Literal["first", "completing"]
"""Where windows come that do not come with the others of their table."""


class Step(NamedTuple):
    """A part of writing: all windows of a table, or their inserts and updates, or their deletes."""

    table: TableName
    phase: Phase


def referred_tables(binding: Binding) -> frozenset[TableName]:
    """The tables of the target whose deletes come behind inserts, because rows may refer to them."""
    return frozenset(table.shape.name for table in binding.tables if table.name in binding.referred)


def stages_of(
    tables: Sequence[PlannedTable],
    files: Iterable[FileEntry],
    referred: Collection[TableName],
    *,
    needs: Iterable[tuple[Step, Step]] = (),
    together: Sequence[Collection[Step]] = (),
    in_levels: Sequence[Collection[Step]] = (),
    in_turn: Collection[TableName] = (),
    marked: Collection[Marker] = (),
) -> tuple[Stage, ...]:
    """The stages of a plan, in an order that keeps every constraint.

    In: `tables` parents first, with their files; those that others refer to; pairs of steps of which the first one has to come
    before the second; the steps that go in in one transaction, in sets, and those whose windows go in level by level; the tables
    whose windows go in one after the other; the markers of the plan, where it was begun already.
    Out: first what is to be made. Then the windows that the plan calls `first`, children first, and all others: inserts and updates
    parents first, then those that it calls `completing`, then deletes children first. Of a table those that it calls `late` come
    behind its others, one after the other, and behind these those of its `levels`: level by level over all steps that go so. Then
    sequences, keys and indexes, and last what is to be dropped, children first.
    Errors: CycleError, whose second argument lists the steps of the circle, where needs go in a circle.
    """
    windows: dict[TableName, list[FileEntry]] = {each.table: [] for each in tables}
    for entry in files:
        if entry.kind == "changes":
            windows[entry.table].append(entry)
    turns: dict[tuple[TableName, int], Turn] = {
        **{(each.table, window): "first" for each in tables for window in each.first},
        **{(each.table, window): "completing" for each in tables for window in each.completing},
    }
    late = {each.table: each.late for each in tables}
    levels = {each.table: dict(each.levels) for each in tables}
    stepping = {each.table for each in tables if len(each.first) > 1 and {*each.interim} & {*each.first}}
    steps = _steps(tables, _apart(windows, {*referred, *(each for each, some in levels.items() if some)}, marked))
    joint, leveled = ([{_among(steps, each) for each in some} for some in blocks] for blocks in (together, in_levels))
    numbers = {step: number for number, some in enumerate(joint, 1) for step in some}
    block = {step: number for number, some in enumerate(leveled, 1) for step in some}
    steps = in_order(steps, needs, [*joint, *leveled])
    rows = [step for step in steps if step.phase != "delete"]
    behind = steps.index(rows[-1]) + 1 if rows else 0  # what comes behind all inserts and updates
    while 0 < behind < len(steps) and numbers.get(steps[behind], 0) == numbers.get(steps[behind - 1], -1):
        behind += 1

    place = {each.table: number for number, each in enumerate(tables)}
    parents = sorted(rows, key=lambda step: place[step.table])  # first, whatever order other rows ask for

    def touched(step: Step, turn: Turn | None) -> list[int]:
        found = (each.window for each in windows[step.table] if each.has(*WRITES[step.phase]))
        return sorted(window for window in found if turns.get((step.table, window)) == turn)

    def writes(some: Iterable[Step], turn: Turn | None = None) -> Iterator[Stage]:
        for _, alike in groupby(some, lambda step: block.get(step, step)):
            members = list(alike)
            yield from at_first(members, turn)
            behind: dict[int, dict[Step, list[int]]] = {}
            for step in members:
                for window in touched(step, turn) if levels[step.table] else ():
                    if level := levels[step.table].get(window):
                        behind.setdefault(level, {}).setdefault(step, []).append(window)
            for level in sorted(behind):
                for step, level_windows in behind[level].items():
                    yield Stage("write", step.table, step.phase, tuple(level_windows), True, numbers.get(step, 0))

    def at_first(some: Iterable[Step], turn: Turn | None) -> Iterator[Stage]:
        for step in some:
            table, phase = step
            mine = [window for window in touched(step, turn) if window not in levels[table]]
            later = late[table] if phase != "delete" else late[table][::-1]
            number = numbers.get(step, 0) if turn is None else 0
            if at_once := tuple(window for window in mine if window not in later):
                twice = turn == "first" and table in stepping  # what frees a value comes before what frees a reference
                yield Stage("write", table, phase, at_once, table in in_turn or twice, number)
            if one_by_one := tuple(window for window in later if window in mine):
                yield Stage("write", table, phase, one_by_one, True, number)

    return (
        *(Stage("create", each.table) for each in tables if each.ddl),
        *(Stage("add_columns", each.table) for each in tables if each.adds),
        *writes(reversed(parents), "first"),  # who lets go of a value comes before the one whose value it is
        *writes((step for step in steps if step.phase == "delete"), "first"),
        *writes(steps[:behind]),
        *writes(parents, "completing"),
        *writes(steps[behind:]),
        *(Stage("number", each.table) for each in tables),
        *(Stage("constrain", each.table) for each in tables if each.after_load),
        *(Stage("drop", each.table) for each in reversed(tables) if each.drop),
    )


def losing_at_once(stages: Iterable[Stage], files: Iterable[FileEntry]) -> frozenset[TableName]:
    """The tables whose deletes go in together with their inserts and updates."""
    whole = {(stage.table, window) for stage in stages if stage.phase == "all" for window in stage.windows}
    return frozenset(each.table for each in files if (each.table, each.window) in whole and each.has("delete"))


def _apart(
    windows: Mapping[TableName, Sequence[FileEntry]], referred: Collection[TableName], marked: Collection[Marker]
) -> Collection[TableName]:
    """The tables that are written in two steps, because others refer to them and they lose rows.

    Those that were begun so stay so, whatever keys came or went since: a window that is in would not be known again in other
    steps.
    """
    whole = {marker.table for marker in marked if marker.phase == "all"}
    begun = {marker.table for marker in marked} - whole
    losing = {table for table, entries in windows.items() if any(each.has("delete") for each in entries)}
    due = {table for table in losing if table in referred and str(table) not in whole}
    return due | {table for table in windows if str(table) in begun}


def _steps(tables: Sequence[PlannedTable], apart: Collection[TableName]) -> list[Step]:
    """Upserts parents first, then deletes children first; tables that are not written apart have one step for all."""
    names = [each.table for each in tables]
    upserts = [Step(name, "upsert" if name in apart else "all") for name in names]
    return upserts + [Step(name, "delete") for name in reversed(names) if name in apart]


def _among(steps: Collection[Step], step: Step) -> Step:
    """The step, or that of its table where it is written in one."""
    return step if step in steps else Step(step.table, "all")


def in_order(
    steps: Sequence[Step], needs: Iterable[tuple[Step, Step]], together: Sequence[Collection[Step]] = ()
) -> list[Step]:
    """The steps in an order in which, of each pair, the first one comes before the second; else as they come.

    Steps that go `together` follow each other. A need of a table that is written in one step is a need of that step.
    Errors: CycleError, as `stages_of`.
    """
    blocks = {step: frozenset(some) for some in together for step in some}
    graph: dict[Step, set[Step]] = {step: set() for step in steps}
    for pair in needs:
        first, second = (_among(graph, step) for step in pair)
        if first in graph and second in graph:
            graph[second].add(first)  # a step that has to come before itself is a circle, too
    TopologicalSorter(graph).prepare()
    before = {step: set().union(*(graph[each] for each in block)) - block for step, block in blocks.items()}
    ordered: list[Step] = []
    waiting = list(steps)
    while waiting:
        begun = next((block for step in ordered[-1:] if (block := blocks.get(step))), frozenset())
        some = [step for step in waiting if step in begun] or waiting
        following = next((s for s in some if graph[s] | before.get(s, set()) <= {*ordered}), None)
        if following is None:
            raise CycleError("steps that go together wait for others, which wait for them", [*some, some[0]])
        waiting.remove(following)
        ordered.append(following)
    return ordered
