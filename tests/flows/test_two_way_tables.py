"""Tables that go both ways without more: keys of any order, and a side without rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario import RING, Engine, Scenario, pair_name

from flows.commands import Status
from flows.session.stores import store_of


@pytest.mark.parametrize("pair", RING, ids=pair_name)
def test_keys_without_an_order_on_both_sides_go_both_ways_too(
    request: pytest.FixtureRequest, tmp_path: Path, pair: tuple[Engine, Engine]
) -> None:
    made = Scenario.make(tmp_path, pair, request)
    for side in (made.source, made.target):
        side.execute(
            "CREATE TABLE t (a varchar(20) NOT NULL, b integer NOT NULL, v varchar(20), n integer, PRIMARY KEY (a, b))"
        )
    made.source.insert("t", [(f"k{i}", i, "v", 10) for i in range(9)])
    made.write(
        {"t": {"from": "t", "conflict": {"columns": {"n": "sum"}}}},
        direction="two_way",
        initial="policy",
        defaults={"window": 3, "delete": {"max_ratio": 1.0}},
    )
    assert made.run().status is Status.DONE
    made.source.execute(
        "UPDATE t SET n = n + 1 WHERE b < 3",
        "DELETE FROM t WHERE b = 8",
        "INSERT INTO t VALUES ('z', 1, 'new', NULL)",
    )
    made.target.execute(
        "UPDATE t SET n = n + 2 WHERE b < 2", "UPDATE t SET v = 'w' WHERE b = 2", "DELETE FROM t WHERE b = 7"
    )
    assert made.run().status is Status.DONE
    assert made.source.rows("t") == made.target.rows("t")
    assert made.source.rows("t")[:3] == [("k0", 0, "v", 13), ("k1", 1, "v", 13), ("k2", 2, "w", 11)]
    assert made.source.count("t") == 8
    assert not made.run().report.pending


@pytest.mark.parametrize(
    ("filled", "pair"),
    [*(("source", pair) for pair in RING[::2]), *(("target", pair) for pair in RING[1::2])],
    ids=lambda each: each if isinstance(each, str) else pair_name(each),
)
def test_where_one_side_has_no_rows_there_is_nothing_to_choose(
    request: pytest.FixtureRequest, tmp_path: Path, pair: tuple[Engine, Engine], filled: str
) -> None:
    """Nor where both sides are equal. Without the base that they once had, an empty side is a question."""
    made = Scenario.make(tmp_path, pair, request)
    made.source.execute("CREATE TABLE t (id integer PRIMARY KEY, v varchar(9))")
    made.target.execute("CREATE TABLE t (id integer PRIMARY KEY, v varchar(9))")
    made.write({"t": {"from": "t"}}, direction="two_way", defaults={"window": 2})
    full, empty = (made.source, made.target) if filled == "source" else (made.target, made.source)
    full.insert("t", [(n, f"v{n}") for n in range(1, 6)])
    assert made.run().status is Status.DONE
    assert empty.rows("t") == full.rows("t")
    full.execute("UPDATE t SET v = 'new' WHERE id = 1", "DELETE FROM t WHERE id = 5")
    assert made.run().status is Status.DONE
    assert empty.rows("t") == full.rows("t") == [(1, "new"), (2, "v2"), (3, "v3"), (4, "v4")]
    for path in store_of(made.spec).agreed(made.spec.name).rglob("parts.json"):
        path.unlink()
    assert made.run().status is Status.DONE
    for path in store_of(made.spec).agreed(made.spec.name).rglob("parts.json"):
        path.unlink()
    empty.execute("DELETE FROM t")
    assert made.run().status is Status.CHANGES
    assert (len(full.rows("t")), empty.rows("t")) == (4, [])
