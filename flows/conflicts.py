"""The flow that asks people about rows that are open between both sides, and goes on with what they decide."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import pause_flow_run
from prefect.states import Completed, Failed
from pydantic import Field

from flows.history.decisions import decide
from flows.migrate import migrate
from flows.orchestration.conflicts import form_about, show_open
from flows.orchestration.run import SpecFile, TableNames, ended, run_name
from flows.results import conflicts
from flows.results.shares import counted
from flows.spec.model import Spec, load_spec
from transforms.vocabulary import SynclineError, message_of

POLL_SECONDS = 2  # in which a decision is seen
Hours = Annotated[float, Field(gt=0, le=24 * 365)]


@flow(name="resolve-conflicts", flow_run_name=run_name, persist_result=False)
def resolve_conflicts(
    spec: SpecFile,
    tables: TableNames = [],  # noqa: B006 - Prefect shows the default, and nobody changes it
    wait_hours: Hours = 24,
) -> State[Any]:
    """Show the rows that are open between both sides, wait for somebody to decide, and take it down for the next run.

    Ends Completed where nothing is open, or something was decided; and Failed, in a state named Conflicts, where nobody did.

    Args:
        spec: The spec's file; a relative path starts from the working directory. Secrets are named in it, never here.
        tables: Only these tables of the spec; all when empty.
        wait_hours: How long the form waits.
    """
    return ended(lambda: _decided(load_spec(Path(spec)), spec, tuple(tables), wait_hours * 3600))


def _decided(spec: Spec, path: str, tables: tuple[str, ...], seconds: float) -> State[Any]:
    error, rows, run = "", 0, False
    for number in range(1, 1000):
        met = [each for each in conflicts.listed(spec, tables, ()) if each.kind is not None]
        if not met:
            return Completed(message="No row is open between both sides.")
        show_open(spec.name, met)
        form = form_about(spec.name, met, error, tables[0] if len(tables) == 1 else "")
        try:
            made = pause_flow_run(
                wait_for_input=form, timeout=int(seconds), poll_interval=POLL_SECONDS, key=f"decision-{number}"
            )
        except FlowPauseTimeout:
            return Failed(name="Conflicts", message=f"Nobody decided. {counted(len(met), 'row')} open.")
        if made.take == "nothing":
            break
        run = run or made.run
        try:
            done = decide(spec, made.choice(), made.verdict(), by=made.by or None)
        except SynclineError as mistake:
            error = message_of(mistake)
            get_run_logger().warning(error)
            continue
        error = ""
        rows += sum(done.rows.values())
        get_run_logger().info("Decided: %s", ", ".join(f"{name} {count:,}" for name, count in done.rows.items()))
        if not made.more:
            break
    if not rows:
        return Failed(name="Conflicts", message=f"Nothing was decided. {counted(len(met), 'row')} open.")
    if run:
        state: State[Any] = migrate(path, return_state=True)
        return state
    return Completed(message=f"Decided for {counted(rows, 'row')}. The next run applies it to rows that are still so.")
