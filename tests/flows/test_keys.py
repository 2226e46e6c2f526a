"""Keys of every kind, in windows: the ordered path and the spill path say the same, and no row gets lost between them."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from scenario import PAIRS, RING, Scenario, changes, counts, pair_name, quarantine

from flows.check.assess import assess
from flows.commands import Status
from flows.session.session import connect, with_binding

KEYS: dict[str, tuple[str, list[Any]]] = {
    "integers": ("bigint", [-3, 0, 1, 2, 10, 11, 2**53 + 1, 2**62]),
    "texts": ("varchar(40)", ["", " ", "A", "B", "a", "a ", "a|b", "Zürich", "ähnlich", "z", "\u00e9", "e\u0301", "NULL", "日本"]),
    "decimals": ("numeric(12,2)", ["-1.10", "0", "0.01", "1.1", "1.11", "9", "10", "99999.99"]),
    "dates": ("date", ["0099-12-31", "1969-12-31", "1970-01-01", "2000-02-29", "2024-12-31", "2025-01-01"]),
    "uuids": (
        "uuid",
        ["00000000-0000-0000-0000-000000000000", "0fffffff-0000-4000-8000-000000000001",
         "a0000000-0000-4000-8000-000000000001", "a0000000-0000-4000-8000-00000000000f",
         "ffffffff-ffff-ffff-ffff-ffffffffffff"],
    ),
}  # fmt: skip
everywhere = pytest.mark.parametrize("small", RING, indirect=True, ids=pair_name)


@pytest.fixture
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    return Scenario.make(tmp_path, getattr(request, "param", PAIRS[0]), request)


def copied(scenario: Scenario, key: list[str], rows: int = 3, path: str = "ordered", **table: Any) -> None:
    """A spec that copies `t`; on the spill path the same rows come from a query."""
    came = {"query": f"SELECT * FROM {_qualified(scenario)}"} if path == "spill" else "t"
    scenario.write({"t": {"from": came, "key": key, **table}}, defaults={"window": {"rows": rows}})


def _qualified(scenario: Scenario) -> str:
    return f"{scenario.source.schema}.t" if scenario.source.schema else "t"


def path_of(scenario: Scenario) -> str:
    with connect(scenario.spec) as session:
        return "ordered" if with_binding(session).bound.tables[0].order else "spill"


@everywhere
def test_keys_of_every_type_match_in_windows(small: Scenario) -> None:
    for kind, (native, values) in KEYS.items():
        for side in (small.source, small.target):
            exact = "COLLATE utf8mb4_nopad_bin" if kind == "texts" and side.engine == "mysql" else ""
            side.execute(f"CREATE TABLE {kind} (k {native} {exact} PRIMARY KEY, v text)")
        small.source.insert(kind, [(value, f"row {number}") for number, value in enumerate(values)])
        # rows on both ends of the source's range, and in it, that only the target has
        outside = values[0], values[len(values) // 2], values[-1]
        small.source.execute(*(f"DELETE FROM {kind} WHERE v = 'row {values.index(value)}'" for value in outside))
        small.target.insert(kind, [(value, "old") for value in [*outside, values[1]]])
    small.write({kind: {"from": kind, "key": ["k"]} for kind in KEYS}, defaults={"window": {"rows": 3}})
    planned = small.plan()
    assert {kind: counts(planned, kind) for kind in KEYS} == {
        kind: {"source_rows": len(values) - 3, "insert": len(values) - 4, "update": 1, "delete": 3}
        for kind, (_, values) in KEYS.items()
    }
    assert small.run().status == Status.DONE
    for kind in KEYS:
        assert small.target.rows(kind, "v") == small.source.rows(kind, "v"), kind
    small.settled()


@pytest.mark.parametrize("rows", [1, 2, 10, 1000])
def test_the_size_of_windows_does_not_matter(small: Scenario, rows: int) -> None:
    for side in (small.source, small.target):
        side.execute("CREATE TABLE t (a text, b bigint, v text, PRIMARY KEY (a, b))")
    small.source.insert("t", [(f"k{n % 5}", n, "new") for n in range(25)])
    small.target.insert("t", [(f"k{n % 5}", n, "new" if n % 2 else "old") for n in range(-5, 40, 3)])
    copied(small, ["a", "b"], rows)
    assert path_of(small) == "ordered"
    done = small.run()
    assert counts(done, "t") == {"source_rows": 25, "insert": 17, "update": 4, "delete": 7, "unchanged": 4}
    assert small.target.rows("t") == small.source.rows("t")
    small.settled()


@everywhere
def test_the_ordered_path_and_the_spill_path_plan_the_same_changes(small: Scenario) -> None:
    for side in (small.source, small.target):
        side.execute("CREATE TABLE t (a integer, b bigint, v double precision, PRIMARY KEY (a, b))")
    small.source.insert("t", [(n % 7, n, n / 8) for n in range(40)])
    small.target.insert("t", [(n % 7, n, n / 4 if n % 3 else n / 8) for n in range(-10, 60, 2)])
    held = {}
    for path in ("ordered", "spill"):
        copied(small, ["a", "b"], 10, path)
        assert path_of(small) == path
        held[path] = changes(small.plan())
    assert held["ordered"] == held["spill"]
    assert len(held["spill"]["t"]["insert"]) == 20


def test_composite_keys_compare_as_tuples_and_never_as_joined_text(small: Scenario) -> None:
    for side in (small.source, small.target):
        side.execute("CREATE TABLE t (a text, b text, v bigint, PRIMARY KEY (a, b))")
    small.source.insert("t", [("a|b", "c", 1), ("a", "b|c", 2), ("12", "3", 3), ("1", "23", 4), ("1", "11", 5)])
    small.target.insert("t", [("11", "1", 5), ("", "123", 3)])
    copied(small, ["a", "b"], 2)
    assert counts(small.run(), "t") == {"source_rows": 5, "insert": 5, "delete": 2}
    small.settled()


@pytest.mark.parametrize("path", ["ordered", "spill"])
def test_rows_with_a_null_or_repeated_key_are_quarantined_and_their_target_rows_stay(
    small: Scenario, path: str
) -> None:
    small.source.execute("CREATE TABLE t (a text, b bigint, v text)", "CREATE INDEX i ON t (a, b)")
    small.target.execute("CREATE TABLE t (a text, b bigint, v text, UNIQUE (a, b))")
    small.source.insert(
        "t", [("x", 1, "1"), ("x", 1, "again"), (None, 2, "null"), ("y", None, "null"), ("z", 3, "3"), ("z", 3, "3")]
    )
    small.target.insert("t", [("x", 1, "old"), ("gone", 9, "old")])
    copied(small, ["a", "b"], 1, path)
    assert path_of(small) == path
    done = small.run()
    assert counts(done, "t") == {"source_rows": 6, "delete": 1, "quarantined": 6, "unproved": 1}
    assert small.target.rows("t") == [("x", 1, "old")]
    duplicate = "duplicate key: several source rows map to one t"
    assert quarantine(small) == [
        ("t", ["x", 1], duplicate), ("t", ["y", None], "null in the key"), ("t", ["z", 3], duplicate),
        ("t", [None, 2], "null in the key"),
    ]  # fmt: skip
    assert small.plan().status == Status.DONE
    assert small.verify().status == Status.CHANGES  # no row of the target could be compared


def test_keys_that_become_equal_by_mapping_are_quarantined(small: Scenario) -> None:
    small.source.execute("CREATE TABLE t (k text PRIMARY KEY, v text)")
    small.source.insert("t", [("A", "1"), ("a", "2"), ("b", "3"), ("NA", "4")])
    columns = {"k": {"expr": "nullif(lower(k), 'na')", "cast": "text"}, "v": "v"}
    small.write({"t": {"from": "t", "key": ["k"], "columns": columns}}, defaults={"window": {"rows": 1}})
    done = small.run()
    assert counts(done, "t") == {"source_rows": 4, "insert": 1, "quarantined": 3}
    assert small.target.rows("t") == [("b", "3")]
    small.settled()


def test_a_bad_row_takes_the_row_with_its_key_along(small: Scenario) -> None:
    """Which of two rows is the right one cannot be told by one of them being unreadable."""
    small.source.execute("CREATE TABLE t (k text, n text)")
    small.source.insert("t", [("a", "1"), ("a", "one"), ("b", "2")])
    small.write({"t": {"from": "t", "key": ["k"], "columns": {"k": "k", "n": {"from": "n", "cast": "integer"}}}})
    assert counts(small.run(), "t") == {"source_rows": 3, "insert": 1, "quarantined": 2}
    small.settled()


@everywhere
def test_values_that_look_alike_are_different_and_values_that_are_alike_are_equal(small: Scenario) -> None:
    for side in (small.source, small.target):
        side.execute("CREATE TABLE t (k bigint PRIMARY KEY, s text, d numeric(12,3), f double precision)")
    texts = ["", None, "NULL", "None", "<null>", " ", "x", "x "]
    small.source.insert("t", [(n, text, "1.100", 0.0) for n, text in enumerate(texts)])
    copied(small, ["k"])
    small.run()
    assert sorted(small.target.ask("SELECT k, s FROM t")) == list(enumerate(texts))
    # each text takes the place of its neighbour: all of them are changes
    small.source.execute("DELETE FROM t")
    small.source.insert("t", [(n, text, "1.1", -0.0) for n, text in enumerate([*texts[1:], texts[0]])])
    planned = small.plan()
    assert counts(planned, "t") == {"source_rows": len(texts), "update": len(texts)}
    assert planned.report.tables[0].differing == {"s": len(texts)}
    small.run()
    small.settled()


@pytest.mark.parametrize("small", [PAIRS[3]], indirect=True, ids=pair_name)
def test_nan_infinity_and_negative_zero_settle(small: Scenario) -> None:
    for side in (small.source, small.target):
        side.execute("CREATE TABLE t (k bigint PRIMARY KEY, f double precision)")
    values = [math.nan, math.inf, -math.inf, -0.0, 0.0, 1e-320, None]
    small.source.insert("t", list(enumerate(values)))
    copied(small, ["k"])
    assert counts(small.run(), "t") == {"source_rows": 7, "insert": 7}
    held = dict(small.target.ask("SELECT k, f FROM t"))
    assert math.isnan(held[0])
    assert (held[1], held[2], held[5], held[6]) == (math.inf, -math.inf, 1e-320, None)
    small.settled()
    small.target.execute("UPDATE t SET f = 0.0 WHERE k = 3", "UPDATE t SET f = -0.0 WHERE k = 4")
    small.settled()
    small.target.execute("UPDATE t SET f = NULL WHERE k = 0", "UPDATE t SET f = 'NaN' WHERE k = 6")
    assert counts(small.verify(), "t")["update"] == 2


@pytest.mark.parametrize("small", [PAIRS[1], PAIRS[3]], indirect=True, ids=pair_name)
def test_a_float_key_of_negative_zero_is_the_key_zero(small: Scenario) -> None:
    for side in (small.source, small.target):
        side.execute("CREATE TABLE t (k double precision PRIMARY KEY, v text)")
    small.source.insert("t", [(-0.0, "a"), (1.5, "b"), (math.inf, "c")])
    small.target.insert("t", [(0.0, "a"), (2.5, "b")])
    copied(small, ["k"], 1)
    assert counts(small.plan(), "t") == {"source_rows": 3, "insert": 2, "delete": 1, "unchanged": 1}
    small.run()
    small.settled()


def test_rows_that_only_the_target_has_are_deleted_on_both_ends(small: Scenario) -> None:
    for side in (small.source, small.target):
        side.execute("CREATE TABLE t (k bigint PRIMARY KEY, v text)")
    small.source.insert("t", [(n, "v") for n in range(100, 130)])
    small.target.insert("t", [(n, "v") for n in [*range(90, 140), -5, 10_000]])
    copied(small, ["k"], 10)
    done = small.run()
    assert counts(done, "t") == {"source_rows": 30, "delete": 22, "unchanged": 30}
    assert done.report.tables[0].windows > 2
    small.settled()


def test_an_empty_target_and_an_empty_source_are_both_fine(small: Scenario) -> None:
    for side in (small.source, small.target):
        side.execute("CREATE TABLE t (k bigint PRIMARY KEY, v text)")
    copied(small, ["k"])
    done = small.run()
    assert (done.status, done.report.version, counts(done, "t")) == (Status.DONE, None, {})
    small.settled()


def test_a_key_of_another_width_matches_in_windows(small: Scenario) -> None:
    small.source.execute("CREATE TABLE t (k integer PRIMARY KEY, v text)")
    small.target.execute("CREATE TABLE t (k numeric(20,0) PRIMARY KEY, v text)")
    small.source.insert("t", [(n, "v") for n in range(20)])
    small.target.insert("t", [("7", "old"), ("99999999999999", "gone")])
    copied(small, ["k"], 5)
    assert counts(small.run(), "t") == {"source_rows": 20, "insert": 19, "update": 1, "delete": 1}
    small.settled()


def test_odd_names_are_quoted_everywhere(small: Scenario) -> None:
    for side in (small.source, small.target):
        side.execute('CREATE TABLE "Select ä""b" ("Key x" bigint PRIMARY KEY, "from" text, "a%b:c" text)')
    table = 'Select ä"b'
    with small.source.connected() as run:
        run('INSERT INTO "Select ä""b" VALUES (1, ?, ?)', ["o'b", "%s :x"])
        run('INSERT INTO "Select ä""b" VALUES (2, NULL, NULL)')
    small.write({table: {"from": '"Select ä""b"', "target": '"Select ä""b"', "key": ["Key x"]}})
    done = small.run()
    assert counts(done, table) == {"source_rows": 2, "insert": 2}
    assert small.target.ask('SELECT * FROM "Select ä""b" ORDER BY 1') == [(1, "o'b", "%s :x"), (2, None, None)]
    small.settled()


@pytest.mark.parametrize("small", [("postgresql", "mysql")], indirect=True, ids=pair_name)
def test_a_text_key_too_long_for_an_index_of_a_new_table_is_set_aside_by_the_plan(small: Scenario) -> None:
    small.source.execute("CREATE TABLE t (k text PRIMARY KEY, v text)")
    small.source.insert("t", [("k" * 768, "longest"), ("k" * 769, "too long"), ("😀" * 768, "four bytes each")])
    copied(small, ["k"])
    done = small.run()
    assert counts(done, "t") == {"source_rows": 3, "insert": 2, "quarantined": 1}
    ((_, (key,), reason),) = quarantine(small)
    assert (len(key), reason) == (769, "longer than the 768 characters of k (varchar(768))")
    small.settled()


@pytest.mark.parametrize("small", [("sqlite", "postgresql"), ("sqlite", "mysql")], indirect=True, ids=pair_name)
def test_keys_that_differ_in_trailing_blanks_are_set_aside_where_a_new_table_pads(small: Scenario) -> None:
    small.source.execute(
        "CREATE TABLE t (k varchar(3) PRIMARY KEY)",
        "CREATE TABLE u (k varchar(3) PRIMARY KEY, t varchar(3) REFERENCES t)",
    )
    small.source.insert("t", [("a",), ("a ",), ("b",)])
    small.source.insert("u", [("x", "a"), ("y", "b")])
    refers = [{"columns": ["t"], "table": "t", "refers": ["k"]}]
    small.write(
        {
            "t": {"from": "t", "key": ["k"], "create": {"columns": {"k": "char(3)"}}},
            "u": {"from": "u", "key": ["k"], "create": {"columns": {"t": "char(3)"}, "foreign_keys": refers}},
        }
    )
    assessed = assess(small.spec, datetime.now(UTC))
    assert [each.rows for table in assessed.tables for each in table.findings] == [2, 1]
    assert counts(small.plan(), "t") == {"source_rows": 3, "insert": 1, "quarantined": 2}
    small.source.execute("DELETE FROM u WHERE k = 'x'", "DELETE FROM t WHERE k = 'a '")
    small.run()
    assert small.target.count("t") == 2
    small.settled()
