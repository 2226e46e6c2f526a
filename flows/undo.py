"""The flow that takes versions back."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from pydantic import Field

from flows import commands
from flows.orchestration.run import (
    RootParameter,
    SpecFile,
    WaitSeconds,
    concluded,
    ended,
    migration_of,
    requested,
    staged,
)


def _name() -> str:
    given = flow_run.parameters
    until = "to-" if given.get("to") else ""
    return f"undo/{migration_of(str(given['spec']))}/{until}{given['version']}"


@flow(name="undo", flow_run_name=_name, persist_result=False)
def undo(
    spec: SpecFile,
    version: Annotated[int, Field(ge=0)],
    to: bool = False,
    tree: list[RootParameter] = [],  # noqa: B006 - Prefect shows the default, and nobody changes it
    drop: bool = False,
    side: Literal["source", "target"] | None = None,
    wait: WaitSeconds = 0,
) -> State[Any]:
    """Take a version back. A row that changed since is a conflict and stays as it is.

    Args:
        spec: The spec's file; a relative path starts from the working directory. Secrets are named in it, never here.
        version: The version to take back.
        to: Take back all that came after it instead, so that the target is as it stood at that version; 0 is before the first.
        tree: Take back only the changes of these rows and of all that hangs below them, such as customer:42 or line:["a",7].
        drop: Drop tables that those versions created, where they hold nothing else.
        side: Of a version that belongs to one of the other side, take back what this side became alone.
        wait: How many seconds to wait for another run of the migration to end.
    """

    def work() -> State[Any]:
        request = requested("undo", spec, [], [], wait, tree=tree)
        with staged(request.spec, wait) as (execute, meter):
            outcome = commands.undo(request, version, to=to, drop=drop, side=side, execute=execute, meter=meter)
        return concluded(request.spec, outcome)

    return ended(work)
