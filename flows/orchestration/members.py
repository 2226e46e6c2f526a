"""A flow over all clients or targets of a spec: a run of each below it, one after the other or several at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, Final

from prefect import get_run_logger
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from pydantic import Field

from flows.evidence.summary_page import put_summary
from flows.orchestration.artifacts import artifact_key
from flows.orchestration.run import is_handed
from flows.plan.request import new_run_id
from flows.results.shares import counted
from flows.results.summary import Ended, Summary
from flows.results.visible import as_code, in_markdown
from flows.session import members
from flows.session.members import Chosen, away, chosen
from transforms.vocabulary import Counts

MemberNames = Annotated[list[Annotated[str, Field(min_length=1)]], Field()]
AtOnce = Annotated[int, Field(ge=1)]
STATUSES: Final = {"Checkpoint": 3, "Quarantine": 4, "Conflicts": 5, "Hook": 6, "Difference": 2}
"""What states of failed runs mean as exit statuses."""


def asked_members(spec: str, clients: Sequence[str], targets: Sequence[str]) -> Chosen | None:
    """The clients or targets that a flow is to go over; None where its spec is of one of each, or a command goes over them itself."""
    return None if is_handed() else chosen(Path(spec), clients, targets)


def each_of(some: Chosen, run: Callable[[str], State[Any]], at_once: int = 1) -> State[Any]:
    """Run the flow for each, as a run below this one, and publish how each ended. The state is Failed, and named as that of the first
    that failed, where one did, where a target is away, or where no client is there: others that are away are passed over."""
    log = get_run_logger()
    states: dict[str, State[Any]] = {}

    def work(name: str) -> Ended:
        if why := away(some, name):
            back = ", and catches up when it is back" if some.come_and_go else ""
            log.warning("%s is away%s: %s", name, back, why)
            return Ended(name, some.status_of(0, away=True), why, away=True)
        began = perf_counter()
        states[name] = run(str(some.own(name)))
        return _ended(name, states[name], perf_counter() - began)

    ended = {each.name: each for each in members.each_of(some, work, at_once)}
    each = tuple(ended[name] for name in some.names)
    summary = Summary(some.migration, str(flow_run.flow_name), some.word, each)
    _publish(some, summary)
    gone = [each.name for each in summary.each if each.away]
    bad = [each for each in summary.each if each.status and not each.away]
    left = f" Away: {', '.join(gone)}." if gone else ""
    if summary.status or not states:
        said = " ".join(f"{each.name}: {each.message}" for each in bad)
        said = said or (f"{counted(len(states), some.word)} done." if states else f"No {some.word} is there.")
        return Failed(name=str(states[bad[0].name].name) if bad else "Failed", message=f"{said}{left}")
    return Completed(message=f"{counted(len(states), some.word)} done.{left}")


def _ended(name: str, state: State[Any], seconds: float) -> Ended:
    told = state.result(raise_on_failure=False) if state.is_completed() else None
    report: dict[str, Any] = told if isinstance(told, dict) else {}
    return Ended(
        name, 0 if state.is_completed() else STATUSES.get(str(state.name), 1), str(state.message or ""),
        counts=Counts(**report["total"]) if "total" in report else None, version=report.get("version"),
        seconds=seconds, page=report.get("report"),
    )  # fmt: skip


def _publish(some: Chosen, summary: Summary) -> None:
    """The summary as an artifact, and as a page in the store. A fault is a warning: rows are in by now."""
    at = datetime.now(UTC)
    try:
        page = put_summary(summary, at, new_run_id(at), some.store) if some.store is not None else None
        lines = [{"name": each.name, **each.as_dict()} for each in summary.each]
        about = in_markdown(summary.line) + (f"\n\nPage: {as_code(str(page))}" if page is not None else "")
        create_table_artifact(table=lines, key=f"{artifact_key(summary.migration)}-all", description=about)
    except Exception as error:
        get_run_logger().warning("The summary could not be shown: %s", error)
