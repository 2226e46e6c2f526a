"""Names that others change or cut, rows larger than what is read at a time, and tables that have no key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario import Engine, Scenario, counts, pair_name
from traps import RING, create, pairs
from type_values import declared, quoted

from adapters.postgres.limits import NAME_BYTES
from flows import commands
from flows.check.assess import assess
from transforms.vocabulary import SpecError, SynclineError

ALL: tuple[Engine, ...] = ("postgresql", "mysql", "sqlite", "duckdb")

NAMES = (
    "order",
    "Select",
    "UPPER lower",
    " two  blanks",
    'quo"te',
    "apo'strophe",
    "back`tick",
    "a.dot",
    "a\\slash",
    "100%s",
    ":colon",
    "semi;colon -- x",
    "Größe ß",
    "日本語",
    "{brace}",
    "$1",
    "?",
    "1st",
    "new\nline",
    "id ",
    "e\u0301",
    "\u00e9",
    "__",
    "#",
    "[x]",
    "n" * 63,
    "ü" * 31 + "x",
)
"""Each is the name of a column, and of a table; "id " for all but MySQL, where no name ends in a blank."""
LONGEST = "t" * 63
ODD = 'Tab\'le "ä" of.it %s'
HELD = [(n, f"value {n}") for n in (1, 2)]


def names(pair: tuple[Engine, Engine]) -> tuple[str, ...]:
    return tuple(each for each in NAMES if "mysql" not in pair or not each.endswith(" "))


def kept(name: str) -> str:
    """How the spec writes a table's name."""
    return quoted(name)


# --- names


@pytest.mark.parametrize("there", [False, True], ids=["made", "there before"])
@pytest.mark.parametrize("pair", RING, ids=pair_name)
def test_names_of_columns_are_kept_exactly(
    tmp_path: Path, pair: tuple[Engine, Engine], there: bool, request: pytest.FixtureRequest
) -> None:
    small = Scenario.make(tmp_path, pair, request)
    columns = names(pair)
    for side in (small.source, small.target) if there else (small.source,):
        inside = ", ".join(f"{quoted(each)} varchar(20)" for each in columns)
        side.execute(f"CREATE TABLE {quoted(ODD)} ({quoted('Key 1')} integer PRIMARY KEY, {inside})")
    for row in (1, 2):
        values = ", ".join(f"'{row} {n}'" for n in range(len(columns)))
        small.source.execute(f"INSERT INTO {quoted(ODD)} VALUES ({row}, {values})")
    small.write({"odd": {"from": kept(ODD), "target": kept(ODD)}})
    assert not assess(small.spec, small.request().at).tables[0].findings
    assert counts(small.run(), "odd") == {"source_rows": 2, "insert": 2}
    assert small.target.tables() == {ODD}
    assert rows_by_name(small, ODD, columns) == [tuple(f"{row} {n}" for n in range(len(columns))) for row in (1, 2)]
    small.settled()
    small.source.execute(
        f"UPDATE {quoted(ODD)} SET {', '.join(f'{quoted(each)} = NULL' for each in columns)} WHERE {quoted('Key 1')} = 1",
        f"DELETE FROM {quoted(ODD)} WHERE {quoted('Key 1')} = 2",
    )
    assert counts(small.run(), "odd") == {"source_rows": 1, "update": 1, "delete": 1}
    assert rows_by_name(small, ODD, columns) == [(None,) * len(columns)]
    small.settled()


def rows_by_name(small: Scenario, table: str, columns: tuple[str, ...]) -> list[Any]:
    return sorted(small.target.ask(f"SELECT {', '.join(map(quoted, columns))} FROM {quoted(table)}"), key=str)


@pytest.mark.parametrize("pair", RING, ids=pair_name)
def test_names_of_tables_are_kept_exactly(
    tmp_path: Path, pair: tuple[Engine, Engine], request: pytest.FixtureRequest
) -> None:
    small = Scenario.make(tmp_path, pair, request)
    for name in names(pair):
        small.source.execute(
            f"CREATE TABLE {quoted(name)} (id integer PRIMARY KEY, v varchar(20))",
            f"INSERT INTO {quoted(name)} VALUES (1, 'one')",
        )
    small.write({name: {"from": kept(name), "target": kept(name)} for name in names(pair)})
    outcome = small.run()
    assert {table.name: table.counts.insert for table in outcome.report.tables} == dict.fromkeys(names(pair), 1)
    assert small.target.tables() == set(names(pair))
    small.settled()


LONG = {"postgresql": ("é" * 32, "has a name of 64 bytes, and PostgreSQL keeps 63"), "mysql": ("é" * 65, "65 characters")}  # fmt: skip


