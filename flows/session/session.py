"""What a process needs to work on a run: both sides, the bound spec, and where files go."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from flows.bind.inspect import Shapes as Seen
from flows.bind.inspect import look, look_again
from flows.bind.tables import Binding, bind
from flows.session.memory import Numbers, PlannedChanges, Samples, Shapes
from flows.session.meter import Meter
from flows.session.retry import retried
from flows.session.route import Route
from flows.session.side import Sides, Tokens, both_open
from flows.session.watch import Watch
from flows.spec.model import Spec
from transforms.vocabulary import Notice, SideName, TableName, TableShape, other_side

Guard = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Job:
    """What travels to a task, perhaps in another process: names and texts only, nothing secret, nothing open.

    `side` is the one that the plan writes, and `tokens` join the snapshots that it is made from. `proof` says that both sides are
    only compared, with the columns that the engine computes itself too. `bare`: the plan goes to the side as it is, whatever the
    spec maps today. `chosen`: it looks at the rows of some keys, and of others only at those that have to do with them.
    """

    spec: str
    plan_id: str
    folder: str
    at: datetime
    side: SideName = "target"
    tokens: Tokens = field(default_factory=dict)
    proof: bool = False
    bare: bool = False
    chosen: bool = False

    @property
    def work(self) -> Path:
        """Where working files of the plan lie until it is finished."""
        return Path(self.folder) / "work"


@dataclass(frozen=True, slots=True)
class Session:
    """What a run works with in one process. Nobody changes one: whoever comes to know more hands on another, by `replace`.

    `binding` is None until the spec is bound, and in a run that knows the target alone; `seen` is what it is bound to. `guards` are
    the sides that this process holds, each with what raises where the run may not write it any more; a task elsewhere has none.
    `drift` says what is
    different about the schemas since the latest run. `drifted`: a run of the spec would stop before it reads.
    """

    spec: Spec
    sides: Sides
    meter: Meter
    watch: Watch = field(default_factory=Watch)
    binding: Binding | None = None
    seen: Seen | None = None
    drift: tuple[Notice, ...] = ()
    drifted: bool = False
    guards: Mapping[SideName, Guard] = field(default_factory=dict)
    changes: PlannedChanges = field(default_factory=PlannedChanges)
    numbers: Numbers = field(default_factory=Numbers)
    samples: Samples = field(default_factory=Samples)
    shapes: Shapes = field(default_factory=Shapes)

    def guard(self, side: SideName) -> None:
        """BusyError where this run may not write a side any more that it holds."""
        if side in self.guards:
            self.guards[side]()

    @property
    def bound(self) -> Binding:
        """What the spec is bound to."""
        assert self.binding is not None, "the spec of this run is not bound"
        return self.binding

    def route(self, job: Job, name: str) -> Route:
        """The way that rows of a table take, as the job looks at it."""
        table = self.bound.table(name)
        return Route(
            self.sides[other_side(job.side)], self.sides.written(job.side), table.proving() if job.proof else table
        )

    def shape(self, job: Job, name: str, table: TableName) -> TableShape:
        """The table that windows of the job are written to. PlanError where it is not there."""
        written = self.sides.written(job.side)
        bare = job.bare or name not in self.spec.tables
        return self.shapes.of(written.adapter, table) if bare else self.bound.table(name).shape


def with_binding(session: Session, seen: Seen | None = None) -> Session:
    """The session with its spec bound to what both sides' tables look like now, or looked like when they were `seen`.

    Its spec has the catalogs' spelling. Errors: SpecError with every problem.
    """
    source, target = session.sides.source.adapter, session.sides.target.adapter
    shapes = seen or retried(lambda: look(session.spec, source, target))
    binding = retried(lambda: bind(shapes.spec, source, target, shapes))
    return replace(session, spec=shapes.spec, binding=binding, seen=shapes)


def with_target_anew(session: Session) -> Session:
    """The session bound to the target's tables as they are now. The source is not asked again for what was seen of it."""
    source, target, seen = session.sides.source.adapter, session.sides.target.adapter, session.seen
    return with_binding(session, retried(lambda: look_again(seen, source, target)) if seen else None)


def steady_memory() -> None:
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
    steady_memory()
    with both_open(spec) as sides:
        yield Session(spec, sides, meter or Meter())


_sessions: dict[str, Session] = {}


@contextmanager
def shared(plan_id: str, session: Session) -> Iterator[None]:
    """Let tasks of this process that work on the plan find its session."""
    _sessions[plan_id] = session
    try:
        yield
    finally:
        _sessions.pop(plan_id, None)


def session_of(job: Job) -> Session:
    """The session of a plan in this process; tasks of other processes share one of their own first (`flows.orchestration.tasks`)."""
    return _sessions[job.plan_id]
