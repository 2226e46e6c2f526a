"""A flow over all clients or targets of a spec: a run of each below it, one after the other or several at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import Field

from flows.orchestration.run import is_handed
from flows.results.shares import counted
from flows.session import members
from flows.session.members import Chosen, away, chosen

MemberNames = Annotated[list[Annotated[str, Field(min_length=1)]], Field()]
AtOnce = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, slots=True)
class _Ended:
    name: str
    state: State[Any] | None
    away: str = ""


def asked_members(spec: str, clients: Sequence[str], targets: Sequence[str]) -> Chosen | None:
    """The clients or targets that a flow is to go over; None where its spec is of one of each, or a command goes over them itself."""
    return None if is_handed() else chosen(Path(spec), clients, targets)


def each_of(some: Chosen, run: Callable[[str], State[Any]], at_once: int = 1) -> State[Any]:
    """Run the flow for each. The state is Failed, and named as that of the first that failed, where one did, where a target is away,
    or where no client is there: others that are away are passed over."""
    log = get_run_logger()

    def work(name: str) -> _Ended:
        if why := away(some, name):
            back = ", and catches up when it is back" if some.come_and_go else ""
            log.warning("%s is away%s: %s", name, back, why)
            return _Ended(name, None, why)
        return _Ended(name, run(str(some.own(name))))

    ended = sorted(members.each_of(some, work, at_once), key=lambda each: some.names.index(each.name))
    states = {each.name: each.state for each in ended if each.state is not None}
    gone = [each.name for each in ended if each.away]
    bad = {name: state for name, state in states.items() if not state.is_completed()}
    left = f" Away: {', '.join(gone)}." if gone else ""
    if bad or not states or (gone and not some.come_and_go):
        said = " ".join(f"{name}: {state.message}" for name, state in bad.items())
        said = said or (f"{counted(len(states), some.word)} done." if states else f"No {some.word} is there.")
        first = next(iter(bad.values()), None)
        return Failed(name=first.name if first is not None and first.name else "Failed", message=f"{said}{left}")
    return Completed(message=f"{counted(len(states), some.word)} done.{left}")
