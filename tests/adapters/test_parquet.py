"""Tables of Parquet files: what is in the folder, who sees which state of it, and what is found before anything is written."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from contract import ID, a_shape, change, col, edited, insert_one_by_one, load, make, read, rows_of, simple
from crashing import server
from parquet_tables import STEPS, killed_after

from adapters.parquet import files, parts, writer
from adapters.protocol import Target
from adapters.registry import open_target
from transforms.vocabulary import (
    Applied,
    BusyError,
    ConnectionFailed,
    ForeignKey,
    KeyRange,
    Marker,
    PlanError,
    Relation,
    RowRefused,
    SpecError,
    SynclineError,
    TableName,
    TableShape,
)

PART, SMALL = 64, 8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def lake(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """A folder whose parts are small."""
    for module in (parts, writer):
        monkeypatch.setattr(module, "PART_ROWS", PART)
        monkeypatch.setattr(module, "SMALL_ROWS", SMALL)
    opened = open_target(f"parquet:///{folder}", create=True)
    yield opened
    opened.close()


def numbers(shape: TableShape, *ranges: range) -> pa.Table:
    return rows_of(shape, *({"id": i, "t": f"row {i}"} for each in ranges for i in each))


def seen(folder: Path, table: str) -> list[tuple[int, str | None]]:
    """The rows as others see them, who look for files."""
    found = duckdb.sql(f"SELECT id, t FROM read_parquet('{folder}/{table}/*.parquet') ORDER BY id").fetchall()
    arrow = ds.dataset(folder / table, format="parquet").to_table().sort_by("id")
    assert [tuple(row.values()) for row in arrow.to_pylist()] == found
    assert pq.read_table(folder / table).num_rows == len(found)
    return found


def files_of(folder: Path, table: str) -> list[str]:
    return sorted(each.name for each in (folder / table).glob("*.parquet"))


def test_a_table_is_a_folder_of_parts_cut_by_key_and_only_those_that_a_window_touches_are_written(
    lake: Target, folder: Path
) -> None:
    shape = make(lake, a_shape("big", [ID, col("t", pa.string())]))
    assert seen(folder, "big") == [], "a table without rows has its columns"
    load(lake, shape, numbers(shape, range(0, 1000, 2)))
    first = files_of(folder, "big")
    assert len(first) == 8, "500 rows in parts of at most 64"
    for name in first:
        ids = pq.read_table(folder / "big" / name)["id"].to_pylist()
        assert ids == sorted(ids) and len(ids) <= PART
    there = numbers(shape, range(0, 1000, 2))
    window = change(
        shape,
        inserts=numbers(shape, range(101, 110, 2)),
        before=there.slice(60, 1),
        after=edited(there.slice(60, 1), "t", [None]),
        deletes=there.slice(499),
    )
    assert lake.apply(window, shape, None) == Applied(5, 1, 1)
    kept = set(first) & set(files_of(folder, "big"))
    assert len(kept) == 6, "the part of 101 to 120 and the last one are new"
    rows = {**{i: f"row {i}" for i in [*range(0, 998, 2), *range(101, 110, 2)]}, 120: None}
    assert seen(folder, "big") == sorted(rows.items())
    more = [range(2000, 2005), range(1000, 1003), range(-3, 0), range(3000, 3100), range(-100, -3)]
    for each in more:
        assert load(lake, shape, numbers(shape, each)) == Applied(inserted=len(each))
        rows |= {i: f"row {i}" for i in each}
    assert seen(folder, "big") == sorted(rows.items())
    sizes = [pq.read_metadata(folder / "big" / name).num_rows for name in files_of(folder, "big")]
    assert max(sizes) <= PART
    assert sum(size < SMALL for size in sizes) <= 2, "small ones are joined with their neighbours"
    everything = read(lake, shape, ("id",))
    assert everything["id"].to_pylist() == sorted(rows)
    inside = read(lake, shape, ("id",), within=KeyRange((100,), (110,)))
    assert inside["id"].to_pylist() == sorted(i for i in rows if 100 <= i < 110)
    assert lake.apply(change(shape, deletes=everything), shape, None) == Applied(deleted=len(rows))
    assert seen(folder, "big") == []
    assert len(files_of(folder, "big")) == 1


def test_wide_rows_have_fewer_in_a_part(lake: Target, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (parts, writer):
        monkeypatch.setattr(module, "PART_BYTES", 100_000)
    shape = make(lake, a_shape("wide", [ID, col("t", pa.string())]))
    texts = [random.Random(i).randbytes(2_500).hex() for i in range(60)]
    for start in range(0, 60, 20):
        rows = rows_of(shape, *({"id": i, "t": texts[i]} for i in range(start, start + 20)))
        assert load(lake, shape, rows) == Applied(inserted=20)
    assert all(each.stat().st_size < 120_000 for each in (folder / "wide").glob("*.parquet"))
    assert seen(folder, "wide") == list(enumerate(texts))


def test_rows_go_to_their_parts_whatever_the_key_is_made_of(lake: Target, folder: Path) -> None:
    columns = [
        col("a", pa.string(), nullable=False),
        col("b", pa.decimal128(10, 2), nullable=False),
        col("é 😀", pa.string()),
    ]
    shape = make(lake, a_shape("lists/of..things 😀", columns, ("a", "b")))
    texts = ["", "A", "a", "ab", "z", "é", "😀", "\U0010ffff"]
    rows = pa.concat_tables(
        rows_of(shape, *({"a": text, "b": n, "é 😀": f"{text}{n}"} for text in texts)) for n in range(-20, 20)
    )
    load(lake, shape, rows.slice(0, 7 * len(texts)), ("a", "b"))
    for start in range(7 * len(texts), rows.num_rows, 37):
        assert load(lake, shape, rows.slice(start, 37), ("a", "b")).conflicts is None
    wanted = rows.sort_by([("a", "ascending"), ("b", "ascending")])
    assert read(lake, shape, ("a", "b")).equals(wanted.combine_chunks())
    some = wanted.take(pa.array(range(0, wanted.num_rows, 3)))
    new = edited(some, "é 😀", [None] * some.num_rows)
    assert lake.apply(change(shape, ("a", "b"), before=some, after=new), shape, None) == Applied(updated=some.num_rows)
    again = lake.apply(change(shape, ("a", "b"), deletes=some.slice(5)), shape, None)
    assert again.conflicts is not None and again.conflicts.num_rows == some.num_rows - 5
    assert [each.name for each in folder.iterdir() if each.is_symlink()] == ["lists%2Fof..things 😀"]
    assert [each.name for each in lake.tables()] == ["lists/of..things 😀"]


def test_readers_see_one_state_from_beginning_to_end(lake: Target, folder: Path) -> None:
    shape, rows = simple(lake, count=200)
    with lake.snapshot() as snapshot:
        batches = snapshot.scan(Relation(shape.name), ("id", "n"), key=("id",))
        outside = (folder / "simple").resolve()
        for _ in range(4):
            assert (
                lake.apply(change(shape, before=rows, after=edited(rows, "n", [7] * 200)), shape, None).updated == 200
            )
            assert (
                lake.apply(change(shape, before=edited(rows, "n", [7] * 200), after=rows), shape, None).updated == 200
            )
        lake.apply(change(shape, deletes=rows), shape, None)
        found = pa.Table.from_batches(list(batches))
        assert found["n"].to_pylist() == rows["n"].to_pylist()
        assert snapshot.count(Relation(shape.name)) == 200
        assert outside.is_dir()
    lake.apply(change(shape, inserts=rows), shape, None)
    assert not outside.is_dir(), "what nobody reads is taken away"
    assert len(list((folder / ".syncline/tables/simple").iterdir())) == 2, "but for the state before"


def test_a_window_that_fails_leaves_the_folder_as_it_was(lake: Target, folder: Path) -> None:
    shape, rows = simple(lake, count=100)

    def state() -> list[str]:
        return sorted(f"{each} {each.readlink() if each.is_symlink() else ''}" for each in folder.rglob("*"))

    lake.apply(change(shape, deletes=rows.slice(99)), shape, Marker("m", "p", "simple", 0))
    before = state()

    def refuse(_: Applied) -> None:
        raise PlanError("no")

    with pytest.raises(PlanError, match="no"):
        lake.apply(change(shape, deletes=rows.slice(0, 3)), shape, Marker("m", "p", "simple", 1), before_commit=refuse)

    def store_is_full(_: Applied) -> None:
        raise OSError(28, "of the store")

    with pytest.raises(OSError, match="of the store"):  # and none of the folder's
        lake.apply(change(shape, deletes=rows.slice(0, 3)), shape, None, before_commit=store_is_full)
    twice = pa.concat_tables([rows.slice(99), rows.slice(99)])
    with pytest.raises(RowRefused):
        lake.apply(change(shape, inserts=twice), shape, Marker("m", "p", "simple", 1))
    null = rows_of(shape, {"id": None, "name": "x", "n": 1})
    with pytest.raises(RowRefused, match="id"):
        lake.apply(change(shape, inserts=null), shape, Marker("m", "p", "simple", 1))
    assert state() == before
    assert lake.applied("p") == {Marker("m", "p", "simple", 0)}


MEDDLING: dict[str, Any] = {
    "changed": lambda part: pq.write_table(pq.read_table(part).slice(1), part),
    "gone": Path.unlink,
    "added": lambda part: shutil.copy(part, part.with_name("more.parquet")),
    "changed ": lambda part: part.write_bytes(part.read_bytes()[:-100] + bytes(100)),
}


@pytest.mark.parametrize("how", MEDDLING)
def test_what_somebody_else_did_to_a_part_is_found_before_anything_is_written(
    lake: Target, folder: Path, how: str
) -> None:
    shape, rows = simple(lake, count=200)
    other, _ = simple(lake, "other")
    MEDDLING[how](next((folder / "simple").glob("*-0002.parquet")))
    before = (folder / "simple").readlink()
    with pytest.raises(SynclineError, match=rf"\.parquet (is|was) {how.strip()}") as raised:
        lake.apply(change(shape, deletes=rows.slice(0, 1)), shape, None)
    assert raised.value.fix
    for _ in range(2):
        with pytest.raises(SynclineError, match=how.strip()):
            read(lake, shape)
    assert read(lake, other).num_rows == 3, "that of another table is none of its business"
    assert (folder / "simple").readlink() == before
    assert len(list((folder / ".syncline/tables/simple").iterdir())) <= 2


def test_a_part_that_was_only_touched_or_copied_is_the_same(lake: Target, folder: Path) -> None:
    shape, rows = simple(lake, count=100)
    for part in (folder / "simple").glob("*.parquet"):
        os.utime(part)
    assert read(lake, shape, ("id",)).equals(rows)
    assert lake.apply(change(shape, deletes=rows.slice(0, 1)), shape, None) == Applied(deleted=1)
    shutil.copytree(folder, folder.parent / "moved", symlinks=True)
    moved = open_target(f"parquet:///{folder.parent}/moved")
    assert load(moved, shape, rows.slice(0, 1)) == Applied(inserted=1)
    assert read(lake, shape).num_rows == 99
    shutil.copytree(folder, folder.parent / "flat", symlinks=False)
    flat = open_target(f"parquet:///{folder.parent}/flat")
    assert read(flat, shape).num_rows == 99
    found = flat.describe(shape.name)
    assert found is not None and "is no link" in str(found.unwritable)
    with pytest.raises(ConnectionFailed, match="is no link"):
        load(flat, shape, rows.slice(0, 1))


def test_what_is_written_with_each_window_stays_small_however_many_plans_wrote(
    lake: Target, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files.manifests, "MOST_MARKED", 5)
    shape, rows = simple(lake)
    for number in range(20):
        marker = Marker(f"m{number % 2}", f"p{number}", "simple", 0)
        row = rows.slice(number % 3, 1)
        op = {"deletes": row} if number // 3 % 2 == 0 else {"inserts": row}
        assert not lake.apply(change(shape, **op), shape, marker).already
    wider = TableShape(shape.name, (*shape.columns, col("more", pa.string())), ("id",))
    lake.execute_ddl(lake.adding(wider, ("more",)))
    assert len(list((folder / "simple").glob("_markers-*.json"))) == 3
    assert (folder / "simple" / "_syncline.json").stat().st_size < 3_000
    again = open_target(f"parquet:///{folder}")
    for number in range(20):
        marker = Marker(f"m{number % 2}", f"p{number}", "simple", 0)
        assert again.applied(f"p{number}") == {marker}
        assert again.apply(change(shape, deletes=rows), shape, marker).already
    assert again.plans_by("m1", shape.name) == {f"p{number}" for number in range(1, 20, 2)}
    assert again.writers(shape.name) == {"m0", "m1"}


def test_files_of_others_are_no_table_and_are_never_written_over(lake: Target, folder: Path) -> None:
    (folder / "theirs").mkdir(parents=True)
    pq.write_table(pa.table({"id": [1]}), folder / "theirs" / "a.parquet")
    with pytest.raises(SpecError, match="no table of Syncline's"):
        make(lake, a_shape("theirs", [ID]))
    assert [each.name for each in (folder / "theirs").iterdir()] == ["a.parquet"]
    (folder / "file").write_text("x")
    other = open_target(f"parquet:///{folder}/file", create=True)
    with pytest.raises(ConnectionFailed, match="is no folder"):
        other.tables()


def test_columns_are_added_to_every_part_and_tables_are_dropped(lake: Target, folder: Path) -> None:
    shape, rows = simple(lake, count=200)
    lake.apply(change(shape, deletes=rows.slice(0, 1)), shape, Marker("m", "p", "simple", 0))
    wider = TableShape(
        shape.name, (*shape.columns, col("when", pa.timestamp("us")), col("span", pa.duration("us"))), ("id",)
    )
    lake.execute_ddl(lake.adding(wider, ("when", "span")))
    found = lake.describe(shape.name)
    assert found is not None and found.names == (*shape.names, "when", "span")
    assert [each.native for each in found.columns[3:]] == ["TIMESTAMP", "VARCHAR"]
    there = ds.dataset(folder / "simple", format="parquet").to_table()
    assert there.num_rows == there["when"].null_count == 199
    assert lake.applied("p") == {Marker("m", "p", "simple", 0)}
    make(lake, a_shape("other", [ID]))
    lake.execute_ddl(['DROP TABLE "simple"'])
    assert [each.name for each in lake.tables()] == ["other"]
    assert not (folder / "simple").is_symlink()


@pytest.mark.parametrize(
    ("shape", "what"),
    [
        (a_shape("t", [ID], foreign_keys=(ForeignKey(("id",), TableName("u"), ("id",)),)), "foreign keys"),
        (a_shape("t", [ID, col("u", pa.string())], uniques=frozenset({frozenset({"u"})})), r"unique columns .*\(u\)"),
        (a_shape("t", [col("id", pa.int64(), identity=True)]), r"numbers of its own \(id\)"),
        (a_shape("t", [ID], ()), "needs a key"),
    ],
)
def test_what_files_cannot_hold_to_is_refused(lake: Target, folder: Path, shape: TableShape, what: str) -> None:
    with pytest.raises(SpecError, match=what):
        lake.ddl(shape)
    assert not folder.exists()
    assert lake.tried(["CREATE TABLE t (id integer PRIMARY KEY, v HUGEINT)"]) is not None
    with pytest.raises(SpecError, match="no column of HUGEINT"):
        lake.execute_ddl(["CREATE TABLE t (id integer PRIMARY KEY, v HUGEINT)"])
    assert not folder.exists()


def test_two_migrations_of_one_name_do_not_meet_and_two_writers_of_a_table_take_turns(
    lake: Target, folder: Path
) -> None:
    shape, rows = simple(lake, count=3)
    other = open_target(f"parquet:///{folder}")
    with lake.lock("shop"):
        with pytest.raises(BusyError, match="shop"), other.lock("shop"):
            pass
        with other.lock("another"):
            pass
    with other.lock("shop"):
        pass
    writers = [server().Process(target=insert_one_by_one, args=(lake.url, at)) for at in (100, 200)]
    for each in writers:
        each.start()
    for each in writers:
        each.join(60)
        assert each.exitcode == 0
    assert read(lake, shape).num_rows == rows.num_rows + 40


@pytest.mark.parametrize("step", STEPS)
def test_a_writer_that_is_killed_leaves_the_state_before_or_after(lake: Target, folder: Path, step: str) -> None:
    shape, rows = simple(lake, count=200)
    marker = Marker("m", "p", "simple", 0)
    dying = server().Process(target=killed_after, args=(folder, step))
    dying.start()
    dying.join(60)
    assert dying.exitcode == -signal.SIGKILL
    inside = step in ("it holds", "what is past is taken away")
    assert lake.applied("p") == ({marker} if inside else set())
    assert read(lake, shape).num_rows == len(pq.read_table(folder / "simple")) == (199 if inside else 200)
    with lake.lock("shop"):
        again = lake.apply(change(shape, deletes=rows.slice(0, 1)), shape, marker)
    assert again == (Applied(already=True) if inside else Applied(deleted=1))
    assert read(lake, shape, ("id",)).equals(rows.slice(1))
    lake.apply(change(shape, deletes=rows.slice(1, 1)), shape, Marker("m", "p", "simple", 1))
    assert len(list((folder / ".syncline/tables/simple").iterdir())) == 2, "nothing is left behind"


@pytest.fixture
def disk(folder: Path) -> Iterator[Callable[[str], None]]:
    """A file system of its own in the place of the folder; what this gives sets its options."""
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", folder], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("mounting needs root")
    yield lambda options: subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True) and None
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_disk_that_is_full_and_one_that_is_only_read_are_told_and_nothing_is_half_written(
    disk: Callable[[str], None], lake: Target, folder: Path
) -> None:
    shape = make(lake, a_shape("wide", [ID, col("t", pa.string())]))
    texts = [random.Random(i).randbytes(2_000).hex() for i in range(200)]
    rows = rows_of(shape, *({"id": i, "t": text} for i, text in enumerate(texts)))
    load(lake, shape, rows.slice(0, 10))
    held = (folder / "wide").readlink()

    def refused(fix: str, act: Callable[[], object]) -> None:
        with pytest.raises(ConnectionFailed) as raised:
            act()
        assert fix in str(raised.value.fix)
        assert (folder / "wide").readlink() == held
        assert len(seen(folder, "wide")) == 10
        assert len(list((folder / ".syncline/tables/wide").iterdir())) <= 2

    refused("free space", lambda: load(lake, shape, rows.slice(10)))
    disk("ro")
    refused("let this user write", lambda: load(lake, shape, rows.slice(10)))
    refused("let this user write", lambda: make(lake, a_shape("other", [ID])))
    refused("let this user write", lambda: lake.lock("shop").__enter__())
    assert read(lake, shape, ("id",)).equals(rows.slice(0, 10))
    disk("rw,size=10m")
    assert load(lake, shape, rows.slice(10)) == Applied(inserted=190)
    assert seen(folder, "wide") == list(enumerate(texts))
