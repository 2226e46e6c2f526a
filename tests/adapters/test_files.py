"""Files as tables: what a URL names, which types they have, and what is wrong with files that cannot be read."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from scenario import Scenario, counts, quarantine

from adapters.protocol import Catalog, Inspection, Source
from adapters.registry import open_source
from flows.commands import Status
from transforms.vocabulary import (
    INVALID,
    ColumnShape,
    ConnectionFailed,
    DataError,
    KeyRange,
    Relation,
    SnapshotLost,
    SpecError,
    SynclineError,
    TableName,
)

ROWS = pa.table({"id": pa.array([1, 2, 3], pa.int64()), "name": ["a", None, "🎉"]})


def files(kind: str, path: Path | str) -> Source:
    return open_source(f"{kind}:///{path}" if isinstance(path, Path) else f"{kind}://{path}")


def rows_of(source: Source, table: str, columns: list[str], key: tuple[str, ...] = ("id",), **more: Any) -> list[Any]:
    with source.snapshot() as snapshot:
        scanned = snapshot.scan(Relation(TableName(table)), columns, key=key, **more)
        return [row for batch in scanned for row in batch.to_pylist()]


def column(source: Source, table: str, name: str) -> ColumnShape:
    shape = source.describe(TableName(table))
    assert shape is not None
    found = shape.column(name)
    assert found is not None
    return found


def test_a_url_names_a_file_a_glob_or_a_folder_of_tables(tmp_path: Path) -> None:
    for name in ("one.parquet", "many/1.parquet", "many/deep/2.parquet", "odd [1]*.parquet", "cut/y=2024/a.parquet"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(ROWS, tmp_path / name)
    for name in ("_hidden.parquet", ".hidden.parquet", "many/_tmp/3.parquet"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"not read")
    (tmp_path / "notes.md").write_text("not read")
    folder = files("parquet", tmp_path)
    assert [each.name for each in folder.tables()] == ["cut", "many", "odd [1]*", "one"]
    assert isinstance(folder, Catalog)
    with folder.snapshot() as snapshot:
        assert isinstance(snapshot, Inspection)
        assert [snapshot.count(Relation(each)) for each in folder.tables()] == [3, 6, 3, 3]
        assert snapshot.highest(Relation(TableName("one")), "id") == 3
    assert rows_of(folder, "odd [1]*", ["id"]) == [{"id": 1}, {"id": 2}, {"id": 3}]
    assert folder.named(TableName("ONE")) == TableName("one")
    assert folder.describe(TableName("missing")) is None
    for url, name in (
        (tmp_path / "one.parquet", "one"), (tmp_path / "many/*.parquet", "many"), (tmp_path / "o*.parquet", "o"),
        (tmp_path / "many/**/*.parquet", "many"), (tmp_path / "cut", "cut"),
    ):  # fmt: skip
        assert [each.name for each in files("parquet", url).tables()] == [name]
    assert [each.name for each in files("parquet", tmp_path / "many").tables()] == ["1", "deep"]
    query = "SELECT o.id AS o, c.y FROM one o JOIN cut c USING (id)"
    assert folder.describe_query(query).names == ("o", "y")
    with folder.snapshot() as snapshot:
        assert snapshot.count(Relation(query=query)) == 3
    (tmp_path / "one").mkdir()
    pq.write_table(ROWS, tmp_path / "one/x.parquet")
    with pytest.raises(SpecError, match="would both be the table one"):
        folder.tables()


def test_partitions_are_columns_and_keep_what_their_texts_say(tmp_path: Path) -> None:
    for region, day, number in (("01", "2024-01-01", 7), ("a%20b", "__HIVE_DEFAULT_PARTITION__", -3)):
        there = tmp_path / f"t/region={region}/day={day}/n={number}"
        there.mkdir(parents=True)
        pq.write_table(ROWS, there / "x.parquet")
    source = files("parquet", tmp_path)
    kinds = [str(column(source, "t", name).type) for name in ("region", "day", "n")]
    assert kinds == ["string", "date32[day]", "int64"]
    found = rows_of(source, "t", ["region", "day", "n"], ("region", "id"), within=KeyRange(("a b", 3)))
    assert found == [{"region": "a b", "day": None, "n": -3}]


def test_types_travel_exactly_or_their_rows_are_set_aside(tmp_path: Path) -> None:
    zoned = pa.timestamp("ns", "Europe/Vienna")
    table = pa.table(
        {
            "id": pa.array([1, 2], pa.int64()),
            "u": pa.array([2**64 - 1, 0], pa.uint64()),
            "d": pa.array([Decimal("1.1000000000"), None], pa.decimal128(38, 10)),
            "ns": pa.array([1_000, 1_001], pa.timestamp("ns")),
            "zone": pa.array([1_000, 2_000], zoned),
            "time": pa.array([1_000, 1], pa.time64("ns")),
            "bytes": pa.array([b"\x00\xff", b""], pa.binary()),
            "list": pa.array([[1, None], []], pa.list_(pa.int32())),
            "struct": pa.array([{"a": "x"}, None], pa.struct([("a", pa.string())])),
            "blobs": pa.array([[b"x"], []], pa.list_(pa.binary())),
            "wide": pa.array([Decimal("1.5"), None], pa.decimal256(60, 2)),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    source = files("parquet", tmp_path)
    kinds = {name: str(column(source, "t", name).type) for name in table.column_names}
    assert kinds["u"] == "decimal128(20, 0)" and kinds["d"] == "decimal128(38, 10)"
    assert kinds["ns"] == "timestamp[us]" and kinds["zone"] == "timestamp[us, tz=UTC]"
    assert [column(source, "t", name).meaning for name in ("list", "struct")] == ["json", "json"]
    assert all(column(source, "t", name).refused for name in ("blobs", "wide"))
    kept = ["u", "d", "ns", "zone", "bytes", "list", "struct"]
    first, second = rows_of(source, "t", [*kept, "time"])
    assert first == {
        "u": Decimal(2**64 - 1), "d": Decimal("1.1"), "ns": datetime(1970, 1, 1, 0, 0, 0, 1),
        "zone": datetime(1970, 1, 1, 0, 0, 0, 1, UTC), "bytes": b"\x00\xff", "list": "[1,null]", "struct": '{"a":"x"}',
        "time": datetime(1970, 1, 1, 0, 0, 0, 1).time(), INVALID: None,
    }  # fmt: skip
    assert second["ns"] is None and "00:00:00.000001001" in second[INVALID]
    assert INVALID not in rows_of(source, "t", ["u", "zone"])[1]  # only what is read can be wrong
    with pytest.raises(SynclineError, match="whole microseconds"), source.snapshot() as snapshot:
        list(snapshot.scan(Relation(query="SELECT id, ns FROM t"), ["ns"]))


def test_what_is_wrong_with_files_is_said_with_their_names(tmp_path: Path) -> None:
    def refused(error: type[SynclineError], *signs: str) -> None:
        with pytest.raises(error) as caught:
            source = files("parquet", tmp_path / "t")
            shape = source.describe(TableName("t"))
            assert shape is not None
        assert all(sign in str(caught.value) for sign in (*signs, "Fix:"))

    there = tmp_path / "t" / "t"
    refused(ConnectionFailed, "There is no file or folder")
    there.mkdir(parents=True)
    pq.write_table(ROWS, there / "a.parquet")
    whole = (there / "a.parquet").read_bytes()
    (there / "b.parquet").write_bytes(whole[:-20])
    refused(DataError, "b.parquet is cut off")
    (there / "b.parquet").write_bytes(b"")
    refused(DataError, "b.parquet is empty")
    pq.write_table(ROWS.set_column(0, "id", ROWS["id"].cast("string")), there / "b.parquet")
    refused(DataError, "id is int64 in", "string in", "b.parquet")
    pq.write_table(ROWS.select(["id"]), there / "b.parquet")
    refused(DataError, "name is string in", "missing in")
    (there / "b.parquet").unlink()
    pq.write_table(pa.table([[1], [2]], ["x", "X"]), there / "a.parquet")
    refused(DataError, "two columns called 'x' and 'X'")
    with pytest.raises(ConnectionFailed, match="No file matches"):
        files("parquet", tmp_path / "none*.parquet").tables()
    with pytest.raises(SpecError, match="does not name a file"):
        open_source("parquet://")
    if os.geteuid():
        there.chmod(0)
        refused(ConnectionFailed, "may not be read")
        there.chmod(0o700)


def test_a_file_that_changes_while_it_is_read_is_found_out(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(ROWS, path)
    source = files("parquet", tmp_path)
    relation = Relation(TableName("t"))
    with pytest.raises(SnapshotLost, match="was changed while it was read"), source.snapshot() as snapshot:
        assert snapshot.count(relation) == 3
        same = path.read_bytes()
        path.unlink()
        path.write_bytes(same)
        list(snapshot.scan(relation, ["id"]))
    with pytest.raises(SnapshotLost, match="was removed"), source.snapshot() as snapshot:
        assert snapshot.count(relation) == 3
        path.unlink()


def test_files_elsewhere_are_read_through_fsspec(tmp_path: Path) -> None:
    system = fsspec.filesystem("memory")
    pq.write_table(ROWS, tmp_path / "x.parquet")
    for name in ("one.parquet", "cut/y=1/a.parquet", "cut/y=2/a.parquet"):
        system.pipe(f"/shop-files/{name}", (tmp_path / "x.parquet").read_bytes())
    source = files("parquet", "memory://shop-files")
    assert [each.name for each in source.tables()] == ["cut", "one"]
    found = rows_of(source, "cut", ["y", "id"], ("y", "id"), within=KeyRange((2, 2)))
    assert found == [{"y": 2, "id": 2}, {"y": 2, "id": 3}]
    with pytest.raises(SnapshotLost), source.snapshot() as snapshot:
        assert snapshot.count(Relation(TableName("one"))) == 3
        system.pipe("/shop-files/one.parquet", b"other")
    with pytest.raises(ConnectionFailed, match="cannot be opened"):
        files("parquet", "nowhere://x/y").tables()


def test_files_are_migrated_like_any_source(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    small = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    there = tmp_path / "files"
    there.mkdir()
    bad = pa.array([1_000, 1_001, 2_000], pa.timestamp("ns"))
    pq.write_table(ROWS.append_column("at", bad), there / "goods.parquet")
    columns = {"id": "id", "name": {"expr": "upper(name)"}, "at": "at"}
    table = {"from": "goods", "key": "id", "where": "id < 3 OR name LIKE '%🎉%'", "columns": columns, "create": {}}
    document = small.document({"goods": table}, defaults={"window": {"rows": 2}})
    for url in ("parquet:///files", "memory"):
        if url == "memory":
            for file in there.iterdir():
                fsspec.filesystem("memory").pipe(f"/again/{file.name}", file.read_bytes())
            url = "parquet://memory://again"
        small.path.write_text(yaml.safe_dump(document | {"source": {"url": url}}))
        outcome = small.run()
        assert outcome.status == Status.DONE
    assert small.target.rows("goods", "id, name") == [(1, "A"), (3, "🎉")]
    assert not counts(outcome, "goods").get("insert")
    assert "00:00:00.000001001" in quarantine(small)[0][2]
    small.settled()
