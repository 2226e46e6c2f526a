"""A change set as one Arrow table, and back: op, key, before and after."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import pyarrow as pa

from transforms.vocabulary import OPS, ChangeSet, Key, Op, PlanError, TableName

ORDER: Final[tuple[Op, ...]] = ("delete", "update", "insert")
_FACTS: Final = b"syncline"
_SCHEMA: Final = b"syncline:arrow"
_TEXT: Final = pa.dictionary(pa.int8(), pa.string())


def change_table(changes: ChangeSet) -> pa.Table:
    """The change set as a table: op (a dictionary of texts), and the structs key, before and after.

    Order: deletes, then updates, then inserts, each as in the change set. Memory: the rows are shared, not copied.
    `before` is null for inserts and `after` for deletes. The table, its key and its types are in the metadata.
    """
    schema = changes.schema
    before_of = {"delete": changes.deletes, "update": changes.before, "insert": changes.inserts}
    ops, keys, befores, afters = [], [], [], []
    # an image is null as a whole, and then its parts are too; the schema itself is kept in the metadata
    row = pa.struct([field.with_nullable(True) for field in schema])
    key = pa.struct([row.field(name) for name in changes.key])
    for op in ORDER:
        known = before_of[op]
        count = known.num_rows
        if not count:
            continue
        codes = pa.array(np.full(count, OPS.index(op), dtype=np.int8))
        ops.append(pa.DictionaryArray.from_arrays(codes, pa.array(OPS)))
        keys += _structs(known.select(list(changes.key)), key)
        nothing = [pa.nulls(count, row)]
        befores += nothing if op == "insert" else _structs(known, row)
        afters += nothing if op == "delete" else _structs(changes.after if op == "update" else known, row)
    facts = {
        "table": changes.table.name,
        "schema": changes.table.schema,
        "key": list(changes.key),
        "compared": list(changes.compared),
        "counts": dict(changes.counts),
        "owns": changes.owns,
    }
    fields = [
        pa.field("op", _TEXT, nullable=False),
        pa.field("key", key, nullable=False),
        pa.field("before", row),
        pa.field("after", row),
    ]
    parts = zip((ops, keys, befores, afters), fields, strict=True)
    columns = [pa.chunked_array(chunks, field.type) for chunks, field in parts]
    metadata = {_FACTS: json.dumps(facts).encode(), _SCHEMA: schema.serialize().to_pybytes()}
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, metadata=metadata))


def change_set(
    table: pa.Table, name: TableName | None = None, key: Key | None = None, compared: tuple[str, ...] | None = None
) -> ChangeSet:
    """The exact inverse of `change_table`: same rows, same order, same Arrow schema.

    `name`, `key` and `compared` are checked against what the table says of itself, where they are given.
    """
    metadata = table.schema.metadata or {}
    if _FACTS not in metadata or _SCHEMA not in metadata:
        raise PlanError("This is no change set of Syncline's: it does not say of which table.", fix="plan again.")
    facts = json.loads(metadata[_FACTS])
    schema = change_schema(table.schema)
    said = TableName(facts["table"], facts["schema"]), tuple(facts["key"]), tuple(facts["compared"])
    for wanted, found in zip((name, key, compared), said, strict=True):
        if wanted is not None and wanted != found:
            raise PlanError(f"The change set is for {said[0]} with {found}, not {wanted}.", fix="plan again.")
    counts = facts["counts"]
    if sum(counts.values()) != table.num_rows:
        raise PlanError(f"The change set of {said[0]} has {table.num_rows} rows, not {counts}.", fix="plan again.")
    none = schema.empty_table()
    return taken_apart(table, schema, counts, ChangeSet(*said, none, none, none, none, facts.get("owns")))


def taken_apart(table: pa.Table, schema: pa.Schema, counts: Mapping[str, int], like: ChangeSet) -> ChangeSet:
    """The changes of a table of images, before and after, in the order of `change_table` and in the columns of a schema."""
    deletes, updates = counts.get("delete", 0), counts.get("update", 0)
    before, after = table.column("before"), table.column("after")
    return replace(
        like,
        inserts=images_of(after.slice(deletes + updates), schema),
        before=images_of(before.slice(deletes, updates), schema),
        after=images_of(after.slice(deletes, updates), schema),
        deletes=images_of(before.slice(0, deletes), schema),
    )


def _structs(table: pa.Table, kind: pa.StructType) -> list[pa.StructArray]:
    typed = pa.Table.from_arrays(table.columns, schema=pa.schema(list(kind)))
    chunks: list[pa.StructArray] = typed.to_struct_array().chunks
    return chunks


def change_schema(schema: pa.Schema) -> pa.Schema:
    """The schema of the images in a table of changes."""
    return pa.ipc.read_schema(pa.py_buffer((schema.metadata or {})[_SCHEMA]))


def images_of(structs: pa.ChunkedArray, schema: pa.Schema) -> pa.Table:
    """Images, none of them null, as rows of a schema: in the order of its columns, if there are some."""
    if not len(structs):
        return schema.empty_table()
    table = pa.Table.from_struct_array(structs).select(schema.names)
    if table.schema.equals(schema, check_metadata=True):
        return table
    # Parquet has no seconds and no date64, and names the items of lists its own way
    columns = [
        column if column.type == field.type else column.cast(field.type)
        for column, field in zip(table.columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)
