"""Tables of a draft: their columns, keys and references, for a target table that is there or is yet to be made."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal, cast

import pyarrow as pa
from sqlalchemy import literal

from adapters.capabilities import Names
from adapters.protocol import Catalog, Snapshot, Target
from adapters.sql.names import cut, fitting, folded
from adapters.sql.statements import Engine, dialect_of, rendered
from adapters.sql.statements import column as named
from flows.scaffold import types
from flows.scaffold.design import fill_design, indexed, unique_key
from flows.scaffold.existing import map_to_existing
from flows.scaffold.profile import Facts
from flows.scaffold.read import Read
from flows.scaffold.rows import differing, offenders
from flows.scaffold.translate import Tongues
from flows.scaffold.types import Chosen, Place
from flows.scaffold.values import values_of
from flows.scaffold.yaml import DraftColumn, DraftKey, DraftTable, Raw, flow, spelled
from flows.spec.types import new_column
from transforms.mapping import casts
from transforms.vocabulary import (
    BusyError,
    ColumnShape,
    ConnectionFailed,
    ForeignKey,
    Key,
    SynclineError,
    TableName,
    TableShape,
    TransientError,
)
from transforms.vocabulary.features import Feature

OTHER_BYTES: Final = 20  # of an index, for a column that has no length
UNREACHED: Final = (BusyError, ConnectionFailed, TransientError)
"""Errors that say nothing of a table: they end the whole draft."""
ACTIONS: Final = ("RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT")
WHOLE_NUMBERS: Final = ("smallint", "integer", "bigint")


def target_names(names: Sequence[str], engine: Names) -> dict[str, str]:
    """A name in the target for each: the same, unless the target takes it for another one, refuses it, or would cut it."""
    taken: set[str] = set()
    found = {}
    for name in names:
        new, number = fitting(name, engine), 1
        while folded(new, engine.columns) in taken:
            number += 1
            new = f"{cut(fitting(name, engine), engine, 1 + len(str(number)))}_{number}"
        taken.add(folded(new, engine.columns))
        found[name] = new
    return found


def drafted(
    schema: str | None,
    read: Sequence[Read],
    targets: Mapping[str, str],
    snapshot: Snapshot,
    source: Catalog,
    target: Target,
) -> list[DraftTable]:
    """A table of the draft for each that was read; `targets` are their names in the target's `schema`."""
    chosen = _types(read, source.engine, target)
    tables = []
    for each in read:
        name = TableName(targets[each.name.name], schema)
        table = DraftTable(spelled(name.name), each.name, name, each.rows, each.key, existing=each.found is not None)
        tables.append(table)
        if each.found is None and name.name.casefold() != each.name.name.casefold():
            table.notes.append(
                f"{each.name.name} is called {name.name} here: {target.engine} would not keep its name apart."
            )
        try:
            if each.found is not None:
                map_to_existing(table, each, target)
            else:
                _make_new(table, each, chosen, snapshot, source, target)
        except UNREACHED:
            raise
        except SynclineError as error:
            table.blocked = str(error)
        _key_notes(table, each)
    by_source = {table.source.name: table for table in tables}
    for each in read:
        _refer(by_source[each.name.name], each, by_source, chosen, target)
    return tables


def _types(read: Sequence[Read], source: str, target: Target) -> dict[Place, Chosen]:
    chosen: dict[Place, Chosen] = {}
    for each in read:
        shape, key = each.shape, each.key
        room = _rooms(shape, [key, *indexed(shape, each.design)], target.capabilities.index_bytes)
        for column in shape.columns:
            facts, in_key = each.facts.get(column.name, Facts()), column.name in key
            what = types.choose(column, facts, source, target, in_key=in_key, room=room.get(column.name, 0))
            chosen[each.name.name, column.name] = what
    linked = [
        ((each.name.name, own), (foreign.refers.name, there))
        for each in read
        for foreign in each.shape.foreign_keys
        if _beside(each.name, foreign.refers)
        for own, there in zip(foreign.columns, foreign.refers_columns, strict=True)
    ]
    return types.alike(chosen, linked)


def _rooms(shape: TableShape, groups: Iterable[Key], index_bytes: int | None) -> dict[str, int]:
    """The bytes that the narrowest of a column's indexes has for it, where `index_bytes` are their end."""
    found: dict[str, int] = {}
    if index_bytes is None:
        return found
    for group in groups:
        long = [column.name for column in shape.columns if column.name in group and _has_length(column)]
        for name in long:
            most = (index_bytes - OTHER_BYTES * (len(set(group)) - len(long))) // len(long)
            found[name] = min(most, found.get(name, most))
    return found


