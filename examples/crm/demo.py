"""Two CRMs with unlike schemas are in use at the same time, and are kept in step: `make sync`.

The old one is a SQLite file, the new one an embedded PostgreSQL. A script edits both while they are synchronized; then one company is
renamed on both sides, which somebody has to decide; then a run is killed after one side has committed and before the
other has, and the next one ends it; then what a run did on both sides is taken back. After each step both sides are
compared by SQL of the demo's own, and one that is not as it must be ends the demo with status 1. Everything is left in `.crm/`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from examples.crm.edits import fill
from examples.story import LAST, NOTHING, ROOT, DemoFailed, Terminal, fresh_postgres, say

HERE = Path(__file__).resolve().parent
PLACE = ROOT / ".crm"
SPEC = str((HERE / "spec.yaml").relative_to(ROOT))
SECONDS = float(os.environ.get("CRM_SECONDS", "8"))  # how long the script edits both sides

COMPARED = {
    "company": (
        "SELECT kid, firma, mail, CASE status WHEN 'I' THEN 'lead' WHEN 'K' THEN 'customer' ELSE 'lost' END, umsatz_cent, "
        "notiz, schlagworte FROM kunde ORDER BY kid",
        "SELECT company_id, name, email, stage, (revenue * 100)::bigint, note, tags FROM company ORDER BY company_id",
    ),
    "call": (
        "SELECT aid, kid, sekunden, worum FROM anruf ORDER BY aid",
        "SELECT call_id, company_id, seconds, about FROM call ORDER BY call_id",
    ),
}  # fmt: skip
Rows = dict[str, list[tuple[Any, ...]]]


def main() -> int:
    started = time.monotonic()
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir()
    try:
        Story(PLACE / "old.db", fresh_postgres(PLACE / "postgres", "crm", HERE / "target.sql")).told()
    except (DemoFailed, ModuleNotFoundError) as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    say(f"Done in {time.monotonic() - started:.0f} s")
    return 0


class Story:
    """Both databases, and what happens to them."""

    def __init__(self, old: Path, new: str) -> None:
        self.old, self.new = old, new
        self.places = {"CRM_SOURCE": f"sqlite:///{old}", "CRM_TARGET": new, "CRM_STATE": str(old.parent / "state")}
        self.syncline = Terminal(PLACE / "prefect", self.places).syncline

    def told(self) -> None:
        say("An old CRM that is full, and a new one that is empty")
        fill(self.old)
        self.meet()
        self.live()
        self.decide()
        self.killed()
        self.undone()

    def meet(self) -> None:
        """Everything goes to the new side, and both have met."""
        self.syncline("check", SPEC)
        self.syncline("plan", SPEC, status=2)
        self.syncline("run", SPEC, "--direct")
        self.hold_equal()

    def live(self) -> None:
        say(f"Both are in use: a script edits both sides for {SECONDS:.0f} s, while runs bring them together")
        editor = [sys.executable, "-m", "examples.crm.edits", str(self.old), self.new, str(SECONDS), "7"]
        people = subprocess.Popen(editor, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        while people.poll() is None:  # what is edited between plan and write is left as it is, for the next run
            self.syncline("run", SPEC, "--direct", status=(0, 5), shown=LAST)
        edits, _ = people.communicate()
        if people.returncode:
            raise DemoFailed("The script that edits both sides has failed.")
        print(f"\nThe script:\n{edits}", end="")
        self.syncline("plan", SPEC, status=(0, 2))
        self.syncline("run", SPEC, "--direct")
        self.hold_equal()
        self.syncline("verify", SPEC)

    def decide(self) -> None:
        say("Two people rename one company, each on another side: nobody can know which name is right")
        self.edit(
            "UPDATE kunde SET firma = 'Willow & Sons' WHERE kid = 7",
            "UPDATE company SET name = 'Willow Ltd' WHERE company_id = 7",
        )
        self.edit(None, "UPDATE company SET stage = 'customer' WHERE company_id = 8")
        self.syncline("run", SPEC, "--direct", status=5)
        if self.name_of(7) != ("Willow & Sons", "Willow Ltd"):
            raise DemoFailed("A row in conflict was written.")
        self.syncline("conflicts", SPEC, "list")
        self.syncline("conflicts", SPEC, "show", "--table", "company", "--key", "7")
        resolve = ("--table", "company", "--key", "7", "--take", "target", "--why", "they are a Ltd since May")
        self.syncline("conflicts", SPEC, "resolve", *resolve)
        self.syncline("run", SPEC, "--direct")
        if self.name_of(7) != ("Willow Ltd", "Willow Ltd"):
            raise DemoFailed("What was decided did not happen.")
        self.hold_equal()
        self.syncline("log", SPEC, "company", "--key", "7")

    def killed(self) -> None:
        say("A run is killed when the new side has committed and the old one has not")
        self.edit(
            "UPDATE kunde SET umsatz_cent = umsatz_cent + 100 WHERE kid <= 20",
            "UPDATE company SET revenue = revenue + 2 WHERE company_id <= 30",
        )
        before = self.rows()
        print(f"\n$ python -m examples.crm.killed {SPEC}", flush=True)
        dead = subprocess.run(
            [sys.executable, "-m", "examples.crm.killed", SPEC],
            cwd=ROOT,
            env={**os.environ, **self.places},
            check=False,
        )
        if dead.returncode != -signal.SIGKILL:
            raise DemoFailed(f"The run was to be killed, and left with exit status {dead.returncode}.")
        half = self.rows()
        if half["new"] == before["new"] or half["old"] != before["old"]:
            raise DemoFailed("The run was not killed between both commits.")
        print(
            "The new side has what the old one has booked; the old one knows nothing of it yet. The next run ends it:"
        )
        self.syncline("run", SPEC, "--direct")
        self.hold_equal()
        for row, was in ((1, 300), (25, 200)):
            now, then = (
                next(each[4] for each in rows["new"]["company"] if each[0] == row) for rows in (self.rows(), before)
            )
            expected = then + (was - 200 if row <= 20 else 0)
            if now != expected:
                raise DemoFailed(f"Company {row} has {now} cents, and should have {expected}.")
        print("Both have what both have booked, once.")

    def undone(self) -> None:
        say(
            "What the last run did is taken back on both sides: each has its own edits again, and not those of the other"
        )
        after = self.rows()
        versions = json.loads(self.syncline("history", SPEC, "--json", shown=NOTHING))["versions"]
        self.syncline("undo", SPEC, str(max(each["version"] for each in versions)), "--direct", "--yes")
        if self.rows() == after:
            raise DemoFailed("Nothing was taken back.")
        self.syncline("history", SPEC)
        self.syncline("verify", SPEC, status=2)

    def edit(self, old: str | None, new: str | None) -> None:
        """What somebody does, shown."""
        for side, statement in (("old", old), ("new", new)):
            if statement:
                print(f"{side}> {statement};", flush=True)
        if old:
            with closing(sqlite3.connect(self.old)) as there, there:
                there.execute(old)
        if new:
            with psycopg.connect(self.new) as other:
                other.execute(new.encode())

    def rows(self) -> dict[str, Rows]:
        """What both sides hold, in one shape."""
        with closing(sqlite3.connect(self.old)) as old, psycopg.connect(self.new) as new:
            return {
                "old": {name: old.execute(query).fetchall() for name, (query, _) in COMPARED.items()},
                "new": {name: new.execute(query.encode()).fetchall() for name, (_, query) in COMPARED.items()},
            }

    def name_of(self, number: int) -> tuple[str, str]:
        found = self.rows()
        old, new = (next(row[1] for row in found[side]["company"] if row[0] == number) for side in ("old", "new"))
        return old, new

    def hold_equal(self) -> None:
        found = self.rows()
        for table in COMPARED:
            apart = set(found["old"][table]) ^ set(found["new"][table])
            if apart:
                raise DemoFailed(f"{table} is not the same on both sides: {sorted(apart)[:4]}")
        print(
            "Both sides are equal: " + ", ".join(f"{len(found['old'][table]):,} rows of {table}" for table in COMPARED)
        )


if __name__ == "__main__":
    sys.exit(main())
