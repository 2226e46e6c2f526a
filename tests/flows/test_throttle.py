"""Not faster than the spec says: what a run reads of its source and writes to its target."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from scenario import PAIRS, Scenario
from specs import SMALL, load, problems

from flows.session.pace import SPARE_SECONDS, Pace

RATE = 8_000


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    made = Scenario.make(tmp_path, PAIRS[0], request)
    for name in ("customer", "item"):
        made.source.execute(f"CREATE TABLE {name} (id bigint PRIMARY KEY, name text)")
        made.target.execute(f"CREATE TABLE {name} (id bigint PRIMARY KEY, name text)")
        made.source.execute(
            f"INSERT INTO {name} WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500) "
            "SELECT i, 'n' || i FROM n"
        )
    return made


def test_reading_and_writing_take_as_long_as_their_rows_whatever_the_workers(shop: Scenario) -> None:
    tables = {name: {"from": name, "key": ["id"]} for name in ("customer", "item")}
    shop.write(tables, throttle={"rows_per_second": RATE}, defaults={"runner": {"threads": {"workers": 4}}})
    began = time.monotonic()
    outcome = shop.run()
    assert time.monotonic() - began >= 6_000 / RATE - SPARE_SECONDS  # 3,000 rows read, and 3,000 written
    assert outcome.report.total.insert == 3_000
    assert all(told.windows == 1 for told in outcome.report.tables)
    assert shop.target.count("item") == 1_500


def test_windows_are_no_larger_than_what_comes_in_a_second(tmp_path: Path) -> None:
    spec = load(tmp_path, SMALL + "throttle: {rows_per_second: '${ROWS}'}\n", ROWS="5000")
    assert spec.window_rows("t") == 5_000
    assert load(tmp_path, SMALL + "throttle: 10\n").window_rows("t") == 1_000
    assert load(tmp_path, SMALL + "throttle: 500000\n").window_rows("t") == 100_000


def test_one_bucket_serves_all_threads_and_whoever_takes_more_waits_longer() -> None:
    pace, began = Pace(1_000), time.monotonic()
    threads = [threading.Thread(target=lambda: [pace.take(10) for _ in range(10)]) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert time.monotonic() - began >= 400 / 1_000 - SPARE_SECONDS


def test_what_nobody_took_is_not_saved_up_for_a_burst() -> None:
    now = [0.0]
    pace = Pace(100, lambda: now[0], lambda seconds: now.__setitem__(0, now[0] + seconds))
    now[0] = 1_000.0
    pace.take(500)
    assert now[0] == pytest.approx(1_000 + 5 - SPARE_SECONDS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("throttle: 0", "spec.yaml:7: throttle.rows_per_second must be greater than or equal to 1."),
        ("throttle: fast", "spec.yaml:7: throttle.rows_per_second must be a whole number."),
        ("throttle: {rows: 5}", "spec.yaml:7: throttle.rows is not a known key. Known: rows_per_second."),
        ("throttle: [5]", "spec.yaml:7: throttle must be a mapping."),
    ],
)  # fmt: skip
def test_what_is_no_rate_is_said_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    assert message in problems(tmp_path, f"{SMALL}{text}\n")
