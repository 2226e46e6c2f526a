"""Lookups of a table into itself: in which order they can be made, what falls with a row that is set aside, and circles."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from transforms import keys
from transforms.mapping.column_mapping import ColumnMapping, LookUp, TableMapping
from transforms.mapping.lookups import as_asked
from transforms.vocabulary.arrow import Indices, Mask


def own_depths(table: str, columns: Sequence[ColumnMapping]) -> dict[str, int]:
    """How many lookups of the table into itself a column is behind, for each mapped column. In: no circles.

    0 is known of each row by itself, 1 once those are known of all rows, such as a parent's number, 2 what is looked up by or
    taken of columns of depth 1, such as a grandparent's.
    """
    origins = {column.shape.name: column.origin for column in columns}
    depths: dict[str, int] = {}

    def depth(name: str) -> int:
        if name not in depths:
            origin = origins.get(name)
            depths[name] = 0
            if isinstance(origin, LookUp):
                own = max((depth(by) for by in origin.chained), default=0)
                looked = [*(there for there, _ in origin.match), origin.take] if origin.name == table else []
                depths[name] = max(own, *(depth(there) + 1 for there in looked)) if looked else own
        return depths[name]

    return {name: depth(name) for name in origins}


def own_lookups(mapping: TableMapping) -> dict[str, LookUp]:
    """The columns that are looked up in the table itself, directly."""
    found = {column.shape.name: column.origin for column in mapping.columns}
    return {name: each for name, each in found.items() if isinstance(each, LookUp) and each.name == mapping.table}


def of_columns(mapping: TableMapping, names: Collection[str], most: int, *, beyond: int = -1) -> TableMapping:
    """The mapping of some columns that are at most so deep, with the checks that need no others.

    `beyond`: of the checks only those with a column that is deeper than that.
    """
    depths = own_depths(mapping.table, mapping.columns)
    columns = tuple(c for c in mapping.columns if c.shape.name in names and depths[c.shape.name] <= most)
    there = {column.shape.name for column in columns}
    checks = tuple(
        check
        for check in mapping.checks
        if set(check.columns) <= there and max((depths[name] for name in check.columns), default=0) > beyond
    )
    return replace(mapping, columns=columns, checks=checks)


def needed(mapping: TableMapping, besides: Collection[str] = ()) -> set[str]:
    """The mapped columns that lookups into the table itself depend on, or that depend on them."""
    depths = own_depths(mapping.table, mapping.columns)
    wanted = {*mapping.key, *besides, *(name for name, depth in depths.items() if depth)}
    wanted |= {n for check in mapping.checks if any(depths.get(c) for c in check.columns) for n in check.columns}
    origins = {column.shape.name: column.origin for column in mapping.columns}
    found: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name in found or name not in origins:
            continue
        found.add(name)
        origin = origins[name]
        if isinstance(origin, LookUp):
            looked = [*(there for there, _ in origin.match), origin.take] if origin.name == mapping.table else []
            wanted |= {*origin.chained, *looked}
    return found


@dataclass(frozen=True, slots=True)
class Link:
    """One lookup of the rows of a table into the table, with natural keys as numbers; -1 is none.

    `asked`: what each row asks for. `own`: what each row can be found by, once the plan is in. `others`: what rows of the
    target can be found by that are none of these and stay. `away`: what rows are called that were set aside.
    """

    column: str
    lookup: LookUp
    asked: Indices
    own: Indices
    others: Indices
    away: Indices

    @property
    def size(self) -> int:
        parts = (self.asked, self.own, self.others, self.away)
        return 1 + max(int(part.max(initial=-1)) for part in parts)


def link(column: str, lookup: LookUp, rows: pa.Table, own: pa.Table, others: pa.Table, away: pa.Table) -> Link:
    """The lookup as numbers.

    In: `rows` with the columns that ask; beside them `own`, as each row will be found, null where it will not be; `others` and
    `away`. The latter three have the columns that are looked up, in one type.
    """
    there = [name for name, _ in lookup.match]
    names = [f"k{i}" for i in range(len(there))]
    tables = [each.select(there).rename_columns(names) for each in (own, others, away)]
    tables.insert(0, as_asked(rows, lookup, tables[0].schema, names))
    whole = [~keys.null_keys(each, tuple(names)) for each in tables]
    found = keys.codes([t.filter(pa.array(mask)) for t, mask in zip(tables, whole, strict=True)], tuple(names))
    numbered = []
    for mask, codes in zip(whole, found, strict=True):
        numbers = np.full(len(mask), -1, dtype=np.int64)
        numbers[mask] = codes
        numbered.append(numbers)
    return Link(column, lookup, *numbered)


def unfounded(links: Sequence[Link], stays: Mask) -> Mask:
    """Which rows find no row, or only one that is set aside, and so are set aside themselves: all the way down.

    In: `stays` says of each row that the target has it under the same names, so that it is found whatever becomes of it.
    A row that finds nothing at all counts only where its lookup says `quarantine`. Of names that several rows have the last one
    has to go. Cost: the rows, and the links of those that are set aside.
    """
    rejected = np.zeros(len(stays), dtype=bool)
    alive, away, order, starts = [], [], [], []
    frontier = np.zeros(0, dtype=np.int64)
    for each in links:
        size = each.size
        left = np.bincount(each.own[each.own >= 0], minlength=size)
        left += np.bincount(each.others[each.others >= 0], minlength=size)
        gone = np.zeros(size, dtype=bool)
        gone[each.away[each.away >= 0]] = True
        asking = np.flatnonzero(each.asked >= 0)
        asked = each.asked[asking]
        lost = (left[asked] == 0) & (gone[asked] | (each.lookup.missing == "quarantine"))
        frontier = np.union1d(frontier, asking[lost])
        by_name = asking[np.argsort(asked, kind="stable")]
        alive.append(left)
        away.append(gone)
        order.append(by_name)
        starts.append(np.searchsorted(each.asked[by_name], np.arange(size + 1)))
    while len(frontier):
        rejected[frontier] = True
        falling = frontier[~stays[frontier]]
        after: list[Indices] = []
        for each, left, children, begins in zip(links, alive, order, starts, strict=True):
            names = each.own[falling]
            names = names[names >= 0]
            np.subtract.at(left, names, 1)
            for name in np.unique(names[left[names] == 0]):
                after.append(children[begins[name] : begins[name + 1]])
        nearby = np.unique(np.concatenate(after)) if after else frontier[:0]
        frontier = nearby[~rejected[nearby]]
    return rejected


def circles(each: Link) -> Indices:
    """The rows that are their own ancestors, ascending. A name that several rows have leads nowhere."""
    parent = _parents(each)
    rows = len(parent) - 1
    at = parent
    for _ in range(max(rows, 1).bit_length()):
        at = at[at]
    reached = np.unique(at)
    return reached[reached < rows]


def circle_of(each: Link, row: int) -> list[int]:
    """The rows of a circle, from one of its rows to its parent and on until it closes."""
    parent = _parents(each)
    found = [row]
    while (at := int(parent[found[-1]])) != row:
        found.append(at)
    return found


def _parents(each: Link) -> Indices:
    """For each row its parent's place; behind the last row is where all end that have none here."""
    rows = len(each.own)
    known = np.flatnonzero(each.own >= 0)
    times = np.bincount(each.own[known], minlength=each.size)
    place = np.full(each.size, rows, dtype=np.int64)
    place[each.own[known]] = known
    place[times > 1] = rows
    parent = np.full(rows + 1, rows, dtype=np.int64)
    asking = np.flatnonzero(each.asked >= 0)
    parent[asking] = place[each.asked[asking]]
    return parent
