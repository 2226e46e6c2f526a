"""The commands of history: versions, their changes, a row's life, tables as they stood, and taking versions back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.cli.members import each_member
from flows.cli.options import (
    Duration,
    all_option,
    common,
    direct_option,
    must_agree,
    print_json,
    spec_argument,
    tree_option,
    wait_option,
    yes_option,
)
from flows.cli.outcome import planned_line
from flows.cli.row_formats import FORMATS
from flows.results.visible import echo, near
from transforms.vocabulary import SpecError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.history.log import Change
    from transforms.vocabulary import ChangeSet, SideName

_limit = click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(min=1), help="How many changes of a table are shown."
)

_number = click.IntRange(min=0)


@click.command()
@spec_argument
@common
@each_member
def history(spec: Path, as_json: bool) -> int:
    """List the versions: every run that changed something, and what runs that are not at their end have in the target."""
    from flows.cli.terminal.history import show_unfinished, show_versions
    from flows.history.version_list import cut_off, listed
    from flows.spec.model import load_spec

    loaded = load_spec(spec)
    versions, open_runs = listed(loaded), []
    if cut_off(loaded):
        from flows.apply.unfinished import unfinished  # asks the target

        open_runs = unfinished(loaded)
    if as_json:
        print_json({"migration": loaded.name, "versions": versions, "unfinished": [r.as_dict() for r in open_runs]})
    else:
        show_unfinished(open_runs)
        show_versions(versions, empty="" if open_runs else "No run has changed anything yet.")
    return 0


@click.command()
@click.argument("spec", type=click.Path(path_type=Path), metavar="SPEC|FOLDER")
@click.argument("version", type=click.IntRange(min=1), required=False)
@click.argument("table", required=False)
@click.option("--key", "keys", multiple=True, metavar="KEY", help='Only this key, such as 7 or ["a", 7]; repeatable.')
@_limit
@click.option("--format", "form", type=click.Choice(FORMATS), help="Of a plan: its rows alone, so.")
@all_option
@common
def show(
    spec: Path,
    version: int | None,
    table: str | None,
    keys: tuple[str, ...],
    limit: int,
    form: str | None,
    as_json: bool,
) -> int:
    """Show what a version of SPEC changed, old beside new; or the plan in FOLDER."""
    from flows.cli.terminal.history import show_changes, show_overruled, show_version
    from flows.history.log import change_object, in_words_too, shown
    from flows.history.taken import with_history
    from flows.plan.lookups.stands_for import Parents
    from flows.spec.model import load_spec

    if spec.is_dir():
        if version is not None or keys:
            raise SpecError(f"{spec} is a folder.", fix="give a spec with a version, or the folder of a plan alone.")
        return _show_plan(spec, limit, form, as_json)
    if version is None:
        raise SpecError("No version is given.", fix="name one of `syncline history SPEC`, or the folder of a plan.")
    loaded = with_history(load_spec(spec))
    facts, changes = shown(loaded, version, table, keys, limit)
    with Parents(loaded) as parents:
        changes = list(in_words_too(changes, parents))
    if as_json:
        print_json({**facts, "changes": [change_object(change) for change in changes]})
    else:
        show_version(facts)
        show_changes(changes)
        show_overruled(facts.get("overruled", ()), limit)
    return 0


def _show_plan(folder: Path, limit: int, form: str | None, as_json: bool) -> int:
    """A plan that was made earlier, with its first rows."""
    from adapters.store.plans import Plan
    from flows.apply.both_ways import source_plan
    from flows.cli.rows import NamedRows
    from flows.results.outcome import Outcome, Status
    from flows.results.tables import report_of

    plan = Plan.open(folder)
    plan.verify()
    report = report_of(plan)
    named = NamedRows(True, limit, form, as_json)
    named.take(plan, source_plan(plan) if plan.manifest.both_ways else None)
    outcome = Outcome(report, Status.CHANGES if report.pending else Status.DONE)
    named.show(outcome, {"stages": [stage.as_dict() for stage in plan.manifest.stages or ()]})
    if not as_json:
        echo(f"\n{planned_line(outcome)}", err=named.alone)
    return 0


@click.command()
@spec_argument
@click.argument("table")
@click.option("--key", required=True, metavar="KEY", help='The row\'s key, such as 7 or ["a", 7].')
@common
def log(spec: Path, table: str, key: str, as_json: bool) -> int:
    """Tell the life of one row: every change, when, by which run, and why."""
    from flows.cli.terminal.history import show_life
    from flows.history.log import life
    from flows.history.taken import with_history
    from flows.history.version_list import key_text
    from flows.spec.model import load_spec

    lines = life(with_history(load_spec(spec)), table, key)
    if as_json:
        print_json({"table": table, "key": key_text(key), "changes": lines})
    else:
        show_life(lines, f"Nothing is known of {table} {key_text(key)}: no version changed it.")
    return 0


@click.command()
@spec_argument
@click.argument("version", type=_number)
@click.argument("table")
@click.option(
    "--side",
    type=click.Choice(["source", "target"]),
    default="target",
    show_default=True,
    help="Of a table that goes both ways, the side.",
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write a Parquet file.")
@_limit
@common
def asof(spec: Path, version: int, table: str, side: SideName, output: Path | None, limit: int, as_json: bool) -> int:
    """Give a table of a side as it stood after a version (0: before the first), without touching either."""
    from adapters.store.archive import write_parquet
    from flows.cli.terminal.rows import show_rows
    from flows.history.asof import asof
    from flows.history.log import texts_of
    from flows.history.own_columns import SAID, known_in_part
    from flows.history.taken import with_history
    from flows.spec.model import load_spec

    loaded = with_history(load_spec(spec))
    rows = asof(loaded, version, table, side=side)
    if names := known_in_part(rows.schema):
        echo(f"{', '.join(names)}: {SAID.decode()}.", err=True)
    facts: dict[str, Any] = {"table": table, "version": version, "total": rows.num_rows}
    if loaded.writes_source:
        facts["side"] = side
    if output is not None:
        write_parquet(output, rows)
        if as_json:
            print_json({**facts, "file": str(output)})
        else:
            echo(f"{rows.num_rows:,} rows in {output}")
        return 0
    first = texts_of(rows.slice(0, limit))
    if as_json:
        print_json({**facts, "rows": first})
        return 0
    show_rows(
        f"{table} at version {version}", rows.column_names, [tuple(row.values()) for row in first], empty="No rows."
    )
    if rows.num_rows > limit:
        echo(f"{rows.num_rows - limit:,} more rows; -o FILE writes them all.", err=True)
    return 0


@click.command()
@spec_argument
@click.argument("first", type=_number)
@click.argument("second", type=_number)
@click.option("--table", metavar="T", help="Only this table.")
@_limit
@common
def diff(spec: Path, first: int, second: int, table: str | None, limit: int, as_json: bool) -> int:
    """Show the net changes from one version to another, each row at most once; of the source apart, where runs write it."""
    from flows.cli.terminal.history import show_changes, show_counts, show_overruled
    from flows.history.log import change_object, difference, in_words_too, overruled_between
    from flows.history.taken import with_history
    from flows.plan.lookups.stands_for import Parents
    from flows.spec.model import load_spec

    loaded = with_history(load_spec(spec))
    counts, changes = _net(difference(loaded, first, second, table), limit)
    with Parents(loaded) as parents:
        changes = list(in_words_too(changes, parents))
    back = difference(loaded, first, second, table, side="source") if loaded.writes_source else []
    back_counts, back_changes = _net(back, limit)
    lost = overruled_between(loaded, first, second, table) if loaded.writes_source else []
    if as_json:
        told = {"from": first, "to": second, "tables": counts, "changes": list(map(change_object, changes))}
        if loaded.writes_source:
            told |= {
                "back_tables": back_counts,
                "back_changes": list(map(change_object, back_changes)),
                "overruled": lost[:limit],
            }
        print_json(told)
        return 0
    if counts or not back_counts:
        show_counts(counts)
        show_changes(changes)
    if back_counts:
        echo("in the source:")
        show_counts(back_counts)
        show_changes(back_changes)
    show_overruled(lost, limit)
    return 0


def _net(found: Sequence[tuple[str, ChangeSet]], limit: int) -> tuple[dict[str, dict[str, int]], list[Change]]:
    """How many rows of each table change, and the first changes of each."""
    from collections import Counter
    from itertools import chain, groupby, islice

    from flows.history.log import changes_of

    counts: dict[str, dict[str, int]] = {}
    changes: list[Change] = []
    for name, group in groupby(found, key=lambda each: each[0]):
        parts = [part for _, part in group]
        counted = Counter[str]()
        for part in parts:
            counted.update({str(op): count for op, count in part.counts.items()})
        counts[name] = counted
        changes += islice(chain.from_iterable(changes_of(name, part) for part in parts), limit)
    return counts, changes


@click.command()
@spec_argument
@click.argument("version", type=_number, required=False)
@click.option(
    "--to", type=_number, metavar="VERSION", help="Take back all that came after this version; 0: everything."
)
@tree_option
@click.option(
    "--side",
    type=click.Choice(["source", "target"]),
    help="Of a version of both sides, take back what this one became.",
)
@click.option("--drop", is_flag=True, help="Drop tables that those versions created, where they hold nothing else.")
@click.option("--dry-run", is_flag=True, help="Only show it; the plan can be applied with `syncline apply`.")
@direct_option
@wait_option
@yes_option
@all_option
@common
@each_member
def undo(
    spec: Path, version: int | None, to: int | None, trees: tuple[str, ...], side: SideName | None,
    drop: bool, dry_run: bool, direct: bool, wait: float, yes: bool, as_json: bool,
) -> int:  # fmt: skip
    """Take a version back, as a plan of its own: a row that changed since is a conflict and stays.

    Undoing an undo brings the version back. With --tree only the changes of these rows, and of those that hang below them in the
    target or did when the version was made, are taken back; the rest of the version stays.
    """
    from flows import commands
    from flows.cli.launch import apply_in_prefect
    from flows.cli.outcome import applied, changes_line, show_outcome
    from flows.cli.terminal.progress import metered
    from flows.plan.request import asked_for
    from transforms.vocabulary import SpecError

    last = version if to is None else to
    if last is None or (version is not None and to is not None):
        raise SpecError("Name one version to take back, or with --to the version to go back to.", fix="see --help.")
    request = asked_for(spec, "undo", wait=wait, trees=trees)
    with metered(as_json=as_json) as meter:
        planned = commands.plan_undo(
            request, last, to=to is not None, drop=drop, side=side, temporary=not dry_run, meter=meter
        )
    folder = Path(str(planned.report.plan))
    if dry_run or planned.status == 0:
        show_outcome(planned, as_json=as_json, samples=True)
        if not as_json:
            what = f"{changes_line(planned)} Apply with: syncline apply {near(folder)}"
            nothing = planned.message or "Nothing to undo: the changes come to nothing."
            echo(f"\n{what}" if planned.status else f"\n{nothing}")
        return int(planned.status)
    if not as_json:
        show_outcome(planned, as_json=False, samples=True)
        if not yes and sys.stdin.isatty():
            must_agree(f"\n{changes_line(planned)} Apply?")
        echo()
    with metered(as_json=as_json) as meter:
        done: Any = (
            commands.apply_plan(folder, meter=meter, wait=wait) if direct else apply_in_prefect(folder, meter, wait)
        )
    return applied(done, as_json)


@click.command()
@spec_argument
@click.option(
    "--keep", type=Duration(), required=True, metavar="TIME", help="Keep the versions of this last time, such as 30d."
)
@wait_option
@yes_option
@common
@each_member
def prune(spec: Path, keep: float, wait: float, yes: bool, as_json: bool) -> int:
    """Forget the changes of old versions; what is kept can still be shown, undone and asked for as it stood."""
    from datetime import UTC, datetime, timedelta

    from flows.cli.terminal.history import show_pruned
    from flows.history.prune import prune
    from flows.spec.model import load_spec

    loaded = load_spec(spec)
    if not yes and not as_json and sys.stdin.isatty():
        must_agree("Forget the changes of older versions for good?")
    done = prune(loaded, datetime.now(UTC) - timedelta(seconds=keep), wait=wait)
    if as_json:
        print_json({"migration": loaded.name, **done.as_dict()})
    else:
        show_pruned(done)
    return 0


COMMANDS = (history, show, log, diff, asof, undo, prune)
