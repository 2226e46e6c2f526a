"""The command that follows what changes, and brings it over until it is stopped."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flows.cli.options import Duration, allow_deletes_option, common, spec_argument
from flows.results.shares import counted
from flows.results.visible import echo, in_json

if TYPE_CHECKING:
    from flows.follow.lag import Brought, Totals
    from flows.results.outcome import Outcome


@click.command()
@spec_argument
@click.option("--once", is_flag=True, help="Bring over what is there to bring over, then end.")
@click.option("--for", "seconds", type=Duration(), metavar="TIME", help="End after this time, such as 60s or 8h.")
@click.option(
    "--workers", type=click.IntRange(min=1), help="How many threads a plan works on; as the spec says if not given."
)
@allow_deletes_option
@common
def sync(spec: Path, once: bool, seconds: float | None, workers: int | None, allow_deletes: bool, as_json: bool) -> int:
    """Follow what changes and bring it over, until stopped: seconds behind, a version for each batch.

    Where no position is known to go on from, both sides are compared in full first; nothing that is written meanwhile is missed. With
    --json each batch is an object on a line of its own, and the last one says what was done in all.
    """
    from adapters import interrupts
    from flows.follow.following import Asked, Told
    from flows.follow.sync import sync
    from flows.results.outcome import Status

    class Shown(Told):
        """Says what happens on standard output, or as JSON lines there, and notices on standard error."""

        changes = 0

        def began(self, first: bool) -> None:
            interrupts.known("Run it again and it goes on.")
            if first:
                self.notice("There is no position to go on from: both sides are compared in full first.")
            elif not as_json:
                echo("Going on from where it was left. Ctrl-C ends it; run it again and it goes on.")

        def compared(self, outcome: Outcome) -> None:
            if as_json:
                _print_line({"compared": outcome.report.as_dict(), "status": outcome.status.name.lower()})
                return
            total, names = outcome.report.total, [told.name for told in outcome.report.of_spec]
            what = names[0] if len(names) == 1 else f"{len(names)} tables"
            echo(f"Compared {what} in full: +{total.insert:,} ~{total.update:,} -{total.delete:,}.")

        def brought(self, brought: Brought) -> None:
            self.changes += brought.told
            if as_json:
                _print_line(brought.as_dict())
            else:
                echo(_line(brought))
            interrupts.known(f"{counted(self.changes, 'change')} brought over; run it again and it goes on.")

        def notice(self, text: str) -> None:
            echo(text, err=True)

    outcome, totals = sync(Asked(spec, once, seconds, workers, allow_deletes), Shown())
    if as_json:
        _print_line({**_in_all(totals), "status": (outcome.status if outcome else Status.DONE).name.lower()})
    elif outcome is None:
        changes, batches = (
            counted(sum(totals.changes.values()), "change"),
            f"{totals.batches:,} batch{'es' * (totals.batches != 1)}",
        )
        echo(f"{changes} in {batches}, {totals.rows:,} rows written.")
    if outcome is not None:
        echo(f"error: sync stopped. {outcome.message}", err=True)
    sys.stdout.flush()
    return int(outcome.status) if outcome else 0


def _line(brought: Brought) -> str:
    target, source = brought.target, brought.source
    parts = [
        f"{brought.at.astimezone():%H:%M:%S}",
        counted(brought.told, "change"),
        f"+{target.insert:,} ~{target.update:,} -{target.delete:,}",
    ]
    if source.changes:
        parts.append(f"source +{source.insert:,} ~{source.update:,} -{source.delete:,}")
    if brought.waiting:
        parts.append(f"{brought.waiting:,} set aside")
    if brought.open:
        parts.append(f"{brought.open:,} in conflict")
    parts.append(f"lag {brought.lag:.1f} s")
    if brought.version is not None:
        parts.append(f"version {brought.version}")
    return "  ".join(parts)


def _in_all(totals: Totals) -> dict[str, object]:
    return {
        "batches": totals.batches,
        "changes": dict(totals.changes),
        "rows": totals.rows,
        "compared": totals.comparisons,
    }


def _print_line(value: object) -> None:
    click.echo(in_json(json.dumps(value, ensure_ascii=False, default=str)))
