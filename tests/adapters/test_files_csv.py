"""CSV files as tables: dialects and types found or declared, values exact or set aside with their line, and torn files refused."""

from __future__ import annotations

import gc
import gzip
import json
import sqlite3
import tempfile
from contextlib import closing
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from click.testing import CliRunner
from file_tables import T, kinds, read
from scenario import Scenario, counts, quarantine

from adapters.protocol import Source
from adapters.registry import open_feed, open_source, ways
from flows.check.assess import assess
from flows.cli.main import main
from flows.commands import Status
from flows.scaffold.draft import Asked, scaffold
from flows.spec.model import load_spec
from transforms.vocabulary import (
    INVALID,
    DataError,
    KeyRange,
    Relation,
    SnapshotLost,
    SpecError,
    SynclineError,
    TableName,
    reason_of,
    text_of,
)


def csv(folder: Path, content: bytes | str, name: str = "t.csv", **declared: Any) -> Source:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    options = f"?declared={quote(json.dumps(declared))}" if declared else ""
    return open_source(f"csv:///{folder / name}{options}")


def test_types_are_those_of_all_values(tmp_path: Path) -> None:
    text = (
        "id,amount,big,day,at,zoned,clock,yes,uuid,zip,ratio,note\n"
        "1,1.50,12345678901234567890,2024-02-29,2024-01-01 10:00:00,2024-01-01T10:00:00Z,10:00,true,"
        "00000000-0000-4000-8000-000000000000,01234,1e3,a\n"
        '2,-3,1,2024-01-01,2024-01-01T10:00:00.000001,2024-01-01 10:00:00+02:00,23:59:59.5,false,,00000,0.5,""\n'
        "3,,,,,,,,,,,\n"
    )
    source = csv(tmp_path, text)
    assert kinds(source) == {
        "id": "BIGINT", "amount": "DECIMAL(18,2)", "big": "DECIMAL(20,0)", "day": "DATE", "at": "TIMESTAMP",
        "zoned": "TIMESTAMP WITH TIME ZONE", "clock": "TIME", "yes": "BOOLEAN", "uuid": "UUID", "zip": "VARCHAR",
        "ratio": "DOUBLE", "note": "VARCHAR",
    }  # fmt: skip
    first, second, third = read(source)
    assert first["amount"] == Decimal("1.50") and first["big"] == Decimal("12345678901234567890")
    assert second["at"] == datetime(2024, 1, 1, 10, 0, 0, 1) and second["zoned"] == datetime(2024, 1, 1, 8, tzinfo=UTC)
    assert second["clock"] == time(23, 59, 59, 500_000) and first["zip"] == "01234" and first["ratio"] == 1000.0
    assert second["note"] == "" and third["note"] is None  # quoted, and nothing at all


@pytest.mark.parametrize(
    ("content", "declared", "expected"),
    [
        (b"\xef\xbb\xbfid;n;d\r\n1;1,50;01.02.2024\r\n2;-3,5;31.12.2023", {}, (Decimal("1.50"), date(2024, 2, 1))),
        ("id\tn\td\n1\t2.5\t13/01/2024\n", {}, (Decimal("2.5"), date(2024, 1, 13))),
        ("id,n,d\n1,é,🎉\n".encode("utf-16"), {}, ("é", "🎉")),
        ("id|n|d\n1|é€|x\n".encode("cp1252"), {"encoding": "cp1252"}, ("é€", "x")),
        ("1,'it\\'s',NA\n", {"header": ["id", "n", "d"], "quote": "'", "escape": "\\", "nulls": ["NA"]}, ("it's", None)),
        ("id,n,d\n1,01.02.24,05.06.2024 07:08\n", {"dates": "%d.%m.%y", "timestamps": "%d.%m.%Y %H:%M",
         "types": {"n": "date", "d": "timestamp"}}, (date(2024, 2, 1), datetime(2024, 6, 5, 7, 8))),
        ("id,n,d\n1,x\x00y,no\n", {"types": {"d": "boolean"}}, ("x\x00y", False)),
        ('id,n,d\n1,"{""a"": 1}",7\n', {"types": {"n": "json", "d": "numeric(5,2)"}}, ('{"a": 1}', Decimal("7.00"))),
    ],
)  # fmt: skip
def test_dialects_are_found_or_declared(tmp_path: Path, content: Any, declared: Any, expected: Any) -> None:
    row = read(csv(tmp_path, content, **declared))[0]
    assert (row["id"], row["n"], row["d"]) == (1, *expected)


