"""Windows as Prefect tasks: a task for each group of windows, on threads or on a Dask cluster.

What is submitted and what comes back are frozen descriptors: no rows, no connections, no secrets.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from prefect import Task, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.futures import PrefectFuture
from prefect.runtime import task_run
from prefect.states import Failed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.tasks import exponential_backoff

from adapters import interrupts
from flows.apply.windows import ApplyInTurn, ApplyWork, Done, apply_in_turn, apply_windows
from flows.plan.decide import Planned, plan_windows
from flows.plan.reading.window_reader import PlanWork, Window
from flows.results.shares import counted
from flows.results.visible import visible
from flows.session.execute import Execute, Result, Windows, Work
from flows.session.meter import Meter
from flows.session.retry import POLICY, gave_up
from flows.session.session import Job, connect, shared, with_binding
from flows.session.side import both_read
from flows.spec.model import Runner, load_spec
from transforms.vocabulary import KeyValue, SnapshotLost, SpecError, SynclineError, TransientError, message_of

LONGEST_KEY: Final = 40  # characters of a key in a name


class WindowsFailed(SynclineError):
    """Some windows of a table failed, the others are through. The cause is the first failure."""

    code = "windows_failed"


def is_transient(_task: Task[Any, Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed try may be repeated: only for faults that may pass. A new snapshot is not the task's to open."""
    return isinstance(state.data, TransientError) and not isinstance(state.data, SnapshotLost)


PHASES: Final = {"all": "write", "delete": "delete from", "upsert": "insert and update"}
"""What a task does with the rows of a table, in plain words; other phases are called by their names."""


def work_name() -> str:
    """`plan flight, windows 0 to 7, keys … to 5000`: what is done, from the first to the last window, both included, and between
    which keys, the last one excluded."""
    work: PlanWork | ApplyWork | ApplyInTurn = task_run.parameters["work"]
    if isinstance(work, ApplyInTurn):
        tables = " and ".join(dict.fromkeys(each.table for each in work.windows))
        return f"write {tables}, {counted(len(work.windows), 'window')} in turn"
    phase = "plan" if isinstance(work, PlanWork) else PHASES.get(work.phase, work.phase)
    first, last = work.windows[0], work.windows[-1]
    windows = f"window {first.number}" if first is last else f"windows {first.number} to {last.number}"
    keys = _keys(first, last) if isinstance(first, Window) and isinstance(last, Window) else ""
    return f"{phase} {work.table}, {windows}{keys}"


def _keys(first: Window, last: Window) -> str:
    if first.wanted.start is None and last.wanted.stop is None:
        return ""
    return f", keys {_key(first.wanted.start)} to {_key(last.wanted.stop)}"


def _key(key: KeyValue | None) -> str:
    if key is None:
        return "…"
    text = visible(", ".join(map(str, key)))
    return text if len(text) <= LONGEST_KEY else f"{text[:LONGEST_KEY]}…"


_one_at_a_time = threading.Lock()


@contextmanager
def _joined(job: Job, *, reading: bool) -> Iterator[None]:
    """On a worker: a session of its own that joins the run's snapshots, for as long as the task lasts.

    A task that lasts seconds can pay for its connections, and nothing stale stays behind on a cluster that lives on.
    One task at a time in a process: the run's name finds its session there.
    """
    with _one_at_a_time, ExitStack() as stack:
        session = stack.enter_context(connect(load_spec(Path(job.spec))))
        if reading:
            sides = stack.enter_context(both_read(session.sides, job.tokens))
            session = replace(session, sides=sides)
        if not job.bare:
            session = with_binding(session)
        stack.enter_context(shared(job.plan_id, session))
        yield


def plan_elsewhere(work: PlanWork) -> tuple[Planned, ...]:
    """Plan windows on a worker."""
    with _joined(work.job, reading=True):
        return plan_windows(work)


def apply_elsewhere(work: ApplyWork) -> tuple[Done, ...]:
    """Apply windows on a worker."""
    with _joined(work.job, reading=False):
        return apply_windows(work)


def apply_in_turn_elsewhere(work: ApplyInTurn) -> tuple[Done, ...]:
    """Apply windows of several tables on a worker."""
    with _joined(work.job, reading=False):
        return apply_in_turn(work)


def _as_task(function: Callable[[Any], Any], name: str, description: str) -> Task[Any, Any]:
    def windows(work: Windows) -> Any:
        try:
            return function(work)
        except TransientError:
            raise  # Prefect tries it again
        except SynclineError as error:  # its line is enough, and Prefect would add a traceback
            get_run_logger().error(message_of(error))
            return Failed(message=message_of(error), data=error)

    made: Task[Any, Any] = task(
        name=name,
        description=description,
        task_run_name=work_name,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=POLICY.attempts - 1,
        retry_delay_seconds=exponential_backoff(POLICY.pause),
        retry_jitter_factor=POLICY.jitter,
        retry_condition_fn=is_transient,
    )(windows)
    return made


_PLAN = ("plan windows", "Read both sides, map, diff, and write the changes down.")
_APPLY = ("apply windows", "Write planned changes, a transaction a window.")
HERE: Final = {
    plan_windows: _as_task(plan_windows, *_PLAN),
    apply_windows: _as_task(apply_windows, *_APPLY),
    apply_in_turn: _as_task(apply_in_turn, *_APPLY),
}
ELSEWHERE: Final = {
    plan_windows: _as_task(plan_elsewhere, *_PLAN),
    apply_windows: _as_task(apply_elsewhere, *_APPLY),
    apply_in_turn: _as_task(apply_in_turn_elsewhere, *_APPLY),
}


def runner_of(settings: Runner, workers: int) -> TaskRunner[Any]:
    """Threads of this process, or the Dask cluster that the spec asks for; not started yet."""
    if settings.kind == "threads":
        return ThreadPoolTaskRunner(max_workers=workers)
    try:
        from prefect_dask.task_runners import DaskTaskRunner
    except ImportError as error:
        raise SpecError(
            f"defaults.runner is dask, which cannot be imported ({error}).",
            fix="install syncline[dask], or use threads.",
        ) from error
    if settings.address:
        return DaskTaskRunner(address=settings.address)
    local = {"n_workers": workers, "threads_per_worker": 1, "processes": True, "dashboard_address": "127.0.0.1:0"}
    return DaskTaskRunner(cluster_kwargs=local)


def executed_by(runner: TaskRunner[Any], meter: Meter) -> Execute:
    """Run works as tasks of a started runner.

    Every task is waited for, also where another one failed; then the first failure is raised, as the cause of
    WindowsFailed, or SnapshotLost where nothing worse happened: then another snapshot helps. The meter is told of
    results where tasks cannot tell it themselves, in other processes.
    """

    def execute(
        function: Callable[[Work], Sequence[Result]], works: Sequence[Work], *, in_order: bool = False
    ) -> Iterator[Sequence[Result]]:
        if in_order:
            alone: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers=1)
            with alone as one:
                yield from on(one, function, works)
        else:
            yield from on(runner, function, works)

    def on(
        runner: TaskRunner[Any], function: Callable[[Work], Sequence[Result]], works: Sequence[Work]
    ) -> Iterator[Sequence[Result]]:
        elsewhere = not isinstance(runner, ThreadPoolTaskRunner)
        tasks: dict[Any, Task[Any, Any]] = dict(ELSEWHERE if elsewhere else HERE)
        futures: list[tuple[Work, PrefectFuture[Any]]] = []
        results: list[Any] = []
        failures: list[tuple[Windows, Exception]] = []
        lost: SnapshotLost | None = None
        try:
            for work in works:
                with interrupts.postponed():  # what has been started is known
                    futures.append((work, runner.submit(tasks[function], {"work": work})))
            for work, future in futures:
                try:
                    results.append(_result(future))
                except SnapshotLost as error:
                    lost = lost or error
                    continue
                except TransientError as error:
                    failures.append((work, gave_up(error, POLICY.attempts)))
                    continue
                except Exception as error:
                    failures.append((work, error))
                    continue
                if elsewhere:
                    _tell(meter, results[-1])
        except BaseException:
            if not elsewhere:
                with interrupts.ending():
                    for _, future in futures:
                        _settle(future)
            raise
        interrupts.check()
        if failures:
            raise _failure(works, failures) from failures[0][1]
        if lost:
            raise lost
        yield from results

    return execute


def _settle(future: PrefectFuture[Any]) -> None:
    """Wait for a task, which works with connections that are about to be closed. To wait for one that an interrupt ended raises that
    interrupt again, while other tasks still work."""
    with suppress(KeyboardInterrupt):
        future.wait()


def _result(future: PrefectFuture[Any]) -> Any:
    future.wait()
    return future.result()


def _failure(works: Sequence[Windows], failures: Sequence[tuple[Windows, Exception]]) -> WindowsFailed:
    failed, first = failures[0]
    count = sum(len(work.windows) for work, _ in failures)
    text, fix = (
        (first.what, first.fix) if isinstance(first, SynclineError) else (f"{type(first).__name__}: {first}", "")
    )
    return WindowsFailed(
        f"{count}/{sum(len(w.windows) for w in works)} windows failed: {failed.table}: {text}", fix=fix
    )


def _tell(meter: Meter, results: Sequence[Planned | Done]) -> None:
    for result in results:
        if isinstance(result, Planned):
            meter.advance(result.table, "plan", max(result.counts.source_rows, result.counts.target_rows))
        else:
            meter.advance(result.table, "apply", result.rows)
