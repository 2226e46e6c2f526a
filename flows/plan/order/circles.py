"""Steps that need each other by foreign keys: which go in together, which keys are left empty for a while, and what has no order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from flows.bind.order import circles
from flows.plan.order.levels import InRowCircle, Leveling, Levels
from flows.plan.order.stages import Step
from flows.plan.order.two_steps import Loose
from flows.plan.references.foreseen import Foreseen
from flows.plan.references.references import Need
from transforms.vocabulary import ForeignKey, Key, PlanError, TableName, TableShape


class Link(NamedTuple):
    """A foreign key and the table that has it."""

    child: TableName
    foreign: ForeignKey


@dataclass(frozen=True, slots=True)
class Order:
    """How steps follow each other, for `stages_of`; `loose` are needs that are met by leaving a key empty for a while, and `levels`
    are of steps whose rows follow each other."""

    needs: tuple[tuple[Step, Step], ...] = ()
    together: tuple[frozenset[Step], ...] = ()
    loose: frozenset[tuple[Step, Step, Link]] = frozenset()
    levels: tuple[Levels, ...] = ()

    @property
    def in_levels(self) -> tuple[frozenset[Step], ...]:
        return tuple(each.steps for each in self.levels)


class NeedEachOther(PlanError):
    """Rows of tables need each other, and no order helps; `table` is one of these."""

    code = "rows_need_each_other"
    table: TableName


class NoOrder(Exception):
    """Rows need each other, and no key can wait or be empty for a while."""

    def __init__(self, needs: Sequence[Need]) -> None:
        super().__init__("; ".join(map(str, needs)))
        self.needs = needs


@dataclass(frozen=True, slots=True)
class _Edge:
    """`later` comes after `earlier`, because of a need, or whatever the rows are."""

    earlier: Step
    later: Step
    need: Need | None = None

    @property
    def link(self) -> Link | None:
        return Link(self.need.child, self.need.foreign) if self.need else None

    @property
    def waits(self) -> bool:
        return self.need is not None and self.need.waits


def order_of(
    needs: Sequence[Need],
    may_be_empty: Callable[[Need], bool],
    leveling: Leveling,
    besides: Iterable[tuple[Step, Step]] = (),
) -> Order:
    """The order of steps. Those that need each other go in together where the keys can wait; else a key is left empty for a while;
    else their rows go in level by level.

    In: whether the columns of a need's key can be null, and are written; pairs of steps that have an order whatever the rows are.
    Errors: NoOrder.
    """
    edges = [_Edge(need.earlier, need.later, need) for need in needs]
    edges += [_Edge(*pair) for pair in besides]
    loose: set[tuple[Step, Step, Link]] = set()
    together: list[frozenset[Step]] = []
    levels: list[Levels] = []
    for circle in circles((each.earlier, each.later) for each in edges):
        inner = [each for each in edges if each.earlier in circle and each.later in circle]
        resolved = _resolved(inner, may_be_empty) or _in_levels(circle, inner, may_be_empty, leveling)
        loose |= {
            (each.earlier, each.later, each.link)
            for each in inner
            if each.need and each.link in resolved.empty and may_be_empty(each.need)
        }
        together += resolved.together
        levels += resolved.levels
    block = {step: number for number, some in enumerate(together) for step in some}
    leveled = {step: number for number, each in enumerate(levels) for step in each.steps}

    def holds(each: _Edge) -> bool:
        if (each.earlier, each.later, each.link) in loose:
            return False
        if each.earlier in leveled and leveled[each.earlier] == leveled.get(each.later):
            return False
        return not (each.waits and each.earlier in block and block[each.earlier] == block.get(each.later))

    kept = dict.fromkeys((each.earlier, each.later) for each in edges if holds(each))
    return Order(tuple(kept), tuple(together), frozenset(loose), tuple(levels))


class _Resolved(NamedTuple):
    """Of steps that need each other the keys that are left empty, as few as can be, and the steps that go together, or whose rows
    go in levels."""

    empty: tuple[Link, ...]
    together: Sequence[frozenset[Step]]
    levels: Sequence[Levels] = ()


def _resolved(inner: Sequence[_Edge], may_be_empty: Callable[[Need], bool]) -> _Resolved | None:
    """How whole steps follow each other; None where they cannot."""
    empty = [each for each in inner if each.need and may_be_empty(each.need)]
    links = sorted({each.link for each in empty if each.link}, key=str)  # the same ones whenever it is asked
    for chosen in ((), *((each,) for each in links), tuple(links)):
        left = [each for each in inner if each not in empty or each.link not in chosen]
        if not circles((each.earlier, each.later) for each in left if not each.waits):
            return _Resolved(chosen, circles((each.earlier, each.later) for each in left))
    return None


def _in_levels(
    circle: frozenset[Step], inner: Sequence[_Edge], may_be_empty: Callable[[Need], bool], leveling: Leveling
) -> _Resolved:
    """How the rows of steps follow each other: with all keys held, else without those that may be empty, else without those that
    can wait. Errors: NoOrder."""
    needs = [each.need for each in inner if each.need]
    links = tuple(dict.fromkeys(Link(each.child, each.foreign) for each in needs if may_be_empty(each)))
    ways = [((), needs), (links, [each for each in needs if not may_be_empty(each)])]
    for joint in ((), (circle,)):
        for empty, held in ways:
            left = [each for each in held if not (joint and each.waits)]
            try:
                return _Resolved(empty, joint, (leveling.of(circle, left),))
            except InRowCircle as error:
                stuck = error.needs
    raise NoOrder(stuck)


@dataclass(frozen=True, slots=True)
class Loosened:
    """Which references of rows can be null for a while. In: what is foreseen of the tables that are written."""

    shapes: Mapping[TableName, TableShape]
    known: Mapping[TableName, Foreseen]

    def empty(self, need: Need) -> Key:
        """The columns of a need's foreign key that are null meanwhile; none where it cannot be so."""
        if not need.comes and need.earlier != Step(need.child, "delete"):
            return ()  # the rows let go of it anyway
        changes, shape = self.known[need.child].changes, self.shapes[need.child]
        nullable = {column.name for column in shape.columns if column.nullable and not column.generated}
        found = tuple(
            n for n in need.foreign.columns if n in nullable and n in changes.schema.names and n not in changes.key
        )
        return () if need.foreign.full and found != need.foreign.columns else found

    def of(self, needs: Sequence[Need], order: Order) -> dict[TableName, list[Loose]]:
        """The references of each table that are null for a while."""
        found: dict[TableName, list[Loose]] = {}
        for need in needs:
            step = (need.earlier, need.later, Link(need.child, need.foreign))
            if step in order.loose and (empty := self.empty(need)):
                loose = Loose(need.foreign.columns, need.values, empty, comes=need.comes)
                found.setdefault(need.child, []).append(loose)
        return found


