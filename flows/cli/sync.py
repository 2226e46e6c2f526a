"""The command that follows what changes, and brings it over until it is stopped."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flows.cli.members import member_options, nobody_there
from flows.cli.options import Duration, allow_deletes_option, common, described, spec_argument
from flows.results import silence
from flows.results.shares import counted
from flows.results.summary import WORST
from flows.results.visible import echo, in_json

if TYPE_CHECKING:
    from flows.follow.following import Asked, Told
    from flows.follow.lag import Brought, Totals
    from flows.results.outcome import Outcome
    from flows.session.members import Chosen


@click.command()
@spec_argument
@click.option("--once", is_flag=True, help="Bring over what is there to bring over, then end.")
@click.option("--for", "seconds", type=Duration(), metavar="TIME", help="End after this time, such as 60s or 8h.")
@click.option(
    "--workers", type=click.IntRange(min=1), help="How many threads a plan works on; as the spec says if not given."
)
@allow_deletes_option
@member_options
@common
def sync(
    spec: Path, once: bool, seconds: float | None, workers: int | None, allow_deletes: bool, clients: tuple[str, ...],
    targets: tuple[str, ...], as_json: bool,
) -> int:  # fmt: skip
    """Follow what changes and bring it over, until stopped: seconds behind, a version for each batch.

    Where no position is known to go on from, both sides are compared in full first; nothing that is written meanwhile is missed. With
    --json each batch is an object on a line of its own, and the last one says what was done in all. All clients or targets of a spec
    that has some are followed at once, and one that ends with an error stops no other.
    """
    from flows.follow.following import Asked
    from flows.follow.sync import sync
    from flows.results.outcome import Status
    from flows.session.members import chosen

    some = chosen(spec, clients, targets)
    asked, shown = Asked(spec, once, seconds, workers, allow_deletes), _Shown(as_json, some.word if some else "")
    if some is not None:
        return _of_each(asked, some, shown)
    outcome, totals = sync(asked, shown.of(""))
    if as_json:
        _print_line({**_in_all(totals), "status": (outcome.status if outcome else Status.DONE).name.lower()})
    elif outcome is None:
        echo(_in_short(totals))
    if outcome is not None:
        echo(f"error: sync stopped. {outcome.message}", err=True)
    sys.stdout.flush()
    return int(outcome.status) if outcome else 0


def _of_each(asked: Asked, some: Chosen, shown: _Shown) -> int:
    """Follow several clients or targets at once; the worst exit status of all, or that of an error where none is there."""
    from flows.follow.members import sync_each

    ended = sync_each(asked, some, shown.of)
    if shown.as_json:
        found = {name: _in_all(end.totals) if end.totals is not None else {} for name, end in ended.items()}
        errors = {name: described(end.error) for name, end in ended.items() if end.error is not None}
        states = {name: "away" if end.away else end.status.name.lower() for name, end in ended.items()}
        _print_line(
            {
                some.family.kind.key: {
                    name: {**found[name], **errors.get(name, {}), "status": states[name]} for name in ended
                }
            }
        )
    else:
        for name, end in ended.items():
            if end.totals is not None and end.outcome is None:
                echo(f"{name}  {_in_short(end.totals)}")
    sys.stdout.flush()
    here = [end for end in ended.values() if not end.away]
    if not here:
        raise nobody_there(some.word)
    return min((some.status_of(int(end.status), away=bool(end.away)) for end in ended.values()), key=WORST.index)


class _Shown:
    """Says what happens on standard output, or as JSON lines there, and notices on standard error."""

    def __init__(self, as_json: bool, word: str) -> None:
        self.as_json, self.word, self.changes = as_json, word, Counter[str]()

    def of(self, name: str) -> Told:
        """Who is told of a client or target, or where there are none of all."""
        from adapters import interrupts
        from flows.follow.following import Told

        shown, before = self, f"{name}  " if name else ""
        named = {self.word: name} if name else {}

        class One(Told):
            def began(self, first: bool) -> None:
                interrupts.known("Run it again and it goes on.")
                if not first:
                    silence.over()  # what follows may be nothing, for hours
                if first:
                    self.notice("There is no position to go on from: both sides are compared in full first.")
                elif not shown.as_json:
                    echo(f"{before}Going on from where it was left. Ctrl-C ends it; run it again and it goes on.")

            def compared(self, outcome: Outcome) -> None:
                if shown.as_json:
                    _print_line({**named, "compared": outcome.report.as_dict(), "status": outcome.status.name.lower()})
                    return
                total, names = outcome.report.total, [told.name for told in outcome.report.of_spec]
                what = names[0] if len(names) == 1 else f"{len(names)} tables"
                echo(f"{before}Compared {what} in full: +{total.insert:,} ~{total.update:,} -{total.delete:,}.")

            def brought(self, brought: Brought) -> None:
                shown.changes[name] += brought.told
                if shown.as_json:
                    _print_line({**named, **brought.as_dict()})
                else:
                    echo(before + _line(brought))
                interrupts.known(
                    f"{counted(shown.changes.total(), 'change')} brought over; run it again and it goes on."
                )

            def notice(self, text: str) -> None:
                echo(before + text, err=True)

        return One()


def _in_short(totals: Totals) -> str:
    """What was done in all, in a line."""
    changes = counted(sum(totals.changes.values()), "change")
    return f"{changes} in {totals.batches:,} batch{'es' * (totals.batches != 1)}, {totals.rows:,} rows written."


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
    if brought.unmapped:
        parts.append(f"{brought.unmapped:,} without a key")
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
    silence.over()
    click.echo(in_json(json.dumps(value, ensure_ascii=False, default=str)))
