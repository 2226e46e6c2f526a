"""The base of a two-way table, as far as it can be trusted: the store has its rows, and the ledger which of them it should be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Final, Literal, NamedTuple

import pyarrow as pa
import sqlalchemy as sa

from adapters.ledger.ledger import Ledger
from adapters.store import agreed, agreed_writing
from adapters.store.agreed import Agreement, Cut, Damaged, Parts
from adapters.store.agreed_writing import Change, Window
from flows.bind.tables import BoundTable
from flows.session.session import Session
from flows.session.side import Side
from flows.session.stores import store_of
from flows.spec.model import Spec
from transforms import keys
from transforms.vocabulary import SIDES, Key, Notice
from transforms.vocabulary.arrow import Indices
from transforms.vocabulary.unmet import completed

FACT: Final = "agreed"
Why = Literal["missing", "damaged", "restored", "other_mapping", "other_key", "other_database"]

_WHY: Final[dict[Why, str]] = {
    "missing": "it is missing",
    "damaged": "a file of it is missing or was changed",
    "restored": "it is not the one of the latest run, as after a backup was brought back",
    "other_mapping": "the table is made of another one of the source, or its rows have other numbers there",
    "other_key": "its rows are known by another key",
    "other_database": "it is of other databases",
}


class Known(NamedTuple):
    """The base of a table. Without one both sides meet for the first time, or anew: then the notice `base_lost` says why.

    `told` is what there is to say of one that can be used, or could be if its rows were known by the table's key: `other_key`.
    """

    parts: Parts | None
    lost: Notice | None = None
    told: tuple[Notice, ...] = ()
    other_key: Parts | None = None


def agreement_of(session: Session, bound: BoundTable, schema: pa.Schema) -> Agreement:
    """What a base of the table is a base of. In: the columns of its rows."""
    spec = session.spec
    sides = {name: _database(session.sides[name], spec.endpoint(name).schema_name) for name in SIDES}
    return Agreement(_mapping(spec, bound.name), sides, schema, bound.key)


def cut_of(bound: BoundTable, parts: int) -> Cut:
    """How the table's base is cut: by its key's order, else by the key's hash into so many parts."""
    if bound.order:
        return Cut(bound.order, bound.window_rows)
    return Cut(hashed=keys.named_partition(parts))


def known_base(spec: Spec, ledger: Ledger, bound: BoundTable, agreement: Agreement) -> Known:
    """The table's base, every file checked. Errors: PlanError where a newer Syncline wrote it."""
    expected = ledger.fact(spec.name, FACT, bound.name).get("target")
    try:
        parts = agreed.parts(store_of(spec), spec.name, bound.shape.name)
    except Damaged as error:
        return _lost(bound, "damaged", error.path)
    if parts is None:
        return _lost(bound, "missing") if expected else Known(None)
    if parts.digest != expected:
        return _lost(bound, "restored")
    known = parts.agreement
    if known.sides != agreement.sides:
        return _lost(bound, "other_database")
    if not known.same_table(agreement):
        return _lost(bound, "other_mapping")
    same, told = parts.under(agreement), tuple(_new_columns(bound, parts))
    return Known(None, told=told, other_key=parts) if same is None else Known(same, told=told)


def by_other_key(bound: BoundTable, key: Key, why: str) -> Notice:
    """That a base cannot be used, since it is by another key. In: that, and why it cannot be had by the one of now."""
    return _lost_notice(bound, "other_key", f"({', '.join(key)}, now {', '.join(bound.key)}), and {why}")


def _new_columns(bound: BoundTable, parts: Parts) -> Iterator[Notice]:
    """That columns are new in the mapping, where there are rows that have not met in them."""
    known = parts.agreement.schema
    new = [name for name in bound.schema.names if name not in known.names]
    if new and parts.rows:
        text = (
            f"{bound.name}: what both sides agreed on last says nothing of {', '.join(new)}, which the mapping had not then. Both sides "
            f"meet there: a value that one side alone has goes to the other, and two unlike ones go by `initial` or the policy."
        )
        yield Notice("new_columns", text, bound.name, {"columns": new})


