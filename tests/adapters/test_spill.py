"""Working files of a plan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from adapters.store import spill


def test_a_file_that_was_read_can_be_written_with_what_it_held(tmp_path: Path) -> None:
    path, first = tmp_path / "rows.arrow", pa.table({"n": list(range(1000))})
    spill.write_rows(path, [first], first.schema)
    read = spill.read_rows(path)
    spill.write_rows(path, [read.slice(1), read.slice(0, 1)], first.schema)
    assert read.equals(first)
    assert spill.read_rows(path)["n"].to_pylist() == [*range(1, 1000), 0]


def test_rows_that_wait_for_their_part_are_few_in_bytes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill, "_PENDING_BYTES", 50_000)
    rows = pa.table({"n": range(100), "text": ["x" * 1_000] * 100})
    part = np.arange(100) % 7
    with spill.Spill(tmp_path / "spill", rows.schema, 7) as into:
        into.add(rows, part)
        assert sum(file.stat().st_size for file in (tmp_path / "spill").iterdir()) > 100_000
        into.add(rows.slice(0, 7), part[:7])
    assert into.rows.sum() == 107
    assert spill.read_part(tmp_path / "spill", 3, rows.schema)["n"].to_pylist() == [*range(3, 100, 7), 3]
