"""What a person does next, by how a run ended: the first lines of its page."""

from __future__ import annotations

from collections.abc import Iterator

from flows.results.outcome import Outcome, Status
from flows.results.shares import counted
from flows.results.visible import as_code


def next_steps(outcome: Outcome, spec: str) -> list[str]:
    """Lines of Markdown, the most urgent first; one that says so where nothing is to be done. `spec`: as commands name it."""
    steps = list(_steps(outcome, spec)) or ["Nothing has to be done."]
    if outcome.status is Status.DONE and outcome.report.version is not None:
        steps.append(
            f"To take version {outcome.report.version} back: {_command('undo', spec, str(outcome.report.version))}"
        )
    return steps


def _steps(outcome: Outcome, spec: str) -> Iterator[str]:
    report, status = outcome.report, outcome.status
    verified = report.plan is None and not report.applied
    if status is Status.CHECKPOINT:
        yield "Mend the rows that the checks below name, or the rules in the spec, and run again."
    if any(met.kind is not None for met in report.met):
        resolve = _command("conflicts", spec, "resolve")
        yield f"Decide about rows that both sides changed: the deployment of `resolve-conflicts`, or {resolve}"
    elif report.met:
        listed = _command("conflicts", spec, "list")
        yield f"Look at the rows that changed after planning ({listed}), then run again: the source's values win."
    if status is Status.QUARANTINE and not report.applied and not verified:
        yield "Nothing was written. Mend the rows below in the source, or their mapping, or raise the limit in the spec; run again."
    elif report.total.quarantined:
        rows = counted(report.total.quarantined, "row")
        show = _command("quarantine", spec, "show")
        yield f"Mend {rows} of the source that are set aside, and the next run brings them over. All of them, whole: {show}"
    if verified and status is Status.CHANGES:
        yield f"Run `migrate`, which brings both sides in line, or look at the rows first: {_command('plan', spec, '--rows')}"
    if status is Status.CHANGES and report.plan and not report.applied:
        yield f"To write exactly this: {_command('apply', report.plan)}. Or run the flow again without `dry_run`."


def _command(*words: str) -> str:
    return as_code(" ".join(("syncline", *(f"'{word}'" if " " in word else word for word in words))), cell=False)
