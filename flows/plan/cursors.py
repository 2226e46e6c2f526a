"""What cursors say of a plan: of which tables no more than what is new has to be read, and up to where it will be known then.

Marks are in the ledger, where they move together with the version that they led to (`adapters/ledger/cursors.py`). Wherever one
may say less than what is new, all is read, with the reason.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

import pyarrow as pa

from adapters.ledger.cursors import KIND
from adapters.ledger.ledger import Choice, Ledger
from adapters.protocol import RowVersions, Snapshot
from adapters.store.manifest import PlannedCursor
from flows.bind.cursor import BoundCursor
from flows.bind.tables import BoundTable
from flows.plan.request import Request
from flows.session.session import Session
from flows.session.stores import ledger_of
from transforms.mapping.waiting_keys import looked_up_keys
from transforms.vocabulary import SIDES, Clause, ColumnRange, Keys, Relation, Since

MOST_WAITING: Final = 100_000  # keys that are looked at again in memory
MOST_NEW: Final = 5_000_000  # keys of new rows that are held in memory
MOST_SHARED: Final = 500_000  # and those of which other rows are looked for, as texts


@dataclass(frozen=True, slots=True)
class Opened:
    """What is known before a plan's snapshots are open: what is committed later was stamped no earlier than `moment`, as far as anybody
    knows."""

    moment: datetime

    @classmethod
    def now(cls, request: Request, session: Session) -> Opened:
        source, at = session.sides.source.adapter, datetime.now(UTC)
        asked = _asks(request) and any(each.cursor is not None for each in session.bound.tables)
        oldest = source.oldest_writer() if asked and isinstance(source, RowVersions) else None
        return cls(at if oldest is None else min(oldest.astimezone(UTC), at))


def _asks(request: Request) -> bool:
    """Whether cursors have a say: a plan of some rows, and a proof, look at all of those that they are about."""
    return request.whole and request.kind in ("plan", "run")


@dataclass(frozen=True, slots=True)
class Found:
    """What a source has from a mark on: how many rows, `nulls` of them without a value, and the `highest` value of its cursor; `below` the
    mark where that is lower."""

    rows: int
    highest: pa.Scalar
    below: bool
    nulls: int = 0


@dataclass(slots=True)
class Marks:
    """What the ledger has of a table's cursor: the text as it is kept, and the marks by source, as far as they are of this spec."""

    text: str | None
    known: Mapping[str, str] = field(default_factory=dict)
    why: str | None = None

    @classmethod
    def of(cls, text: str | None, digest: str, shapes: str) -> Marks:
        if text is None:
            return cls(None, why="first")
        kept: dict[str, Any] = json.loads(text)
        if kept["digest"] != digest:
            return cls(text, why="spec")
        return cls(text, kept["marks"], None if kept["shapes"] == shapes else "shapes")


