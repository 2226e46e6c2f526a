"""The flow that fills a range, step by step."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows import commands
from flows.commands import Status
from flows.orchestration.run import (
    RangeParameter,
    SpecFile,
    Step,
    WaitSeconds,
    concluded,
    ended,
    requested,
    run_name,
    staged,
    verified_after,
)


@flow(name="backfill", flow_run_name=run_name, persist_result=False)
def backfill(
    spec: SpecFile,
    range: RangeParameter,
    every: Step = "",
    dry_run: bool = False,
    verify: bool = False,
    wait: WaitSeconds = 0,
    data_docs: bool = False,
    again: bool = False,
    allow_deletes: bool = False,
) -> State[Any]:
    """Plan and apply one range. Started again, it goes on where it stopped.

    Args:
        spec: The spec's file; a relative path starts from the working directory. Secrets are named in it, never here.
        range: The half-open range to fill, such as flight.departed_on:2013-01-01..2013-02-01. FROM belongs to it, TO
            does not, and an empty end is unbounded.
        every: One step at a time, such as 1d, 6h, 1mo or 1000, each with a version of its own; the whole range at
            once when empty. Steps that are done are passed over.
        dry_run: Only plan the range, and publish the report. Nothing is written to the target.
        verify: Afterwards, read both sides of the range afresh and prove them equal; a difference fails the run as Difference.
        wait: How many seconds to wait for another run of the migration to end.
        data_docs: Make Great Expectations' own pages of each step's checkpoints too, beside the report. They load styles and a
            logo from the web, and hold values that were observed.
        again: Run every step, whatever an earlier backfill has done.
        allow_deletes: Delete whatever share of a table the source does not have any more.
    """

    def work() -> State[Any]:
        request = requested("backfill", spec, [], [range], wait, data_docs, allow_deletes)
        with staged(request.spec, None if dry_run else wait) as (execute, meter):
            if dry_run:
                return concluded(request.spec, commands.plan(request, execute=execute, meter=meter), dry_run=True)
            outcome = commands.backfill(request, every or None, again=again, execute=execute, meter=meter)
            proof = verified_after(request, execute, meter) if verify and outcome.status is Status.DONE else None
        return concluded(request.spec, outcome, verified=proof)

    return ended(work)
