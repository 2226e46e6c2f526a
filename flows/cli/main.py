"""The command line: `syncline`. Read-only commands never import Prefect."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flows.cli import follow, history
from flows.cli.conflicts import conflicts
from flows.cli.diff_tables import diff_tables
from flows.cli.drift import drift
from flows.cli.identity import identity
from flows.cli.init import init
from flows.cli.members import each_member, note_differing
from flows.cli.notify import notify
from flows.cli.options import (
    EXIT_STATUSES,
    Commands,
    afresh_option,
    all_option,
    allow_deletes_option,
    check_one_folder,
    common,
    data_docs_option,
    direct_option,
    must_agree,
    print_json,
    reading_options,
    scope,
    spec_argument,
    trees_options,
    wait_option,
    yes_option,
)
from flows.cli.outcome import applied, planned_line, ran
from flows.cli.quarantine import quarantine
from flows.cli.rows import NamedRows, rows_options
from flows.cli.serve import serve
from flows.results.visible import echo

if TYPE_CHECKING:
    pass

LONG_ROWS = 200_000  # tables of fewer rows are checked before anyone asks how far it is


@click.group(cls=Commands, epilog=EXIT_STATUSES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="syncline")
def main() -> None:
    """Plan, apply and verify, for rows: move data to a new schema and prove that it arrived."""
    check_one_folder()


@main.command()
@spec_argument
@click.option("--table", "tables", multiple=True, metavar="T", help="Only this table of the spec; repeatable.")
@trees_options
@click.option("--schema-only", is_flag=True, help="Look at the schemas alone, and at no row.")
@click.option(
    "--samples", default=5, show_default=True, type=click.IntRange(min=0), help="How many rows a finding shows."
)
@common
@each_member
def check(
    spec: Path, tables: tuple[str, ...], trees: tuple[str, ...], with_parents: bool, schema_only: bool, samples: int,
    as_json: bool,
) -> int:  # fmt: skip
    """Say what of the data does not fit, why, and how to mend it. Nothing is written."""
    from flows.check.assess import assess
    from flows.cli.terminal.progress import metered
    from flows.plan.request import trees_of
    from flows.spec.model import load_spec

    loaded = load_spec(spec)
    asked = trees_of(loaded, trees, tables, with_parents=with_parents)
    with metered(as_json=as_json, least=LONG_ROWS) as meter:
        found = assess(
            loaded, datetime.now(UTC), tables, samples=samples, schema_only=schema_only, meter=meter, trees=asked
        )
    note_differing(found.differing)
    if as_json:
        print_json(found.as_dict())
    else:
        from flows.cli.terminal.check import show_assessment

        show_assessment(found)
    return found.status


@main.command()
@click.argument("source_url")
@click.argument("target_url")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The file of the draft; - prints it."
)
@click.option(
    "--table", "tables", multiple=True, metavar="T", help="Only this table or view of the source; repeatable."
)
@click.option(
    "--onto", "onto", multiple=True, metavar="T=TARGET", help="Map the source's T onto the target's TARGET; repeatable."
)
@click.option("--schema", metavar="S", help="The schema of the source; its default one if not given.")
@click.option("--target-schema", metavar="S", help="The schema of the target; its default one if not given.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@common
def scaffold(
    source_url: str, target_url: str, output: Path, tables: tuple[str, ...], onto: tuple[str, ...], schema: str | None,
    target_schema: str | None, force: bool, as_json: bool,
) -> int:  # fmt: skip
    """Draft a spec for a whole schema: types that the rows fit in, keys, and all that translates. Nothing is loaded."""
    from flows.cli.terminal.progress import metered
    from flows.cli.terminal.scaffold import show_draft
    from flows.scaffold.asked import Asked
    from flows.scaffold.draft import free_file, scaffold

    printed = str(output) == "-"
    if not printed and not force:
        free_file(output)
    folder = Path() if printed else output.parent
    from transforms.vocabulary import SpecError

    pairs = {own: there for own, is_pair, there in (each.partition("=") for each in onto) if is_pair and own and there}
    if len(pairs) < len(onto):
        raise SpecError(
            "--onto takes a table of the source and one of the target.",
            fix="write --onto customers=customer, each once.",
        )
    name = "" if printed else output.stem
    asked = Asked(source_url, target_url, folder, name, schema, target_schema, tables, pairs)
    with metered(as_json=as_json, least=LONG_ROWS) as meter:
        draft = scaffold(asked, meter)
    if not printed:
        draft.write(output)
    if as_json:
        print_json(draft.as_dict(None if printed else output))
    else:
        show_draft(draft, None if printed else output)
    return 0


@main.command()
@click.option("--json", "as_json", is_flag=True, hidden=True)
def schema(as_json: bool) -> None:
    """Print the JSON schema of spec files, for editors."""
    from flows.spec.json_schema import json_schema

    print_json(json_schema())


@main.command()
@spec_argument
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="The folder of the plan; the store's own if not given."
)
@scope
@trees_options
@rows_options
@allow_deletes_option
@reading_options
@all_option
@common
@each_member
def plan(
    spec: Path, output: Path | None, tables: tuple[str, ...], ranges: tuple[str, ...], trees: tuple[str, ...],
    with_parents: bool, rows: bool, limit: int | None, form: str | None, allow_deletes: bool, full: bool, afresh: bool,
    as_json: bool,
) -> int:  # fmt: skip
    """Show which rows would change, and write the plan down. The target is not touched."""
    from adapters.store.plans import Plan
    from flows import commands
    from flows.apply.both_ways import source_plan
    from flows.cli.terminal.progress import metered
    from flows.plan.request import asked_for
    from flows.results.outcome import Status

    request = asked_for(
        spec, "plan", tables, ranges, output, allow_deletes=allow_deletes, trees=trees, with_parents=with_parents,
        full=full, afresh=afresh,
    )  # fmt: skip
    with metered(as_json=as_json) as meter:
        outcome = commands.plan(request, meter=meter)
    named = NamedRows(rows, limit, form, as_json)
    planned = Plan.open(Path(str(outcome.report.plan)))
    named.take(planned, source_plan(planned) if planned.manifest.both_ways else None)
    named.show(outcome, {"stages": [stage.as_dict() for stage in planned.manifest.stages or ()]})
    if not as_json:
        echo(f"\n{planned_line(outcome)}", err=named.alone or outcome.status == Status.QUARANTINE)
    return int(outcome.status)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@direct_option
@data_docs_option
@wait_option
@yes_option
@all_option
@common
def apply(folder: Path, direct: bool, data_docs: bool, wait: float, yes: bool, as_json: bool) -> int:
    """Apply exactly the plan in FOLDER. A row that changed since is a conflict and stays as it is."""
    from flows import commands
    from flows.cli.terminal.progress import metered

    if not yes and not as_json and sys.stdin.isatty():
        _confirm_apply(folder)
    with metered(as_json=as_json) as meter:
        if direct:
            outcome = commands.apply_plan(folder, meter=meter, wait=wait, data_docs=data_docs)
        else:
            from flows.cli.launch import apply_in_prefect

            outcome = apply_in_prefect(folder, meter, wait, data_docs)
    return applied(outcome, as_json)


@main.command()
@spec_argument
@scope
@trees_options
@allow_deletes_option
@reading_options
@direct_option
@data_docs_option
@wait_option
@yes_option
@all_option
@common
@each_member
def run(
    spec: Path, tables: tuple[str, ...], ranges: tuple[str, ...], trees: tuple[str, ...], with_parents: bool,
    allow_deletes: bool, full: bool, afresh: bool, direct: bool, data_docs: bool, wait: float, yes: bool, as_json: bool,
) -> int:  # fmt: skip
    """Plan and apply in one go."""
    from flows.plan.request import asked_for

    request = asked_for(
        spec, "run", tables, ranges, wait=wait, data_docs=data_docs, allow_deletes=allow_deletes, trees=trees,
        with_parents=with_parents, full=full, afresh=afresh,
    )  # fmt: skip
    return applied(ran(request, direct=direct, as_json=as_json, ask=not yes), as_json)


@main.command()
@spec_argument
@click.option("--range", "text", required=True, metavar="T.COL:FROM..TO", help="The half-open range to fill.")
@click.option(
    "--every",
    metavar="STEP",
    help="One step at a time, such as 1d, 6h, 1mo or 1000; steps that are done are passed over.",
)
@click.option("--again", is_flag=True, help="Run every step, whatever an earlier backfill has done.")
@allow_deletes_option
@direct_option
@data_docs_option
@wait_option
@yes_option
@all_option
@common
@each_member
def backfill(
    spec: Path, text: str, every: str | None, again: bool, allow_deletes: bool, direct: bool, data_docs: bool,
    wait: float, yes: bool, as_json: bool,
) -> int:  # fmt: skip
    """Plan and apply a range, step by step. Started again, it goes on where it stopped."""
    from flows import commands
    from flows.cli.terminal.progress import metered
    from flows.plan.request import asked_for

    request = asked_for(spec, "backfill", (), (text,), wait=wait, data_docs=data_docs, allow_deletes=allow_deletes)
    with metered(as_json=as_json) as meter:
        if direct:
            outcome = commands.backfill(request, every, again=again, meter=meter)
        else:
            from flows.cli.launch import backfill_in_prefect

            outcome = backfill_in_prefect(request, every, meter, again=again)
    return applied(outcome, as_json)


@main.command()
@spec_argument
@scope
@trees_options
@rows_options
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the rows that differ to this file."
)
@afresh_option
@all_option
@common
@each_member
def verify(
    spec: Path, tables: tuple[str, ...], ranges: tuple[str, ...], trees: tuple[str, ...], with_parents: bool, rows: bool,
    limit: int | None, form: str | None, output: Path | None, afresh: bool, as_json: bool,
) -> int:  # fmt: skip
    """Read both sides, and prove them equal through the mapping or name the rows that differ."""
    from flows import commands
    from flows.cli.terminal.progress import metered
    from flows.plan.request import asked_for
    from flows.results.outcome import Status

    request = asked_for(spec, "verify", tables, ranges, trees=trees, with_parents=with_parents, afresh=afresh)
    named = NamedRows(rows, limit, form, as_json, output)
    with metered(as_json=as_json) as meter:
        outcome = commands.verify(request, meter=meter, seen=named.take)
    named.show(outcome)
    if not as_json:
        echo(f"\n{outcome.message}", err=named.alone or outcome.status == Status.QUARANTINE)
    return int(outcome.status)


@main.command()
@spec_argument
@click.argument("run", required=False)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the page to this file.")
@common
@each_member
def report(spec: Path, run: str | None, output: Path | None, as_json: bool) -> int:
    """Make the page of a run again from its evidence, of the latest run where none is named; say where it is."""
    from adapters.store.plans import put, written
    from flows.evidence import record
    from flows.session.stores import store_of
    from flows.spec.model import load_spec

    loaded = load_spec(spec)
    told = record.kept(store_of(loaded), loaded.name, run)
    page = record.page(store_of(loaded), told)
    if output is not None:
        with written(output.parent):
            put(output, page.read_bytes(), sync=False)
        page = output
    if as_json:
        print_json({**told, "report": str(page)})
    else:
        echo(page)
    return 0


def _confirm_apply(folder: Path) -> None:
    from adapters.store.plans import Plan
    from flows.results.shares import counted

    manifest = Plan.open(folder).manifest
    total, hooks = manifest.total, f", with {counted(len(manifest.hooks), 'hook')}" if manifest.hooks else ""
    must_agree(f"Insert {total.insert:,}, update {total.update:,} and delete {total.delete:,} rows{hooks}?")


for command in (
    *history.COMMANDS,
    *follow.COMMANDS,
    init,
    serve,
    drift,
    conflicts,
    identity,
    notify,
    quarantine,
    diff_tables,
):
    main.add_command(command)


if __name__ == "__main__":
    from flows import entry

    entry.main()
