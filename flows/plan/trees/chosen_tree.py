"""What a plan of trees looks at: the keys of each table, what the trees refer to above them, and what their lookups may find."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pyarrow as pa

from adapters.store import spill
from flows.bind.links import Link, above, below, links_of
from flows.bind.roots import Root, typed_roots
from flows.bind.tables import Binding, BoundTable
from flows.plan.trees.tree import Hanging
from flows.plan.trees.tree_rows import AS_READ, SourceRows, TargetRows
from flows.session.session import Job, Session
from transforms import expressions, keys
from transforms.mapping.column_mapping import LookUp
from transforms.vocabulary import Notice, PlanError, SpecError

NAMED: Final = 3  # keys that a message names


@dataclass(frozen=True, slots=True)
class Trees:
    """What was asked for: roots, and whether parents that the target lacks come along. `gone`: a root may be on neither side."""

    roots: tuple[Root, ...]
    with_parents: bool = False
    gone: bool = False

    @property
    def texts(self) -> tuple[str, ...]:
        """The roots as they are written."""
        return tuple(map(str, self.roots))

    def tables(self, binding: Binding) -> frozenset[str]:
        """The tables that may have rows in the trees."""
        return below(links_of(binding), {root.table for root in self.roots})


@dataclass(frozen=True, slots=True)
class Chosen:
    """The keys of each table that a plan looks at, and what is to be said of how they were found."""

    keys: Mapping[str, pa.Table]
    notices: tuple[Notice, ...] = ()


def chosen(session: Session, job: Job, trees: Trees) -> Chosen:
    """Follow trees on both sides, in the snapshots of the plan.

    Memory: the keys and references of what hangs in them. Errors: SpecError for a key that is none; PlanError for a root that no
    side has, and for parents that the target lacks, where they do not come along.
    """
    tables = {bound.name: bound for bound in session.bound.tables}
    links = links_of(session.bound)
    _hold_one_source(tables, above(links, below(links, {root.table for root in trees.roots})))
    target = TargetRows(lambda name: session.route(job, name), links)
    source = SourceRows(lambda name: session.route(job, name), links)
    hanging = Hanging({name: bound.key for name, bound in tables.items()}, links, (source, target))
    adapter = session.sides.written(job.side).adapter
    by_table: dict[str, list[Root]] = {}
    for root in trees.roots:
        by_table.setdefault(root.table, []).append(root)
    roots = {
        name: typed_roots(some, name, bound.shape, bound.key, None if bound.ddl else adapter)
        for name, some in by_table.items()
        for bound in (tables[name],)
    }
    for name, wanted in roots.items():
        there = hanging.there(name, wanted)
        if there.num_rows < wanted.num_rows and not trees.gone:
            raise _no_root(name, wanted.filter(pa.array(~keys.contained(wanted, there, tables[name].key))))
    hanging.grow(roots)
    _take_parents(hanging, source, target, with_parents=trees.with_parents)
    for name in hanging.keys:
        _write_asked(session, job, source, name, hanging.side_rows("source", name))
    return Chosen(hanging.keys, tuple(_read_whole(source.whole)))


def _hold_one_source(tables: Mapping[str, BoundTable], names: Collection[str]) -> None:
    """SpecError where a table with several sources may have rows in a tree, or above it."""
    for name in sorted(names):
        if tables[name].parts:
            raise SpecError(
                f"{name} has several sources ({tables[name].origin}), and trees are not followed through such a table.",
                fix="run whole tables (--table), or read the sources by one query: `from: {query: …}`.",
                table=name,
            )


def asked_of_lookup(job: Job, table: str, lookup: str) -> list[pa.Table] | None:
    """What rows of a tree look up: tables of values of the columns that are matched; None where that is not known."""
    folder = _asked_folder(job, table, lookup)
    return [spill.read_rows(file) for file in sorted(folder.iterdir())] if folder.exists() else None


def _take_parents(hanging: Hanging, source: SourceRows, target: TargetRows, *, with_parents: bool) -> None:
    """Take in the rows that rows of the trees refer to and the target lacks. PlanError where they are not to come along."""
    fresh = {name: hanging.side_rows("source", name) for name in hanging.keys}
    while lacking := list(_lacking(hanging, source, target, fresh)):
        if not with_parents:
            raise _without_parents(lacking)
        fresh = {}
        for link, wanted in lacking:
            before = len(hanging.rows.get(("source", link.parent), ()))
            hanging.add(link.parent, wanted)
            if parts := hanging.rows.get(("source", link.parent), [])[before:]:
                known = fresh.get(link.parent)
                fresh[link.parent] = pa.concat_tables([*([known] if known is not None else []), *parts])


def _lacking(
    hanging: Hanging, source: SourceRows, target: TargetRows, fresh: Mapping[str, pa.Table | None]
) -> Iterator[tuple[Link, pa.Table]]:
    """The keys of parents that the source has and the target lacks, by the link that leads to them."""
    for link in hanging.links:
        rows = fresh.get(link.child)
        values = source.above(link, rows) if rows is not None and rows.num_rows else None
        mine = hanging.side_rows("source", link.parent)
        if values is not None and mine is not None and mine.num_rows and set(link.wanted) <= set(mine.column_names):
            known = mine.select(list(link.wanted)).drop_null()
            values = values.filter(pa.array(~keys.contained(values, known, link.wanted)))
        if values is None or not values.num_rows:
            continue
        lost = target.lacking(link.parent, values)
        if lost.num_rows and source.maps(link.parent, link.wanted):
            found = source.having(link.parent, lost)
            if found.num_rows:
                yield link, keys.distinct(found.select(list(hanging.key_of[link.parent])))


def _write_asked(session: Session, job: Job, source: SourceRows, table: str, rows: pa.Table | None) -> None:
    """Put down what the rows of a table look up, so that nothing else is read of other tables when they are mapped."""
    bound = session.route(job, table).table
    parts: dict[str, dict[tuple[str, ...], list[pa.Table]]] = {}
    whole: set[str] = set()
    for column in bound.mapping.columns:
        if not isinstance(column.origin, LookUp):
            continue
        lookup = column.origin
        pairs = [(looked, own) for looked, own in lookup.match if own not in lookup.chained]
        if not pairs:
            whole.add(lookup.name)
            continue
        names = tuple(looked for looked, _ in pairs)
        given = source.empty(table) if rows is None else rows
        values = given.select([AS_READ + own for _, own in pairs]).rename_columns(list(names)).drop_null()
        parts.setdefault(lookup.name, {}).setdefault(names, []).append(values)
    for name, asked in parts.items():
        if name in whole:
            continue
        for number, same in enumerate(asked.values()):
            values = keys.distinct(pa.concat_tables(same, promote_options="permissive"))
            spill.write_rows(_asked_folder(job, table, name) / f"{number}.arrow", [values], values.schema)


def _asked_folder(job: Job, table: str, lookup: str) -> Path:
    return job.work / "looked up" / quote(table, safe="") / quote(lookup, safe="")


def _texts(rows: pa.Table) -> pa.Array:
    return expressions.as_json_keys(rows, tuple(rows.column_names)).combine_chunks()


def named_keys(rows: pa.Table) -> str:
    """The first of some keys, and how many more there are."""
    some = ", ".join(_texts(rows.slice(0, NAMED)).to_pylist())
    return f"{some} and {rows.num_rows - NAMED:,} more" if rows.num_rows > NAMED else some


def _no_root(table: str, lost: pa.Table) -> PlanError:
    what = "has no row" if lost.num_rows == 1 else "has no rows"
    return PlanError(
        f"{table} {what} with the key {named_keys(lost)} on either side: no tree begins there. Nothing was read further.",
        fix=f"look at the key, which is ({', '.join(lost.column_names)}) as the target has it.",
    )


def _without_parents(lacking: Sequence[tuple[Link, pa.Table]]) -> PlanError:
    found = "; ".join(
        f"{link.child} refers to {link.parent} {named_keys(wanted)} by ({', '.join(link.own or link.wanted)})"
        for link, wanted in lacking
    )
    return PlanError(
        f"The tree refers to rows that the target does not have, and that are not in the tree: {found}. Nothing was written.",
        fix="give --with-parents, which brings those rows along, or name them with --tree too.",
    )


def _read_whole(whole: Mapping[str, str]) -> Iterator[Notice]:
    for table, why in whole.items():
        text = f"{table}: the source was read whole to find the rows of the tree: {why}."
        yield Notice("source_read_whole", text, table, {"keys": 0})
