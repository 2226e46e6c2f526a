"""Rows on disk that are held to a constraint of the target, part by part."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from adapters.store import spill
from transforms import keys


@dataclass(slots=True, eq=False)
class Pile:
    """Rows on disk, cut into parts by the hash of their first `width` columns. Rows may come from several threads."""

    folder: Path
    parts: int
    width: int
    schema: pa.Schema | None = None
    _spill: spill.Spill | None = None
    _open: ExitStack = field(default_factory=ExitStack)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, rows: pa.Table) -> None:
        by = tuple(rows.column_names[: self.width])
        rows = rows.filter(pa.array(~keys.null_keys(rows, by)))
        if not rows.num_rows:
            return
        part = keys.partition(rows, by, self.parts)
        with self._lock:
            if self._spill is None:
                self.schema = rows.schema
                self._spill = self._open.enter_context(spill.Spill(self.folder, rows.schema, self.parts))
            self._spill.add(rows.cast(self.schema), part)

    def filled(self) -> list[int]:
        """The parts that have rows. Nothing may be added any more."""
        self._open.close()
        return [] if self._spill is None else [int(part) for part in np.flatnonzero(self._spill.rows)]

    def part(self, number: int) -> pa.Table:
        """The rows of one part. Some row was added."""
        assert self.schema is not None, "it has rows"
        self._open.close()
        return spill.read_part(self.folder, number, self.schema)