@pytest.mark.parametrize("where", ["table", "column"])
@pytest.mark.parametrize("target", LONG)
def test_a_name_that_the_target_would_cut_is_refused_before_anything_is_made(
    tmp_path: Path, target: Engine, where: str, request: pytest.FixtureRequest
) -> None:
    small = Scenario.make(tmp_path, ("sqlite", target), request)
    long, said = LONG[target]
    column = long if where == "column" else "v"
    small.source.execute(f"CREATE TABLE t (id integer PRIMARY KEY, {quoted(column)} text)")
    tables = {"first": {"from": "t", "columns": {"id": "id"}}, "t": {"from": "t"}}
    small.write(tables | ({"t": {"from": "t", "target": kept(long)}} if where == "table" else {}))
    with pytest.raises(SynclineError, match=rf"{said}.*Fix:"):
        assess(small.spec, small.request().at)
    with pytest.raises(SynclineError, match=rf"{said}.*Fix:"):
        commands.run(small.request())
    assert small.target.tables() == set()


@pytest.mark.parametrize("pair", pairs(("mysql", "sqlite", "duckdb"), ("postgresql",)), ids=pair_name)
def test_a_longer_name_of_the_source_gets_another_one_in_the_spec(
    tmp_path: Path, pair: tuple[Engine, Engine], request: pytest.FixtureRequest
) -> None:
    small = Scenario.make(tmp_path, pair, request)
    long, other = "t" * (NAME_BYTES + 1), "t" * NAME_BYTES
    create(small.source, long, f"id integer PRIMARY KEY, {long} varchar(9), {other} varchar(9)")
    small.source.insert(long, [(1, "long", "short")])
    small.write({"t": {"from": long, "columns": {"id": "id", "v": long, other: other}}})
    small.run()
    assert small.target.rows("t") == [(1, "long", "short")]
    small.settled()


TWINS = [("a", "A"), ("é", "É"), ("i", "İ"), ("e", "é"), ("ß", "ss"), ("σ", "Σ"), ("σ", "ς"), ("ж", "Ж"), ("n" * 63 + "a", "n" * 63 + "b")]  # fmt: skip


@pytest.mark.parametrize("target", ALL)
def test_columns_that_the_target_takes_for_one_are_refused_and_no_others(
    tmp_path: Path, target: Engine, request: pytest.FixtureRequest
) -> None:
    small = Scenario.make(tmp_path, ("sqlite", target), request)
    small.source.execute(
        "CREATE TABLE t (id integer PRIMARY KEY, v text, w text)", "INSERT INTO t VALUES (1, 'v', 'w')"
    )
    tables = {
        f"t{n}": {"from": "t", "columns": {"id": "id", one: "v", other: "w"}} for n, (one, other) in enumerate(TWINS)
    }
    for name, (one, other) in zip(list(tables), TWINS, strict=True):
        try:
            small.target.execute(f"CREATE TABLE probe ({quoted(one)} text, {quoted(other)} text)")
            small.target.execute("DROP TABLE probe")
        except Exception:  # each driver has its own
            small.write({name: tables.pop(name)})
            with pytest.raises(SpecError, match=r"takes columns .* for one|has a name of 64 bytes.*Fix:"):
                commands.plan(small.request("plan"))
    small.write(tables)
    small.run()
    small.settled()
    for name in tables:
        assert small.target.rows(name) == [(1, "v", "w")]
        assert set(TWINS[int(name[1:])]) <= declared(small.target, name).keys()


@pytest.mark.parametrize("there", [False, True], ids=["made", "there before"])
@pytest.mark.parametrize("source", ["postgresql", "mysql"])
@pytest.mark.parametrize("target", ALL)
def test_tables_that_the_target_takes_for_one_are_refused(
    tmp_path: Path, source: Engine, target: Engine, there: bool, request: pytest.FixtureRequest
) -> None:
    small = Scenario.make(tmp_path, (source, target), request)
    for n, name in enumerate(("Order", "order")):
        create(small.source, name, "id integer PRIMARY KEY, v integer")
        small.source.insert(name, [(1, n)])
    if there:
        create(small.target, "order", "id integer PRIMARY KEY, v integer")
        small.target.insert("order", [(1, 7)])
    before = small.target.content()
    small.write({name: {"from": kept(name)} for name in ("Order", "order")})
    if target in ("sqlite", "duckdb"):
        with pytest.raises(SpecError, match=r"takes Order and order for one table. Fix: .*`target:`"):
            commands.run(small.request())
        assert small.target.content() == before
        return
    small.run()
    assert (small.target.rows("Order"), small.target.rows("order")) == ([(1, 0)], [(1, 1)])
    small.settled()


# --- large rows, and tables without a key


