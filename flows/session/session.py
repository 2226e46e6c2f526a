"""What a process needs to work on a run: open adapters, one snapshot a side, the bound spec, and where files go."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from adapters.protocol import Inspection, Snapshot, Source, Target
from adapters.registry import open_source, open_target
from flows.bind.inspect import Shapes, look
from flows.bind.tables import Binding, BoundTable, bind
from flows.session.retry import Policy, retried
from flows.spec.model import Spec
from flows.spec.urls import resolve_url
from transforms.mapping.mapping import Mapped, Noted
from transforms.vocabulary import ChangeSet, PlanError, Refusal, SpecError, TableName, TableShape

CACHE_BYTES = 32 * 2**20  # change sets kept from planning to applying in one process, so that they are not read back


@dataclass(frozen=True, slots=True)
class Job:
    """What travels to a task, perhaps in another process: names and texts only, nothing secret, nothing open.

    `proof` says that both sides are only compared, with the columns that the target computes itself too. `bare`: the plan
    goes to the target as it is, whatever the spec maps today.
    """

    spec: str
    run_id: str
    folder: str
    at: datetime
    source_token: str | None = None
    target_token: str | None = None
    proof: bool = False
    bare: bool = False

    @property
    def work(self) -> Path:
        """Where working files of the plan lie until it is finished."""
        return Path(self.folder) / "work"


class Meter:
    """Told how far a run is. This one keeps silent; a terminal and a Prefect run have their own."""

    def expect(self, table: str, what: str, rows: int) -> None:
        """About `rows` rows of the table will be worked on; `what` is read, plan or apply."""

    def advance(self, table: str, what: str, rows: int) -> None:
        """So many more rows are through. Called from several threads."""

    def notice(self, text: str) -> None:
        """Something a person may want to know while a run goes on."""

    def again(self) -> None:
        """Work begins anew: what was told so far does not count."""


class Watch:
    """Told what a plan sees, by threads at once. This one looks away; an assessment has its own.

    `policy` is how windows are tried again whose fault may pass, None for as ever.
    """

    policy: Policy | None = None

    def noting(self, table: str, window: int) -> Noted | None:
        """What is told of the batches of a window, None where nobody listens."""
        return None

    def refused(self, table: str, window: int, rows: pa.Table, why: Sequence[Refusal]) -> None:
        """Rows of a window, as they would be written, that the target would not take."""

    def decided(self, table: str, window: int, mapped: Mapped, found: pa.Table, changes: ChangeSet) -> None:
        """What became of a window: `mapped` has all rows set aside, `found` the target's rows as they are."""


