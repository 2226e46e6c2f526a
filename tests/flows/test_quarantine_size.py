"""A quarantine larger than memory: rows that are set aside are written down in windows of bounded size."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from scenario import PAIRS, Scenario, quarantine

from flows.commands import Status
from flows.plan import spilled

ROWS = 500_000
PLAN = """
import json, re, sys, threading
from pathlib import Path
from datetime import UTC, datetime
from flows import commands
from flows.plan.request import Request, new_run_id
from flows.spec.model import load_spec

# its own memory alone: files that are mapped count as memory, too, and here they may lie in a file system in memory
status, peak, done = Path("/proc/self/status"), 0, threading.Event()

def watch():
    global peak
    while not done.wait(0.02):
        peak = max(peak, int(re.search(r"RssAnon:\\s+(\\d+)", status.read_text())[1]) // 1024)

threading.Thread(target=watch, daemon=True).start()
at = datetime.now(UTC)
counts = commands.plan(Request(load_spec(Path(sys.argv[1])), new_run_id(at), at)).report.total
done.set()
print(json.dumps([counts.quarantined, peak]))
"""


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Keys that no index orders are spilled, and no amount is a number."""
    made = Scenario.make(tmp_path, PAIRS[0], request)
    made.source.execute("CREATE TABLE sales (id INTEGER PRIMARY KEY, note TEXT, amount TEXT)")
    columns = {"code": {"expr": "'k' || id"}, "note": "note", "amount": {"from": "amount", "cast": "integer"}}
    made.write({"sale": {"from": "sales", "key": ["code"], "columns": columns}})
    return made


def fill(shop: Scenario, rows: int) -> None:
    shop.source.execute(
        f"""INSERT INTO sales WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
        SELECT i, printf('%0300d', i), 'none' FROM n"""
    )


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is told by /proc alone")
def test_memory_does_not_grow_with_the_rows_that_are_set_aside(shop: Scenario) -> None:
    fill(shop, ROWS)
    done = subprocess.run(
        [sys.executable, "-c", PLAN, str(shop.path)], capture_output=True, text=True, check=False, cwd=Path.cwd()
    )
    assert done.returncode == 0, done.stderr
    quarantined, peak = json.loads(done.stdout)
    assert quarantined == ROWS
    assert 50 < peak < 600, f"{peak} MiB"


def test_rows_set_aside_in_several_windows_are_all_there_and_take_their_children_along(
    shop: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spilled, "REJECTED_BYTES", 1)
    monkeypatch.setattr("adapters.sqlite.snapshot.BATCH_ROWS", 64)
    fill(shop, 200)
    shop.source.execute(
        "UPDATE sales SET amount = '7' WHERE id % 50 = 0",
        "CREATE TABLE parts (id INTEGER PRIMARY KEY, sale TEXT)",
        "INSERT INTO parts SELECT id, 'k' || id FROM sales",
    )
    tables = dict(shop.spec.document["tables"])
    looked = {"lookup": {"table": "sale", "match": {"code": "sale"}, "take": "code"}, "missing": "null"}
    tables["part"] = {"from": "parts", "key": ["id"], "columns": {"id": "id", "code": looked}}
    shop.write(tables)
    done = shop.run()
    assert done.status == Status.DONE
    sale, part = done.report.tables
    assert (sale.counts.insert, sale.counts.quarantined, sale.windows > 3) == (4, 196, True)
    assert (part.counts.insert, part.counts.quarantined) == (4, 196)
    assert len(quarantine(shop)) == 392
    shop.settled()
