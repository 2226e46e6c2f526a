"""The command by which other programs say that a source has changed."""

from __future__ import annotations

import os
from pathlib import Path

import click

from flows.cli.options import common, print_json, spec_argument
from flows.results.visible import echo


@click.command()
@spec_argument
@click.argument("table", required=False)
@click.option(
    "--key", "keys", multiple=True, metavar="KEY", help='Only this row of TABLE, such as 42 or ["a", 7]; repeatable.'
)
@common
def notify(spec: Path, table: str | None, keys: tuple[str, ...], as_json: bool) -> int:
    """Tell that the source has changed: all of it, a table of the spec, or rows of one.

    Where the spec has `follow: {listen: …}`, a `sync` that runs is told by that channel. Without it, and where PREFECT_API_URL is set,
    `syncline.source.changed` is emitted in Prefect, on which an automation may start a run; prefect.yaml has one.
    """
    from flows.cli.launch import send_event
    from flows.plan.request import trees_of
    from flows.session.feeds import say
    from flows.spec.entries import asked_entry
    from flows.spec.model import load_spec
    from transforms.vocabulary import SpecError

    loaded = load_spec(spec)
    if keys and table is None:
        raise SpecError("Keys are those of a table, and none is named.", fix="write the table before --key.")
    name = asked_entry(loaded, table) if table is not None else None
    rows = [f"{name}:{key}" for key in keys]
    trees_of(loaded, rows)  # SpecError for what is no key
    tables = [name] if name and not rows else []
    channel = loaded.follow.listen if say(loaded, rows or tables or [*loaded.tables]) else None
    prefect = channel is None or bool(os.environ.get("PREFECT_API_URL"))
    if prefect:
        send_event(loaded.name, tables, rows)
    if as_json:
        told = {"channel": channel, "prefect": prefect}
        print_json({"migration": loaded.name, "tables": tables, "rows": rows, "told": told})
    else:
        told_to = " and ".join([*([f"who listens on {channel}"] if channel else []), *(["Prefect"] if prefect else [])])
        echo(f"Told {told_to} that {', '.join(rows) or name or 'the source'} changed.")
    return 0
