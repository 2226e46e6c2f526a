"""The command that shows conflicts."""

from __future__ import annotations

from pathlib import Path

import click

from flows.cli.options import common, print_json, spec_argument
from flows.results.visible import echo


@click.command()
@spec_argument
@click.argument("action", type=click.Choice(["list", "show"]))
@click.option("--table", "tables", multiple=True, metavar="T", help="Only this table; repeatable.")
@click.option("--key", "keys", multiple=True, metavar="KEY", help='Only this key, such as 7 or ["a", 7]; repeatable.')
@click.option("--all", "every", is_flag=True, help="Those that later runs have settled, too.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(min=1), help="How many are shown.")
@common
def conflicts(
    spec: Path, action: str, tables: tuple[str, ...], keys: tuple[str, ...], every: bool, limit: int, as_json: bool
) -> int:
    """List the rows that were not as a plan saw them and were left alone, or show what was planned and found.

    A later run of the whole table settles them: it takes what it finds for the target's state and plans anew.
    """
    from flows.cli.terminal.rows import show_rows
    from flows.history.version_list import key_text
    from flows.results import conflicts as conflicting
    from flows.spec.model import load_spec

    loaded = load_spec(spec)
    spelt = [each for text in keys for each in dict.fromkeys((text, key_text(text), spaced(text)))]
    found = conflicting.listed(loaded, tables, spelt, limit=limit, resolved=every)
    counts = conflicting.counted(loaded)
    if as_json:
        told = [conflicting.as_dict(met) for met in found]
        print_json({"migration": loaded.name, "open": counts, "conflicts": told})
        return 0
    if action == "list":
        columns = ("table", "key", "op", "column", "planned before", "planned after", "found", "when", "next")
        lines = [
            (m.table, m.key, m.op, c.column, *conflicting.values(m, c), m.seen_at, m.resolution or m.next_run)
            for m in found
            for c in m.columns
        ]
        show_rows("Conflicts", columns, lines, empty="No conflict is open.")
    else:
        from flows.cli.terminal.report import conflict_lines

        for met in found:
            echo("\n".join(conflict_lines(met)))
            echo(f"    met by run {met.run_id} at {met.seen_at}" + (f", {met.resolution}" if met.resolution else ""))
        if not found:
            echo("No conflict is open.")
    if sum(counts.values()) > len(found) and not (tables or keys):
        echo(f"{len(found):,} of {sum(counts.values()):,} conflicts; --limit shows more.")
    return 0


def spaced(text: str) -> str:
    """A key as the ledger of conflicts writes it: `["a", 7]`."""
    import json

    from flows.history.version_list import key_text

    return json.dumps(json.loads(key_text(text)), ensure_ascii=False)
