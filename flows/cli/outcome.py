"""How commands that plan and write show their end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from flows.cli.members import noted
from flows.cli.options import print_json, shows_all
from flows.results.shares import counted
from flows.results.visible import echo, near

if TYPE_CHECKING:
    from flows.plan.request import Request
    from flows.results.outcome import Outcome


def applied(outcome: Any, as_json: bool) -> int:
    """Show what was written; the exit status."""
    show_outcome(outcome, as_json=as_json, samples=False)
    if not as_json and outcome.status in (3, 4) and outcome.report.version is None:
        echo(f"\n{outcome.message}", err=True)
    elif not as_json:
        report = outcome.report
        version = f"Version {report.version}. " if report.version is not None else ""
        rate = report.total.source_rows / report.seconds if report.seconds else 0
        click.secho(
            f"\n{version}{changes_line(outcome, done=True)} {report.seconds:.1f} s, {rate:,.0f} source rows a second.",
            fg="yellow" if report.total.quarantined or report.total.conflicts else None,
        )
        if outcome.message:
            echo(outcome.message, err=True)
    return int(outcome.status)


def planned_line(outcome: Any) -> str:
    """What to do with a plan, or why it will not be applied."""
    from flows.results.outcome import Status

    if outcome.status == Status.QUARANTINE:
        return str(outcome.message)
    if outcome.status:
        return f"{changes_line(outcome)} {outcome.message or f'Apply with: syncline apply {near(outcome.report.plan)}'}"
    return unchanged_line(outcome.report)


def unchanged_line(report: Any) -> str:
    """What a plan without changes says of the two sides."""
    from flows.proof.outcome import besides

    if report.total.unchanged and not report.total.unproved:
        return "No changes: both sides are equal through the mapping."
    return f"No changes: {report.total.unchanged:,} rows are equal through the mapping{besides(report)}"


def changes_line(outcome: Any, *, done: bool = False) -> str:
    """All tables together in a line."""
    from flows.results.outcome import in_source

    total = outcome.report.total
    aside = f", {outcome.report.aside}" if outcome.report.aside else ""
    clash = f", {counted(total.conflicts, 'conflict')}" if total.conflicts else ""
    back = in_source(outcome.report, done=done)
    if done:
        return f"{total.insert:,} inserted, {total.update:,} updated, {total.delete:,} deleted{clash}{aside}.{back}"
    return f"{total.insert:,} to insert, {total.update:,} to update, {total.delete:,} to delete{aside}.{back}"


def show_outcome(outcome: Any, *, as_json: bool, samples: bool) -> None:
    noted(outcome)
    if as_json:
        print_json(outcome.report.as_dict())
        return

    from flows.cli.terminal.report import show_report

    show_report(outcome.report, samples=samples, every=shows_all())


def ran(request: Request, *, direct: bool, as_json: bool, ask: bool = False) -> Outcome:
    """Plan and apply, as a run of Prefect's unless `direct`. `ask`: a person has to agree to deletes."""
    from flows import commands
    from flows.cli.terminal.progress import metered

    with metered(as_json=as_json, ask=ask) as meter:
        if direct:
            return commands.run(request, meter=meter)
        from flows.cli.launch import run_in_prefect

        return run_in_prefect(request, meter)
