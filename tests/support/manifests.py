"""Manifests of plans: one that is as small as can be, and any that can be made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pyarrow as pa
from hypothesis import strategies as st

from adapters.store.manifest import Manifest, PlannedRoute, PlannedSide, PlannedSpec, PlannedTable
from transforms.vocabulary import Counts, TableName

FORTH = PlannedRoute("source", "target")


def planned(table: TableName = TableName("t"), **more: Any) -> PlannedTable:
    """A table of a plan that changes nothing in it."""
    return PlannedTable(table.name, table, FORTH, pa.schema([("k", pa.int64())]), Counts(), **more)


def manifest(*tables: PlannedTable, **more: Any) -> Manifest:
    """A plan of some tables."""
    said: dict[str, Any] = {
        "id": "run-1",
        "run_id": "run-1",
        "migration": "m",
        "kind": "run",
        "side": "target",
        "created_at": datetime(2026, 1, 2, 3, 4, 5, 678, UTC),
        "spec": PlannedSpec("/spec.yaml", "d", {"version": 1}),
        "source": PlannedSide("sqlite:///source.db", "sqlite", "1"),
        "target": PlannedSide("duckdb:///target.db", "duckdb", "2"),
    }
    return Manifest(tables=tables, **{**said, **more})


def records(kind: Any) -> st.SearchStrategy[Any]:
    """Anything that a value of a type can be, whatever its fields are."""
    if kind in _ANY:
        return _ANY[kind]
    if is_dataclass(kind):
        types = get_type_hints(kind)
        return st.builds(kind, **{each.name: records(types[each.name]) for each in fields(kind)})
    inner = get_args(kind)
    if get_origin(kind) is Literal:
        return st.sampled_from(inner)
    if get_origin(kind) is Mapping:
        return st.dictionaries(records(inner[0]), records(inner[1]), max_size=2)
    if get_origin(kind) is tuple:
        return st.lists(records(inner[0]), max_size=2).map(tuple) if ... in inner else st.tuples(*map(records, inner))
    return st.one_of(*map(records, inner))


_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_TYPES = [pa.int8(), pa.string(), pa.decimal128(9, 2), pa.timestamp("us", "Europe/Vienna"), pa.list_(pa.binary())]
_ANY: dict[Any, st.SearchStrategy[Any]] = {
    str: _TEXTS,
    int: st.integers(),
    bool: st.booleans(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bytes: st.binary(max_size=4),
    NoneType: st.none(),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False),
    Fraction: st.fractions(),
    datetime: st.datetimes(timezones=st.just(UTC)),
    pa.Schema: st.lists(st.builds(pa.field, _TEXTS, st.sampled_from(_TYPES)), max_size=3).map(pa.schema),
    Any: st.recursive(
        st.none() | st.booleans() | st.integers() | _TEXTS,
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXTS, inner, max_size=2),
        max_leaves=4,
    ),
}
