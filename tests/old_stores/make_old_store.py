"""Make a packed store: what this version of Syncline leaves behind, and what it answers about it.

    python tests/old_stores/make_old_store.py tests/old_stores/NAME.tar.xz

Run it before a format of the ledger or the store changes, with the code as it then is, and add the archive to those that
are there; never make one of them again. `answers.json` inside says under `made` which commit made it. The command line
does everything, so that this script outlives what it is made with.

| archive | made by | ledger | plans |
|---|---|---|---|
| `ledger-2-plans-1.tar.xz` | 29c10f2 | format 2 | format 1 |
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from old_store import ANSWERS, HERE, move, target_rows  # noqa: E402

SPEC = """\
version: 1
name: shop
source: {url: "sqlite:///legacy.db", time_zone: Europe/Vienna}
target: {url: "sqlite:///core.db"}
state: {url: "sqlite:///.syncline/ledger.db"}
defaults:
  window: 10
  delete: {policy: hard, max_ratio: 1.0}
  quarantine: {max_ratio: 1.0}
  checkpoint: {max_rows: 0}     # Great Expectations takes longer than all the rest
  runner: {threads: {workers: 1}}
tables:
  customer:                     # was there before, with rows, and has a column of its own
    from: people
    key: [number]
    columns:
      customer_id: {generate: identity}
      number: no
      name: name
      born: {from: born, cast: date}
      kind: {from: kind, map: {P: person, C: company}}
      since: {from: since, cast: timestamptz}
      extra: {from: extra, cast: json}
  purchase:                     # its child, which refuses some rows
    from: orders
    key: [number]
    columns:
      number: no
      customer_id: {lookup: {table: customer, match: {number: person}, take: customer_id}, missing: quarantine}
      price: {expr: "(cents * 0.01)::decimal(12,2)"}
      pieces: pieces
      ordered: {from: ordered, cast: date}
    expect:
      - {type: expect_column_values_to_be_between, column: pieces, min_value: 1, max_value: 100, severity: warning}
  article:                      # flagged, not deleted
    from: goods
    key: [code]
    delete: {policy: soft, column: gone}
    columns:
      code: code
      title: title
      price: {from: price, cast: "numeric(20,6)"}
  rate:                         # made by the first run, with two columns as its key
    from: rates
    key: [currency, day]
    history: keys
    columns:
      currency: currency
      day: {from: day, cast: date}
      rate: {from: rate, cast: "numeric(12,4)"}
    create: {primary_key: [currency, day]}
  visit:
    from: visits
    key: [number]
    history: "off"
    columns: {number: no, page: page}
  event:                        # filled step by step
    from: events
    key: [number]
    columns:
      number: no
      day: {from: day, cast: date}
      what: what
"""
SOURCE = """
CREATE TABLE people (no integer PRIMARY KEY, name text, born text, kind text, since text, extra text);
CREATE TABLE orders (no integer PRIMARY KEY, person integer, cents integer, pieces integer, ordered text);
CREATE TABLE goods (code text PRIMARY KEY, title text, price text);
CREATE TABLE rates (currency text, day text, rate text, PRIMARY KEY (currency, day));
CREATE TABLE visits (no integer PRIMARY KEY, page text);
CREATE TABLE events (no integer PRIMARY KEY, day text, what text);
INSERT INTO goods VALUES ('a1', 'Äpfel', '1.250000'), ('b2', 'Brot', '3.5'), ('c3', 'Čaj', '0.000001'), ('d4', 'Dose', 'two');
INSERT INTO rates VALUES ('EUR', '2024-01-01', '1'), ('USD', '2024-01-01', '1.1050'), ('USD', '2024-01-02', '1.1'),
    ('CZK', '2024-01-01', '24.72515');
INSERT INTO visits VALUES (1, '/'), (2, '/cart'), (3, NULL);
"""
TARGET = """
CREATE TABLE customer (customer_id integer PRIMARY KEY, number integer NOT NULL UNIQUE, name varchar(40), born date,
    kind varchar(10), since timestamptz, extra json_text, remark varchar(20));
