"""`syncline quarantine`: rows that were set aside."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from flows.cli.members import each_member
from flows.cli.options import common, direct_option, must_agree, print_json, spec_argument, wait_option, yes_option
from flows.cli.outcome import applied, ran
from flows.results.visible import echo


@click.command()
@spec_argument
@click.argument("action", type=click.Choice(["list", "show", "retry", "drop"]))
@click.option("--table", "tables", multiple=True, metavar="T", help="Only this table; repeatable.")
@click.option("--key", "keys", multiple=True, metavar="KEY", help='Only this key, such as 7 or ["a", 7]; repeatable.')
@click.option(
    "--code", "codes", multiple=True, metavar="CODE", help="Only rows with this reason, such as too_long; repeatable."
)
@click.option("--reason", metavar="TEXT", help="Only rows whose reason has this text in it.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(min=1), help="How many rows are shown.")
@direct_option
@wait_option
@yes_option
@common
@each_member
def quarantine(
    spec: Path, action: str, tables: tuple[str, ...], keys: tuple[str, ...], codes: tuple[str, ...], reason: str | None,
    limit: int, direct: bool, wait: float, yes: bool, as_json: bool,
) -> int:  # fmt: skip
    """List the source rows that were set aside, show them whole, try them again, or forget them.

    `retry` maps the current source rows of those keys again, plans and applies them; what passes leaves quarantine.
    """
    from flows.cli.terminal.quarantine import show_list, show_rows_whole
    from flows.history import quarantine as quarantining
    from flows.plan.request import asked_for
    from flows.spec.model import load_spec

    wanted = quarantining.Filter(tables, keys, reason, codes)
    if action == "retry":
        request = quarantining.retry(asked_for(spec, "run", (), (), wait=wait), wanted)
        if request is None:
            echo("Nothing of that is in quarantine.", err=True)
            return 0
        return applied(ran(request, direct=direct, as_json=as_json), as_json)
    loaded = load_spec(spec)
    if action == "drop":
        if not yes and not as_json and sys.stdin.isatty():
            must_agree("Forget these rows? A run that sets one aside again has it again.")
        dropped = quarantining.drop(loaded, wanted)
        print_json({"migration": loaded.name, "dropped": dropped}) if as_json else echo(f"{dropped:,} forgotten.")
        return 0
    if action == "show":
        whole = quarantining.shown(loaded, wanted, limit)
        print_json({"migration": loaded.name, "rows": whole}) if as_json else show_rows_whole(whole)
        return 0
    rows, totals = quarantining.listed(loaded, wanted, limit)
    if as_json:
        print_json({"migration": loaded.name, "total": sum(totals.values()), "tables": totals, "rows": rows})
    else:
        show_list(rows, sum(totals.values()))
    return 0
