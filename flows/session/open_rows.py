"""Rows that a run leaves open between both sides: what the ledger is told of them, so that people can decide."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from adapters.ledger.ledger import Ledger
from adapters.ledger.open_rows import OPEN_ROWS
from adapters.store.record_json import from_json, to_json
from flows.bind.tables import BoundTable
from flows.spec.model import Spec
from transforms.reconcile import open_rows
from transforms.vocabulary import Key, Meaning

FACT: Final = "open row"


@dataclass(frozen=True, slots=True)
class RowKind:
    """What rows of a table are made of: their columns, key, and what texts of some columns mean."""

    schema: pa.Schema
    key: Key
    meanings: Mapping[str, Meaning]


def note_open(spec: Spec, ledger: Ledger, bound: BoundTable, conflicts: pa.Table, run_id: str) -> int:
    """Note rows of a table that are in conflict, as `reconcile` has them; how many. Safe to repeat."""
    schema = pa.schema(list(conflicts.schema.field("source").type))
    meanings = {name: told for name, told in bound.comparison.meanings.items() if name in schema.names}
    told = to_json(RowKind, RowKind(schema, bound.key, meanings))
    ledger.set_fact(spec.name, FACT, bound.name, {"target": json.dumps(told)})
    return ledger.open_rows.record(spec.name, bound.name, open_rows(conflicts).cast(OPEN_ROWS), run_id)


def row_kind(spec: Spec, ledger: Ledger, table: str) -> RowKind | None:
    """What the rows of a table are made of that `note_open` noted; None where it never did."""
    text = ledger.fact(spec.name, FACT, table).get("target")
    return None if text is None else from_json(RowKind, json.loads(text))
