"""A legacy MariaDB becomes a PostgreSQL, from a drafted spec to a proof: `make shop`.

Starts a MariaDB (Debian's `mariadbd`) with a shop that has all that fifteen years leave behind, drafts a spec from its
schema and its rows, and follows it: check, plan, run, prove, edit the old shop, load one order with its lines, load the
rest, prove it again. Every command is shown with its own output, and one that leaves with another exit status than it
should ends the demo with status 1. Everything is left in `.shop/`, but for MariaDB itself, which goes with the demo.
"""

from __future__ import annotations

import shutil
import sys
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pymysql
from pymysql.constants import CLIENT

from examples.legacyshop.server import mariadb
from examples.story import ROOT, DemoFailed, Terminal, fresh_postgres, say, verbose

HERE = Path(__file__).resolve().parent
PLACE = ROOT / ".shop"
SPEC = str((PLACE / "shop.yaml").relative_to(ROOT))
DECISIONS = 20  # of the draft's lines with a comment that are shown
EDITS = """
UPDATE staff SET overtime = '838:59:59', admin = -1 WHERE staff_id = 3;
UPDATE `order` SET placed_at = '2024-02-29 23:59:59.999999' WHERE order_id = 1007;
DELETE FROM order_line WHERE order_id = 2;
INSERT INTO product (product_id, sku, title, kind, serial) VALUES (77, 'N-1', 'Neu 😀', 'game', 9223372036854775808);
"""


def main() -> int:
    started = time.monotonic()
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir()
    try:
        with mariadb() as source:
            say("A legacy shop in MariaDB")
            fill(source)
            print("8 tables, as examples/legacyshop/schema.sql and data.sql make them")
            migrate(source, fresh_postgres(PLACE / "postgres", "shop"))
    except (DemoFailed, FileNotFoundError, ModuleNotFoundError) as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    say(f"Done in {time.monotonic() - started:.0f} s")
    print(f"The draft is in {SPEC}, the history in {SPEC.replace('shop.yaml', '.syncline')}.")
    return 0


def migrate(source: str, target: str) -> None:
    """The story itself: draft, check, load, prove, edit, load one tree, load the difference, prove again."""
    syncline = Terminal(PLACE / "prefect").syncline

    say("Draft a spec from what is there; the comments say why")
    syncline("scaffold", source, target, "-o", SPEC)
    draft = (ROOT / SPEC).read_text(encoding="utf-8").splitlines()
    lines = draft if verbose() else [line for line in draft if "#" in line][:DECISIONS]
    some = "" if verbose() else f"   # {len(lines)} of its {len(draft)} lines: comments say why"
    print("\n".join([f"$ cat {SPEC}{some}", *lines]), flush=True)

    say("What of the rows does not fit? What would be done? Do it.")
    syncline("check", SPEC)
    syncline("plan", SPEC, status=2)
    syncline("run", SPEC)

    say("A second plan is empty, and both sides are proved equal")
    syncline("plan", SPEC)
    syncline("verify", SPEC)

    say("The old shop lives on")
    print(EDITS.strip())
    execute(source, EDITS)

    say("One order cannot wait: its tree, which is the order and its lines, and nothing else")
    syncline("run", SPEC, "--tree", "order:2")
    syncline("verify", SPEC, "--tree", "order:2")

    say("Then all the rest")
    syncline("plan", SPEC, status=2)
    syncline("run", SPEC)
    syncline("verify", SPEC)


def fill(url: str) -> None:
    """Make the shop's tables and rows in the database of `url`."""
    execute(url, (HERE / "schema.sql").read_text(encoding="utf-8"))
    execute(url, (HERE / "data.sql").read_text(encoding="utf-8"))


def execute(url: str, statements: str) -> None:
    """Run several statements, as the shop's own application would; each is committed."""
    there = urlsplit(url)
    place = {"host": there.hostname, "port": there.port, "user": there.username, "database": there.path[1:]}
    many = {"client_flag": CLIENT.MULTI_STATEMENTS, "charset": "utf8mb4", "autocommit": True}
    with closing(pymysql.connect(**place, **many)) as connection, connection.cursor() as cursor:
        cursor.execute(statements)
        while cursor.nextset():
            pass


if __name__ == "__main__":
    sys.exit(main())