# Three of them in a row are more than the reader of the engine takes at a time (BATCH_BYTES and the like).
LARGE = {"sqlite": 11 * 2**20, "duckdb": 11 * 2**20, "mysql": 11 * 2**20, "postgresql": 2 * 2**20}
LARGE_ROW = {
    "mysql": ("id int PRIMARY KEY, v longtext, w longtext, b longblob", "repeat('é', {0} / 2), repeat('x', {0}), repeat(x'00ff', {0} / 2)"),
    "postgresql": ("id integer PRIMARY KEY, v text, w text, b bytea", "repeat('é', {0} / 2), repeat('x', {0}), decode(repeat('00ff', {0} / 2), 'hex')"),
    "duckdb": ("id integer PRIMARY KEY, v text, w text, b blob", "repeat('é', {0} // 2), repeat('x', {0}), repeat('\\x00\\xFF'::BLOB, {0} // 2)"),
    "sqlite": ("id integer PRIMARY KEY, v text, w text, b blob", "replace(hex(zeroblob({0} / 4)), '00', 'éé'), replace(hex(zeroblob({0} / 2)), '00', 'xx'), CAST(zeroblob({0}) AS BLOB)"),
}  # fmt: skip


@pytest.mark.parametrize("pair", RING, ids=pair_name)
def test_a_row_larger_than_what_is_read_at_a_time_arrives_whole(
    tmp_path: Path, pair: tuple[Engine, Engine], request: pytest.FixtureRequest
) -> None:
    small = Scenario.make(tmp_path, pair, request)
    (inside, large), size = LARGE_ROW[pair[0]], LARGE[pair[0]]
    create(small.source, "t", inside)
    small.source.insert("t", [(n, "v", "w", b"\x00") for n in (1, 3, 4)])
    small.source.execute(f"INSERT INTO t VALUES (2, {large.format(size)})")
    small.write({"t": {"from": "t", "window": 2}})
    assert counts(small.run(), "t") == {"source_rows": 4, "insert": 4}
    rows = {n: rest for n, *rest in small.target.ask("SELECT * FROM t")}
    assert rows.keys() == {1, 2, 3, 4}
    assert rows[2] == [
        "é" * (size // 2),
        "x" * size,
        bytes(size) if pair[0] == "sqlite" else b"\x00\xff" * (size // 2),
    ]
    small.settled()


@pytest.fixture(params=RING, ids=pair_name)
def keyless(tmp_path: Path, request: pytest.FixtureRequest) -> Scenario:
    """A table without a key on both sides, in which one row is there twice."""
    small = Scenario.make(tmp_path, request.param, request)
    for side in (small.source, small.target):
        create(side, "t", "a varchar(9), b integer, v varchar(9)")
    small.source.insert(
        "t", [("x", 1, "one"), ("x", 2, "two"), ("y", 1, "three"), ("z", 1, "twice"), ("z", 1, "twice")]
    )
    return small


def test_a_table_without_a_key_is_refused_unless_the_spec_names_one(keyless: Scenario) -> None:
    keyless.target.execute("CREATE UNIQUE INDEX only_one ON t (a, b)")
    keyless.write({"t": {"from": "t"}})
    for refused in (lambda: assess(keyless.spec, keyless.request().at), lambda: commands.run(keyless.request())):
        with pytest.raises(
            SpecError, match=r"spec\.yaml:\d+: .*t has no primary key.*Fix: name the columns .* in tables\.t\.key"
        ):
            refused()
    assert keyless.target.rows("t") == []
    keyless.write({"t": {"from": "t", "key": ["a", "b"]}})
    assert counts(keyless.run(), "t") == {"source_rows": 5, "insert": 3, "quarantined": 2}
    assert keyless.target.rows("t") == [("x", 1, "one"), ("x", 2, "two"), ("y", 1, "three")]
    keyless.settled()


def test_a_key_that_the_target_does_not_keep_unique_is_refused(keyless: Scenario) -> None:
    keyless.target.insert("t", [("x", 1, "old"), ("x", 1, "older")])
    keyless.write({"t": {"from": "t", "key": ["a", "b"]}})
    for refused in (lambda: assess(keyless.spec, keyless.request().at), lambda: commands.run(keyless.request())):
        with pytest.raises(SpecError, match=r"no unique constraint on exactly \(a, b\).*Fix: add UNIQUE"):
            refused()
    assert keyless.target.rows("t") == [("x", 1, "old"), ("x", 1, "older")]


def test_a_key_that_the_spec_names_is_unique_in_a_table_that_is_made(keyless: Scenario) -> None:
    keyless.write({"made": {"from": "t", "key": ["a", "b"]}})
    assert counts(keyless.run(), "made") == {"source_rows": 5, "insert": 3, "quarantined": 2}
    keyless.settled()
    with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
        keyless.target.insert("made", [("x", 1, "again")])
