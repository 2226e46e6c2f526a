"""How much a plan may set aside and how much it may delete, table by table, before it stops."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from flows.bind.tables import BoundTable
from flows.results.shares import percent
from flows.session.route import Route
from flows.session.writers import others_of
from flows.spec.members import family
from flows.spec.model import Spec
from transforms.vocabulary import Counts, PlanError, SideName, other_side


def over_limit(spec: Spec, tables: Mapping[str, Counts], *, step: bool = False) -> str:
    """Why more rows would be set aside than the spec allows; empty where it allows them.

    A table of which every row is set aside is above any ratio below 1, however small it is. `step`: the counts are of one
    step of a backfill, whose whole is looked at in the end.
    """
    reasons = list(_above(spec, tables, step=step))
    if not reasons:
        return ""
    more = f" So it is with {len(reasons) - 1} more." if len(reasons) > 1 else ""
    return f"{reasons[0]}{more} Nothing was written. Fix: mend the rows, or raise the limit."


def set_aside(spec: Spec, tables: Mapping[str, Counts]) -> str:
    """Why the steps of a backfill, each of them small enough, have set aside more than the spec allows together."""
    reasons = list(_above(spec, tables, step=False))
    if not reasons:
        return ""
    return (
        f"{reasons[0]} No step was above the limit by itself: what is not in quarantine was written. "
        f"Fix: mend the rows, or raise the limit."
    )


def beyond(spec: Spec, tables: Mapping[str, Counts]) -> str:
    """Why more rows are set aside than the spec allows, with those that the target refused; empty where it allows them."""
    reasons = list(_above(spec, tables, step=False))
    return f"{reasons[0]} What is not in quarantine is written." if reasons else ""


def _above(spec: Spec, tables: Mapping[str, Counts], *, step: bool) -> Iterator[str]:
    total = sum(tables.values(), Counts())
    most = spec.defaults.quarantine.max_rows
    if most is not None and total.quarantined > most:
        yield (
            f"{total.quarantined:,} of {total.source_rows:,} source rows would go to quarantine, and the limit is {most:,} "
            f"({spec.where('defaults', 'quarantine', 'max_rows')})."
        )
    for name, counts in tables.items():
        if name not in spec.tables:  # nothing of it was read
            continue
        limit, aside, rows = spec.quarantine_limit(name), counts.quarantined, counts.source_rows
        at = spec.where("tables", name, "quarantine") if spec.tables[name].quarantine else spec.where("defaults")
        told = f"{name}: {aside:,} of {rows:,} source rows ({percent(aside, rows)}) would go to quarantine"
        if limit.max_rows is not None and aside > limit.max_rows:
            yield f"{told}, and the limit is {limit.max_rows:,} (quarantine.max_rows, {at})."
        elif limit.max_ratio is not None and _beyond(
            aside, rows, limit.max_ratio, limit.floor, everything=aside == rows and not step
        ):
            yield f"{told}, and the limit is {100 * limit.max_ratio:g} % (quarantine.max_ratio, {at})."


@dataclass(frozen=True, slots=True)
class Burst:
    """Plans that come right behind each other, each of some of the rows: their deletes count together. `rows` are how many a table
    had when that began, as far as somebody asked."""

    deletes: dict[tuple[SideName, str], int] = field(default_factory=dict)
    rows: dict[tuple[SideName, str], int] = field(default_factory=dict)

    def add(self, side: SideName, table: str, deletes: int) -> None:
        """So many rows more are deleted."""
        self.deletes[side, table] = self.deletes.get((side, table), 0) + deletes


def hold_deletes(
    spec: Spec,
    bound: BoundTable,
    counts: Counts,
    side: SideName = "target",
    *,
    part: bool = False,
    of: Callable[[], int] | None = None,
    burst: Burst | None = None,
) -> None:
    """What is suddenly empty, or half loaded, must not wipe the other side, the `side` that is written. `part`: only a range was looked at.

    `of` answers with how many rows the table has, where those that were looked at say nothing of that: it is asked if it matters.
    `burst` are plans that this one comes right behind.
    """
    before = burst.deletes.get((side, bound.name), 0) if burst is not None and counts.delete else 0
    deletes, rows, left = counts.delete + before, counts.target_rows + before, counts.update + counts.unchanged
    if of is not None and _beyond(deletes, rows, bound.max_ratio, bound.at_least, everything=not part):
        known = {} if burst is None else burst.rows
        if (side, bound.name) not in known:
            known[side, bound.name] = of() + before
        rows = max(rows, known[side, bound.name])
    if _beyond(deletes, rows, bound.max_ratio, bound.at_least, everything=not left and not part):
        why = f"The {other_side(side)} has no rows at all. " if counts.source_rows == 0 and of is None else ""
        what = "This plan" if not before else "This plan and those right before it"
        at = spec.where("tables", bound.name, "delete")
        raise _too_many(f"{bound.name}: {why}{what}", deletes, rows, bound.max_ratio, at, side, more=bool(before))


def hold_others(spec: Spec, route: Route, counts: Counts) -> None:
    """What other migrations have brought into a table must neither go nor change because this one does not know of it.

    Errors: PlanError where rows are to be deleted or updated in a table that the markers of the written side say another one writes
    to, and the spec does not say which rows are its own. Where changes go both ways, what is agreed on says which updates are due.
    """
    bound, side = route.table, route.writes.name
    own = bound.owns if side == "target" else spec.tables[bound.name].where
    both = bound.name in spec.tables and spec.two_way(bound.name)  # the table of the way back does not know it
    updates = 0 if both else counts.update
    if not (counts.delete or updates) or own is not None or bound.ddl:
        return
    names, namesake = others_of(spec, route.reads, route.writes.adapter, bound.name, bound.shape.name)
    if both and spec.member is not None:  # what others of the family wrote has come here, or is new here
        names, namesake = {each for each in names if family(each) != family(spec.name)}, False
    if not (names or namesake):
        return
    twin = [f"another {spec.name}, with other rows and a ledger of its own,"] if namesake else []
    others = [*sorted(names), *twin]
    key = "owns" if side == "target" else "where"
    does = " and ".join(f"{verb} {n:,}" for verb, n in (("update", updates), ("delete", counts.delete)) if n)
    raise PlanError(
        f"{bound.name}: this plan would {does} rows of {bound.shape.name} in the {side}, which {', '.join(others)} "
        f"{'writes' if len(others) == 1 else 'write'} to as well, and nothing says whose they are. Nothing was written.",
        fix=f"say which rows are this table's own with `{key}:` ({spec.where('tables', bound.name)}), such as "
        f'`{key}: "1 = 1"` for all{"" if updates else ", or give --allow-deletes"}'
        f"{_of_twins(spec) if namesake else ''}.",
    )


def _of_twins(spec: Spec) -> str:
    return (
        f", and give two migrations two names ({spec.where('name')}). Where it was this one, with another source or `where:` and a "
        f"ledger that is lost, all rows are its own"
    )


def hold_beside(spec: Spec, name: str, rows: int, deletes: int, side: SideName) -> None:
    """So it is with the `rows` of a table that the spec does not name: the defaults are its limits."""
    limit = spec.defaults.delete
    if _beyond(deletes, rows, limit.max_ratio, limit.floor, everything=deletes == rows):
        what = f"{name}, which refers to rows that are to be deleted: This plan"
        raise _too_many(what, deletes, rows, limit.max_ratio, spec.where("defaults", "delete"), side)


def _too_many(
    what: str, deletes: int, rows: int, ratio: float, at: str, side: SideName, *, more: bool = False
) -> PlanError:
    """In: `more`: a part of them is deleted already, by plans before this one."""
    written = (
        "Nothing of this one was written, and the earlier ones are versions that `undo` takes back" if more else ""
    )
    return PlanError(
        f"{what} would delete {deletes:,} of {rows:,} {side} rows ({percent(deletes, rows)}), and max_ratio allows "
        f"{100 * ratio:g} %. {written or 'Nothing was written'}.",
        fix=f"look at the {other_side(side)}; if it is right, give --allow-deletes, or raise delete.max_ratio ({at}).",
    )


def _beyond(rows: int, of: int, ratio: float, floor: int, *, everything: bool) -> bool:
    """Whether so many rows are too many: above the ratio, and as many as the floor says, or everything that there is."""
    return rows > 0 and rows > ratio * of and (rows >= floor or everything)