CREATE TABLE purchase (number integer PRIMARY KEY, customer_id integer REFERENCES customer (customer_id), price decimal(12,2),
    pieces integer, ordered date, checked_by varchar(20) DEFAULT 'nobody', CONSTRAINT dear CHECK (price < 10000));
CREATE TABLE article (code text PRIMARY KEY, title text, price decimal_text(20,6), gone boolean);
INSERT INTO customer VALUES (1, 1, 'Person 1', '1951-01-01', 'person', '2020-01-01T11:00:00+00:00', '{"n":1}', 'pays late'),
    (2, 2, 'another name', NULL, NULL, NULL, NULL, 'moved'), (3, 900, 'old', NULL, NULL, NULL, NULL, 'since 1999');
INSERT INTO purchase VALUES (1, 1, '0.07', 1, '2024-01-02', 'me'), (900, 3, '9.00', 1, NULL, 'me');
"""
KEYS = {  # rows whose whole life is asked for
    "customer": ("7", "12", "13"),
    "purchase": ("6", "900"),
    "rate": ('["USD","2024-01-02"]',),
    "event": ("8",),
}
RANGE = "event.day:2024-01-01..2024-01-22"


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, timeout=30)) as database, database:
        database.execute("PRAGMA foreign_keys = ON")
        for statement in statements:
            database.execute(statement)


def person(number: int) -> tuple[Any, ...]:
    since = f"2020-0{1 + number % 9}-01 12:00:00"
    return number, f"Person {number}", f"19{51 + number % 40}-01-01", "PC"[number % 3 == 0], since, f'{{"n":{number}}}'


def order(number: int, people: int) -> tuple[Any, ...]:
    return number, 1 + number % people, 7 * number, 1 + number % 9, f"2024-01-0{1 + number % 9}"


def insert(path: Path, table: str, rows: Sequence[Sequence[Any]]) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)


class Shop:
    """A migration in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source, self.target, self.spec = folder / "legacy.db", folder / "core.db", folder / "shop.yaml"
        home = {"LOGNAME": "keeper", "PREFECT_HOME": str(folder.parent / "prefect"), "DO_NOT_TRACK": "1"}
        self.environ = {**os.environ, "PYTHONPATH": str(ROOT), **home}

    def words(self, command: str, *rest: str) -> list[str]:
        """`HERE` stands for the folder; what is no path of its own gets the spec."""
        direct = ["--direct"] if command in ("run", "apply", "backfill", "undo") or rest[:1] == ("retry",) else []
        first = [] if command == "apply" else [f"{HERE}/shop.yaml"]
        return [command, *first, *rest, *direct, "--json"]

    def started(self, words: Sequence[str], **options: Any) -> subprocess.Popen[str]:
        program = Path(sys.executable).parent / "syncline"
        arguments = [word.replace(HERE, str(self.folder)) for word in words]
        return subprocess.Popen([program, *arguments], env=self.environ, text=True, **options)

    def asked(self, words: Sequence[str]) -> tuple[int, Any]:
        """The exit status of a command, and its answer."""
        with self.started(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            said, errors = process.communicate()
        assert said.strip(), (words, errors)
        return process.returncode, json.loads(said.replace(str(self.folder), HERE))

    def do(self, command: str, *rest: str, status: int = 0) -> Any:
        done, answer = self.asked(self.words(command, *rest))
        assert done == status, (command, rest, done, answer)
        total = (
            {name: n for name, n in answer.get("total", {}).items() if n}
            if isinstance(answer.get("total"), dict)
            else ""
        )
        print(command, *rest, "->", answer.get("version"), total, flush=True)
        return answer


def live(shop: Shop) -> dict[str, str]:
    """A life of everything that leaves something behind; the folders of the plans that wait to be applied."""
    source, target = shop.source, shop.target
    for path, script in ((source, SOURCE), (target, TARGET)):
        with closing(sqlite3.connect(path)) as database, database:
            database.executescript(script)
    shop.spec.write_text(SPEC, encoding="utf-8")
    insert(source, "people", [person(n) for n in range(1, 21)])
    insert(source, "orders", [order(n, 20) for n in range(1, 25)])
    execute(
        source,
        "UPDATE people SET born = '1899-02-30' WHERE no = 4",
        "UPDATE people SET kind = 'X' WHERE no = 5",
        "UPDATE people SET extra = '{broken' WHERE no = 6",
        "UPDATE people SET name = 'Škoda & Co' WHERE no = 7",
        'UPDATE people SET extra = \'{"text": "ünï", "list": [1, 2.50, null]}\' WHERE no = 8',
        "UPDATE people SET kind = 'X', name = NULL WHERE no = 9",
        "UPDATE people SET extra = '{\"half\":' WHERE no = 10",
        "UPDATE orders SET person = 999 WHERE no = 20",
        "UPDATE orders SET person = 998 WHERE no = 24",
        "UPDATE orders SET pieces = 0 WHERE no = 21",
        "UPDATE orders SET cents = 5000000 WHERE no = 22",
        "UPDATE orders SET ordered = 'soon', pieces = 101 WHERE no = 23",
    )
    shop.do("run")  # 1: makes three tables
    execute(
        source,
        "UPDATE people SET name = 'Ada King' WHERE no = 1",
        "UPDATE people SET kind = 'P' WHERE no = 5",  # leaves quarantine, and its orders with it
        "DELETE FROM orders WHERE no = 10",
        "INSERT INTO people VALUES (21, NULL, NULL, NULL, NULL, NULL)",
        "UPDATE goods SET price = '4' WHERE code = 'b2'",
        "DELETE FROM goods WHERE code = 'c3'",
    )
    shop.do("run")  # 2
    shop.do("prune", "--keep", "0s")
    execute(source, "UPDATE rates SET rate = '1.2' WHERE day = '2024-01-02'", "DELETE FROM visits WHERE no = 3")
    shop.do("run", "--table", "rate", "--table", "visit")  # 3: of one the keys are kept, of the other nothing
    insert(source, "events", [(n, f"2024-01-{1 + n // 2:02}", f"event {n}") for n in range(60)])
    shop.do("backfill", "--range", RANGE, "--every", "1w")  # 4 to 6

    execute(
        source,
        "DELETE FROM orders WHERE person IN (11, 12)",
        "DELETE FROM people WHERE no IN (11, 12)",
        "UPDATE people SET name = 'renamed ' || no WHERE no BETWEEN 13 AND 17",
        "UPDATE orders SET cents = cents + 1 WHERE no < 9",
        "INSERT INTO goods VALUES ('e5', 'Essig', '2.345678')",
    )
    execute(target, "UPDATE customer SET remark = 'good one' WHERE number = 12")
    shop.do("plan", "-o", f"{HERE}/planned", status=2)
    execute(target, "UPDATE customer SET name = 'by hand' WHERE number = 13", "DELETE FROM purchase WHERE number = 6")
    shop.do("apply", f"{HERE}/planned", status=5)  # 7: two conflicts, and a plan outside the store
    shop.do("run")  # 8: settles them
    execute(
        source,
        "UPDATE people SET name = 'once more ' || no, born = NULL WHERE no IN (7, 14)",
        "DELETE FROM orders WHERE no IN (2, 3)",
        "INSERT INTO people VALUES (30, 'Thirty', '2000-02-29', 'C', '2024-07-01 00:30:00', '[]')",
        "INSERT INTO orders VALUES (30, 30, 3000, 3, NULL)",
        "DELETE FROM goods WHERE code = 'a1'",
    )
    shop.do("run")  # 9
    shop.do("undo", "9")  # 10
    shop.do("undo", "10")  # 11
    execute(source, "UPDATE people SET extra = '{}' WHERE no = 6", "UPDATE orders SET person = 1 WHERE no = 20")
    shop.do("quarantine", "retry", "--table", "customer", "--table", "purchase")  # 12

    execute(source, "UPDATE goods SET title = 'Weißbrot' WHERE code = 'b2'")
    waiting = shop.do("plan", "--table", "article", status=2)["plan"]
    execute(target, "UPDATE article SET title = 'Brot!' WHERE code = 'b2'")
    shop.do("apply", waiting, status=5)  # a conflict that stays open
    execute(
        source,
        "UPDATE events SET what = 'moved' WHERE no IN (3, 4)",
        "DELETE FROM events WHERE no = 8",
        "INSERT INTO events VALUES (100, '2024-03-01', 'new'), (101, '2024-02-30', 'never')",
    )
    plans = {"plan": shop.do("plan", "--table", "event", status=2)["plan"]}
    plans["undo"] = shop.do("undo", "5", "--dry-run", status=2)["plan"]
    insert(source, "people", [person(n) for n in range(2001, 2101)])
    insert(source, "orders", [order(n, 20) for n in range(2001, 2101)])
    execute(
        source,
        "UPDATE orders SET person = no WHERE no > 2050",
        "UPDATE orders SET cents = cents + 1 WHERE no < 20",
        "UPDATE people SET name = 'newest ' || no WHERE no BETWEEN 15 AND 19",
        "DELETE FROM orders WHERE person = 16",
        "DELETE FROM people WHERE no = 16",
        "UPDATE people SET born = 'never' WHERE no = 2077",
        "UPDATE orders SET cents = 1000000 WHERE no = 2005",
    )
    killed(shop, ["run", f"{HERE}/shop.yaml", "--table", "customer", "--table", "purchase", "--direct", "--json"])
    return plans


def killed(shop: Shop, words: Sequence[str], windows: int = 13) -> None:
    """Start a command and kill it between two windows, after about so many of them are in."""

    def inside() -> int:
        return int(database.execute("SELECT count(*) FROM syncline_marker").fetchone()[0])

    with closing(sqlite3.connect(shop.target, timeout=30, isolation_level=None)) as database:
        before = inside()
        with shop.started(words, stdout=subprocess.DEVNULL) as process:
            while inside() < before + windows:
                assert process.poll() is None, "it has ended before it could be killed"
                time.sleep(0.0005)
            database.execute("BEGIN IMMEDIATE")  # now it waits
            process.kill()
            process.wait()
            database.execute("ROLLBACK")
        print("killed after", inside() - before, "windows", flush=True)


def reading(shop: Shop) -> list[dict[str, Any]]:
    """All that can be asked without writing, and its answers. Of tables as they stood, those in which something is new."""
    newest = max(version["version"] for version in shop.do("history")["versions"])
    commands = [("history",), ("drift",)]
    commands += [("quarantine", what, "--limit", "1000") for what in ("list", "show")]
    commands += [("conflicts", *words) for words in (("list",), ("list", "--all"))]
    commands += [("log", table, "--key", key) for table, keys in KEYS.items() for key in keys]
    commands += [("show", str(version), "--limit", "1000") for version in range(1, newest + 1)]
    for first, second in ((2, newest), (newest, 2), (6, 9), (9, 10), (8, 11)):
        commands.append(("diff", str(first), str(second), "--table", "customer", "--limit", "1000"))
    commands += [("diff", "3", str(newest), "--table", table, "--limit", "1000") for table in ("purchase", "event")]
    found = [answered(shop, shop.words(*command)) for command in commands]
    for table in ("customer", "purchase", "article", "rate", "visit", "event"):
        rows = None
        for version in range(newest + 1):
            line = answered(shop, shop.words("asof", str(version), table, "--limit", "1000"))
            if line["answer"].get("rows") != rows or version == newest:
                rows = line["answer"].get("rows")
                found.append(line)
    return found


def answered(shop: Shop, words: list[str]) -> dict[str, Any]:
    status, answer = shop.asked(words)
    if status == 1:  # an error may find better words
        answer = {}
    return {"command": words, "status": status, "answer": answer}


def copied(shop: Shop, name: str) -> Shop:
    """The same shop in another folder."""
    folder = shop.folder.parent / name
    shutil.copytree(shop.folder, folder)
    move(folder, str(shop.folder))
    return Shop(folder)


def lasting(answer: Any) -> Any:
    """What of a command that writes does not depend on when it is given."""
    if isinstance(answer.get("versions"), list):
        names = ("version", "kind", "undoes", "counts", "kept")
        return {"versions": [{name: each[name] for name in names} for each in answer["versions"]]}
    return {name: answer[name] for name in ("version", "tables", "total", "versions", "bases") if name in answer}


def going_on(shop: Shop, plans: dict[str, str]) -> dict[str, Any]:
    """What may come next, each story in a copy of its own: commands and statements on the source, answers, and the target then."""
    mended = [
        "UPDATE people SET born = '1899-02-28' WHERE no = 4",
        "UPDATE orders SET cents = 500 WHERE no IN (22, 2005)",
    ]
    stories: dict[str, list[Any]] = {
        "a plan that waited": [("apply", plans["plan"])],
        "undos": [("apply", plans["undo"]), ("undo", "11"), ("undo", "15")],
        "the next run": [("run",), ("verify",), ("backfill", "--range", RANGE, "--every", "1w"), ("history",)],
        "back to old versions": [("undo", "--to", "2"), ("undo", "--to", "8"), ("undo", "--to", "3"), ("history",)],
        "quarantine and prune": [
            mended,
            ("quarantine", "retry"),
            ("quarantine", "list"),
            ("prune", "--keep", "0s"),
            ("asof", "14", "customer", "--limit", "1000"),
        ],
    }
    told: dict[str, Any] = {}
    for number, (name, steps) in enumerate(stories.items()):
        own = copied(shop, f"copy{number}")
        told[name] = [step_of(own, step) for step in steps]
        print(
            name,
            [(step.get("status"), step["answer"].get("total")) for step in told[name] if "answer" in step],
            flush=True,
        )
    return told


def step_of(shop: Shop, step: Any) -> dict[str, Any]:
    if isinstance(step, list):
        execute(shop.source, *step)
        return {"source": step}
    line = answered(shop, shop.words(*step))
    if step[:2] == ("quarantine", "list"):
        for row in line["answer"]["rows"]:
            for when in ("run_id", "file", "first_seen", "last_seen"):
                row.pop(when)
    elif step[0] != "asof":
        line["answer"] = lasting(line["answer"])
    return {**line, "target": target_rows(shop.folder)}


def made_by() -> dict[str, str]:
    asked = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    return {"commit": subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()}


def pack(folder: Path, archive: Path) -> None:
    """As it lies there, but for whose it is, and for what SQLite makes anew."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if entry.name.endswith("-shm"):
            return None
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        return entry

    with tarfile.open(archive, "w:xz", preset=9) as packed:
        for path in sorted(folder.iterdir()):
            packed.add(path, path.name, filter=plain)


def main() -> None:
    archive = Path(sys.argv[1]).absolute()
    with tempfile.TemporaryDirectory(prefix="syncline-old-store-") as parent:
        folder = Path(parent) / "shop"
        folder.mkdir()
        shop = Shop(folder)
        plans = live(shop)
        asked = copied(shop, "asked")  # so that nothing is read where it is packed
        answers = {
            "made": {**made_by(), "folder": str(folder)},
            "reading": reading(asked),
            "target": target_rows(asked.folder),
            "going on": going_on(shop, plans),
        }
        # the process that was killed was of another machine, as far as anyone who unpacks this knows
        execute(folder / ".syncline" / "ledger.db", "UPDATE leases SET host = 'elsewhere/1'")
        text = json.dumps(answers, ensure_ascii=False, indent=1).replace(str(folder), HERE)
        text = text.replace(f'"folder": "{HERE}"', f'"folder": "{folder}"')
        (folder / ANSWERS).write_text(text, encoding="utf-8")
        pack(folder, archive)
    print(archive, archive.stat().st_size, "bytes,", len(text), "of answers")


if __name__ == "__main__":
    main()
