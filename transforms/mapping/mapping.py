"""From source rows to target rows: renames, expressions, casts, value maps, constants, lookups and functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms import expressions, keys
from transforms.mapping import casts
from transforms.mapping.casts import Cast
from transforms.mapping.column_limits import misfits
from transforms.mapping.column_mapping import (
    ColumnMapping,
    Constant,
    Expression,
    Function,
    Identified,
    KeyUuid,
    LookUp,
    LookupRows,
    Rename,
    TableMapping,
    Values,
)
from transforms.mapping.identities import identified
from transforms.mapping.lookups import look_up
from transforms.mapping.nul_characters import without_nul
from transforms.mapping.rejections import REJECTED, Faults
from transforms.mapping.waiting_keys import key_texts
from transforms.vocabulary import INVALID, STANDS_IN, ColumnShape, DataError, Key, Reason, reason_of, text_of
from transforms.vocabulary.arrow import Mask, as_mask, contiguous
from transforms.vocabulary.texts import as_text

__all__ = ["REJECTED", "Mapped", "Noted", "map_rows"]

Noted = Callable[[pa.Table, Faults], None]
"""Told what became of a batch: all its rows as mapped, in their order, and every fault of each."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """Rows ready to be compared, and the rejected ones: `rejected` says why (REJECTED), `rejected_rows` holds what
    could be mapped of them, row by row alongside. `mended` counts values that are other ones because the spec says so."""

    rows: pa.Table
    rejected: pa.Table
    rejected_rows: pa.Table
    mended: Mapping[Reason, int] = field(default_factory=dict)


def map_rows(
    rows: pa.Table, mapping: TableMapping, lookups: Mapping[str, LookupRows], noted: Noted | None = None
) -> Mapped:
    """Map a batch of source rows.

    In: the source columns that the mapping reads, perhaps with INVALID beside them. `noted` is called once.
    Out: `mapping.schema`, in the order of the rows; every row is in `rows` or in `rejected`, never in both.
    Errors: DataError for the first bad row where the mapping says `fail`; SpecError where the mapping is wrong for
        every row, or a lookup matches twice.
    """
    faults = Faults(rows.num_rows, every=noted is not None)
    if INVALID in rows.column_names:
        faults.unread(contiguous(rows.column(INVALID)))
        rows = rows.drop_columns([INVALID])
    rows, replaced = _without_stand_ins(rows, mapping)

    evaluated = _expressions(rows, mapping, faults)
    made: dict[str, pa.Array] = {}
    for column in _by_need(mapping.columns):
        if not isinstance(column.origin, KeyUuid):
            given = _with_own(rows, column.origin.chained, made) if isinstance(column.origin, LookUp) else rows
            made[column.shape.name] = _column(given, column, evaluated, lookups, faults, mapping)
    for column in mapping.columns:
        if isinstance(column.origin, KeyUuid):
            made[column.shape.name] = _key_uuid(made, mapping.key)
    result = pa.table([made[name] for name in mapping.schema.names], schema=mapping.schema)

    faults.add(keys.null_keys(result, mapping.key), Reason("null_key").of(mapping.key))
    for check in mapping.checks:
        values = contiguous(result.column(check.columns[0])) if len(check.columns) == 1 else None
        faults.add(check.failing(result), check.reason, values)
    if noted is not None:
        noted(result, faults)
    mended = {fault.reason: int(fault.rows.sum()) for fault in faults.noted} | replaced
    if not faults.reasons:
        return Mapped(result, REJECTED.empty_table(), result.slice(0, 0), mended)
    bad = faults.which >= 0
    rejected = _rejected(rows.filter(pa.array(bad)), result.filter(pa.array(bad)), faults, mapping)
    if mapping.on_invalid == "fail":
        first = rejected.slice(0, 1).to_pylist()[0]
        why = reason_of(first["why"])
        value = "" if first["value"] is None else f" value {first['value']!r}"
        raise DataError(
            f"{mapping.table}.{', '.join(why.columns)} key {first['key']}:{value} {text_of(why)}; {rejected.num_rows} such rows here.",
            fix="mend the source rows, or set `on_invalid: quarantine`.",
        )
    return Mapped(result.filter(pa.array(~bad)), rejected, result.filter(pa.array(bad)), mended)


def _without_stand_ins(rows: pa.Table, mapping: TableMapping) -> tuple[pa.Table, dict[Reason, int]]:
    """The rows without what the scan says of stand-ins, and how many there are, by target column."""
    said = [name for name in rows.column_names if name.startswith(STANDS_IN)]
    replaced: dict[Reason, int] = {}
    for name in said:
        source = name.removeprefix(STANDS_IN)
        count = int(as_mask(rows.column(name)).sum())
        targets = [c.shape.name for c in mapping.columns if isinstance(c.origin, Rename) and c.origin.source == source]
        replaced |= {Reason("dates_replaced", target): count for target in targets or [source] if count}
    return (rows.drop_columns(said) if said else rows), replaced


def _by_need(columns: Sequence[ColumnMapping]) -> list[ColumnMapping]:
    """The columns in an order in which each lookup comes after the columns that it matches by. In: no circles."""
    needs = {c.shape.name: c.origin.chained if isinstance(c.origin, LookUp) else frozenset() for c in columns}
    names = {column.shape.name: column for column in columns}
    return [names[name] for name in TopologicalSorter(needs).static_order()] if any(needs.values()) else list(columns)


def _with_own(rows: pa.Table, names: frozenset[str], made: Mapping[str, pa.Array]) -> pa.Table:
    for name in sorted(names):
        rows = rows.append_column(name, made[name])
    return rows


def _expressions(rows: pa.Table, mapping: TableMapping, faults: Faults) -> dict[str, pa.Array]:
    """All expressions in one pass; one by one where a row cannot be evaluated."""
    wanted = {c.shape.name: c.origin.sql for c in mapping.columns if isinstance(c.origin, Expression)}
    if not wanted:
        return {}
    try:
        together = expressions.select(rows, wanted)
        return {name: contiguous(together.column(name)) for name in wanted}
    except duckdb.Error:
        return _one_by_one(rows, wanted, faults)


def _one_by_one(rows: pa.Table, wanted: Mapping[str, str], faults: Faults) -> dict[str, pa.Array]:
    """Find out which expression fails, and for which rows."""
    evaluated: dict[str, pa.Array] = {}
    for name, sql in wanted.items():
        values, bad = expressions.evaluate(rows, name, sql)
        evaluated[name] = contiguous(values)
        for message in sorted(set(bad.values())):
            mask = np.zeros(rows.num_rows, dtype=bool)
            mask[[row for row, why in bad.items() if why == message]] = True
            faults.add(mask, Reason("expression_failed", name, {"message": message}))
    return evaluated


def _column(
    rows: pa.Table,
    column: ColumnMapping,
    evaluated: Mapping[str, pa.Array],
    lookups: Mapping[str, LookupRows],
    faults: Faults,
    mapping: TableMapping,
) -> pa.Array:
    name, shape = column.shape.name, column.shape
    match column.origin:
        case Rename(source):
            values = contiguous(rows.column(source))
        case Expression():
            values = evaluated[name]
        case Constant(value):
            values = _constant(value, rows.num_rows, shape)
        case LookUp() as lookup:
            values = look_up(rows, lookup, lookups[lookup.name], name, faults, mapping)
        case Identified() as wanted:
            values = identified(rows, wanted, lookups[wanted.name], name, faults, mapping.table)
        case Function() as function:
            values = _call(rows, function, name)
        case KeyUuid():
            raise AssertionError("UUIDs are made from the finished key")
    if column.strip_nul and pa.types.is_string(values.type):
        stripped = without_nul(values, as_json=shape.meaning == "json")
        faults.note(stripped.had, Reason("nul_stripped", name), values)
        faults.add(stripped.merging, Reason("merged_keys", name), values)
        values = stripped.values
    if column.values is not None:
        values = _replace(values, column.values, shape, faults)
    if column.cast is not None:
        values = faults.checked(values, column.cast, name)
    values = faults.checked(values, Cast(shape.type, shape.meaning), name)
    if shape.padded and pa.types.is_string(values.type):
        values = pc.utf8_rtrim(values, " ")  # blanks at the end are padding there, and would be gone when read back
    made, unfit = stored(values, column)
    for bad, reason in unfit:
        faults.add(bad, reason, values)
    return made


def stored(values: pa.Array, column: ColumnMapping) -> tuple[pa.Array, list[tuple[Mask, Reason]]]:
    """What a column gives back for values of its type, and where it cannot hold them, each with its reason: there they are as given."""
    unfit = misfits(values, column.shape, written=column.written)
    if column.kept is None:
        return values, unfit
    kept = column.kept(column.shape, values)
    lost = as_mask(pc.and_(pc.is_valid(values), pc.is_null(kept)))
    for bad, _ in unfit:
        lost &= ~bad
    if lost.any():
        unfit = [*unfit, (lost, Reason("not_kept", column.shape.name, {"type": column.shape.native}))]
    return pc.coalesce(kept, values), unfit  # the rejected rows are known by their values


def _constant(value: Any, size: int, shape: ColumnShape) -> pa.Array:
    if value is None:
        return pa.nulls(size, shape.type)
    return pa.repeat(pa.scalar(value), size)


def _replace(values: pa.Array, replacing: Values, shape: ColumnShape, faults: Faults) -> pa.Array:
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    looked_in, pairs = _comparable(values, replacing)
    wanted = _replaced_type(values, replacing, shape)
    news = pa.array([new for _, new in pairs], wanted)
    olds = pa.array([old for old, _ in pairs], looked_in.type)
    at = pc.index_in(looked_in, value_set=olds) if len(olds) else pa.nulls(len(values), pa.int32())
    listed, there = pc.is_valid(at), pc.is_valid(values)
    at = pc.if_else(there, at, pa.scalar(None, pa.int32()))
    replaced = news.take(at)
    for_null = [new for old, new in replacing.pairs if old is None]
    if for_null:
        replaced = pc.if_else(there, replaced, pa.scalar(for_null[0], wanted))
    unlisted = pc.and_(pc.invert(listed), there)
    if replacing.otherwise == "error":
        faults.add(as_mask(unlisted), Reason("unlisted_value", shape.name), values)
    elif replacing.otherwise == "literal":
        replaced = pc.if_else(unlisted, pa.scalar(replacing.literal, wanted), replaced)
    else:
        replaced = pc.if_else(unlisted, faults.checked(values, Cast(wanted), shape.name), replaced)
    return contiguous(replaced)


def _comparable(values: pa.Array, replacing: Values) -> tuple[pa.Array, list[tuple[Any, Any]]]:
    """The values and the keys of a value map in one type.

    YAML reads `1` as a number: in a column of texts it means the text. A text key makes other columns compare as
    text. A number that the column cannot hold matches nothing.
    """
    pairs = [(old, new) for old, new in replacing.pairs if old is not None]
    if pa.types.is_string(values.type) or any(isinstance(old, str) for old, _ in pairs):
        texts = {True: "true", False: "false"}
        return as_text(values), [(texts[o] if isinstance(o, bool) else str(o), new) for o, new in pairs]
    held = []
    for old, new in pairs:
        result = casts.cast(pa.array([old]), Cast(values.type))
        if not result.bad.any() and isinstance(old, bool) == pa.types.is_boolean(values.type):
            held.append((result.values[0].as_py(), new))
    return values, held


def _replaced_type(values: pa.Array, replacing: Values, shape: ColumnShape) -> pa.DataType:
    """What the new values are; those that only blank others are what the column is."""
    news = [new for _, new in replacing.pairs if new is not None]
    news += [replacing.literal] if replacing.literal is not None else []
    if news:
        kind: pa.DataType = pa.array(news).type
        return (
            values.type
            if replacing.otherwise == "keep" and pa.types.is_integer(kind) and not pa.types.is_string(values.type)
            else kind
        )
    return values.type if replacing.otherwise == "keep" else shape.type


def _call(rows: pa.Table, function: Function, column: str) -> pa.Array:
    import pandas as pd  # half a second that only `python:` columns need

    frame = rows.select(list(function.columns)).to_pandas(types_mapper=pd.ArrowDtype)
    try:
        answer = function.call(frame)
    except Exception as error:
        raise DataError(
            f"Column {column}: {function.name} failed: {type(error).__name__}: {error}.",
            fix="mend the function: it gets a DataFrame, and gives a Series.",
        ) from error
    if not isinstance(answer, pd.Series) or len(answer) != rows.num_rows:
        got = f"a Series of {len(answer)}" if isinstance(answer, pd.Series) else f"a {type(answer).__name__}"
        raise DataError(
            f"Column {column}: {function.name} gave {got} for {rows.num_rows} rows.", fix="return one value a row."
        )
    try:
        return contiguous(pa.Array.from_pandas(answer))
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(
            f"Column {column}: {function.name} gave values of several types: {error}.", fix="return values of one type."
        ) from error


def _key_uuid(made: Mapping[str, pa.Array], key: Key) -> pa.Array:
    """A version-8 UUID from the MD5 of the key as a JSON array; null where the key has a null."""
    table = pa.table({name: made[name] for name in key})
    values = uuids_of(expressions.as_json_keys(table, key))
    return pc.if_else(pa.array(keys.null_keys(table, key)), pa.scalar(None, pa.string()), values)


def uuids_of(texts: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A UUID of each text: the same text always gives the same UUID."""
    return contiguous(expressions.select(pa.table({"key": texts}), {"uuid": _UUID_SQL}).column(0)).cast(pa.string())


_UUID_SQL = (
    "substr(md5(key), 1, 8) || '-' || substr(md5(key), 9, 4) || '-8' || substr(md5(key), 14, 3) || '-a' || "
    "substr(md5(key), 18, 3) || '-' || substr(md5(key), 21, 12)"
)


def _rejected(source: pa.Table, mapped: pa.Table, faults: Faults, mapping: TableMapping) -> pa.Table:
    rows = np.flatnonzero(faults.which >= 0)
    which = faults.which[rows]
    values = np.full(len(rows), None, dtype=object)
    for number in np.unique(which):
        given = faults.reasons[number][1]
        if given is not None:
            at = which == number
            values[at] = as_text(given.take(pa.array(rows[at]))).to_numpy(zero_copy_only=False)
    whys = pa.array([reason.as_json() for reason, _ in faults.reasons], pa.string())
    return pa.table(
        [
            whys.take(pa.array(which)),
            key_texts(source, mapped, mapping),
            pa.array(values, pa.string()),
            expressions.as_json(source).cast(pa.string()),
            expressions.as_json(mapped).cast(pa.string()),
        ],
        schema=REJECTED,
    )
