"""The flows that load: `migrate` plans and applies in one go, `apply` applies a plan that was made earlier."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from pydantic import Field

from adapters.store.plans import Plan
from flows import commands
from flows.commands import Status
from flows.orchestration.members import AtOnce, MemberNames, asked_members, each_of
from flows.orchestration.run import (
    RangeParameter,
    RootParameter,
    SpecFile,
    TableNames,
    WaitSeconds,
    concluded,
    ended,
    requested,
    run_name,
    staged,
    verified_after,
)
from flows.spec.model import load_spec
from transforms.vocabulary import SynclineError


@flow(name="migrate", flow_run_name=run_name, persist_result=False)
def migrate(
    spec: SpecFile,
    tables: TableNames = [],  # noqa: B006 - Prefect shows the default, and nobody changes it
    ranges: list[RangeParameter] = [],  # noqa: B006
    tree: list[RootParameter] = [],  # noqa: B006
    with_parents: bool = False,
    dry_run: bool = False,
    verify: bool = False,
    wait: WaitSeconds = 0,
    data_docs: bool = False,
    allow_deletes: bool = False,
    full: bool = False,
    afresh: bool = False,
    clients: MemberNames = [],  # noqa: B006
    targets: MemberNames = [],  # noqa: B006
    at_once: AtOnce = 1,
    changed: list[RootParameter] = [],  # noqa: B006
) -> State[Any]:
    """Turn the target into what the spec maps the source to: plan, apply, and report.

    Args:
        spec: The spec's file; a relative path starts from the working directory. Secrets are named in it, never here.
        tables: Only these tables of the spec; all when empty.
        ranges: Only rows in these half-open ranges, such as flight.departed_on:2013-01-01..2013-02-01. FROM belongs
            to a range, TO does not, and an empty end is unbounded.
        tree: Only these rows and all that hangs below them, on both sides, such as customer:42 or line:["a",7]; goes without
            tables and ranges.
        with_parents: Bring along what those rows refer to and the target does not have; else that is an error.
        dry_run: Only plan, and publish the report. Nothing is written to the target.
        verify: Afterwards, read both sides afresh and prove them equal; a difference fails the run as Difference.
        wait: How many seconds to wait for another run of the migration to end.
        data_docs: Make Great Expectations' own pages of the checkpoints too, beside the report. They load styles and a
            logo from the web, and hold values that were observed.
        allow_deletes: Delete whatever share of a table the source does not have any more.
        full: Read all rows of tables that have a cursor, too, and not only what is new: deletes and late rows are found then.
        afresh: Read sealed windows, too, which both sides left as they were when they were equal.
        clients: Of a spec with several clients only these; all when empty. Each is a run of its own below this one.
        targets: So of a spec with several targets.
        at_once: How many clients or targets run at once; they share the workers of one run.
        changed: Only these rows, which somebody says have changed, such as customer:42: with what they refer to, and they may be
            gone on both sides by now. What an automation fills from the event `syncline.source.changed`.
    """

    def work() -> State[Any]:
        if some := asked_members(spec, clients, targets):
            rest = (tables, ranges, tree, with_parents, dry_run, verify, wait, data_docs, allow_deletes, full, afresh)
            return each_of(some, lambda own: migrate(own, *rest, changed=changed, return_state=True), at_once)
        request = requested(
            "run", spec, tables, ranges, wait, data_docs, allow_deletes, tree, with_parents, full, afresh, changed
        )
        with staged(request.spec, None if dry_run else wait) as (execute, meter):
            if dry_run:
                return concluded(request.spec, commands.plan(request, execute=execute, meter=meter), dry_run=True)
            outcome = commands.run(request, execute=execute, meter=meter)
            proof = verified_after(request, execute, meter) if verify and outcome.status is Status.DONE else None
        return concluded(request.spec, outcome, verified=proof)

    return ended(work)


def _apply_name() -> str:
    folder = Path(flow_run.parameters["plan"])
    try:
        return f"apply/{Plan.open(folder).manifest.migration}/{folder.name}"
    except SynclineError:
        return f"apply/{folder.name}"


@flow(name="apply", flow_run_name=_apply_name, persist_result=False)
def apply(plan: Annotated[str, Field(min_length=1)], wait: WaitSeconds = 0, data_docs: bool = False) -> State[Any]:
    """Apply exactly the plan that was made earlier. A row that changed since is a conflict and stays as it is.

    Args:
        plan: The plan's folder.
        wait: How many seconds to wait for another run of the migration to end.
        data_docs: Make Great Expectations' own pages of the checkpoints too, beside the report. They load styles and a
            logo from the web, and hold values that were observed.
    """

    def work() -> State[Any]:
        spec = load_spec(Path(Plan.open(Path(plan)).manifest.spec.path))
        with staged(spec, wait) as (execute, meter):
            outcome = commands.apply_plan(Path(plan), execute=execute, meter=meter, wait=wait, data_docs=data_docs)
        return concluded(spec, outcome)

    return ended(work)
