"""A flow over all clients of a spec: a run of each below it, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import Field

from flows.orchestration.run import is_handed
from flows.results.shares import counted
from flows.session.clients import chosen, present

ClientNames = Annotated[list[Annotated[str, Field(min_length=1)]], Field()]


def asked_clients(spec: str, names: Sequence[str]) -> tuple[str, ...]:
    """The clients that a flow is to go over; none where its spec is of one source, or a command goes over them itself."""
    return () if is_handed() else chosen(Path(spec), names)


def each_of(spec: str, names: Sequence[str], run: Callable[[str], State[Any]]) -> State[Any]:
    """Run the flow for each client. Those that are away are passed over; the state is Failed, and named as that of the first that
    failed, where one did, or where none is there."""
    states: dict[str, State[Any]] = {}
    away: list[str] = []
    for each in present(Path(spec), names):
        if each.away:
            get_run_logger().warning("%s is away, and catches up when it is back: %s", each.name, each.away)
            away.append(each.name)
        else:
            states[each.name] = run(str(each.spec))
    bad = {name: state for name, state in states.items() if not state.is_completed()}
    gone = f" Away: {', '.join(away)}." if away else ""
    if bad or not states:
        said = " ".join(f"{name}: {state.message}" for name, state in bad.items()) or "No client is there."
        first = next(iter(bad.values()), None)
        return Failed(name=first.name if first is not None and first.name else "Failed", message=f"{said}{gone}")
    return Completed(message=f"{counted(len(states), 'client')} done.{gone}")