def parents_first(
    shapes: Iterable[TableShape], apart: Callable[[TableName, TableName], bool]
) -> Iterator[tuple[Step, Step]]:
    """The order of steps by declared foreign keys alone, of tables whose rows are not looked at together (`apart`)."""
    for shape in shapes:
        for foreign in shape.foreign_keys:
            if foreign.refers != shape.name and apart(shape.name, foreign.refers):
                yield Step(foreign.refers, "upsert"), Step(shape.name, "upsert")
                yield Step(shape.name, "delete"), Step(foreign.refers, "delete")


def refusal(error: NoOrder, shapes: Mapping[TableName, TableShape], *, defers: bool, doing: str = "") -> NeedEachOther:
    """What to say where rows need each other and nothing helps. `defers`: the engine has keys that can wait; `doing` is what
    cannot be done."""
    links = list(dict.fromkeys(Link(need.child, need.foreign) for need in error.needs))
    tables = list(dict.fromkeys(each.child for each in links))
    named = [f"{each.child} ({', '.join(each.foreign.columns)})" for each in links]
    what = f"{doing}rows of {_and(tables)} need each other by foreign keys ({error}), so that none of them can be written first"
    ways = [f"make the foreign key {' or '.join(named)} DEFERRABLE"] if defers else []
    columns = [
        f"{each.child}.{name}"
        for each in links
        for name in each.foreign.columns
        if (column := shapes[each.child].column(name)) is not None and not column.nullable
    ]
    ways += [f"let {' or '.join(columns)} be null"] if columns else []
    ways += [] if ways else [f"drop the foreign key {' or '.join(named)} for as long as it takes"]
    made = NeedEachOther(
        f"{what[0].upper()}{what[1:]}. Nothing was written.", fix=f"in the target, {', or '.join(ways)}."
    )
    made.table = tables[0]
    return made


def _and(names: Sequence[TableName]) -> str:
    return " and ".join(map(str, names))
