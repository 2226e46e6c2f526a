"""Bases of two-way tables for tests: small ones, whose rows have a key and a value."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from adapters.store.agreed import Agreement, Cut, Parts, parts, read_part
from adapters.store.agreed_writing import Window, patch_parts, replace_parts
from adapters.store.layout import Store
from flows.session.agreed import patches
from transforms.vocabulary import TableName

TABLE = TableName("Ünsere Kunden", "core")
SCHEMA = pa.schema([pa.field("k", pa.int64(), nullable=False), ("v", pa.string())])
AGREEMENT = Agreement("m", {"source": "s", "target": "t"}, SCHEMA, ("k",))
CUT = Cut(("k",), 4)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def rows(keys: Sequence[int], value: str | None = "x") -> pa.Table:
    return pa.table([list(keys), [value] * len(keys)], schema=SCHEMA)


def write(store: Store, *windows: Window, cut: Cut = CUT, agreement: Agreement = AGREEMENT) -> Parts:
    return replace_parts(store, "m", TABLE, agreement, cut, iter(windows))


def whole(store: Store) -> pa.Table:
    base = parts(store, "m", TABLE)
    assert base is not None
    return pa.concat_tables(
        [base.agreement.schema.empty_table(), *(read_part(base, n) for n in range(len(base.parts)))]
    )


def change(store: Store, put: dict[int, str | None], gone: Sequence[int]) -> Parts:
    known = parts(store, "m", TABLE)
    assert known is not None
    put_rows = pa.table([list(put), list(put.values())], schema=SCHEMA)
    changes = patches(known, pa.table({"k": pa.array(gone, pa.int64())}), put_rows)
    return patch_parts(store, "m", TABLE, known, changes)


def folder(store: Store) -> Path:
    return next((store.root / "agreed" / "m").iterdir())


def keys_of(store: Store) -> list[int]:
    return whole(store)["k"].to_pylist()