@dataclass(slots=True)
class Session:
    """Open things of one run in one process. `numbers` are the next surrogate keys, by table."""

    spec: Spec
    source: Source
    target: Target
    meter: Meter = field(default_factory=Meter)
    watch: Watch = field(default_factory=Watch)
    binding: Binding | None = None
    snapshots: tuple[Snapshot, Inspection] | None = None
    numbers: dict[str, int] = field(default_factory=dict)
    guard: Callable[[], None] = lambda: None  # raises where this run may not write any more
    drifted: bool = False  # so that a run of the spec stops before it reads
    _shapes: dict[TableName, TableShape] = field(default_factory=dict)
    _cached: dict[tuple[str, int], ChangeSet] = field(default_factory=dict)
    _cached_bytes: int = 0
    _shown: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def bound(self) -> Binding:
        if self.binding is None:
            shapes = retried(lambda: look(self.spec, self.source, self.target))
            self.bind(shapes)
        assert self.binding is not None
        return self.binding

    def bind(self, shapes: Shapes) -> None:
        """Bind the spec to what was seen of both sides; it has their spelling from here on."""
        self.binding = retried(lambda: bind(shapes.spec, self.source, self.target, shapes))
        self.spec = shapes.spec

    def table(self, job: Job, name: str) -> BoundTable:
        """A table as the job looks at it."""
        bound = self.bound.table(name)
        return bound.proving() if job.proof else bound

    def shape(self, job: Job, name: str, table: TableName) -> TableShape:
        """The target's table that windows of the job are written to. PlanError where it is not there."""
        if not job.bare:
            return self.bound.table(name).shape
        with self._lock:
            if table not in self._shapes:
                found = self.target.describe(table)
                if found is None:
                    raise PlanError(
                        f"{table} is no longer there. Nothing of it was written. Fix: bring the table back."
                    )
                self._shapes[table] = found
            return self._shapes[table]

    def begin_again(self) -> None:
        """Forget what a plan that was not finished left here: its tables are planned anew."""
        with self._lock:
            self.snapshots = None
            self.numbers.clear()
            self._cached.clear()
            self._shown.clear()
            self._cached_bytes = 0
        self.meter.again()

    @property
    def reading(self) -> tuple[Snapshot, Inspection]:
        """The source's and the target's snapshot."""
        assert self.snapshots is not None, "no snapshot is open"
        return self.snapshots

    def reserve(self, table: str, count: int) -> int:
        """The first of `count` consecutive surrogate keys that nobody else gets."""
        with self._lock:
            first = self.numbers[table]
            self.numbers[table] = first + count
            return first

    def give_back(self, table: str, count: int) -> None:
        """Take back the last `count` surrogate keys of a table whose keys are numbered here; nothing of another one.

        In: nobody reserved any since, as where one window comes after the other.
        """
        with self._lock:
            if table in self.numbers:
                self.numbers[table] -= count

    def samples_wanted(self, table: str, most: int) -> bool:
        """Whether a table still has fewer than `most` windows with changes to show; counts this one."""
        with self._lock:
            self._shown[table] = self._shown.get(table, 0) + 1
            return self._shown[table] <= most

    def keep(self, table: str, window: int, changes: ChangeSet) -> None:
        self.kept(table, window)  # of an earlier try
        with self._lock:
            if self._cached_bytes + changes.nbytes <= CACHE_BYTES:
                self._cached[table, window] = changes
                self._cached_bytes += changes.nbytes

    def kept(self, table: str, window: int) -> ChangeSet | None:
        """The change set as it was planned, once: it is given away to be applied."""
        with self._lock:
            changes = self._cached.pop((table, window), None)
            self._cached_bytes -= changes.nbytes if changes is not None else 0
            return changes


def _steady_memory() -> None:
    """Let Arrow allocate by jemalloc where it has it, unless the environment says otherwise.

    The default pool gives pages back so eagerly that windows spend a tenth of their time on getting new ones: a copy
    of a million rows took 2.3 s and 322 MB with jemalloc, and 2.5 s and 378 MB without.
    """
    if "ARROW_DEFAULT_MEMORY_POOL" not in os.environ:
        with suppress(NotImplementedError):
            pa.set_memory_pool(pa.jemalloc_memory_pool())


@contextmanager
def connect(spec: Spec, meter: Meter | None = None) -> Iterator[Session]:
    """Open both sides of a migration; close them at the end."""
    _apart(spec)
    _steady_memory()
    with ExitStack() as stack:
        source = open_source(resolve_url(spec.source.url), time_zone=spec.source.time_zone, rls=spec.source.rls)
        stack.callback(source.close)
        target = open_target(
            resolve_url(spec.target.url), time_zone=spec.target.time_zone, create=True, rls=spec.target.rls
        )
        stack.callback(target.close)
        yield Session(spec, source, target, meter or Meter())


def _apart(spec: Spec) -> None:
    """The ledger has a file of its own: two SQLite libraries in one process do not see each other's locks."""
    state = resolve_url(spec.state.url)
    for side, endpoint in (("source", spec.source), ("target", spec.target)):
        if state.startswith("sqlite") and resolve_url(endpoint.url) == state:
            raise SpecError(
                f"{spec.where('state', 'url')}: the ledger is the same file as the {side}. Fix: give it a file of its own, "
                f"such as sqlite:///.syncline/ledger.db."
            )


_sessions: dict[str, Session] = {}


@contextmanager
def shared(run_id: str, session: Session) -> Iterator[None]:
    """Let tasks of this process that work on the run find its session."""
    _sessions[run_id] = session
    try:
        yield
    finally:
        _sessions.pop(run_id, None)


def session_of(job: Job) -> Session:
    """The session of a run in this process; tasks of other processes share one of their own first (`flows.orchestration.tasks`)."""
    return _sessions[job.run_id]
