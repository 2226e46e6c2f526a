"""The flow that proves both sides equal, or names what differs."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows import commands
from flows.orchestration.members import AtOnce, MemberNames, asked_members, each_of
from flows.orchestration.run import (
    RangeParameter,
    RootParameter,
    SpecFile,
    TableNames,
    ended,
    requested,
    run_name,
    staged,
    verdict,
)


@flow(name="verify", flow_run_name=run_name, persist_result=False)
def verify(
    spec: SpecFile,
    tables: TableNames = [],  # noqa: B006 - Prefect shows the default, and nobody changes it
    ranges: list[RangeParameter] = [],  # noqa: B006
    tree: list[RootParameter] = [],  # noqa: B006
    with_parents: bool = False,
    afresh: bool = False,
    clients: MemberNames = [],  # noqa: B006
    targets: MemberNames = [],  # noqa: B006
    at_once: AtOnce = 1,
) -> State[Any]:
    """Read both sides afresh and compare them through the mapping. Nothing is written.

    Equal sides end Completed and emit `syncline.run.verified`; a difference ends Failed, in a state named Difference, and
    emits `syncline.difference.found`.

    Args:
        spec: The spec's file; a relative path starts from the working directory. Secrets are named in it, never here.
        tables: Only these tables of the spec; all when empty.
        ranges: Only rows in these half-open ranges, such as flight.departed_on:2013-01-01..2013-02-01. FROM belongs
            to a range, TO does not, and an empty end is unbounded.
        tree: Only these rows and all that hangs below them, on both sides, such as customer:42 or line:["a",7]; goes without
            tables and ranges.
        with_parents: Bring along what those rows refer to and the target does not have; else that is an error.
        afresh: Read sealed windows, too, which both sides left as they were when they were equal.
        clients: Of a spec with several clients only these; all when empty. Each is a run of its own below this one.
        targets: So of a spec with several targets.
        at_once: How many clients or targets run at once; they share the workers of one run.
    """

    def work() -> State[Any]:
        if some := asked_members(spec, clients, targets):
            rest = (tables, ranges, tree, with_parents, afresh)
            return each_of(some, lambda own: verify(own, *rest, return_state=True), at_once)
        request = requested("verify", spec, tables, ranges, tree=tree, with_parents=with_parents, afresh=afresh)
        with staged(request.spec) as (execute, meter):
            outcome = commands.verify(request, execute=execute, meter=meter)
        return verdict(request.spec, outcome)

    return ended(work)