def replace_base(
    spec: Spec, ledger: Ledger, bound: BoundTable, agreement: Agreement, cut: Cut, windows: Iterable[Window]
) -> Parts:
    """Put the table's base in the place of what both sides agreed on before: see `replace_parts`. Safe to repeat."""
    made = agreed_writing.replace_parts(store_of(spec), spec.name, bound.shape.name, agreement, cut, windows)
    ledger.set_fact(spec.name, FACT, bound.name, {"target": made.digest})
    return made


def patch_base(spec: Spec, ledger: Ledger, bound: BoundTable, known: Parts, gone: pa.Table, rows: pa.Table) -> Parts:
    """Take the rows with some keys out of a base, and put others in: see `patches`. Safe to repeat."""
    changes = patches(known, gone, rows)
    made = agreed_writing.patch_parts(store_of(spec), spec.name, bound.shape.name, known, changes)
    ledger.set_fact(spec.name, FACT, bound.name, {"target": made.digest})
    return made


def patches(known: Parts, gone: pa.Table, rows: pa.Table) -> Iterator[Change | None]:
    """What changes in each part of a base, where rows are put and those of some other keys taken out; None where nothing does.

    In: `gone` has the columns of the key, `rows` those of the agreement; no key is in either of them twice. What is in `rows`, too, is not
        taken out, and keys that the base has not are passed over.
    Memory: both, and the keys of a part.
    """
    key, schema, keyed = known.agreement.key, known.agreement.schema, known.agreement.keyed
    gone, rows = gone.select(list(key)).cast(keyed), completed(rows, schema)
    if gone.num_rows and rows.num_rows:
        gone = gone.filter(pa.array(~keys.contained(gone, rows, key)))
    away, put = parts_of(known, gone), parts_of(known, rows)
    for number in range(len(known.parts)):
        out, new = gone.filter(pa.array(away == number)), rows.filter(pa.array(put == number))
        if not out.num_rows and not new.num_rows:
            yield None
            continue
        old = agreed.read_part(known, number, key)
        there = keys.match(out, old, key)
        yield Change(new, keys.match(new, old, key), there[there >= 0])


def parts_of(known: Parts, rows: pa.Table) -> Indices:
    """In which part of a base each row belongs."""
    if not known.cut.order:
        return keys.partition(rows, known.agreement.key, len(known.parts))
    starts = known.starts
    return agreed.places(rows.select(starts.column_names).cast(starts.schema), starts)


def _lost(bound: BoundTable, why: Why, path: str = "") -> Known:
    return Known(None, _lost_notice(bound, why, f"({path})" if path else ""))


def _lost_notice(bound: BoundTable, why: Why, more: str) -> Notice:
    text = (
        f"{bound.name}: what both sides agreed on last cannot be used, since {_WHY[why]}{f' {more}' if more else ''}. "
        f"Both sides meet anew, as `initial` says."
    )
    return Notice("base_lost", text, bound.name, {"why": why})


def _mapping(spec: Spec, name: str) -> str:
    """Digests of what makes the table's rows, of which rows these are, and of which table. How changes go back, and who wins, is no part
    of it.

    What a column is made of may change: then the source is edited, and what both agreed on stays what they agreed on. So it does of
    rows that are shown before and after, where others are shown now.
    """
    table = ("from_", "identity")
    which = {*table, "key", "where", "owns"}
    told = spec.tables[name].model_dump(mode="json", include={*which, "columns"})
    for column in (told.get("columns") or {}).values():
        if isinstance(column, dict):
            column.pop("inverse", None)
    parts = (told, *({part: told.get(part) for part in sorted(some)} for some in (which, table)))
    return ":".join(map(_digest, parts))


def _database(side: Side, schema: str | None) -> str:
    """A digest of where a side's rows lie, whoever connects and how."""
    url = sa.make_url(side.address)
    return _digest([side.engine, url.host, url.port, url.database, schema])


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
