"""Working files of a plan."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from adapters.store import spill


def test_a_file_that_was_read_can_be_written_with_what_it_held(tmp_path: Path) -> None:
    path, first = tmp_path / "rows.arrow", pa.table({"n": list(range(1000))})
    spill.write_rows(path, [first], first.schema)
    read = spill.read_rows(path)
    spill.write_rows(path, [read.slice(1), read.slice(0, 1)], first.schema)
    assert read.equals(first)
    assert spill.read_rows(path)["n"].to_pylist() == [*range(1, 1000), 0]