def _has_length(column: ColumnShape) -> bool:
    return bool(pa.types.is_string(column.type) or pa.types.is_binary(column.type))


def _make_new(
    table: DraftTable,
    read: Read,
    chosen: Mapping[Place, Chosen],
    snapshot: Snapshot,
    source: Catalog,
    target: Target,
) -> None:
    """A table that the target does not have: its columns, types, keys and all that translates."""
    shape, names = read.shape, target_names(read.shape.names, target.capabilities.names)
    for column in shape.columns:
        if not column.name:
            table.left_out.append(("(no name)", "a column without a name, which a spec cannot write"))
            continue
        if column.refused:
            table.left_out.append((column.name, f"{column.native} cannot be read exactly: {column.refused}"))
            continue
        table.columns.append(_new_column(column, names[column.name], chosen[read.name.name, column.name], target))
    if not table.columns:
        return
    kept = {column.source: column for column in table.columns}
    table.key = tuple(names[name] for name in table.key)
    table.primary_key = table.key
    for name in shape.primary_key or read.likely.key:
        if name in kept:
            kept[name].nullable = False
    whole = [tuple(name for name in shape.names if name in unique) for unique in shape.uniques]
    ordered = sorted(whole, key=lambda unique: [shape.names.index(name) for name in unique])
    unindexed = {name: why for name in kept if name and (why := chosen[read.name.name, name].unindexed)}
    unindexed |= {name: f"{name} is left out" for name in shape.names if name not in kept}
    groups = [unique for unique in ordered if {names[n] for n in unique} != set(table.key)]
    table.unique = _held(groups, "unique", unindexed, names, table)
    _number(table, shape, target)
    unsigned = [column.name for column in shape.columns if "unsigned" in column.native.lower() and column.name in kept]
    if unsigned:
        why = "numbers below zero are not refused here"
        table.features.append(Feature("unsigned", tuple(unsigned), {"why": why}))
    labels = {name: chosen[read.name.name, name].labels for name in kept if name}
    table.checks = [_one_of(kept[name], listed, target) for name, listed in labels.items() if listed]
    types_ = {str(name): str(column.type) for name, column in kept.items()}
    folded = frozenset(names[column.name] for column in shape.columns if column.collation and column.name in kept)
    tongues = Tongues(source.engine, target.engine, names, types_, folded)
    design, unlike = read.design, {}
    if (
        source.engine != target.engine or not source.capabilities.holds_foreign_keys
    ):  # whose collations do not come along
        for check, count in offenders(snapshot, read.name, shape, design.checks, tongues).items():
            design = replace(design, checks=tuple(each for each in design.checks if each != check))
            table.features.append(
                Feature("check", (), {"sql": check, "rows": count, "why": f"{count:,} rows stand against it"})
            )
        unlike = differing(snapshot, read.name, shape, dict(design.generated), tongues)
    others = [index for index in design.indexes if tuple(names[n] for n in index) != table.key]
    table.indexes = _held(others, "index", unindexed, names, table)
    defaults = {name: sql for name, sql in design.defaults if name in kept and tongues.constant(sql)}
    fill_design(table, design, shape, tongues, target, unlike, values_of(source, shape, defaults))


def _held(
    groups: Iterable[Key],
    what: Literal["unique", "index"],
    unindexed: Mapping[str, str],
    names: Mapping[str, str],
    table: DraftTable,
) -> list[Key]:
    """The columns of indexes by their names in the target, without those that it cannot hold, which are listed."""
    found = []
    for group in groups:
        if why := next((unindexed[name] for name in group if name in unindexed), ""):
            table.features.append(Feature(what, group, {"why": why}))
        else:
            found.append(tuple(names[name] for name in group))
    return found


def _new_column(column: ColumnShape, name: str, chosen: Chosen, target: Target) -> DraftColumn:
    made = target.made(new_column(name, chosen.type, nullable=chosen.nullable))
    reached = casts.implicit(column.type, column.meaning, made)
    how = None if reached else re.sub(r"^(var)?char\(.*", "text", chosen.type)
    if chosen.zone:
        how = Raw(flow({"type": chosen.type, "time_zone": chosen.zone}))
    notes = list(chosen.notes)
    if name != column.name:
        notes.insert(0, f"{column.name} in the source, a name that {target.engine} does not keep")
    nullable = None if chosen.nullable and column.nullable else chosen.nullable
    return DraftColumn(name, column.name, chosen.type, nullable, how, chosen.zone, chosen.zero_date, notes=notes)


