"""What people decide about rows that are open between both sides. The next run applies it, and nothing is written before."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.ledger.ledger import Ledger
from adapters.ledger.open_rows import MADE
from flows.history.version_list import key_text, spellings
from flows.session.author import author
from flows.session.open_rows import RowKind, row_kind
from flows.session.stores import ledger_of
from flows.spec.entries import kept_as
from flows.spec.model import Spec
from flows.spec.problems import meant
from transforms import expressions
from transforms.mapping import casts
from transforms.mapping.casts import Cast
from transforms.reconcile.decisions import as_values
from transforms.vocabulary import DataError, SpecError
from transforms.vocabulary.arrow import Mask, as_mask

Take = Literal["source", "target", "base", "value"]
IMAGES: Final = ("base", "source", "target")


@dataclass(frozen=True, slots=True)
class Choice:
    """Which open rows are decided: of some tables, with one of some keys, for which a condition holds in DuckDB's SQL over `key`,
    `kind` and the rows `base`, `source` and `target`, such as `source.price > target.price`. `every`: all that are open."""

    tables: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    where: str | None = None
    every: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is decided: for a field, or for all that is open of a row, whose value stands; or a `value`, as text, None for null."""

    take: Take
    field: str | None = None
    value: str | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """How many rows were decided, by table; and of chosen ones that were not, why, and how many."""

    rows: Mapping[str, int]
    left: Mapping[str, int]


def verdict_of(take: str, field: str | None = None, why: str | None = None) -> Verdict:
    """What a person writes: source, target or base; `value:` and a text; `null`; or the value itself."""
    if take in ("source", "target", "base"):
        return Verdict(take, field, None, why)  # type: ignore[arg-type]
    value = take.removeprefix("value:")
    return Verdict("value", field, None if take == "null" else value, why)


def decide(spec: Spec, choice: Choice, verdict: Verdict, by: str | None = None) -> Decided:
    """Note what was decided about open rows, with who, when and why: for all that were chosen and fit, or, on an error, for none.

    `by` is who decided; whoever runs this, where nobody is named.

    Errors: SpecError for a conflict that is not there, a table or a field that is none, and a condition that is no condition;
    DataError for a value that is none of the column.
    """
    if not (choice.tables or choice.keys or choice.where or choice.every):
        raise SpecError("no row was chosen.", fix="name rows by --table, --key or --where, or all by --all.")
    if verdict.take == "value" and verdict.field is None:
        raise SpecError("a value is of one field.", fix="name it by --field, or take source, target or base.")
    with ledger_of(spec) as ledger:
        open_ = ledger.count_conflicts(spec.name)
        named = kept_as(spec, choice.tables, open_) or tuple(open_)
        left: dict[str, int] = {}
        known = {table: kind for table in named if (kind := row_kind(spec, ledger, table)) is not None}
        _check_named(known, named, verdict)
        made = {table: _made(spec, ledger, table, kind, choice, verdict, left) for table, kind in known.items()}
        if not any(rows.num_rows for rows in made.values()):
            raise _nothing(spec, ledger, named, choice, left)
        rows = {}
        for table, decisions in made.items():
            if decisions.num_rows:
                rows[table] = ledger.open_rows.decide(spec.name, table, decisions, by or author(), verdict.why)
    return Decided(rows, left)


def _made(
    spec: Spec, ledger: Ledger, table: str, kind: RowKind, choice: Choice, verdict: Verdict, left: dict[str, int]
) -> pa.Table:
    """The decisions about rows of a table (MADE); why others are left, and how many, is added to `left`."""
    keys = [each for text in choice.keys for each in spellings(text)]
    if verdict.field is not None and verdict.field not in kind.schema.names:
        return MADE.empty_table()
    _check_field(table, kind, verdict)
    if choice.where is not None:
        _check_condition(kind, choice.where)
    parts = [MADE.empty_table()]
    for rows in ledger.open_rows.rows(spec.name, table, keys=keys):
        chosen = rows if choice.where is None else rows.filter(pa.array(_holds(rows, kind, choice.where)))
        fits = np.ones(chosen.num_rows, dtype=bool)
        for why, mask in _unfit(chosen, verdict):
            if count := int((fits & mask).sum()):
                left[why] = left.get(why, 0) + count
                fits &= ~mask
        some = chosen.filter(pa.array(fits))
        same = {"field": verdict.field, "take": verdict.take, "value": verdict.value}
        columns = {name: pa.array([told] * some.num_rows, pa.string()) for name, told in same.items()}
        there = {name: some[name] for name in some.column_names}
        parts.append(pa.table({name: (columns | there)[name] for name in MADE.names}).cast(MADE))
    return pa.concat_tables(parts)


