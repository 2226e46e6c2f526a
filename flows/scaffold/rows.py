"""What the rows say against a draft: references to nothing, broken checks, and values that would be computed otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.protocol import Catalog, Snapshot, Target
from adapters.sql.ddl import orphans_query
from adapters.sql.statements import Engine, dialect_of
from flows.scaffold.design import unique_key
from flows.scaffold.read import Read
from flows.scaffold.translate import Tongues
from flows.spec.types import new_column
from transforms import expressions, keys
from transforms.vocabulary import INVALID, ForeignKey, Key, Relation, SynclineError, TableName, TableShape
from transforms.vocabulary.arrow import as_mask

_COMPARES: Final = re.compile(
    r"[=<>]|\b(?:like|in|regexp|rlike|if|case|between|strcmp|locate|instr|replace)\b", re.IGNORECASE
)


def orphans(snapshot: Snapshot, source: Catalog, shape: TableShape, foreign: ForeignKey) -> int:
    """How many rows refer to nothing, or to a text that a collation alone takes for theirs, where the source lets them."""
    if source.capabilities.holds_foreign_keys:
        return 0
    texts = {column.name for column in shape.columns if pa.types.is_string(column.type)}
    query = orphans_query(shape.name, foreign, dialect_of(cast(Engine, source.engine)), texts)
    return snapshot.count(Relation(query=query))


def offenders(
    snapshot: Snapshot, table: TableName, shape: TableShape, checks: Iterable[str], tongues: Tongues
) -> dict[str, int]:
    """How many rows each check would refuse that the source's own reading of it lets in: only those that have some.

    Engines compare differently (MySQL takes 'A' for 'a'), and let in what was there before the check.
    """
    conditions: dict[str, str] = {}
    for check in checks:
        sql = _here(shape, tongues).spoken(check).sql
        if sql is not None and _evaluates(shape, sql):
            conditions[check] = f"NOT ({sql})"
    return {check: count for check, count in _counted(snapshot, table, shape, conditions).items() if count}


def differing(
    snapshot: Snapshot, table: TableName, shape: TableShape, generated: Mapping[str, str], tongues: Tongues
) -> dict[str, str]:
    """Why a column cannot be computed by the target: its expression, as others read it, answers with something else
    than the source, or cannot be worked out here. Only those of which that is true.
    """
    found: dict[str, str] = {}
    conditions: dict[str, str] = {}
    for name, expression in generated.items():
        sql, type_ = _here(shape, tongues).spoken(expression, column=name).sql, tongues.types.get(name, "")
        if sql is None or name not in shape.names:
            if tongues.source == tongues.target and _COMPARES.search(expression):
                found[name] = "it may compare texts, which have no collation here"
            continue  # else it does not translate, and is told of, or need not
        kind = _kind_here(type_)
        own = '"' + name.replace('"', '""') + '"'
        unlike = f"CAST(({sql}) AS {kind}) IS DISTINCT FROM CAST({own} AS {kind})"
        if kind and _evaluates(shape, unlike):
            conditions[name] = unlike
        else:
            found[name] = "it cannot be worked out here whether it gives the same"
    for name, count in _counted(snapshot, table, shape, conditions).items():
        if count:
            found[name] = f"it would give another value in {count:,} row{'s' if count > 1 else ''}"
    return found


def _here(shape: TableShape, tongues: Tongues) -> Tongues:
    """Into the SQL of expressions, over the columns of the source."""
    return replace(tongues, target="duckdb", names={name: name for name in _readable(shape)}, folded=frozenset())


def _readable(shape: TableShape) -> tuple[str, ...]:
    return tuple(column.name for column in shape.columns if not column.refused)


def _kind_here(type_: str) -> str:
    """A type of the spec as expressions call it; empty where values of it are not compared by it."""
    if type_.startswith(("varchar", "char", "text")):
        return "VARCHAR"
    if type_.startswith("numeric("):
        return type_.replace("numeric", "DECIMAL")
    plain = ("smallint", "integer", "bigint", "real", "double", "boolean", "date", "time", "timestamp")
    return type_.upper() if type_ in plain else ""


def _evaluates(shape: TableShape, sql: str) -> bool:
    try:
        used = expressions.columns(sql)
        return bool(used) and expressions.check(shape.schema(_readable(shape)), "offends", sql) == pa.bool_()
    except SynclineError:
        return False


def _counted(snapshot: Snapshot, table: TableName, shape: TableShape, conditions: Mapping[str, str]) -> dict[str, int]:
    """How many rows each condition is true for, in one scan. Dates that are none are null, as the draft has them."""
    if not conditions:
        return {}
    columns = [column for column in shape.columns if not column.refused]
    used = tuple(
        column.name for column in columns if any(column.name in expressions.columns(sql) for sql in conditions.values())
    )
    dated = [column.name for column in columns if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type)]
    found = dict.fromkeys(conditions, 0)
    for batch in snapshot.scan(Relation(table, zero_dates=tuple((name, "null") for name in dated)), used):
        rows = pa.Table.from_batches([batch])
        for about, sql in conditions.items():
            answer, _ = expressions.evaluate(rows, "offends", sql)
            found[about] += pc.sum(answer).as_py() or 0
    return found


def stranded(
    snapshot: Snapshot, child: TableName, foreign: ForeignKey, parent: TableShape, *, nul: Key, dated: Key
) -> int:
    """How many rows refer to rows that will be quarantined: for a NUL character in the columns `nul`, for a date that is
    none in a column of the key, or because they cannot be read. In the columns `dated` such a date is null.

    Memory: the keys of those rows.
    """
    names, there = foreign.columns, foreign.refers_columns
    relation = Relation(parent.name, zero_dates=tuple((name, "null") for name in dated))
    bad: list[pa.Table] = []
    readable = tuple(column.name for column in parent.columns if not column.refused)
    for batch in snapshot.scan(relation, readable):
        lost = np.zeros(batch.num_rows, dtype=bool)
        if INVALID in batch.schema.names:
            lost |= as_mask(pc.is_valid(batch.column(INVALID)))
        for name in nul:
            lost |= as_mask(pc.fill_null(pc.match_substring(batch.column(name), "\0"), False))
        if lost.any():
            found = pa.Table.from_batches([batch.select(list(there))]).filter(pa.array(lost))
            bad.append(found.rename_columns(list(names)))
    if not bad:
        return 0
    gone, count = pa.concat_tables(bad), 0
    gone = gone.filter(pa.array(~keys.null_keys(gone, names)))
    for batch in snapshot.scan(Relation(child), names):
        rows = pa.Table.from_batches([batch.select(list(names))])
        rows = rows.filter(pa.array(~keys.null_keys(rows, names)))
        if rows.num_rows:
            count += int(keys.contained(rows, gone.cast(rows.schema), names).sum())
    return count


def look_for_orphans(snapshot: Snapshot, read: Sequence[Read], source: Catalog, target: Target) -> None:
    """Note for each foreign key inside the draft how many rows refer to nothing, or to such as cannot come along."""
    by_name = {each.name: each for each in read}
    nul_free = not target.made(new_column("a", "text", nullable=True)).nul
    for child in read:
        for foreign in child.shape.foreign_keys:
            parent = by_name.get(foreign.refers)
            if parent is None:
                continue
            if count := orphans(snapshot, source, child.shape, foreign):
                child.orphans = {**child.orphans, foreign: count}
                continue
            key = parent.shape.primary_key or unique_key(parent.shape)
            nul = tuple(name for name, facts in parent.facts.items() if nul_free and facts.nul)
            dated = tuple(name for name, facts in parent.facts.items() if facts.zero_dates and name not in key)
            bad = any(facts.invalid or (facts.zero_dates and name in key) for name, facts in parent.facts.items())
            if nul or bad:
                count = stranded(snapshot, child.name, foreign, parent.shape, nul=nul, dated=dated)
                child.stranded = {**child.stranded, foreign: count}