def by_cursors(request: Request, session: Session, tables: Sequence[BoundTable], opened: Opened) -> Request:
    """The request with the rows that cursors name, and how far they are known then."""
    bound = [each for each in tables if each.cursor is not None] if _asks(request) else []
    if not bound:
        return request
    since: dict[str, Since] = {}
    cursors: dict[str, PlannedCursor] = {}
    with ledger_of(request.spec) as ledger:
        there = ledger.there()
        for table in bound:
            asked = _Asked(request, session, table, opened, ledger if there else None)
            cursors[table.name], found = asked.answer()
            if found is not None:
                since[table.name] = found
    return replace(request, since=since, cursors=cursors)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A table of which the cursor is asked."""

    request: Request
    session: Session
    bound: BoundTable
    opened: Opened
    ledger: Ledger | None

    @property
    def source(self) -> Snapshot:
        return self.session.sides.source.snapshot

    def answer(self) -> tuple[PlannedCursor, Since | None]:
        spec, name = self.request.spec, self.bound.name
        column = self.cursors[""].column
        text = self.ledger.fact(spec.name, KIND, name).get("source") if self.ledger is not None else None
        marks = Marks.of(text, spec.digest, self._shapes())
        waiting = self._waiting()
        why = ("asked" if self.request.full else None) or marks.why or self._changed_target()
        if why is None and waiting is None:
            why = "waiting"
        if why is None:
            newer, starts, why = self._newer(marks.known)
        if why is None:
            assert waiting is not None, "looked at above"
            found = {part: self._look(part, newer[part], marks.known) for part in newer}
            most = MOST_NEW if _unique(self.bound) else MOST_SHARED
            why = "many" if sum(each.rows for each in found.values()) > most else None
            why = "clock" if any(each.below for each in found.values()) else why
        if why is not None or waiting is None:
            reached = self._kept({part.part: self._whole(part, marks.known) for part in self.bound.sources})
            return PlannedCursor(column, None, why, text, reached), None
        rows = sum(each.rows for each in found.values())
        reached = self._kept({part: self._mark(part, each.highest) for part, each in found.items()})
        of = sum(self.source.estimate(each.source) for each in self.bound.sources)
        nulls = sum(each.nulls for each in found.values())
        told = PlannedCursor(column, ", ".join(dict.fromkeys(starts)), None, text, reached, rows, max(of, rows), nulls)
        return told, Since(newer, waiting, rows + waiting.rows, _unique(self.bound))

    @property
    def cursors(self) -> dict[str, BoundCursor]:
        """By source; under no name that of any."""
        found = {each.part: each.cursor for each in self.bound.sources if each.cursor is not None}
        return {"": next(iter(found.values())), **found}

    def _changed_target(self) -> str | None:
        """Why what was read before is not in the target any more: it is empty, or lacks columns."""
        if self.bound.adds:
            return "shapes"
        return "target" if self.bound.ddl or not self.session.sides.target.snapshot.estimate(self.bound.there) else None

    def _shapes(self) -> str:
        """What tells whether it is the same rows, made of the same columns: a column that is altered stamps no row, and another
        database, which the environment may name by now, has other rows."""
        read = [[(n, str(c.type), c.native) for n in each.reads if (c := each.source_shape.column(n))]
                for each in self.bound.sources]  # fmt: skip
        written = [(each.name, str(each.type)) for each in self.bound.schema]
        places = [self.session.sides[name].url for name in SIDES]
        return hashlib.sha256(repr((read, written, places)).encode()).hexdigest()[:32]

    def _waiting(self) -> Keys | None:
        """The keys of rows that were set aside, or found changed; None where they are too many.

        A key with a null is that of no row of the target: what makes it whole is a change, which the cursor names.
        """
        if self.ledger is None:
            return Keys(())
        name, migration = self.bound.name, self.request.spec.name
        aside = (key for _, key in self.ledger.chosen_keys(migration, Choice((name,), side="target")))
        if not any(looked_up_keys(each.mapping) for each in self.bound.sources):
            aside = (key for key in aside if None not in json.loads(key))
        open_ = (each.key for each in self.ledger.conflicts(migration, name, limit=MOST_WAITING + 1))
        found = {*islice(aside, MOST_WAITING + 1), *open_}
        return Keys(tuple(sorted(found))) if len(found) <= MOST_WAITING else None

    def _newer(self, known: Mapping[str, str]) -> tuple[dict[str, ColumnRange | Clause], list[str], str | None]:
        """Which rows of each source are new, from where on as people read it, or why that cannot be told."""
        newer: dict[str, ColumnRange | Clause] = {}
        starts: list[str] = []
        for part in self.bound.sources:
            cursor = part.cursor
            assert cursor is not None, "all sources have one, or none"
            if cursor.shape is None:
                clause = self._written_since(known.get(part.part))
                if clause is None:
                    return {}, [], "clock"
                newer[part.part] = clause
                starts.append(f"transaction {known[part.part]}")
                continue
            start = None
            if part.part in known:
                try:
                    mark = cursor.scale.read(known[part.part])
                except ValueError:  # the column has another type by now
                    return {}, [], "shapes"
                start = cursor.scale.start(mark, cursor.overlap, self.opened.moment)
                starts.append(cursor.scale.written(start))
            newer[part.part] = ColumnRange(cursor.column, start, nulls=cursor.shape.nullable)
        return newer, starts, None

    def _written_since(self, mark: str | None) -> Clause | None:
        source = self.session.sides.source.adapter
        assert isinstance(source, RowVersions), "binding has seen to it"
        found = source.written_since(int(mark), source.position(self.source.mark)) if mark is not None else None
        return Clause(*found) if found is not None else None

    def _look(self, name: str, newer: ColumnRange | Clause, known: Mapping[str, str]) -> Found:
        part = next(each for each in self.bound.sources if each.part == name)
        cursor, relation = self.cursors[name], part.source
        if isinstance(newer, Clause):
            return Found(self.source.count(_narrowed(relation, newer.named)), pa.scalar(None, pa.int64()), below=False)
        rows, values = 0, []
        ranges = [newer] if newer.start is not None else []
        for batch in self.session.sides.source.scan(relation, [newer.column], ranges=ranges):
            rows += batch.num_rows
            values.append(batch.column(0))
        highest = cursor.scale.highest(values)
        below = name in known and cursor.scale.below(highest, cursor.scale.read(known[name]))
        return Found(rows, highest, below, sum(each.null_count for each in values))

    def _whole(self, part: BoundTable, known: Mapping[str, str]) -> str | None:
        """The mark of a source that is read whole: what is below an earlier mark need not be looked at for that."""
        cursor = part.cursor
        assert cursor is not None, "all sources have one, or none"
        if cursor.shape is None:
            return self._mark(part.part, pa.scalar(None, pa.int64()))
        start = None
        if part.part in known:
            try:
                start = cursor.scale.read(known[part.part])
            except ValueError:
                start = None
        found = self._look(part.part, ColumnRange(cursor.column, start), {})
        if start is not None and not found.highest.is_valid:
            found = self._look(part.part, ColumnRange(cursor.column), {})
        return self._mark(part.part, found.highest)

    def _mark(self, name: str, highest: pa.Scalar) -> str | None:
        """The mark of what was read of a source, as text."""
        cursor, source = self.cursors[name], self.session.sides.source.adapter
        if cursor.shape is None:
            assert isinstance(source, RowVersions), "binding has seen to it"
            return str(source.position(self.source.mark))
        mark = cursor.scale.mark(highest, self.opened.moment)
        return None if mark is None else cursor.scale.written(mark)

    def _kept(self, marks: Mapping[str, str | None]) -> str | None:
        """Marks as the ledger keeps them; None where there are none."""
        known = {part: mark for part, mark in marks.items() if mark is not None}
        told = {"digest": self.request.spec.digest, "shapes": self._shapes(), "marks": known}
        return json.dumps(told, ensure_ascii=False, sort_keys=True) if known else None


def _narrowed(relation: Relation, clause: str) -> Relation:
    return replace(relation, where=clause if relation.where is None else f"({relation.where}\n) AND {clause}")


def _unique(bound: BoundTable) -> bool:
    """Whether no two rows of the source can have one key, as its own constraints say."""
    if bound.parts or any(each not in bound.renamed for each in bound.key):
        return False
    own = {bound.renamed[each] for each in bound.key}
    return any(unique <= own for unique in bound.source_shape.uniques)