def _unfit(rows: pa.Table, verdict: Verdict) -> Iterator[tuple[str, Mask]]:
    """Why a decision says nothing of some rows."""
    by_policy = as_mask(pc.match_substring(rows["kind"], "/"))
    deleted = as_mask(pc.match_substring(rows["kind"], "delete"))
    if verdict.field is not None:
        yield "one side deleted the row, so that it is decided as a whole, without --field", deleted
        is_open = np.array([verdict.field in (each or ()) for each in rows["fields"].to_pylist()], dtype=bool)
        yield f"{verdict.field} is not open there", ~is_open
    if verdict.take == "value":
        yield "a side cannot take the row, so that source, target or base is taken, and no value", ~by_policy
    if verdict.take == "base":
        yield "both sides created the row, so that there is no base to take", as_mask(pc.is_null(rows["base"]))


def _check_named(known: Mapping[str, RowKind], tables: Sequence[str], verdict: Verdict) -> None:
    """SpecError for a field that none of the tables has."""
    if verdict.field is None or not known or any(verdict.field in kind.schema.names for kind in known.values()):
        return
    others = list(dict.fromkeys(name for kind in known.values() for name in kind.schema.names if name not in kind.key))
    said = f"{' or '.join(tables)} has no column {verdict.field}. {meant(verdict.field, others)}"
    raise SpecError(said, fix="name a column of the table.")


def _check_field(table: str, kind: RowKind, verdict: Verdict) -> None:
    """Errors: as of `decide`."""
    name = verdict.field
    if name is None:
        return
    if name in kind.key:
        raise SpecError(f"{name} is part of the key of {table}, by which rows are matched.", fix="name another column.")
    if verdict.take != "value":
        return
    field = kind.schema.field(name)
    if verdict.value is None:
        if not field.nullable:
            raise DataError(f"{table}.{name} takes no null.", fix="decide with a value.")
        return
    meaning = kind.meanings.get(name, "plain")
    as_values(pa.array([verdict.value], pa.string()), np.ones(1, dtype=bool), field.type, meaning, f"{table}.{name}")


def _check_condition(kind: RowKind, where: str) -> None:
    """SpecError for what is no condition over conflicts of such rows."""
    row = pa.struct(list(kind.schema))
    schema = pa.schema([("key", pa.string()), ("kind", pa.string()), *((name, row) for name in IMAGES)])
    try:
        found, _ = expressions.typed(schema, "where", where)
    except SpecError as error:
        names = ", ".join(kind.schema.names)
        fix = f"name columns as source.{kind.schema.names[-1]}; there are key, kind, and in base, source and target: {names}."
        raise SpecError(error.what, fix=fix) from error
    if not pa.types.is_boolean(found):
        raise SpecError(f"{where!r} is no condition.", fix="compare, such as source.price > target.price.")


def _holds(rows: pa.Table, kind: RowKind, where: str) -> Mask:
    typed = {name: _structs(rows[name].to_pylist(), kind) for name in IMAGES}
    shown = pa.table({"key": rows["key"], "kind": rows["kind"], **typed})
    return as_mask(expressions.evaluate(shown, "where", where)[0])


def _structs(texts: Sequence[str | None], kind: RowKind) -> pa.Array:
    """Images of rows in the types of their columns; null where there is no row."""
    images = [None if text is None else json.loads(text) for text in texts]
    columns = []
    for field in kind.schema:
        told = pa.array([None if image is None else _as_text(image.get(field.name)) for image in images], pa.string())
        columns.append(casts.cast(told, Cast(field.type, kind.meanings.get(field.name, "plain"))).values)
    fields = [field.with_nullable(True) for field in kind.schema]
    return pa.StructArray.from_arrays(columns, fields=fields, mask=pa.array([image is None for image in images]))


def _as_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _nothing(spec: Spec, ledger: Ledger, tables: Sequence[str], choice: Choice, left: Mapping[str, int]) -> SpecError:
    """Why nothing could be decided."""
    where = " or ".join(tables) if choice.tables else spec.name
    with_key = f" with key {' or '.join(map(key_text, choice.keys))}" if choice.keys else ""
    if left:
        return SpecError(
            f"No open row of {where}{with_key} can be decided so: {'; '.join(left)}.",
            fix="look at them with `syncline conflicts SPEC show`.",
        )
    spelt = [each for text in choice.keys for each in spellings(text)]
    met = [each for each in ledger.conflicts(spec.name, keys=spelt) if each.kind is None] if spelt else []
    if met:
        return SpecError(
            f"{where}{with_key} was changed by somebody after planning, and is not open between both sides.",
            fix="run again: the next run plans it anew.",
        )
    that = " for which the condition holds" if choice.where else ""
    return SpecError(
        f"No row of {where}{with_key}{that} is in conflict.",
        fix="`syncline conflicts SPEC list` names those that are.",
    )
