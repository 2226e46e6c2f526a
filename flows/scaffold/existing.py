"""Target tables that are there: what goes to them by name, what may by a name that is like theirs, and what is left to a person."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from typing import Final

from adapters.protocol import Target
from flows.bind.required import unfilled
from flows.scaffold.design import unique_key
from flows.scaffold.profile import Facts
from flows.scaffold.read import Read
from flows.scaffold.yaml import DraftColumn, DraftTable
from flows.scaffold.zones import cast_to, zoned_side
from transforms.mapping import casts
from transforms.vocabulary import TableShape

LIKE: Final = 0.75  # from which share of equal letters on a name is worth a look: placed and placed_at have 0.86, price and product 0.5
TOO_MANY: Final = 250_000  # pairs of names that are not compared any more


def of_one_name(shape: TableShape, there: TableShape) -> dict[str, str]:
    """The source's column for each column of the target that takes values: of the same name, or of the same in another case."""
    by_lower = {name.lower(): name for name in shape.names} | {name: name for name in shape.names}
    found = {column.name: by_lower.get(column.name, by_lower.get(column.name.lower())) for column in there.columns}
    computed = {column.name for column in there.columns if column.generated}
    return {name: own for name, own in found.items() if own is not None and name not in computed}


def map_to_existing(table: DraftTable, read: Read, target: Target) -> None:
    """A table that is there: columns by their names, with the casts that they need."""
    assert read.found is not None
    table.notes.append(f"{read.found.name} is there already and is loaded as it is.")
    pairs = of_one_name(read.shape, read.found)
    mapped: dict[str, str] = {}
    for column in read.found.columns:
        name = pairs.get(column.name)
        own = read.shape.column(name) if name else None
        if own is None or name is None:
            continue
        why = own.refused or column.refused
        how = "" if casts.implicit(own.type, own.meaning, column) else cast_to(column)
        if why:
            table.left_out.append((name, why))
            continue
        mapped[name] = column.name
        drafted = DraftColumn(column.name, name, cast=how or None)
        if how:
            zoned = zoned_side(own, column)
            lost = f", in the time zone of the {zoned}" if zoned else ""
            drafted.notes.append(
                f"{own.native} here, and {column.native} there: cast{lost}, and quarantined where that loses something"
            )
            table.zoned |= {zoned} if zoned else set()
        facts = read.facts.get(name, Facts())
        if facts.zero_dates and column.nullable:
            drafted.zero_date = True
            drafted.notes.append(f"{facts.zero_dates:,} rows hold a date that is none: they become null")
        table.columns.append(drafted)
    needed = [column.name for column in unfilled(read.found) if column.name not in mapped.values()]
    fillers = dict(reversed(target.design(read.found.name).filled)) if needed else {}
    table.filled = [(name, fillers[name]) for name in needed if name in fillers]
    gone = [name for name in read.shape.names if name not in mapped and name not in dict(table.left_out)]
    _propose(table, read.found, gone, needed)
    uniques = {frozenset(unique) for unique in read.found.uniques}
    candidates = [key for key in (read.shape.primary_key, unique_key(read.shape), read.likely.key) if key]
    keys = [tuple(mapped[name] for name in key) for key in candidates if set(key) <= mapped.keys()]
    table.key = next((key for key in keys if frozenset(key) in uniques), keys[0] if keys else ())


def like_by_name(wanted: Iterable[str], free: Iterable[str]) -> dict[str, str]:
    """For names the one that is most like it, each taken once, whatever case and underscores; none where nothing is like it."""
    ours, theirs = sorted(wanted), sorted(free)
    if len(ours) * len(theirs) > TOO_MANY:
        return {}
    alike = sorted(
        ((_likeness(one, other), one, other) for one in ours for other in theirs),
        key=lambda each: (-each[0], *each[1:]),
    )
    found: dict[str, str] = {}
    for likeness, one, other in alike:
        if likeness >= LIKE and one not in found and other not in found.values():
            found[one] = other
    return found


def _likeness(one: str, other: str) -> float:
    first, second = ("".join(filter(str.isalnum, name.casefold())) for name in (one, other))
    return SequenceMatcher(None, first, second, autojunk=False).ratio()


def _propose(table: DraftTable, there: TableShape, gone: Sequence[str], needed: Sequence[str]) -> None:
    """Columns that nothing goes to, and columns that go nowhere: those with names like each other are proposed."""
    own = {column.name for column in table.columns} | dict(table.filled).keys() | {name for name, _ in table.left_out}
    empty = [each.name for each in there.columns if each.name not in own and not each.generated and not each.identity]
    alike = like_by_name(empty, gone)
    table.proposed = {name: alike[name] for name in empty if name in alike}
    likes = {source: name for name, source in table.proposed.items()}
    for name in gone:
        like = f"; {likes[name]} is like it by name" if name in likes else ""
        table.left_out.append((name, f"the target has no such column{like}"))
    for name in empty:
        like = f"{table.proposed[name]} is like it by name" if name in table.proposed else ""
        if like or name in needed:
            must = "takes no nulls, has no default, and " if name in needed else ""
            table.needs.append((name, f"{must}nothing of that name is in the source{f': {like}' if like else ''}"))
        else:
            table.unfed.append(name)


def meet(tables: Sequence[DraftTable], there: Sequence[str]) -> list[str]:
    """Say of tables that would be made which one of those that are `there` they may be meant for; returns those that nothing goes to."""
    taken = {table.target.name for table in tables if table.existing}
    free = [name for name in there if name not in taken]
    made = {table.target.name: table for table in tables if not table.existing and not table.unread}
    for name, like in like_by_name(made, free).items():
        table = made[name]
        table.notes.append(
            f"The target has no table {name}, so that it would be made. It has {like}, which is like it by name: "
            f"scaffold with --onto {table.source.name}={like} maps onto that."
        )
        table.needs.append(
            (None, f"one is made; or is {like} meant, which is there? --onto {table.source.name}={like}")
        )
    return free


def about_target(tables: Sequence[DraftTable], there: Sequence[str], free: Sequence[str]) -> str:
    """What of the target was there before; nothing where it has no tables."""
    if not there:
        return ""
    loaded = [table.name for table in tables if table.existing]
    made = [table.name for table in tables if not table.existing and not table.unread]
    parts = [
        f"{_listed(names)} {what}"
        for names, what in ((loaded, "loaded as it is"), (made, "made beside"), (free, "not touched"))
        if names
    ]
    return f"The target has tables: {len(there):,}. {'; '.join(parts)}."


def _listed(names: Sequence[str], most: int = 12) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}:"
