"""The command about identity maps."""

from __future__ import annotations

from pathlib import Path

import click

from flows.cli.options import common, print_json, spec_argument
from flows.results.visible import echo


@click.command()
@spec_argument
@click.argument("action", type=click.Choice(["list", "export", "import", "rebuild"]))
@click.option("--table", metavar="T", help="The table; needed for all but list.")
@click.option("--file", type=click.Path(path_type=Path), help="With export and import: the Parquet file.")
@click.option("--replace", is_flag=True, help="With import: forget the pairs that are known.")
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="C",
    help="With rebuild: a target column with the source's key; repeatable.",
)
@click.option("--history", is_flag=True, help="With rebuild: take the pairs of the applied plans.")
@click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(min=1), help="With list: how many are shown."
)
@common
def identity(
    spec: Path,
    action: str,
    table: str | None,
    file: Path | None,
    replace: bool,
    columns: tuple[str, ...],
    history: bool,
    limit: int,
    as_json: bool,
) -> int:
    """List the pairs of identity maps (`key: {map: …}`), write them to a Parquet file, take them from one, or build a map anew: from
    columns of the target that hold the source's key, or from history.
    """
    from flows.cli.terminal.rows import show_rows
    from flows.history import identity as maps
    from flows.spec.model import load_spec

    loaded = load_spec(spec)
    if action == "list":
        counts, found = maps.listed(loaded, table, limit)
        if as_json:
            print_json({"migration": loaded.name, "maps": counts, "pairs": found})
            return 0
        lines = [(each["table"], each["source_key"], each["target_key"]) for each in found]
        show_rows("Pairs", ("table", "source key", "target key"), lines, empty="No pair is known.")
        if sum(counts.values()) > len(found):
            echo(f"{len(found):,} of {sum(counts.values()):,} pairs; --limit shows more.")
        return 0
    if table is None:
        raise click.UsageError(f"{action} needs --table.")
    if action == "rebuild":
        if bool(columns) == history:
            raise click.UsageError("rebuild takes --column, or --history.")
        done = maps.rebuilt_from_history(loaded, table) if history else maps.rebuilt_from_column(loaded, table, columns)
    elif file is None:
        raise click.UsageError(f"{action} needs --file.")
    elif action == "export":
        done = maps.exported(loaded, table, file)
    else:
        done = maps.imported(loaded, table, file, replace=replace)
    if as_json:
        print_json({"migration": loaded.name, "table": table, "pairs": done})
    else:
        what = {"export": "written", "import": "taken in", "rebuild": "built anew"}[action]
        echo(f"{table}: {done:,} {'pair' if done == 1 else 'pairs'} {what}.")
    return 0
