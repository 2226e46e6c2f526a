"""What people do on both sides while they are kept in step: `python -m examples.crm.edits SOURCE_FILE TARGET_URL SECONDS SEED`."""

from __future__ import annotations

import random
import sqlite3
import sys
import time
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

HERE = Path(__file__).resolve().parent
COMPANIES, CALLS = 400, 1_500
WORDS = ("north", "harbour", "willow", "iron", "paper", "lamp", "river", "stone")


def fill(source: Path) -> None:
    """The old CRM as it is when the new one is switched on."""
    some = random.Random(1)
    with closing(sqlite3.connect(source)) as old, old:
        old.executescript((HERE / "source.sql").read_text(encoding="utf-8"))
        companies = [
            (
                kid,
                f"{some.choice(WORDS)} {kid}",
                f"{kid}@example.org",
                some.choice("IKX"),
                some.randrange(10**7),
                None,
                "old",
                _now(),
                "x",
            )
            for kid in range(1, COMPANIES + 1)
        ]
        old.executemany(f"INSERT INTO kunde VALUES ({', '.join('?' * 9)})", companies)
        calls = [(aid, some.randint(1, COMPANIES), _now(), some.randrange(900), "hello") for aid in range(1, CALLS + 1)]
        old.executemany("INSERT INTO anruf VALUES (?, ?, ?, ?, ?)", calls)


def live(source: Path, target: str, seconds: float, seed: int) -> Counter[str]:
    """Edit both sides, now here and now there, as long as it takes; how often each thing was done.

    Each side has half of the companies of its own to rename, so that names do not clash; revenue, tags and notes are edited on both.
    """
    some, done, until = random.Random(seed), Counter[str](), time.monotonic() + seconds
    with closing(sqlite3.connect(source, timeout=30)) as old, psycopg.connect(target, autocommit=True) as new:
        old.execute("PRAGMA foreign_keys = ON")
        while time.monotonic() < until:
            kid = some.randint(1, COMPANIES)
            if some.random() < 0.5:
                with old:
                    done[f"old: {_in_old(old, some, kid)}"] += 1
            else:
                done[f"new: {_in_new(new, some, kid)}"] += 1
            time.sleep(0.02)
    return done


def _in_old(old: sqlite3.Connection, some: random.Random, kid: int) -> str:
    match some.choice(["rename", "book", "tag", "call", "note", "new"]):
        case "rename":
            name = f"{some.choice(WORDS)} {kid}"
            old.execute("UPDATE kunde SET firma = ?, geaendert = ? WHERE kid = ?", (name, _now(), kid // 2 * 2))
            return "renamed"
        case "book":
            cents = some.randrange(10_000)
            old.execute(
                "UPDATE kunde SET umsatz_cent = umsatz_cent + ?, geaendert = ? WHERE kid = ?", (cents, _now(), kid)
            )
            return "booked"
        case "tag":
            tagged = "schlagworte || ',' || ?"
            word = some.choice(WORDS)
            only = "instr(',' || schlagworte || ',', ',' || ? || ',') = 0 AND length(schlagworte) < 60"
            old.execute(
                f"UPDATE kunde SET schlagworte = {tagged}, geaendert = ? WHERE kid = ? AND {only}",
                (word, _now(), kid, word),
            )
            return "tagged"
        case "note":
            old.execute("UPDATE kunde SET notiz = ?, geaendert = ? WHERE kid = ?", (some.choice(WORDS), _now(), kid))
            return "noted"
        case "new":
            number = old.execute("SELECT max(kid) + 1 FROM kunde WHERE kid < 1000000").fetchone()[0]
            row = (number, f"new {number}", f"{number}@example.org", "I", 0, None, "old", _now(), "x")
            old.execute(f"INSERT INTO kunde VALUES ({', '.join('?' * 9)})", row)
            return "company"
    number = old.execute("SELECT coalesce(max(aid), 0) + 1 FROM anruf WHERE aid < 1000000").fetchone()[0]
    old.execute("INSERT INTO anruf VALUES (?, ?, ?, ?, 'from the old CRM')", (number, kid, _now(), some.randrange(900)))
    return "call"


def _in_new(new: psycopg.Connection[Any], some: random.Random, company: int) -> str:
    match some.choice(["rename", "book", "tag", "call", "stage", "hang up"]):
        case "rename":
            name = f"{some.choice(WORDS)} {company}"
            new.execute(
                "UPDATE company SET name = %s, changed_at = now() WHERE company_id = %s", (name, company // 2 * 2 + 1)
            )
            return "renamed"
        case "book":
            amount = some.randrange(100)
            new.execute(
                "UPDATE company SET revenue = revenue + %s, changed_at = now() WHERE company_id = %s", (amount, company)
            )
            return "booked"
        case "tag":
            word = some.choice(WORDS)
            only = "NOT %s = ANY (string_to_array(tags, ',')) AND length(tags) < 60"
            new.execute(
                f"UPDATE company SET tags = tags || ',' || %s, changed_at = now() WHERE company_id = %s AND {only}",
                (word, company, word),
            )
            return "tagged"
        case "stage":
            new.execute("UPDATE company SET stage = 'customer', changed_at = now() WHERE company_id = %s", (company,))
            return "stage"
        case "hang up":
            new.execute(
                "DELETE FROM call WHERE call_id = (SELECT max(call_id) FROM call WHERE company_id = %s AND call_id <= %s)",
                (company, CALLS),
            )
            return "call deleted"
    called = "SELECT company_id, now(), 60, 'from the new CRM' FROM company WHERE company_id = %s"
    new.execute(f"INSERT INTO call (company_id, called_at, seconds, about) {called}", (company,))
    return "call"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def main() -> None:
    done = live(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))
    print("\n".join(f"{what} {count} times" for what, count in sorted(done.items())))


if __name__ == "__main__":
    main()
