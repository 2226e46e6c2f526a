"""In which order an undo writes: what foreign keys of the target ask of the rows that it takes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError

from adapters.protocol import Snapshot, Target
from adapters.store.manifest import PlannedTable
from flows.plan.order.circles import Loosened, NoOrder, Order, order_of, refusal
from flows.plan.order.levels import Leveling, shared_out
from flows.plan.order.own_order import moved
from flows.plan.order.two_steps import Loose, in_steps
from flows.plan.references.foreseen import ByValue, Whole
from flows.plan.references.references import Need, look_at_references
from transforms.vocabulary import ChangeSet, PlanError, Stage, TableName, TableShape


@dataclass(frozen=True, slots=True)
class UndoOrder:
    """How the steps of an undo follow each other, and which references of its rows are null for a while."""

    doing: str
    needs: tuple[Need, ...]
    order: Order
    loose: Mapping[TableName, Sequence[Loose]]

    def with_steps(self, planned: PlannedTable, windows: list[ChangeSet]) -> PlannedTable:
        """What the plan holds for a table once rows that need it are written in steps: their windows are changed, and more are added."""
        loose = self.loose.get(planned.table, ())
        first, completing, interim = ([*some] for some in (planned.first, planned.completing, planned.interim))
        stepped = {*first, *completing}  # rows that let go, and come back, by themselves
        for number, changes in enumerate(windows[:] if loose else ()):
            steps = in_steps(changes, loose) if number not in stepped else None
            if steps is None:
                continue
            windows[number] = steps.main
            for part, turn, real in (
                (steps.early, first, False), (steps.rest, completing, False), (steps.late, completing, True)
            ):  # fmt: skip
                if part is not None:
                    turn.append(len(windows))
                    interim += [] if real else [len(windows)]
                    windows.append(part)
        return replace(planned, first=tuple(first), completing=tuple(completing), interim=tuple(interim))

    def in_levels(self, table: TableName) -> bool:
        """Whether rows of a table go in level by level."""
        return any(step.table == table for some in self.order.in_levels for step in some)

    def with_levels(self, planned: PlannedTable, windows: list[ChangeSet]) -> PlannedTable:
        """What the plan holds for a table once rows that go in level by level have left their windows for more that are added."""
        if not self.in_levels(planned.table):
            return planned
        besides = {*planned.first, *planned.completing, *planned.interim}
        mine = {number: changes for number, changes in enumerate(windows) if number not in besides}
        order, made = shared_out(self.order.levels, planned.table, mine, max(map(len, windows)))
        start = len(windows)
        windows[:] = moved(windows, order)
        return replace(planned, levels=tuple((start + number, level) for number, level in enumerate(made)))

    def must_be(self, tables: Sequence[PlannedTable]) -> None:
        """PlanError where rows have to be written in steps now, and the plan does not do so."""
        planned = {each.table for each in tables if each.completing or each.interim}
        leveled = {each.table for each in tables if each.levels}
        new = [str(table) for table in self.loose if table not in planned]
        for steps in self.order.in_levels:
            if leveled.isdisjoint(step.table for step in steps):
                new += [str(step.table) for step in steps]
        if new:
            raise PlanError(
                f"Rows of {', '.join(new)} refer to others than they did when this undo was planned, and need each other now. Nothing "
                f"was written.",
                fix="undo again.",
            )

    def decided(self, decide: Callable[..., tuple[Stage, ...]]) -> tuple[Stage, ...]:
        """The stages, as `decide` makes them of what comes before what and what goes together. PlanError where there is no order."""
        try:
            return decide(needs=self.order.needs, together=self.order.together, in_levels=self.order.in_levels)
        except CycleError as error:
            circle = {step.table for step in error.args[1]}
            rows = [need for need in self.needs if {need.earlier.table, need.later.table} <= circle]
            raise PlanError(
                f"{self.doing} cannot be done in any order: rows need each other by foreign keys that go in a circle "
                f"({'; '.join(map(str, rows))}). Nothing was written.",
                fix="drop one of these foreign keys for as long as it takes.",
            ) from error


def undo_order(
    numbers: Sequence[int],
    target: Target,
    snapshot: Snapshot,
    shapes: Mapping[TableName, TableShape],
    changes: Mapping[TableName, Sequence[ChangeSet]],
    *,
    trees: bool = False,
) -> UndoOrder:
    """In which order the changes that take versions back keep every foreign key, given the rows that are there now.

    `trees`: they are of rows of trees alone, and other rows are not read.

    Errors: PlanError where they would break one in the end, or where there is no order.
    """
    rows = ByValue(target, snapshot, shapes) if trees else Whole(snapshot)
    looked = look_at_references(rows, shapes, changes, whole_trees=target.capabilities.whole_trees)
    doing = f"Undoing version {listed(numbers)}"
    if looked.broken:
        edited = any(each.edited for each in looked.broken)
        first = "take those edits back, or delete those rows, in the target" if edited else "change those rows"
        raise PlanError(
            f"{doing} would leave {'; '.join(map(str, looked.broken))}. Nothing was written.",
            fix=(
                f"{first} first, or undo what came after it as well (--to {numbers[0] - 1})"
                f"{', or take back more: name more trees, or none' if trees else ''}."
            ),
        )
    loosened = Loosened(shapes, looked.foreseen)
    try:
        order = order_of(looked.needs, lambda need: bool(loosened.empty(need)), Leveling(shapes, looked.foreseen))
    except NoOrder as error:
        defers = target.capabilities.defers_foreign_keys
        raise refusal(error, shapes, defers=defers, doing=f"{doing} cannot be done in any order: ") from error
    return UndoOrder(doing, looked.needs, order, loosened.of(looked.needs, order))


def listed(numbers: Sequence[int]) -> str:
    """Versions as people name them."""
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