def test_a_value_that_is_none_of_its_type_is_set_aside_with_file_and_line(tmp_path: Path) -> None:
    text = 'id,note,n\n1,"two\nlines",5\n2,x,5.5\n3,y,\n4,"a\n\nb",1e3\n5,z,99999999999\n6,z,"7"\n'
    found = read(csv(tmp_path, text, types={"n": "int"}))
    assert [row["id"] for row in found] == [1, 2, 3, 4, 5, 6]
    told = {row["id"]: text_of(reason_of(row[INVALID])) for row in found if row[INVALID]}
    path = tmp_path / "t.csv"
    assert told == {
        2: f"column n: line 4 of {path}: 5.5 is not integer",
        4: f"column n: line 6 of {path}: 1e3 is not integer",
        5: f"column n: line 9 of {path}: 99999999999 is not integer",
    }
    source = csv(tmp_path, text, types={"n": "decimal(4,2)"})
    with source.snapshot() as snapshot:
        assert snapshot.count(Relation(T)) == 6
        with pytest.raises(SynclineError, match="1e3"):
            list(snapshot.scan(Relation(query="SELECT id, n FROM t"), ["id", "n"]))


@pytest.mark.parametrize(
    ("content", "declared", "signs"),
    [
        (b'a,b\n1,2\n3,"x\n2,y\n', {}, ("line 3", "a quote that is not closed")),
        (b'a,b\n\n1,2\n\n3\n"5\n5",x\n\n"', {}, ("line 9", "a quote that is not closed")),
        (b'a,b\n1,"\n' + b"2,xxxxxxxx\n" * 2_000 + b'3,"y"\n4,5\n', {}, ("line 2", "a quote that is not closed")),
        (b"a,caf\xe9\n1,2\n", {}, ("line 1", "encoding")),
        (b'a,b\r\n1,"x\ny"\r\n3,4\n5,6\r\n', {}, ("line 4", "ends otherwise than line 1", "dos2unix")),
        (b"a,b\n1,2\n\n3,4\r5,6\n", {}, ("line 4", "ends otherwise than line 1")),
        (b"a,b,A\n1,2,3\n", {}, ("line 1", "two columns called 'a' and 'A'")),
        (b"", {}, ("is empty",)),
    ],
)
def test_a_torn_file_is_refused_with_its_line(tmp_path: Path, content: Any, declared: Any, signs: Any) -> None:
    with pytest.raises(DataError) as caught:
        read(csv(tmp_path, content, **declared))
    assert all(sign in str(caught.value) for sign in (*signs, "t.csv", "Fix:"))


FEW, MORE, QUOTE = "has fewer fields", "has more fields", "has a quote"


