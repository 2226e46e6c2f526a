"""The command by which other programs say that a source has changed."""

from __future__ import annotations

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
    """Tell Prefect that the source has changed: all of it, a table of the spec, or rows of one.

    Emits `syncline.source.changed` at PREFECT_API_URL, on which an automation may start a run; prefect.yaml has one.
    """
    from flows.cli.launch import send_event
    from flows.plan.request import trees_of
    from flows.spec.entries import entry_of
    from flows.spec.model import load_spec
    from transforms.vocabulary import SpecError

    loaded = load_spec(spec)
    if keys and table is None:
        raise SpecError("Keys are those of a table, and none is named.", fix="write the table before --key.")
    name = entry_of(loaded, table) if table is not None else None
    rows = [f"{name}:{key}" for key in keys]
    trees_of(loaded, rows)  # SpecError for what is no key
    send_event(loaded.name, [name] if name and not rows else [], rows)
    if as_json:
        print_json({"migration": loaded.name, "tables": [name] if name and not rows else [], "rows": rows})
    else:
        echo(f"Told Prefect that {', '.join(rows) or name or 'the source'} changed.")
    return 0
