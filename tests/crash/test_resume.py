"""Backfills that were cut off: what follows reads what is left, and nothing again.

RESUME_STEPS=1000 has the killed one a thousand steps long.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from crashing import killed_in_step
from scenario import Engine, Scenario, pair_name

from flows.commands import Status
from flows.history.version_list import listed

STEPS = int(os.environ.get("RESUME_STEPS", "20"))
PER_STEP = 10
DIES = STEPS * 7 // 10
RANGE = f"item.no:0..{STEPS * PER_STEP}"
PAIRS: tuple[tuple[Engine, Engine], ...] = (("postgresql", "sqlite"), ("postgresql", "postgresql"))

everywhere = pytest.mark.parametrize("shop", PAIRS, indirect=True, ids=pair_name)


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """As many rows a step as windows have; the source reads by its index alone, so that it counts what is asked for."""
    here = tmp_path / "here"
    here.mkdir()
    made = Scenario.make(here, request.param, request)
    made.source.execute(
        "CREATE TABLE goods (no integer PRIMARY KEY, title varchar(40)) WITH (autovacuum_enabled = off)"
    )  # statistics of it would have the planner look at the index's ends, which counts
    made.source.insert("goods", [(i, f"title {i}") for i in range(STEPS * PER_STEP)])
    made.target.execute("CREATE TABLE item (no integer PRIMARY KEY, title varchar(40))")
    made.write({"item": {"from": "goods"}}, defaults={"window": PER_STEP})
    name = psycopg.conninfo.conninfo_to_dict(made.source.place)["dbname"]
    made.source.execute(f"ALTER DATABASE {name} SET enable_seqscan = off")
    return made


def rows_read(scenario: Scenario) -> int:
    """How many rows of the source were read so far, as it counts itself."""
    ((read, everything),) = scenario.source.ask(
        "SELECT idx_tup_fetch, seq_tup_read FROM pg_stat_user_tables WHERE relname = 'goods'"
    )
    assert not everything
    return int(read)


@everywhere
def test_a_backfill_that_was_killed_goes_on_in_the_step_that_died(shop: Scenario) -> None:
    """By another process and, where no side is a file, under another path of spec, ledger and store."""
    assert killed_in_step(shop, RANGE, str(PER_STEP), DIES), "it never came there"
    if shop.target.engine == "postgresql":
        there = shop.folder.with_name("there")
        shop.folder.rename(there)
        shop = replace(shop, folder=there)
    assert shop.target.count("item") == (DIES - 1) * PER_STEP
    before = rows_read(shop)
    done = shop.backfill(RANGE, str(PER_STEP))
    assert done.status == Status.DONE
    assert f"{DIES - 1} of {STEPS} steps were done before." in done.message
    left = (STEPS - DIES + 1) * PER_STEP
    assert rows_read(shop) - before == 2 * left, "each key to cut windows, each row to map it, and no other"
    assert len(listed(shop.spec)) == STEPS, "a version for each step, as undisturbed"
    before = rows_read(shop)
    assert f"{STEPS} of {STEPS} steps were done before." in shop.backfill(RANGE, str(PER_STEP)).message
    assert rows_read(shop) == before
    assert sorted(shop.target.rows("item")) == sorted(shop.source.rows("goods"))
