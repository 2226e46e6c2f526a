"""What Syncline remembers: runs, versions, what was set aside, conflicts, identity maps, steps, leases.

Every method is one transaction and may be called from several threads. Texts of keys are JSON arrays. `side` is the side that
is spoken of: of a plan, and of what became of its rows, the one that it writes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, fields, replace
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

import pyarrow as pa
import sqlalchemy as sa

from adapters.ledger.conflicts import chosen_conflicts, count_conflicts, record_conflicts, settle_conflicts
from adapters.ledger.cursors import Move, forget, move
from adapters.ledger.engine import LedgerEngine, upsert
from adapters.ledger.identity import IdentityMaps
from adapters.ledger.lease import Clock, Lease, held, holder_since, utc_now
from adapters.ledger.open_rows import OpenRows
from adapters.ledger.quarantine import Choice, chosen_keys, count_chosen, drop_chosen
from adapters.ledger.records import Base, Conflict, Decision, NewVersion, Quarantined, Run, RunPlan, Version
from adapters.ledger.tables import BASES, CONFLICTS, FACTS, PLANS, QUARANTINE, RUNS, STEPS, VERSIONS
from adapters.ledger.tables import digest as _digest
from adapters.ledger.versions import add_versions
from adapters.store.plans import plain
from transforms.vocabulary import SIDES, SideName, SynclineError

APPLYING, CUT_OFF = "applying", "cut off"  # its rows are being written; it failed while they were
CHUNK = 5_000  # bind parameters in one statement; SQLite allows 32,766


__all__ = [
    "Base",
    "Choice",
    "Conflict",
    "Decision",
    "Lease",
    "Ledger",
    "Move",
    "NewVersion",
    "Quarantined",
    "Run",
    "RunPlan",
    "Version",
    "utc_now",
]

Record = TypeVar("Record", Version, Base, Quarantined, Conflict)


class Ledger:
    """The ledger behind a URL: SQLite, or PostgreSQL for several machines. Made on first use."""

    def __init__(self, url: str, now: Clock = utc_now) -> None:
        self._engine = LedgerEngine(url)
        self._now = now
        self.url = self._engine.url
        self.identities = IdentityMaps(self._engine, now)
        self.open_rows = OpenRows(self._engine, now)

    def close(self) -> None:
        """Give back every connection. Idempotent."""
        self._engine.close()

    def there(self) -> bool:
        """Whether anything was ever taken down here; asking makes no ledger."""
        return self._engine.there()

    # Runs

    def start_run(
        self, run_id: str, migration: str, kind: str, spec_digest: str, sides: Sequence[SideName] = ("target",)
    ) -> Run:
        """Note that a run began which may write `sides`. A second call for the same run, as after a retry, begins it again."""
        run = Run(run_id, migration, kind, spec_digest, "running", self._now(), sides=tuple(sides))
        row = {name: value for name, value in asdict(run).items() if name != "plans"}
        with self._engine.writing() as connection:
            connection.execute(PLANS.delete().where(PLANS.c.run_id == run_id))
            upsert(connection, RUNS, [{**row, "sides": list(sides)}], keep=("started_at",))
        return run

    def finish_run(
        self, run_id: str, status: str, *, counts: Mapping[str, Any] | None = None, version: int | None = None,
        message: str | None = None,
    ) -> None:  # fmt: skip
        """Note how a run ended."""
        said = {"status": status, "counts": plain(counts), "version": version, "message": message}
        values = {name: value for name, value in said.items() if value is not None}
        with self._engine.writing() as connection:
            done = connection.execute(
                RUNS.update().where(RUNS.c.run_id == run_id).values(finished_at=self._now(), **values)
            )
            if done.rowcount != 1:
                raise SynclineError(f"Run {run_id} is not in the ledger at {self.url}.", fix="start_run comes first.")

    def begin_applying(self, *plans: RunPlan) -> None:
        """Note that the plans of a run are whole, and that their rows are being written from now on."""
        with self._engine.writing() as connection:
            upsert(connection, PLANS, [_as_row(plan) for plan in plans])
            for run_id in {plan.run_id for plan in plans}:
                connection.execute(RUNS.update().where(RUNS.c.run_id == run_id).values(status=APPLYING))

    def known_plans(self, migration: str, plans: Collection[str]) -> set[str]:
        """Those among some plans that runs of the migration have begun to apply."""
        known: set[str] = set()
        with self._engine.reading() as connection:
            for some in _chunks(plans):
                wanted = sa.select(PLANS.c.plan_id).where(PLANS.c.migration == migration, PLANS.c.plan_id.in_(some))
                known |= set(connection.execute(wanted).scalars())
        return known

    def cut_off(self, migration: str, held: Collection[SideName] = SIDES) -> list[Run]:
        """The runs that never came to an end and write none but the sides `held`, oldest first.

        Whoever holds these sides of the migration knows that none of them is alive.
        """
        open_ = sa.select(RUNS).where(RUNS.c.migration == migration, RUNS.c.status.in_(("running", APPLYING, CUT_OFF)))
        runs = self._runs(open_.order_by(RUNS.c.started_at, RUNS.c.run_id))
        return [run for run in runs if set(run.sides) <= set(held)]

    def writing_since(self, migration: str, side: SideName) -> datetime | None:
        """Since when a live process holds a side of the migration; None where none does."""
        return holder_since(self._engine, migration, side, self._now())

    def runs(self, migration: str, limit: int | None = 50, status: str | None = None) -> list[Run]:
        """The runs of a migration, newest first; those of a status, or all."""
        newest = sa.select(RUNS).where(RUNS.c.migration == migration)
        if status is not None:
            newest = newest.where(RUNS.c.status == status)
        return self._runs(newest.order_by(RUNS.c.started_at.desc(), RUNS.c.run_id).limit(limit))

    def run(self, run_id: str) -> Run | None:
        return next(iter(self._runs(sa.select(RUNS).where(RUNS.c.run_id == run_id))), None)

    def _runs(self, statement: sa.Select[Any]) -> list[Run]:
        with self._engine.reading() as connection:
            rows = connection.execute(statement).mappings().all()
            plans: dict[str, list[RunPlan]] = {}
            for some in _chunks(row["run_id"] for row in rows):
                wanted = sa.select(PLANS).where(PLANS.c.run_id.in_(some)).order_by(PLANS.c.side)
                for plan in connection.execute(wanted).mappings():
                    plans.setdefault(plan["run_id"], []).append(RunPlan(**plan))
        return [
            Run(**{**row, "sides": tuple(row["sides"]), "plans": tuple(plans.get(row["run_id"], ()))}) for row in rows
        ]

    # Versions

    def add_version(self, new: NewVersion, moves: Sequence[Move] = ()) -> int:
        """Number an applied plan: 1, 2, 3 without gaps. The same plan keeps the number that it has. With it the marks of cursors move."""
        with self._engine.writing() as connection:
            move(connection, new.migration, moves, self._now())
            return add_versions(connection, [new], self._now())[0]

    def move_cursors(self, migration: str, moves: Sequence[Move]) -> None:
        """Move the marks of a plan that changed nothing."""
        with self._engine.writing() as connection:
            move(connection, migration, moves, self._now())

    def forget_cursors(self, migration: str) -> None:
        """Forget all marks: the next runs read all rows."""
        with self._engine.writing() as connection:
            forget(connection, migration)

    def add_versions(self, *new: NewVersion) -> list[int]:
        """Number the applied plans of a run, one for each side that it wrote; two are `synchronized_with` each other."""
        with self._engine.writing() as connection:
            return add_versions(connection, new, self._now())

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

    def set_base(self, base: Base) -> None:
        """Note what a table was at a version, instead of what was noted before; it was made now."""
        with self._engine.writing() as connection:
            upsert(connection, BASES, [_as_row(replace(base, made_at=self._now()))])

    def bases(self, migration: str, side: SideName) -> dict[str, Base]:
        """What is known of a side's tables as they were, by table."""
        ours = sa.select(BASES).where(BASES.c.migration == migration, BASES.c.side == side)
        return {each.table_name: each for each in self._all(Base, ours)}

    # Quarantine

    def record_quarantine(
        self, migration: str, side: SideName, rows: pa.Table, run_id: str, file: str | None = None
    ) -> int:
        """Note rows that were set aside, in the plan store's QUARANTINE schema. Returns how many are listed.

        One line for each key and reason, however often a run meets them; `first_seen` stays.
        50,000 rows take about a second.
        """
        once = rows.group_by(["table", "key", "reason"], use_threads=False).aggregate(
            [("column", "first"), ("value", "first"), ("code", "first"), ("facts", "first"), ("reason", "count")]
        )
        moment = self._now()
        lines = [
            {
                "migration": migration, "side": side, "table_name": line["table"], "key_digest": _digest(line["key"]),
                "reason_digest": _digest(line["reason"]), "key": line["key"], "reason": line["reason"],
                "column_name": line["column_first"], "value": line["value_first"], "rows": line["reason_count"],
                "run_id": run_id, "first_seen": moment, "last_seen": moment, "file": file,
                "code": line["code_first"], "facts": json.loads(line["facts_first"] or "null"),
            }
            for line in once.to_pylist()
        ]  # fmt: skip
        with self._engine.writing() as connection:
            for chunk in _chunks(lines):
                upsert(connection, QUARANTINE, chunk, keep=("first_seen",))
        return len(lines)

    def sweep_quarantine(
        self, migration: str, side: SideName, table: str, run_id: str, keys: Iterable[str] | None = None
    ) -> int:
        """Forget what a run looked at and did not set aside again: the whole table, or the given keys.

        Returns how many lines went.
        """
        stale = (
            QUARANTINE.c.migration == migration, QUARANTINE.c.side == side, QUARANTINE.c.table_name == table,
            QUARANTINE.c.run_id != run_id,
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
        """The lines of a choice, by table, key and side."""
        wanted = sa.select(*_columns(Quarantined, QUARANTINE)).where(*choice.clauses(migration))
        order = QUARANTINE.c.table_name, QUARANTINE.c.key, QUARANTINE.c.side, QUARANTINE.c.reason
        return self._all(Quarantined, wanted.order_by(*order).limit(limit))

    def chosen_keys(self, migration: str, choice: Choice) -> Iterator[tuple[str, str]]:
        """Table and key of each line of a choice, each once, in no order."""
        return chosen_keys(self._engine, migration, choice)

    def count_chosen(self, migration: str, choice: Choice) -> dict[str, int]:
        """How many rows a choice stands for, by table."""
        return count_chosen(self._engine, migration, choice)

    def quarantine_files(self, migration: str) -> set[str]:
        """Where the rows that are set aside now are written down."""
        wanted = sa.select(QUARANTINE.c.file).where(QUARANTINE.c.migration == migration).distinct()
        with self._engine.reading() as connection:
            return {file for (file,) in connection.execute(wanted) if file}

    # Conflicts; those of two ways are `open_rows`

    def record_conflicts(self, migration: str, side: SideName, table: str, rows: pa.Table, run_id: str) -> int:
        """Note the rows of `Applied.conflicts`. One line for each key: the last meeting counts, and is open."""
        return record_conflicts(self._engine, migration, side, table, rows, run_id, self._now())

    def conflicts(
        self, migration: str, table: str | None = None, *, resolved: bool = False, run_id: str | None = None,
        keys: Sequence[str] = (), limit: int | None = None,
    ) -> list[Conflict]:  # fmt: skip
        """The conflicts that are open, and the resolved ones where asked for: of a table, a run, or some keys, or all."""
        wanted = chosen_conflicts(migration, table, resolved=resolved, run_id=run_id, keys=keys)
        order = CONFLICTS.c.table_name, CONFLICTS.c.key, CONFLICTS.c.side
        return self._all(Conflict, wanted.order_by(*order).limit(limit))

    def conflict_keys(self, migration: str, table: str) -> list[str]:
        """The keys of a table's conflicts that are open, of either side."""
        wanted = (
            chosen_conflicts(migration, table, resolved=False, run_id=None, keys=())
            .with_only_columns(CONFLICTS.c.key)
            .distinct()
        )
        with self._engine.reading() as connection:
            return list(connection.scalars(wanted))

    def count_conflicts(self, migration: str) -> dict[str, int]:
        """How many are open, by table."""
        return count_conflicts(self._engine, migration)

    def settle_conflicts(
        self, migration: str, side: SideName, table: str, run_id: str, keys: Sequence[str] | None = None
    ) -> int:
        """Close what earlier runs met in a side's table that a run has looked at: all of it, or some keys; how many were closed."""
        return settle_conflicts(self._engine, migration, side, table, run_id, self._now(), keys)

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

    def set_fact(self, migration: str, kind: str, name: str, values: Mapping[SideName, str]) -> None:
        """Keep a text of each side, such as the shapes of its tables; the last one counts."""
        of_all = {"migration": migration, "kind": kind, "name": name, "seen_at": self._now()}
        with self._engine.writing() as connection:
            upsert(connection, FACTS, [{**of_all, "side": side, "value": value} for side, value in values.items()])

    def fact(self, migration: str, kind: str, name: str) -> dict[SideName, str]:
        """The texts of the sides that have one."""
        same = FACTS.c.migration == migration, FACTS.c.kind == kind, FACTS.c.name == name
        with self._engine.reading() as connection:
            known = connection.execute(sa.select(FACTS.c.side, FACTS.c.value).where(*same)).all()
        return {row.side: row.value for row in known}

    def lease(
        self,
        migration: str,
        side: SideName,
        holder: str,
        now: Clock | None = None,
        *,
        seconds: float = 120,
        called: str | None = None,
    ) -> AbstractContextManager[Lease]:
        """Be the only writer of a side of the migration inside. BusyError, at once, names who else is, and since when; `called` is
        what it says that is in use.

        Renewed in the background every third of `seconds`; `Lease.check()` says whether it still holds.
        """
        return held(Lease(migration, side, holder, seconds, now or self._now, self._engine, called=called))

    def _all(self, record: type[Record], statement: sa.Select[Any]) -> list[Record]:
        with self._engine.reading() as connection:
            return [record(**row) for row in connection.execute(statement).mappings()]


def _as_row(record: RunPlan | NewVersion | Base) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _columns(record: type[Quarantined] | type[Conflict], table: sa.Table) -> list[sa.Column[Any]]:
    return [table.c[name] for name in record.__slots__]


def _chunks(items: Iterable[Any]) -> Iterable[list[Any]]:
    rest = iter(items)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk
