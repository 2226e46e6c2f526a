"""What every flow does around its work: its name, its parameters, its runner, its artifacts, its final state.

A run ends *Completed* where the command line would exit with 0 and *Failed* otherwise, and a failed state is named after
its reason: `Quarantine` (above the limit, nothing written), `Conflicts` (rows that somebody else changed were left as
they are, all others are in), `Checkpoint`, `Hook` (one that comes after failed, all rows are in), `Difference` (verify
found differences), and plain `Failed` for errors. So an
automation on failed runs reaches a person whenever one is needed. A dry run is *Completed*, whatever it finds. A run that somebody
stops is *Cancelled*, and one that its machine ends is *Crashed*; both say what is in the target.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext, TagsContext
from prefect.exceptions import ExternalSignal
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Crashed, Failed
from pydantic import Field

from adapters.store.manifest import PlanKind
from flows import commands
from flows.commands import Outcome, Status
from flows.orchestration.artifacts import RunMeter, progress_shown, show_report
from flows.orchestration.events import announce_failure, announce_proof, announce_run
from flows.orchestration.sole_run import sole_run
from flows.orchestration.stopped import GO_ON, Far, cancelling, stopped_text, told_once
from flows.orchestration.tasks import executed_by, runner_of
from flows.plan.request import Request, asked_for, new_run_id
from flows.proof.outcome import besides, unequal
from flows.results.outcome import in_source
from flows.results.shares import counted, percent
from flows.results.tables import Report
from flows.session.execute import Execute
from flows.session.meter import Meter
from flows.spec.model import Spec, load_spec
from transforms.vocabulary import BusyError, SynclineError, message_of

# `flows.bind.ranges.PATTERN` without group names, which browsers write differently, and never without both ends
RANGE: Final = r"^[^.:]+\.[^:]+:(.+\.\..*|\.\..+)$"
ROOT: Final = r"^[^:]+:.+$"
STEP: Final = r"^([1-9][0-9]*(s|m|h|d|w|mo|y)?)?$"

SpecFile = Annotated[str, Field(min_length=1, examples=["examples/nycflights/spec.yaml"])]
TableNames = Annotated[list[Annotated[str, Field(min_length=1)]], Field()]
WaitSeconds = Annotated[float, Field(ge=0)]
RangeParameter = Annotated[str, Field(pattern=RANGE, examples=["flight.departed_on:2013-01-01..2013-02-01"])]
RootParameter = Annotated[str, Field(pattern=ROOT, examples=["customer:42", 'line:["a",7]'])]
Step = Annotated[str, Field(pattern=STEP, examples=["1d", "6h", "1mo", "1000"])]


@dataclass(slots=True)
class Handed:
    """What a command hands to the flow that it starts in its own process, and what it gets back."""

    request: Request | None
    meter: Meter
    outcome: Outcome | None = None


_handed: ContextVar[Handed | None] = ContextVar("handed", default=None)
_far: ContextVar[Far | None] = ContextVar("far", default=None)


@contextmanager
def handing(handed: Handed) -> Iterator[None]:
    """Flows that start inside take the request and the meter from here."""
    token = _handed.set(handed)
    try:
        yield
    finally:
        _handed.reset(token)


def is_handed() -> bool:
    """Whether a command started the flow, with its own request."""
    handed = _handed.get()
    return handed is not None and handed.request is not None


def run_name() -> str:
    """`backfill/nycflights/flight/2013-01-01..2013-02-01`: the flow, the migration, and what it is restricted to."""
    given: dict[str, Any] = flow_run.parameters
    ranges = [given["range"]] if given.get("range") else list(given.get("ranges") or [])
    roots = list(given.get("tree") or given.get("changed") or [])
    parts = [str(flow_run.flow_name), migration_of(str(given["spec"]))]
    if given.get("tables"):
        parts.append(",".join(given["tables"]))
    inside = [(column.partition(".")[0], span) for column, _, span in (text.partition(":") for text in ranges)]
    return "/".join([*parts, *(f"{table}/{span}" if table else span for table, span in inside), *roots])


def requested(
    kind: PlanKind,
    spec: str,
    tables: Sequence[str],
    ranges: Sequence[str],
    wait: float = 0,
    data_docs: bool = False,
    allow_deletes: bool = False,
    tree: Sequence[str] = (),
    with_parents: bool = False,
    full: bool = False,
    afresh: bool = False,
    changed: Sequence[str] = (),
) -> Request:
    """The request that the parameters stand for, or the one that a command handed over. SpecError where one is wrong."""
    handed = _handed.get()
    if handed is not None and handed.request is not None:
        return _noted(handed.request)
    asked = asked_for(
        Path(spec), kind, tables, ranges, wait=wait, data_docs=data_docs, allow_deletes=allow_deletes,
        trees=tree or changed, with_parents=with_parents or bool(changed), full=full, afresh=afresh,
    )  # fmt: skip
    if changed and asked.trees is not None:  # what changed may be gone on both sides by now
        asked = replace(asked, trees=replace(asked.trees, gone=True))
    return _noted(asked)


def _noted(request: Request) -> Request:
    if far := _far.get():
        far.spec, far.run_id = request.spec, request.run_id
    return request


@contextmanager
def staged(spec: Spec, wait: float | None = None) -> Iterator[tuple[Execute, Meter]]:
    """What work runs on and reports to: a started task runner, and a meter that the Prefect UI shows.

    With `wait` it writes: other runs of the migration's deployments are waited for, so many seconds. BusyError is that one still is.
    """
    handed = _handed.get()
    meter = RunMeter(handed.meter if handed else None)
    if far := _far.get():
        far.spec, far.meter = spec, meter
    runner = runner_of(spec.defaults.runner, spec.workers)
    # the flow run has the tags: a task that had some would first ask the API for their concurrency limits
    alone = nullcontext() if wait is None else sole_run(spec.name, wait)
    with alone, TagsContext(current_tags=set()), progress_shown(spec.name, _flow_run_id(), meter), runner as started:
        yield executed_by(started, meter), meter


def ended(work: Callable[[], State[Any]]) -> State[Any]:
    """The state that `work` ends in; an error of ours is a failed state with its one line, and without a traceback. A run that was
    started by its schedule while another one is at work is Skipped: the next one brings what it would have brought.

    One that is stopped is Cancelled where somebody meant it, and Crashed where its machine ended it; a run below another one passes that
    on. Whatever the end, it leaves its page. Where Prefect is told to try the flow again, it has to see the error.
    """
    with _begun() as far:
        try:
            return work()
        except SynclineError as error:
            if isinstance(error, BusyError) and _by_schedule():
                get_run_logger().info(message_of(error))
                return Completed(name="Skipped", message=message_of(error))
            get_run_logger().error(message_of(error))
            if _tried_again():
                raise
            far.show(message_of(error), f"{error.fix[:1].upper()}{error.fix[1:]}" or "Mend it, and run again.")
            if spec := flow_run.parameters.get("spec"):
                announce_failure(migration_of(str(spec)), message_of(error))
            return Failed(message=message_of(error), data=error)
        except (KeyboardInterrupt, ExternalSignal) as stop:
            meant = isinstance(stop, KeyboardInterrupt) or cancelling()
            said = stopped_text(stop, cancelled=meant)
            far.show(said, GO_ON)
            get_run_logger().error(said)
            if flow_run.parent_flow_run_id:
                raise
            return (Cancelled if meant else Crashed)(message=said)
        except Exception as error:
            far.show(
                f"{type(error).__name__}: {error}",
                "This is a defect: please report it, with the traceback in the run's log.",
            )
            raise


@contextmanager
def _begun() -> Iterator[Far]:
    told_once()
    far = Far(str(flow_run.flow_name))
    token = _far.set(far)
    try:
        yield far
    finally:
        _far.reset(token)


def _by_schedule() -> bool:
    context = FlowRunContext.get()
    return bool(context and context.flow_run and context.flow_run.auto_scheduled)


def _tried_again() -> bool:
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    return bool(context and run and context.flow and (context.flow.retries or 0) >= run.run_count)


def concluded(spec: Spec, outcome: Outcome, *, dry_run: bool = False, verified: Outcome | None = None) -> State[Any]:
    """Publish what was done, and say how the run ended."""
    handed = _handed.get()
    if handed is not None:
        handed.outcome = outcome
    state = _state(outcome, dry_run=dry_run)
    if not dry_run:
        announce_run(spec, outcome)
    if verified is not None and state.is_completed():
        announce_proof(spec, verified)
        state = (
            _unequal(verified)
            if verified.status
            else replaced(state, f"{state.message} Verified: both sides are equal{besides(verified.report)}")
        )
    show_report(spec, outcome, str(state.message))
    return state


def verdict(spec: Spec, outcome: Outcome) -> State[Any]:
    """Publish what a verification found."""
    handed = _handed.get()
    if handed is not None:
        handed.outcome = outcome
    announce_proof(spec, outcome)
    state = _unequal(outcome) if outcome.status else Completed(message=outcome.message)
    show_report(spec, outcome, str(state.message))
    return state


def verified_after(request: Request, execute: Execute, meter: Meter) -> Outcome:
    """Read both sides afresh, over what the run was restricted to."""
    at = datetime.now(UTC)
    trees = replace(request.trees, gone=True) if request.trees is not None else None  # the run may have deleted a root
    proof = replace(request, run_id=new_run_id(at), at=at, kind="verify", trees=trees)
    return commands.verify(proof, execute=execute, meter=meter)


def _state(outcome: Outcome, *, dry_run: bool) -> State[Any]:
    report, total = outcome.report, outcome.report.total
    counts = f"{total.insert:,} to insert, {total.update:,} to update, {total.delete:,} to delete, {total.unchanged:,} unchanged"
    if dry_run:
        return Completed(
            name="Planned",
            message=f"Dry run, nothing was written: {counts}{_aside(report)}.{in_source(report, done=False)} {outcome.message}".strip(),
            data=report.as_dict(),
        )
    if outcome.status in (Status.QUARANTINE, Status.CHECKPOINT):
        return Failed(name=outcome.status.name.capitalize(), message=outcome.message)
    done = (
        f"{total.insert:,} inserted, {total.update:,} updated, {total.delete:,} deleted, {total.unchanged:,} unchanged"
    )
    version = f"Version {report.version}: " if report.version is not None else ""
    if outcome.status is Status.CONFLICTS:
        return Failed(name="Conflicts", message=f"{counted(total.conflicts, 'conflict')}. {outcome.message}".strip())
    if outcome.status is Status.HOOK:
        return Failed(name="Hook", message=f"{version}{done}. {outcome.message}")
    message = f"{version}{done}{_aside(report)}.{in_source(report, done=True)} {outcome.message}".strip()
    return Completed(message=message, data=report.as_dict())


def replaced(state: State[Any], message: str) -> State[Any]:
    return state.model_copy(update={"message": message})


def _unequal(outcome: Outcome) -> State[Any]:
    if outcome.status is Status.QUARANTINE:
        return Failed(name="Quarantine", message=outcome.message)
    total = outcome.report.total
    if not total.changes:
        return Failed(name="Difference", message=outcome.message)
    found = f"{total.insert:,} missing, {total.update:,} different, {total.delete:,} too many"
    return Failed(name="Difference", message=f"{unequal(total)} ({found}){besides(outcome.report)}")


def _aside(report: Report) -> str:
    total = report.total
    share = "" if report.chosen else f" ({percent(total.quarantined, report.of_rows)})"
    return f"; {total.quarantined:,} source rows in quarantine{share}" if total.quarantined else ""


def migration_of(spec: str) -> str:
    """The migration's name; the file's, where the spec cannot be read: then the run itself says why."""
    handed = _handed.get()
    if handed is not None and handed.request is not None:
        return handed.request.spec.name
    try:
        return load_spec(Path(spec)).name
    except SynclineError:
        return Path(spec).stem


def _flow_run_id() -> UUID | None:
    return UUID(flow_run.id) if flow_run.id else None
