"""Rows that leave their windows for new ones behind them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from adapters.store import spill
from adapters.store.plan_files import FileEntry
from adapters.store.plans import PlanWriter
from flows.plan.decide import Planned, read_changes
from flows.plan.order.own_order import OwnOrder, parted
from flows.session.session import Job, Session
from transforms.vocabulary import ChangeSet

FILES: Final = 256  # open files while rows are shared out


class Share:
    """Shares rows of a table out to new windows, by files in between. Memory: a window, and one of FILES parts of what is shared out."""

    def __init__(self, session: Session, job: Job, table: str, order: OwnOrder, name: str) -> None:
        self._session, self._job, self._table, self._order = session, job, table, order
        self._writer = PlanWriter(Path(job.folder), begun=True)
        self._folder = job.work / name / quote(table, safe="")
        self._windows = order.upserts + order.deletes
        self._parts = min(self._windows, FILES)
        self._spills: dict[str, spill.Spill] = {}
        self._like: dict[str, ChangeSet] = {}
        self._open = ExitStack()

    def taken(self, planned: Planned) -> FileEntry | None:
        """Take rows out of a window; what is left of it, None where that is nothing."""
        assert planned.changes is not None, "a window with rows that leave it has changes"
        number = planned.window
        changes = self._session.changes.take(self._table, number) or read_changes(self._job, planned.changes)
        rest, away = parted(changes, self._order.leaving[number])
        for image, (rows, to) in away.items():
            numbered = rows.add_column(0, "window", pa.array(to))  # whatever the others are called
            if image not in self._spills:
                made = spill.Spill(self._folder / image, numbered.schema, self._parts)
                self._spills[image] = self._open.enter_context(made)
                self._like[image] = changes.empty
            self._spills[image].add(numbered, to * self._parts // self._windows)
        if not len(rest):
            return None
        self._session.changes.keep(self._table, number, rest)
        return self._writer.add(number, rest)

    def new(self, start: int) -> Iterator[tuple[int, FileEntry]]:
        """The new windows, numbered from `start` on. Nothing is taken out any more."""
        self._open.close()
        for part in range(self._parts):
            found = {
                image: spill.read_part(self._folder / image, part, each.schema) for image, each in self._spills.items()
            }
            first, behind = (-(-each * self._windows // self._parts) for each in (part, part + 1))
            for number in range(first, behind):
                mine = {image: _of_window(rows, number) for image, rows in found.items()}
                some = next(image for image, rows in mine.items() if rows.num_rows)
                whole = replace(self._like[some], **{image: rows for image, rows in mine.items() if rows.num_rows})
                self._session.changes.keep(self._table, start + number, whole)
                yield start + number, self._writer.add(start + number, whole)


def _of_window(rows: pa.Table, number: int) -> pa.Table:
    return rows.filter(pc.equal(rows.column(0), number)).remove_column(0)
