"""A shop is in use while it is followed, and whoever follows is killed again and again: `make live`.

Clients write on the old database, an embedded PostgreSQL, all the time; `syncline sync` follows its log and brings what changes to the new
schema. It is killed in the middle of what it does, and started again. When the clients have gone home, both sides are compared by SQL of
the demo's own, and `syncline verify` proves them equal. Everything is left in `.live/`.

LIVE_SECONDS (20), LIVE_CLIENTS (8), LIVE_RATE (200 transactions a second) and LIVE_KILLS (5) say how much, LIVE_PLACE where else.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import psycopg

from examples.live.clients import fill
from examples.story import ROOT, DemoFailed, Terminal, fresh_postgres, say

HERE = Path(__file__).resolve().parent
PLACE = Path(os.environ.get("LIVE_PLACE", ROOT / ".live"))
SPEC = str((HERE / "spec.yaml").relative_to(ROOT))
SECONDS, RATE = (float(os.environ.get(f"LIVE_{name}", usual)) for name, usual in (("SECONDS", "20"), ("RATE", "200")))
CLIENTS, KILLS = (int(os.environ.get(f"LIVE_{name}", usual)) for name, usual in (("CLIENTS", "8"), ("KILLS", "5")))
COMPARED = {
    "customer": ("SELECT id, name, ort FROM kunde", "SELECT legacy_id, name, city FROM customer"),
    "orders": (
        "SELECT id, kunde, betrag_cent, CASE stand WHEN 'N' THEN 'new' WHEN 'B' THEN 'paid' ELSE 'shipped' END FROM auftrag",
        "SELECT o.id, c.legacy_id, (o.amount * 100)::int, o.state FROM orders o JOIN customer c ON c.id = o.customer_id",
    ),
    "order_line": ("SELECT * FROM zeile", "SELECT * FROM order_line"),
}  # fmt: skip


def main() -> int:
    started = time.monotonic()
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir()
    try:
        told()
    except (DemoFailed, ModuleNotFoundError) as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    say(f"Done in {time.monotonic() - started:.0f} s")
    return 0


def told() -> None:
    source = fresh_postgres(PLACE / "old", "shop", HERE / "source.sql", logical=True)
    target = fresh_postgres(PLACE / "new", "shop", HERE / "target.sql")
    fill(source, 2_000)
    places = {"LIVE_SOURCE": source, "LIVE_TARGET": target, "LIVE_STATE": str(PLACE)}
    syncline = Terminal(PLACE / "prefect", places).syncline
    say(
        f"{CLIENTS} clients write {RATE:.0f} transactions a second for {SECONDS:.0f} s; sync follows, and is killed {KILLS} times"
    )
    writing = [sys.executable, "-m", "examples.live.clients", source, str(SECONDS), str(CLIENTS), str(RATE)]
    clients = subprocess.Popen(writing, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    lags = followed(places, clients)
    done, _ = clients.communicate()
    if clients.returncode:
        raise DemoFailed("A client has failed.")
    print(f"The clients: {done}", end="")
    syncline("sync", SPEC, "--once")
    hold_equal(source, target)
    if lags:
        print(f"Lag of {len(lags)} batches: median {statistics.median(lags):.1f} s, at most {max(lags):.1f} s.")
    syncline("verify", SPEC)
    syncline("history", SPEC)


def followed(places: dict[str, str], clients: subprocess.Popen[str]) -> list[float]:
    """Follow while clients write, killed at moments that nobody foresees. Out: the lag of each batch in seconds."""
    chance, lags, killed = random.Random(7), list[float](), 0
    log = PLACE / "sync.jsonl"
    began = time.monotonic()
    moments = [SECONDS * (number + 0.5 + 0.4 * chance.random()) / (KILLS + 0.5) for number in range(KILLS)]
    while clients.poll() is None:
        with log.open("a") as lines:
            following = start(places, lines)
            while clients.poll() is None and following.poll() is None:
                time.sleep(0.02)
                if killed < KILLS and time.monotonic() - began > moments[killed]:
                    following.send_signal(signal.SIGKILL)
                    killed += 1
                    print(f"{time.monotonic() - began:5.1f} s  killed, and started again", flush=True)
            if following.poll() is None:
                following.send_signal(signal.SIGTERM)
            status = following.wait()
        if status not in (-signal.SIGKILL, 128 + signal.SIGTERM):
            raise DemoFailed(f"sync left with exit status {status}.")
    if killed < KILLS:
        raise DemoFailed(f"sync was to be killed {KILLS} times, and was {killed} times.")
    for line in log.read_text().splitlines():
        if line.startswith('{"at"') and line.endswith("}"):
            lags.append(json.loads(line)["lag"])
    return lags


def start(places: dict[str, str], output: IO[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "flows.cli.main", "sync", SPEC, "--json"]
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, **places}, stdout=output, text=True)


def hold_equal(source: str, target: str) -> None:
    """Both sides by SQL of the demo's own."""
    with psycopg.connect(source) as old, psycopg.connect(target) as new:
        for table, (mine, theirs) in COMPARED.items():
            here, there = set(old.execute(mine.encode()).fetchall()), set(new.execute(theirs.encode()).fetchall())
            if here != there:
                raise DemoFailed(
                    f"{table} is not the same on both sides: {len(here ^ there):,} rows, such as {sorted(here ^ there)[:3]}"
                )
            print(f"{table}: {len(here):,} rows, the same on both sides", flush=True)


if __name__ == "__main__":
    sys.exit(main())