@pytest.mark.parametrize(
    ("content", "declared", "good", "aside"),
    [
        (b"id,n\n1,2\n3\n4,5,6\n\n7,x\n\n\n8\n9,10\n", {}, [1, 7, 9],
         {3: FEW, 4: MORE, 6: "x is not", 9: FEW}),
        (b'id,n,t\r\n\r\n1,2,"a\r\n\r\n"\r\n\r\n3,"5" pipe",\r\n4,y,"b\r\n"\r\n7,x,\r\n', {}, [1, 4, 7],
         {7: QUOTE, 8: "y is not", 10: "x is not"}),
        (b'\xef\xbb\xbfid,n,"t\n\nu"\n"1\n2",3\n\n4,"5,x\n6,7,"8"\n9,x,y"z\n10,11,', {}, [9, 10],
         {(4, 5): FEW, (7, 8): QUOTE, 9: "x is not"}),
        (b"id,n,t\n1,2,caf\xe9\n3,4,ok\n\xe9,\xe8,\xff\n\n5,x,\xc3\xa9\n", {}, [3, 5],
         {2: "encoding", 4: "encoding", 6: "x is not"}),
        ("id,n,t\n1,2,é\n3,4,y\n5,x,y\n".encode(), {"encoding": "ascii"}, [3, 5], {2: "encoding", 4: "x is not"}),
        ("id,n,t\n1,2,é\n3,4,y\n".encode("utf-16-le")[:-1], {"encoding": "utf-16-le"}, [1], {3: "encoding"}),
        (b"id|n\r1|2\r\r3\r4|x\r", {"delimiter": "|"}, [1, 4], {4: FEW, 5: "x is not"}),
        (b"1,2\n\n3\n4,'5\n\n6'\n7,x", {"header": ["id", "n"], "quote": "'"}, [1, 4, 7], {3: FEW, 4: "5\n\n6 is not", 7: "x is not"}),
        (b"n\n1\n\nx\n2,3\n4", {}, [1, None, None, 4], {4: "x is not", 5: MORE}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("packed", [False, True])
def test_a_torn_row_is_set_aside_with_file_and_line(
    tmp_path: Path, content: bytes, declared: Any, good: Any, aside: Any, packed: bool
) -> None:
    name = "t.csv.gz" if packed else "t.csv"
    rows = read(csv(tmp_path, gzip.compress(content) if packed else content, name, **declared, types={"n": "int"}))
    wrong = {each[INVALID] for each in rows}
    found = {}
    for text in (text_of(reason_of(each)) for each in wrong - {None}):
        place, _, what = text.removeprefix("column n: ").partition(f" of {tmp_path / name}: ")
        numbers = tuple(int(each) for each in place.split() if each.isdigit())
        found[numbers if len(numbers) > 1 else numbers[0]] = what
    assert found.keys() == aside.keys() and all(sign in found[line] for line, sign in aside.items()), found
    first = next(iter(rows[0]))
    torn = [each for each in rows if each[INVALID] and reason_of(each[INVALID]).code == "torn_row"]
    assert sorted(each[first] or 0 for each in rows if each not in torn) == sorted(each or 0 for each in good)
    assert all(value is None for each in torn for column, value in each.items() if column != INVALID)


def test_what_is_declared_wrongly_is_refused(tmp_path: Path) -> None:
    for declared, sign in (
        ({"types": {"x": "int"}}, "no column 'x'"), ({"types": {"a": "money"}}, "'money' is no type"),
        ({"encoding": "utf-9"}, "no encoding 'utf-9'"), ({"delimiter": ";;"}, "single character"),
        ({"separator": ";"}, "separator is nothing"),
    ):  # fmt: skip
        with pytest.raises(SpecError, match=sign):
            read(csv(tmp_path, "a,b\n1,2\n", **declared))
    assert read(csv(tmp_path, "a,b\n")) == []
    with pytest.raises(DataError, match="unlike columns"):
        (tmp_path / "u").mkdir()
        (tmp_path / "u/1.csv").write_text("a,b\n1,2\n")
        (tmp_path / "u/2.csv").write_text("a,c\n1,2\n")
        open_source(f"csv:///{tmp_path}").describe(TableName("u"))


def test_files_of_a_table_may_be_many_packed_and_cut_by_key(tmp_path: Path) -> None:
    for year, name, pack in ((2023, "a.csv", False), (2024, "b.csv.gz", True)):
        there = tmp_path / f"t/year={year}"
        there.mkdir(parents=True)
        content = b"id,n\n" + b"".join(b"%d,%d\n" % (each, each * year) for each in range(5))
        (there / name).write_bytes(gzip.compress(content) if pack else content)
    source = open_source(f"csv:///{tmp_path}")
    shape = source.describe(T)
    assert shape is not None and shape.names == ("id", "n", "year")
    with source.snapshot() as snapshot:
        assert snapshot.split(Relation(T), ("year", "id"), 4) == [(2023, 4), (2024, 3)]
        window = KeyRange((2024, 4))
        found = [
            row
            for batch in snapshot.scan(Relation(T), ["n"], key=("year", "id"), within=window)
            for row in batch.to_pylist()
        ]
    assert found == [{"n": 4 * 2024}]
    with pytest.raises(SnapshotLost), source.snapshot() as snapshot:
        assert snapshot.count(Relation(T)) == 10
        (tmp_path / "t/year=2023/a.csv").write_text("id,n\n")
    with source.snapshot() as snapshot:
        assert snapshot.count(Relation(T)) == 5
    source.close()


def test_a_spec_declares_what_is_in_the_files(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    small = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    there = tmp_path / "files"
    there.mkdir()
    (there / "goods.csv").write_text("id;name;price\n1;a;1,50\n2;b;x\n3;c;3,00\n")
    (there / "other.csv").write_text("id,n\n1,2\n")
    columns = {"id": "id", "name": {"expr": "upper(name)"}, "price": "price"}
    tables = {"goods": {"from": "goods", "key": "id", "columns": columns, "create": {}}}
    files = {"tables": {"goods": {"delimiter": ";", "decimal": ",", "types": {"price": "decimal(9,2)"}}}}
    document = small.document(tables, defaults={"window": {"rows": 1}})
    small.path.write_text(yaml.safe_dump(document | {"source": {"url": "csv:///files", "files": files}}))
    outcome = small.run()
    assert outcome.status == Status.DONE and counts(outcome, "goods")["insert"] == 2
    assert small.target.rows("goods", "id, name, price") == [(1, "A", 1.5), (3, "C", 3)]
    (why,) = [each[2] for each in quarantine(small)]
    assert f"line 3 of {there / 'goods.csv'}: x is not decimal(9,2)" in why
    small.settled()


@pytest.mark.parametrize("policy", ["hard", {"policy": "soft", "column": "gone"}])
def test_nothing_is_deleted_as_long_as_keys_of_rows_cannot_be_read(
    tmp_path: Path, request: pytest.FixtureRequest, policy: Any
) -> None:
    small = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    soft = policy != "hard"
    small.target.execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER{', gone BOOLEAN' if soft else ''})")
    file = tmp_path / "t.csv"
    columns = {"id": "id", "n": {"from": "n", "cast": "int"}}
    table = {"from": "t", "where": "n < 100", "key": "id", "columns": columns, "delete": policy}
    files = {"types": {"id": "bigint", "n": "int"}}
    document = small.document({"t": table}) | {"source": {"url": "csv:///t.csv", "files": files}}
    small.path.write_text(yaml.safe_dump(document))
    file.write_text("id,n\n1,1\n2,2\n3,3\n4,400\n")
    assert small.run().status == Status.DONE
    for torn, set_aside in (
        ("2\n", "line 2 of"),
        ("two,2\n", "column id: line 2 of"),
        ("2,\xe9\n", "column n: line 2 of"),
    ):
        file.write_text(f"id,n\n{torn}3,30\n\n4,x\n5,500\n")
        outcome = small.run()
        kept = "column n" in set_aside  # its key is known, and all others are
        assert counts(outcome, "t").get("delete", 0) == (1 if kept else 0)
        warned = [each.code for each in outcome.report.warnings]
        assert ("deletes_withheld" in warned) is not kept
        found = [each[2] for each in quarantine(small)]
        assert any(each.startswith(set_aside) for each in found) and any("line 5 of" in each for each in found), found
        there = "NOT coalesce(gone, false)" if soft else "true"
        if not kept and "column" not in set_aside:
            checked = assess(load_spec(small.path), datetime.now(UTC))
            assert "mend the line in the file" in str(checked.as_dict()) and checked.status == 0
        rows = small.target.ask(f"SELECT id, n FROM t WHERE {there} ORDER BY id")
        assert rows == ([(2, 2), (3, 30)] if kept else [(1, 1), (2, 2), (3, 30)])
    file.write_text("id,n\n3,3\n")
    assert counts(small.run(), "t").get("delete") == 1 and not quarantine(small)
    small.settled()


def test_scaffold_writes_the_dialect_and_the_types_that_it_finds(tmp_path: Path) -> None:
    there = tmp_path / "files"
    there.mkdir()
    (there / "goods.csv").write_text("id;price;since;zip\n1;1,50;01.02.2024;01234\n2;-3,5;31.12.2023;00001\n")
    (there / "more.csv").write_bytes("id\tname\n1\té\n".encode("utf-16"))
    draft = scaffold(Asked(f"csv:///{there}", f"sqlite:///{tmp_path / 'new.db'}", tmp_path))
    found = yaml.safe_load(draft.text)
    types = {"id": "bigint", "price": "decimal(18,2)", "since": "date", "zip": "text"}
    assert found["source"]["files"]["tables"] == {
        "goods": {
            "delimiter": ";",
            "encoding": "utf-8",
            "decimal": ",",
            "dates": "%d.%m.%Y",
            "header": True,
            "types": types,
        },
        "more": {"delimiter": "\t", "encoding": "utf-16", "header": True, "types": {"id": "bigint", "name": "text"}},
    }
    path = tmp_path / "spec.yaml"
    path.write_text(draft.text)
    with closing(sqlite3.connect(tmp_path / "new.db")):
        pass
    done = CliRunner().invoke(main, ["run", str(path), "--direct", "--json"])
    assert done.exit_code == 0, done.output
    with closing(sqlite3.connect(tmp_path / "new.db")) as database:
        assert database.execute("SELECT id, price, since, zip FROM goods ORDER BY id").fetchall() == [
            (1, "1.50", "2024-02-01", "01234"), (2, "-3.50", "2023-12-31", "00001"),
        ]  # fmt: skip
        assert database.execute("SELECT name FROM more").fetchall() == [("é",)]


def test_files_are_followed_by_a_cursor_alone(tmp_path: Path) -> None:
    url = f"csv:///{tmp_path}"
    assert ways(url) == ("poll",)
    with pytest.raises(SpecError, match="csv cannot be followed by trigger"):
        open_feed(url, "trigger", [], "x")


def test_copies_of_files_go_with_whoever_read_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spilled = tmp_path / "spilled"
    spilled.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(spilled))
    for closes in (True, False):
        source = csv(tmp_path, "id,n\n1,\u00e9\n".encode("utf-16"))
        assert source.describe(T) is not None
        assert list(spilled.iterdir())
        if closes:
            source.close()
        del source
        gc.collect()
        assert not list(spilled.iterdir())


def test_a_file_that_ascends_but_for_a_piece_is_read_in_windows_and_a_small_or_shuffled_one_is_not(
    tmp_path: Path,
) -> None:
    def ordered(keys: list[int], then: str = "") -> bool:
        source = csv(tmp_path, "id\n" + "".join(f"{each}\n" for each in keys) + then, types={"id": "bigint"})
        shape = source.describe(T)
        assert shape is not None
        found = bool(shape.ordered)
        source.close()
        return found

    pieces = [*range(120_000), *range(160_000, 220_000), *range(120_000, 160_000)]
    assert ordered(pieces)
    assert not ordered([*pieces[::2], *pieces[1::2], *range(-3, 0), -4, -5])
    assert ordered([1, 2, 3]) and not ordered([1, 3, 2]) and not ordered([1, 1, 2])
    assert not ordered(pieces, '""\n'), "a text without characters is no number"