def _number(table: DraftTable, shape: TableShape, target: Target) -> None:
    """An identity, where the target has such: one column, and in some the primary key."""
    numbered = [column.name for column in shape.columns if column.identity]
    for place, name in enumerate(numbered):
        column = next((each for each in table.columns if each.source == name), None)
        if column is None:
            continue
        why = (
            "a table has one" if place else "" if column.type in WHOLE_NUMBERS else f"{column.type} cannot be numbered"
        )
        if not target.capabilities.numbers_any_column and table.key != (column.name,):
            why = f"{target.capabilities.names.title} numbers only a column that is the primary key"
        if why:
            table.features.append(Feature("identity", (name,), {"why": why}))
        else:
            column.identity = True


def _one_of(column: DraftColumn, labels: Sequence[str], target: Target) -> str:
    """The check that stands for an enum."""
    listed = named(column.name).in_([literal(label) for label in labels])
    return rendered(listed, dialect_of(cast(Engine, target.engine)))


def _key_notes(table: DraftTable, read: Read) -> None:
    if table.blocked or (read.shape.primary_key and table.key):
        return
    if not table.columns:
        table.blocked = "it has no columns" if not read.shape.columns else "none of its columns can be read exactly"
        return
    listed = ", ".join(table.key)
    if unique_key(read.shape) and table.key:
        table.notes.append(f"No primary key: rows are matched by ({listed}), which an index keeps unique.")
    elif table.key:
        table.notes.append(f"No key is declared: rows are matched by ({listed}): {read.likely.about}.")
    else:
        why = read.likely.about or "the target lacks columns of the source's key"
        table.blocked = f"there is no key: {why}. Name columns under key, and remove the #."
        table.key = tuple(column.name for column in table.columns[:1])


def _beside(table: TableName, other: TableName) -> bool:
    """Whether two source tables are in the schema that is drafted."""
    return other.schema in (None, table.schema)


def _refer(
    table: DraftTable,
    read: Read,
    by_source: Mapping[str, DraftTable],
    chosen: Mapping[Place, Chosen],
    target: Target,
) -> None:
    """The foreign keys whose other end is in the draft, and which the rows keep."""
    if table.existing:
        return
    own = {column.source: column.name for column in table.columns}
    for foreign in read.shape.foreign_keys:
        parent = by_source.get(foreign.refers.name) if _beside(read.name, foreign.refers) else None
        there = {column.source: column.name for column in parent.columns} if parent else {}
        rows, why = 0, ""
        columns = tuple(own[name] for name in foreign.columns if name in own)
        refers = tuple(there[name] for name in foreign.refers_columns if name in there)
        if parent is None or len(refers) < len(foreign.columns) or len(columns) < len(foreign.columns):
            why = "its other end is not in this draft"
        elif parent.blocked:
            why = f"{parent.name} is left out"
        elif not target.capabilities.has_foreign_keys:
            why = f"{target.capabilities.names.title} has none"
        elif not target.capabilities.changes_parents:
            why = (
                f"{target.capabilities.names.title} checks it before a statement ends, so that changes of parents fail"
            )
        elif rows := read.orphans.get(foreign, 0):
            texts = any(pa.types.is_string(each.type) for each in read.shape.columns if each.name in foreign.columns)
            what = "row refers to nothing" if rows == 1 else "rows refer to nothing"
            why = f"{rows:,} {what}{', or to what differs in case or blanks' if texts else ''}"
        elif rows := read.stranded.get(foreign, 0):
            what = "row refers to one that is" if rows == 1 else "rows refer to such as are"
            why = f"{rows:,} {what} quarantined, for what is in other columns"
        elif unindexed := [each for name in foreign.columns if (each := chosen[read.name.name, name].unindexed)]:
            why = unindexed[0]
        elif not parent.existing and set(refers) not in map(set, (parent.key, *parent.unique)):
            why = f"({', '.join(refers)}) is not unique there"
        if why:
            facts = {"refers": foreign.refers.name, "why": why} | ({"rows": rows} if rows else {})
            table.features.append(Feature("foreign_key", foreign.columns, facts))
        elif parent is not None:
            table.foreign_keys.append(_with_actions(DraftKey(columns, parent.name, refers), foreign, table, target))


def _with_actions(key: DraftKey, foreign: ForeignKey, table: DraftTable, target: Target) -> DraftKey:
    """The key with what it does when a row changes that it refers to, where the target has that; else it is listed."""
    lacking = target.capabilities.lacks_actions
    for event, action in (("DELETE", foreign.on_delete), ("UPDATE", foreign.on_update)):
        if action and (action in lacking or action not in ACTIONS):
            facts = {"refers": foreign.refers.name, "event": event, "sql": action}
            table.features.append(Feature("foreign_key_action", foreign.columns, facts))
        elif event == "DELETE":
            key.on_delete = action
        else:
            key.on_update = action
    return key
