"""The command that shows conflicts, and takes down what people decide about them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from flows.cli.members import each_member
from flows.cli.options import common, print_json, spec_argument
from flows.results.shares import counted
from flows.results.stands import in_words
from flows.results.visible import echo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.results.conflicts import Met


@click.command()
@spec_argument
@click.argument("action", type=click.Choice(["list", "show", "resolve"]))
@click.option("--table", "tables", multiple=True, metavar="T", help="Only this table; repeatable.")
@click.option("--key", "keys", multiple=True, metavar="KEY", help='Only this key, such as 7 or ["a", 7]; repeatable.')
@click.option(
    "--all", "every", is_flag=True, help="list, show: those that are settled, too. resolve: every one that is open."
)
@click.option("--limit", default=50, show_default=True, type=click.IntRange(min=1), help="How many are shown.")
@click.option("--field", help="resolve: this field alone, of each row; else all that is open.")
@click.option(
    "--take",
    metavar="source|target|base|VALUE",
    help="resolve: whose value stands, or a value for --field; null is null, and value:source is the text source.",
)
@click.option(
    "--where",
    metavar="SQL",
    help="resolve: only rows for which it holds, in DuckDB's SQL: source.price > target.price, kind = 'delete/update'.",
)
@click.option("--why", metavar="TEXT", help="resolve: the reason, for the history.")
@common
@each_member
def conflicts(
    spec: Path,
    action: str,
    tables: tuple[str, ...],
    keys: tuple[str, ...],
    every: bool,
    limit: int,
    field: str | None,
    take: str | None,
    where: str | None,
    why: str | None,
    as_json: bool,
) -> int:
    """List or show rows in conflict, or decide about those that are open between both sides.

    Rows that were not as a plan saw them were left alone; a later run of the whole table settles them: it takes what it finds for the
    target's state and plans anew. Rows that both sides changed, each in its own way, stay open until somebody decides: the next
    run applies it, unless the row has changed again.
    """
    from transforms.vocabulary import SpecError

    if action == "resolve":
        if take is None:
            raise SpecError("nothing was decided.", fix="say --take source, target, base or a value.")
        return _resolve(spec, tables, keys, where, every, take, field, why, as_json)
    if field is not None or take is not None or where is not None or why is not None:
        raise SpecError(f"--field, --take, --where and --why say nothing of {action}.", fix="use them with resolve.")

    from flows.history.version_list import spellings
    from flows.results import conflicts as conflicting
    from flows.spec.model import load_spec

    loaded = load_spec(spec)
    spelt = [each for text in keys for each in spellings(text)]
    found = conflicting.listed(loaded, tables, spelt, limit=limit, resolved=every)
    counts = conflicting.counted(loaded)
    if as_json:
        told = [conflicting.as_dict(met) for met in found]
        print_json({"migration": loaded.name, "open": counts, "conflicts": told})
        return 0
    if not found:
        echo("No conflict is open.")
    elif action == "list":
        _list(found)
    else:
        from flows.cli.terminal.report import conflict_lines

        for met in found:
            echo("\n".join(conflict_lines(met)))
            echo(f"    met by run {met.run_id} at {met.seen_at}" + (f", {met.resolution}" if met.resolution else ""))
    if sum(counts.values()) > len(found) and not (tables or keys):
        echo(f"{len(found):,} of {sum(counts.values()):,} conflicts; --limit shows more.")
    return 0


def _list(found: Sequence[Met]) -> None:
    from flows.cli.terminal.rows import show_rows
    from flows.results import conflicts as conflicting

    both = [met for met in found if met.kind is not None]
    if both:
        columns = ("table", "key", "kind", "column", "base", "source", "target", "when", "decided")
        lines: list[tuple[str | None, ...]] = []
        for m in both:
            after = m.seen_at, m.resolution or "; ".join(map(conflicting.verdict_text, m.decided))
            lines += [(m.table, _key(m), m.kind, *each, *after) for each in conflicting.open_columns(m)]
        show_rows("Open between both sides", columns, lines, empty="")
    if len(both) < len(found):
        columns = ("table", "key", "op", "column", "planned before", "planned after", "found", "when", "next")
        planned = [
            (m.table, _key(m), m.op, c.column, *conflicting.values(m, c), m.seen_at, m.resolution or m.next_run)
            for m in found
            if m.kind is None
            for c in m.columns
        ]
        show_rows("Conflicts", columns, planned, empty="")


def _key(met: Met) -> str:
    return " ".join(filter(None, (met.key, in_words(met.stands_for))))


def _resolve(
    spec: Path,
    tables: tuple[str, ...],
    keys: tuple[str, ...],
    where: str | None,
    every: bool,
    take: str,
    field: str | None,
    why: str | None,
    as_json: bool,
) -> int:
    from flows.history.decisions import Choice, decide, verdict_of
    from flows.spec.model import load_spec

    loaded = load_spec(spec)
    done = decide(loaded, Choice(tables, keys, where, every), verdict_of(take, field, why))
    if as_json:
        print_json({"migration": loaded.name, "decided": dict(done.rows), "left": dict(done.left)})
        return 0
    for table, rows in done.rows.items():
        echo(f"{table}: decided for {counted(rows, 'row')}.")
    for reason, rows in done.left.items():
        echo(f"{counted(rows, 'row')} left: {reason}.")
    echo(f"The next run applies it to rows that are still so: syncline run {spec}")
    return 0
