"""What Syncline remembers: runs, versions, what was set aside, conflicts, steps, leases.

Every method is one transaction and may be called from several threads. Texts of keys are JSON arrays.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

import pyarrow as pa
import sqlalchemy as sa

from adapters.ledger.engine import LedgerEngine, locked, upsert
from adapters.ledger.lease import Clock, Lease, held, holder_since, utc_now
from adapters.ledger.quarantine import Choice, chosen_keys, count_chosen, drop_chosen
from adapters.ledger.records import Base, Conflict, Quarantined, Run, Version
from adapters.ledger.tables import BASES, CONFLICTS, FACTS, QUARANTINE, RUNS, STEPS, VERSIONS
from adapters.ledger.tables import digest as _digest
from adapters.store.plans import plain
from transforms.vocabulary import TIMESTAMP_INFINITY, SynclineError

APPLYING, CUT_OFF = "applying", "cut off"  # its rows are being written; it failed while they were
CHUNK = 5_000  # bind parameters in one statement; SQLite allows 32,766


__all__ = ["Base", "Choice", "Conflict", "Lease", "Ledger", "Quarantined", "Run", "Version", "utc_now"]

Record = TypeVar("Record", Run, Version, Base, Quarantined, Conflict)


class Ledger:
    """The ledger behind a URL: SQLite, or PostgreSQL for several machines. Made on first use."""

    def __init__(self, url: str, now: Clock = utc_now) -> None:
        self._engine = LedgerEngine(url)
        self._now = now
        self.url = self._engine.url

    def close(self) -> None:
        """Give back every connection. Idempotent."""
        self._engine.close()

    def there(self) -> bool:
        """Whether anything was ever taken down here; asking makes no ledger."""
        return self._engine.there()

    # Runs

    def start_run(self, run_id: str, migration: str, kind: str, spec_digest: str, *, plan: str | None = None) -> Run:
        """Note that a run began. A second call for the same run, as after a retry, begins it again."""
        run = Run(run_id, migration, kind, spec_digest, "running", self._now(), plan=plan)
        with self._engine.writing() as connection:
            upsert(connection, RUNS, [_as_row(run)], keep=("started_at",))
        return run

    def finish_run(
        self, run_id: str, status: str, *, counts: Mapping[str, Any] | None = None, version: int | None = None,
        plan: str | None = None, message: str | None = None,
    ) -> None:  # fmt: skip
        """Note how a run ended."""
        said = {"status": status, "counts": plain(counts), "version": version, "plan": plan, "message": message}
        values = {name: value for name, value in said.items() if value is not None}
        with self._engine.writing() as connection:
            done = connection.execute(
                RUNS.update().where(RUNS.c.run_id == run_id).values(finished_at=self._now(), **values)
            )
            if done.rowcount != 1:
                raise SynclineError(f"Run {run_id} is not in the ledger at {self.url}. Fix: start_run comes first.")

    def begin_applying(self, run_id: str, plan: str) -> None:
        """Note that a run's plan is whole, and that its rows are being written from now on."""
        with self._engine.writing() as connection:
            connection.execute(RUNS.update().where(RUNS.c.run_id == run_id).values(status=APPLYING, plan=plan))

    def cut_off(self, migration: str) -> list[Run]:
        """The runs that never came to an end, oldest first. Whoever asks holds the migration, so none of them is alive."""
        open_ = sa.select(RUNS).where(RUNS.c.migration == migration, RUNS.c.status.in_(("running", APPLYING, CUT_OFF)))
        return self._all(Run, open_.order_by(RUNS.c.started_at, RUNS.c.run_id))

    def writing_since(self, migration: str) -> datetime | None:
        """Since when a live process holds the migration; None where none does."""
        return holder_since(self._engine, migration, self._now())

    def runs(self, migration: str, limit: int | None = 50, status: str | None = None) -> list[Run]:
        """The runs of a migration, newest first; those of a status, or all."""
        newest = sa.select(RUNS).where(RUNS.c.migration == migration)
        if status is not None:
            newest = newest.where(RUNS.c.status == status)
        return self._all(Run, newest.order_by(RUNS.c.started_at.desc(), RUNS.c.run_id).limit(limit))

    def run(self, run_id: str) -> Run | None:
        return next(iter(self._all(Run, sa.select(RUNS).where(RUNS.c.run_id == run_id))), None)

    # Versions

    def add_version(
        self, migration: str, *, plan: str, run_id: str, spec_digest: str, counts: Mapping[str, Any],
        source_mark: str | None = None, target_mark: str | None = None, author: str | None = None,
        message: str | None = None, kind: str = "run", undoes: Sequence[int] | None = None, made_mark: str | None = None,
        windows: Sequence[Sequence[Any]] | None = None,
    ) -> int:  # fmt: skip
        """Number an applied plan: 1, 2, 3 without gaps. The same plan keeps the number that it has."""
        with self._engine.writing() as connection:
            locked(connection, f"versions:{migration}")
            ours = VERSIONS.c.migration == migration
            known = connection.scalar(sa.select(VERSIONS.c.version).where(ours, VERSIONS.c.plan == plan))
            if known is not None:
                return int(known)
            number = int(connection.scalar(sa.select(sa.func.max(VERSIONS.c.version)).where(ours)) or 0) + 1
            version = Version(
                migration, number, plan, run_id, spec_digest, self._now(), plain(counts), source_mark, target_mark,
                author, message, "target", kind, plain(undoes), made_mark, plain(windows),
            )  # fmt: skip
            connection.execute(VERSIONS.insert().values(_as_row(version)))
        return number

    def note_kept(self, migration: str, number: int, kept: Mapping[str, str]) -> None:
        """Note that a version's change sets of some tables are not whole any more: keys, off or pruned."""
        one = VERSIONS.c.migration == migration, VERSIONS.c.version == number
        with self._engine.writing() as connection:
            known = connection.scalar(sa.select(VERSIONS.c.kept).where(*one)) or {}
            connection.execute(VERSIONS.update().where(*one).values(kept={**known, **kept}))

    def versions(self, migration: str) -> list[Version]:
        """The applied plans of a migration, newest first."""
        ours = sa.select(VERSIONS).where(VERSIONS.c.migration == migration)
        return self._all(Version, ours.order_by(VERSIONS.c.version.desc()))

    def version(self, migration: str, number: int) -> Version | None:
        one = VERSIONS.c.migration == migration, VERSIONS.c.version == number
        return next(iter(self._all(Version, sa.select(VERSIONS).where(*one))), None)

    def set_base(self, migration: str, table: str, version: int, folder: str | None, rows: int) -> None:
        """Note what a table was at a version, instead of what was noted before."""
        base = Base(migration, table, version, folder, rows, self._now())
        with self._engine.writing() as connection:
            upsert(connection, BASES, [_as_row(base)])

    def bases(self, migration: str) -> dict[str, Base]:
        """What is known of tables as they were, by table."""
        return {
            each.table_name: each for each in self._all(Base, sa.select(BASES).where(BASES.c.migration == migration))
        }

    # Quarantine

    def record_quarantine(self, migration: str, rows: pa.Table, run_id: str, file: str | None = None) -> int:
        """Note rows that were set aside, in the plan store's QUARANTINE schema. Returns how many are listed.

        One line for each key and reason, however often a run meets them; `first_seen` stays.
        50,000 rows take about a second.
        """
        once = rows.group_by(["table", "key", "reason"], use_threads=False).aggregate(
            [("column", "first"), ("value", "first"), ("reason", "count")]
        )
        moment = self._now()
        lines = [
            {
                "migration": migration, "table_name": line["table"], "key_digest": _digest(line["key"]),
                "reason_digest": _digest(line["reason"]), "key": line["key"], "reason": line["reason"],
                "column_name": line["column_first"], "value": line["value_first"], "rows": line["reason_count"],
                "run_id": run_id, "first_seen": moment, "last_seen": moment, "file": file,
            }
            for line in once.to_pylist()
        ]  # fmt: skip
        with self._engine.writing() as connection:
            for chunk in _chunks(lines):
                upsert(connection, QUARANTINE, chunk, keep=("first_seen",))
        return len(lines)

    def sweep_quarantine(self, migration: str, table: str, run_id: str, keys: Iterable[str] | None = None) -> int:
        """Forget what a run looked at and did not set aside again: the whole table, or the given keys.

        Returns how many lines went.
        """
        stale = (
            QUARANTINE.c.migration == migration, QUARANTINE.c.table_name == table, QUARANTINE.c.run_id != run_id
        )  # fmt: skip
        with self._engine.writing() as connection:
            if keys is None:
                return int(connection.execute(QUARANTINE.delete().where(*stale)).rowcount)
            gone = 0
            for chunk in _chunks(_digest(key) for key in keys):
                some = QUARANTINE.delete().where(*stale, QUARANTINE.c.key_digest.in_(chunk))
                gone += int(connection.execute(some).rowcount)
            return gone

    def drop_quarantined(self, migration: str, choice: Choice) -> int:
        """Forget the lines of a choice; how many rows they stood for."""
        return drop_chosen(self._engine, migration, choice)

    def chosen(self, migration: str, choice: Choice, limit: int | None = None) -> list[Quarantined]:
        """The lines of a choice, by table and key."""
        wanted = sa.select(*_columns(Quarantined, QUARANTINE)).where(*choice.clauses(migration))
        order = QUARANTINE.c.table_name, QUARANTINE.c.key, QUARANTINE.c.reason
        return self._all(Quarantined, wanted.order_by(*order).limit(limit))

    def chosen_keys(self, migration: str, choice: Choice) -> Iterator[tuple[str, str]]:
        """Table and key of each line of a choice, each once, in no order."""
        return chosen_keys(self._engine, migration, choice)

    def count_chosen(self, migration: str, choice: Choice) -> dict[str, int]:
        """How many rows a choice stands for, by table."""
        return count_chosen(self._engine, migration, choice)

    def quarantined(self, migration: str, table: str | None = None, limit: int | None = None) -> list[Quarantined]:
        """What is set aside now, by table and key."""
        return self.chosen(migration, Choice((table,) if table is not None else ()), limit)

    def quarantine_files(self, migration: str) -> set[str]:
        """Where the rows that are set aside now are written down."""
        wanted = sa.select(QUARANTINE.c.file).where(QUARANTINE.c.migration == migration).distinct()
        with self._engine.reading() as connection:
            return {file for (file,) in connection.execute(wanted) if file}

    def count_quarantined(self, migration: str) -> dict[tuple[str, str], int]:
        """How many rows are set aside now, by table and reason."""
        by = QUARANTINE.c.table_name, QUARANTINE.c.reason
        wanted = sa.select(*by, sa.func.sum(QUARANTINE.c.rows)).where(QUARANTINE.c.migration == migration)
        with self._engine.reading() as connection:
            return {(table, reason): int(rows) for table, reason, rows in connection.execute(wanted.group_by(*by))}

    # Conflicts

    def record_conflicts(self, migration: str, table: str, rows: pa.Table, run_id: str) -> int:
        """Note the rows of `Applied.conflicts`. One line for each key: the last meeting counts, and is open."""
        moment = self._now()
        lines = {}
        for at in range(rows.num_rows):
            key = _json(list((_image(rows["key"][at]) or {}).values()))
            images = {name: _json(_image(rows[name][at])) for name in ("before", "after", "found")}
            line = {"migration": migration, "table_name": table, "key_digest": _digest(str(key)), "key": key}
            told = {"op": rows["op"][at].as_py(), "run_id": run_id, "seen_at": moment}
            lines[key] = {**line, **told, **images, "resolved_at": None, "resolution": None}
        with self._engine.writing() as connection:
            for chunk in _chunks(lines.values()):
                upsert(connection, CONFLICTS, chunk)
        return len(lines)

    def conflicts(
        self, migration: str, table: str | None = None, *, resolved: bool = False, run_id: str | None = None,
        keys: Sequence[str] = (), limit: int | None = None,
    ) -> list[Conflict]:  # fmt: skip
        """The conflicts that are open, and the resolved ones where asked for: of a table, a run, or some keys, or all."""
        wanted = sa.select(*_columns(Conflict, CONFLICTS)).where(CONFLICTS.c.migration == migration)
        if table is not None:
            wanted = wanted.where(CONFLICTS.c.table_name == table)
        if run_id is not None:
            wanted = wanted.where(CONFLICTS.c.run_id == run_id)
        if keys:
            wanted = wanted.where(CONFLICTS.c.key_digest.in_([_digest(key) for key in keys]))
        if not resolved:
            wanted = wanted.where(CONFLICTS.c.resolved_at.is_(None))
        return self._all(Conflict, wanted.order_by(CONFLICTS.c.table_name, CONFLICTS.c.key).limit(limit))

    def count_conflicts(self, migration: str) -> dict[str, int]:
        """How many are open, by table."""
        name = CONFLICTS.c.table_name
        open_ = sa.select(name, sa.func.count()).where(CONFLICTS.c.migration == migration)
        with self._engine.reading() as connection:
            found = connection.execute(open_.where(CONFLICTS.c.resolved_at.is_(None)).group_by(name).order_by(name))
            return {table: int(rows) for table, rows in found}

    def settle_conflicts(self, migration: str, table: str, run_id: str) -> int:
        """Close what earlier runs met in a table that a run has looked at whole; how many were closed."""
        older = (
            CONFLICTS.c.migration == migration, CONFLICTS.c.table_name == table, CONFLICTS.c.resolved_at.is_(None),
            CONFLICTS.c.run_id != run_id,
        )  # fmt: skip
        closed = {"resolved_at": self._now(), "resolution": f"settled by run {run_id}"}
        with self._engine.writing() as connection:
            return int(connection.execute(CONFLICTS.update().where(*older).values(**closed)).rowcount)

    def resolve_conflicts(self, migration: str, table: str, resolution: str, keys: Sequence[str] | None = None) -> int:
        """Close open conflicts of a table, all or those of some keys. Returns how many were closed."""
        still = (
            CONFLICTS.c.migration == migration, CONFLICTS.c.table_name == table, CONFLICTS.c.resolved_at.is_(None)
        )  # fmt: skip
        closed = CONFLICTS.update().where(*still).values(resolved_at=self._now(), resolution=resolution)
        with self._engine.writing() as connection:
            if keys is None:
                return int(connection.execute(closed).rowcount)
            digests = _chunks(_digest(key) for key in keys)
            return sum(
                int(connection.execute(closed.where(CONFLICTS.c.key_digest.in_(chunk))).rowcount) for chunk in digests
            )

    # Backfill steps, facts and leases

    def add_step(self, migration: str, spec_digest: str, range_text: str, start: str, stop: str, run_id: str) -> None:
        """Note that a step of a backfill is done. Idempotent."""
        row = {
            "migration": migration, "spec_digest": spec_digest, "range_text": range_text, "start": start, "stop": stop,
            "run_id": run_id, "finished_at": self._now(),
        }  # fmt: skip
        with self._engine.writing() as connection:
            upsert(connection, STEPS, [row])

    def steps_done(self, migration: str, spec_digest: str, range_text: str) -> set[tuple[str, str]]:
        """The steps, as (start, stop), that need not run again as long as the spec stays."""
        same = STEPS.c.migration == migration, STEPS.c.spec_digest == spec_digest, STEPS.c.range_text == range_text
        with self._engine.reading() as connection:
            return {
                (start, stop) for start, stop in connection.execute(sa.select(STEPS.c.start, STEPS.c.stop).where(*same))
            }

    def set_fact(self, migration: str, kind: str, name: str, value: str) -> None:
        """Keep a text, such as a table's watermark or a schema's fingerprint; the last one counts."""
        row = {"migration": migration, "kind": kind, "name": name, "value": value, "seen_at": self._now()}
        with self._engine.writing() as connection:
            upsert(connection, FACTS, [row])

    def fact(self, migration: str, kind: str, name: str) -> str | None:
        one = FACTS.c.migration == migration, FACTS.c.kind == kind, FACTS.c.name == name
        with self._engine.reading() as connection:
            return connection.scalar(sa.select(FACTS.c.value).where(*one))

    def lease(
        self, migration: str, holder: str, now: Clock | None = None, *, seconds: float = 120
    ) -> AbstractContextManager[Lease]:
        """Be the migration's only writer inside. BusyError, at once, names who else is, and since when.

        Renewed in the background every third of `seconds`; `Lease.check()` says whether it still holds.
        """
        return held(self._engine, migration, holder, now or self._now, seconds)

    def _all(self, record: type[Record], statement: sa.Select[Any]) -> list[Record]:
        with self._engine.reading() as connection:
            return [record(**row) for row in connection.execute(statement).mappings()]


def _as_row(record: Run | Version | Base) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__slots__}


def _columns(record: type[Quarantined] | type[Conflict], table: sa.Table) -> list[sa.Column[Any]]:
    return [table.c[name] for name in record.__slots__]


def _chunks(items: Iterable[Any]) -> Iterable[list[Any]]:
    rest = iter(items)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(plain(value), ensure_ascii=False)


def _image(struct: pa.StructScalar) -> dict[str, Any] | None:
    """A row as Python values; times that Python cannot hold become text."""
    if not struct.is_valid:
        return None
    return {name: _value(struct[name]) for name in struct.type.names}


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except (OverflowError, ValueError):
        number = scalar.cast(pa.int64() if pa.types.is_timestamp(scalar.type) else pa.int32()).as_py()
        infinite = abs(number) >= TIMESTAMP_INFINITY or not pa.types.is_timestamp(scalar.type)
        return f"{'-' if number < 0 else ''}infinity" if infinite else str(scalar.cast(pa.string()))
