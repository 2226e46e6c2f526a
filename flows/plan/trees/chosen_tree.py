"""What a plan of trees looks at: the rows of each table, what the trees refer to above them, and what their lookups may find."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from adapters.store import spill
from flows.bind.identity import TARGET, ends_of
from flows.bind.links import Link, apart, as_read, below, links_of
from flows.bind.roots import Root, of_source, typed_roots
from flows.bind.tables import Binding, BoundTable
from flows.plan.lookups.pairs import known_pairs
from flows.plan.reading.chosen_keys import told_by
from flows.plan.trees.changed import Changed, grow
from flows.plan.trees.looked_up import PART
from flows.plan.trees.source_rows import TOLD, SourceRows
from flows.plan.trees.tree import Hanging
from flows.plan.trees.tree_rows import TargetRows
from flows.session.route import Route
from flows.session.session import Job, Session
from transforms import expressions, keys
from transforms.mapping.column_mapping import LookUp
from transforms.mapping.waiting_keys import possible_texts
from transforms.vocabulary import Key, Notice, PlanError, Tree, TreeSource
from transforms.vocabulary.arrow import contiguous

LISTED: Final = 50  # roots that programs named
NAMED: Final = 3  # keys that a message names


@dataclass(frozen=True, slots=True)
class Trees:
    """What was asked for: roots, and whether parents that the target lacks come along. `gone`: a root may be on neither side.

    `changed` are keys of rows that may have changed, in place of roots.
    """

    roots: tuple[Root, ...]
    with_parents: bool = False
    gone: bool = False
    changed: Changed | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """The roots as they are written; of keys, and of many roots that programs named, how many there are."""
        if self.changed is not None:
            return self.changed.texts
        if self.gone and len(self.roots) > LISTED:
            counts = Counter(root.table for root in self.roots)
            return tuple(f"{table}: {count:,} named" for table, count in sorted(counts.items()))
        return tuple(map(str, self.roots))

    def tables(self, binding: Binding) -> frozenset[str]:
        """The tables that may have rows in the trees."""
        changed = self.changed.tables if self.changed is not None else ()
        return below(links_of(binding), {*(root.table for root in self.roots), *changed})


@dataclass(frozen=True, slots=True)
class Chosen:
    """The rows of each table that a plan looks at, and what is to be said of how they were found."""

    rows: Mapping[str, Tree]
    notices: tuple[Notice, ...] = ()


def chosen(session: Session, job: Job, trees: Trees) -> Chosen:
    """Follow trees on both sides, in the snapshots of the plan.

    Memory: the keys and references of what hangs in them. Errors: SpecError for a key that is none; PlanError for a root that no
    side has, and for parents that the target lacks, where they do not come along.
    """
    tables = {bound.name: bound for bound in session.bound.tables}
    links = links_of(session.bound)
    pairs = cache(lambda name: known_pairs(session, tables[name]))

    def routes(name: str) -> Route:
        return session.route(job, name)

    target = TargetRows(routes, links, pairs)
    source = SourceRows(routes, links, target, pairs)
    key_of = {name: bound.key for name, bound in tables.items()}
    two_keys = {name for name, bound in tables.items() if apart(bound)}
    hanging = Hanging(key_of, links, (source, target), two_keys, source.looked_up.partners)
    by_table: dict[str, list[Root]] = {}
    for root in trees.roots:
        by_table.setdefault(root.table, []).append(root)
    begun = {name: _begun(session, job, hanging, source, tables[name], some, trees) for name, some in by_table.items()}
    hanging.grow({name: wanted for name, wanted in begun.items() if wanted is not None})
    unmapped = grow(hanging, source, target, session.bound, links, trees.changed) if trees.changed is not None else {}
    _take_parents(hanging, source, target, with_parents=trees.with_parents)
    for name in sorted({*trees.tables(session.bound), *(table for _, table in hanging.rows)}):
        _write_asked(job, source, tables[name], hanging.side_rows("source", name))
    rows = {name: Tree(some) for name, some in hanging.keys.items()}
    rows |= {name: _of_both(tables[name], hanging) for name in sorted(two_keys & {table for _, table in hanging.rows})}
    return Chosen(rows, (*_read_whole(source.whole), *_unmapped(unmapped)))


def no_rows(bound: BoundTable) -> Tree:
    """What a plan of trees looks at of a table that has no rows in them."""
    none = pa.array([], pa.string())
    return Tree(bound.key_schema.empty_table(), TreeSource({}, none, none) if apart(bound) else None)


def _begun(
    session: Session,
    job: Job,
    hanging: Hanging,
    source: SourceRows,
    bound: BoundTable,
    roots: Sequence[Root],
    trees: Trees,
) -> pa.Table | None:
    """The keys of roots of one table; None where it is apart, and their rows are where the trees begin already."""
    name = bound.name
    adapter = None if bound.ddl else session.sides.written(job.side).adapter
    plain = [root for root in roots if root.of_target or name not in hanging.apart]
    wanted = typed_roots(plain, name, bound.shape, bound.key, adapter) if plain else bound.key_schema.empty_table()
    if name not in hanging.apart:
        there = hanging.there(name, wanted)
        if there.num_rows < wanted.num_rows and not trees.gone:
            raise _no_root(name, named_keys(_without(wanted, there, bound.key)), bound.key)
        return wanted
    rows = source.target.having(name, wanted)
    others = source.looked_up.of_target(name, wanted)
    ends = ends_of(others, bound.key).cast(wanted.schema)
    lost = _without(_without(wanted, rows, bound.key), ends, bound.key)
    if lost.num_rows and not trees.gone:
        raise _no_root(name, named_keys(lost), bound.key)
    hanging.begin("target", name, rows)
    hanging.begin("source", name, others.select(source.schema(name).names))
    for root in roots:
        if root.of_target:
            continue
        mine, theirs = [source.empty(name)], [source.target.empty(name)]
        for part in bound.sources:
            if (values := of_source(root, part)) is not None:
                mine.append(source.of_part(part, values))
                theirs.append(source.target.having(name, source.looked_up.keys_of(part, values)))
        found, others = pa.concat_tables(mine), pa.concat_tables(theirs)
        if not found.num_rows and not others.num_rows and not trees.gone:
            raise _no_root(name, root.written, bound.key)
        hanging.begin("source", name, found)
        hanging.begin("target", name, others)
    return None


def _without(rows: pa.Table, others: pa.Table, key: Key) -> pa.Table:
    return rows.filter(pa.array(~keys.contained(rows, others, key)))


def _of_both(bound: BoundTable, hanging: Hanging) -> Tree:
    """What hangs in trees of a table whose rows have another key on each side."""
    target, rows = hanging.side_rows("target", bound.name), hanging.side_rows("source", bound.name)
    wanted = bound.key_schema.empty_table() if target is None else keys.distinct(target.select(list(bound.key)))
    values, waiting = {}, [pa.array([], pa.string())]
    for part in bound.sources:
        if rows is None:
            break
        mine = rows.filter(pc.equal(rows.column(PART), part.part))
        own = told_by(part)[0]
        asked = mine.select([as_read(part.part, name) for name in own]).rename_columns(list(own))
        values[part.part] = keys.distinct(asked)
        columns = {column.shape.name: column.shape.type for column in part.mapping.columns}
        mapped = pa.table(
            {
                name: mine.column(name) if name in mine.column_names else pa.nulls(mine.num_rows, columns[name])
                for name in bound.key
            }
        )
        waiting += possible_texts(asked, mapped, part.mapping)
    told = contiguous(rows.column(TOLD)).unique() if rows is not None else pa.array([], pa.string())
    return Tree(wanted, TreeSource(values, told, pa.concat_arrays([each.cast(pa.string()) for each in waiting])))


def asked_of_lookup(job: Job, table: str, lookup: str) -> list[pa.Table] | None:
    """What rows of a tree look up: tables of values of the columns that are matched; None where that is not known."""
    folder = _asked_folder(job, table, lookup)
    return [spill.read_rows(file) for file in sorted(folder.iterdir())] if folder.exists() else None


def _take_parents(hanging: Hanging, source: SourceRows, target: TargetRows, *, with_parents: bool) -> None:
    """Take in the rows that rows of the trees refer to and the target lacks. PlanError where they are not to come along."""
    fresh = {name: hanging.side_rows("source", name) for _, name in hanging.rows}
    while lacking := list(_lacking(hanging, source, target, fresh)):
        if not with_parents:
            raise _without_parents(source, lacking)
        fresh = {}
        for link, wanted in lacking:
            if parts := hanging.add(link.parent, wanted):
                known = fresh.get(link.parent)
                fresh[link.parent] = pa.concat_tables([*([known] if known is not None else []), *parts])


def _lacking(
    hanging: Hanging, source: SourceRows, target: TargetRows, fresh: Mapping[str, pa.Table | None]
) -> Iterator[tuple[Link, pa.Table]]:
    """The parents that the source has and the target lacks, as rows of the source, by the link that leads to them."""
    for link in hanging.links:
        rows = fresh.get(link.child)
        for values in source.above(link, rows) if rows is not None and rows.num_rows else ():
            names = tuple(values.column_names)
            mine = hanging.side_rows("source", link.parent)
            if mine is not None and mine.num_rows and set(names) <= set(mine.column_names):
                known = mine.select(list(names)).drop_null()
                values = values.filter(pa.array(~keys.contained(values, known.cast(values.schema), names)))
            if not values.num_rows:
                continue
            shape = source.routes(link.parent).table.shape
            if set(names) <= set(shape.names):
                values = target.lacking(link.parent, values)
            if not values.num_rows or not source.maps(link.parent, names):
                continue
            found = source.having(link.parent, values)
            if not set(names) <= set(shape.names) and found.num_rows:
                found = _without(found, _there(source, target, link.parent, found), source.key(link.parent))
            if found.num_rows:
                yield link, found


def _there(source: SourceRows, target: TargetRows, table: str, rows: pa.Table) -> pa.Table:
    """Those rows of the source that the target has."""
    key = source.routes(table).table.key
    ends = tuple(TARGET + name for name in key)
    paired = keys.without_null_keys(source.looked_up.with_target_keys(table, rows), ends)
    if not paired.num_rows:
        return rows.slice(0, 0)
    asked = ends_of(paired, key)
    there = target.having(table, keys.distinct(asked))
    return paired.filter(pa.array(keys.contained(asked, there.select(list(key)).cast(asked.schema), key)))


def _write_asked(job: Job, source: SourceRows, bound: BoundTable, rows: pa.Table | None) -> None:
    """Put down what the rows of a table look up, so that nothing else is read of other tables when they are mapped."""
    parts: dict[str, dict[tuple[str, ...], list[pa.Table]]] = {}
    whole: set[str] = set()
    given = source.empty(bound.name) if rows is None else rows
    for part in bound.sources:
        for column in part.mapping.columns:
            if not isinstance(column.origin, LookUp):
                continue
            lookup = column.origin
            pairs = [(looked, own) for looked, own in lookup.match if own not in lookup.chained]
            if not pairs:
                whole.add(lookup.name)
                continue
            names = tuple(looked for looked, _ in pairs)
            values = given.select([as_read(part.part, own) for _, own in pairs]).rename_columns(list(names)).drop_null()
            parts.setdefault(lookup.name, {}).setdefault(names, []).append(values)
    for name, asked in parts.items():
        if name in whole:
            continue
        for number, same in enumerate(asked.values()):
            values = keys.distinct(pa.concat_tables(same, promote_options="permissive"))
            spill.write_rows(_asked_folder(job, bound.name, name) / f"{number}.arrow", [values], values.schema)


def _asked_folder(job: Job, table: str, lookup: str) -> Path:
    return job.work / "looked up" / quote(table, safe="") / quote(lookup, safe="")


def named_keys(rows: pa.Table) -> str:
    """The first of some keys, and how many more there are."""
    some = ", ".join(expressions.as_json_keys(rows.slice(0, NAMED), tuple(rows.column_names)).to_pylist())
    return f"{some} and {rows.num_rows - NAMED:,} more" if rows.num_rows > NAMED else some


def _no_root(table: str, lost: str, key: Key) -> PlanError:
    several = lost.count("],") or " more" in lost
    return PlanError(
        f"{table} has no {'rows' if several else 'row'} with the key {lost} on either side: no tree begins there. "
        f"Nothing was read further.",
        fix=f"look at the key, which is ({', '.join(key)}) as the target has it.",
    )


def _without_parents(source: SourceRows, lacking: Sequence[tuple[Link, pa.Table]]) -> PlanError:
    found = "; ".join(
        f"{link.child} refers to {link.parent} {_named(source, link.parent, rows)} by ({', '.join(_by(link))})"
        for link, rows in lacking
    )
    return PlanError(
        f"The tree refers to rows that the target does not have, and that are not in the tree: {found}. Nothing was written.",
        fix="give --with-parents, which brings those rows along, or name them with --tree too.",
    )


def _by(link: Link) -> Key:
    """The columns by which rows of the child refer to the parent, as the target has them, or else the source."""
    return link.own or tuple(own for _, own in link.matched or ())


def _named(source: SourceRows, table: str, rows: pa.Table) -> str:
    """The first keys of some rows of the source, as they are listed."""
    bound = source.routes(table).table
    if not apart(bound):
        return named_keys(keys.distinct(rows.select(list(bound.key))))
    part = next(each for each in bound.sources if each.part == rows.column(PART)[0].as_py())
    own = told_by(part)[0]
    return named_keys(keys.distinct(rows.select([as_read(part.part, name) for name in own])))


def _unmapped(tables: Mapping[str, int]) -> Iterator[Notice]:
    for table, count in tables.items():
        text = f"{table}: of {count:,} keys that may have changed none can be made; a run of all sets their rows aside."
        yield Notice("unmapped_keys", text, table, {"keys": count})


def _read_whole(whole: Mapping[str, str]) -> Iterator[Notice]:
    for table, why in whole.items():
        text = f"{table}: the source was read whole to find the rows of the tree: {why}."
        yield Notice("source_read_whole", text, table, {"keys": 0})
