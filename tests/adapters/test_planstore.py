"""Plans on disk: what is read back is what was planned, and anything else is refused."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from manifests import manifest, planned

from adapters.store.layout import Store
from adapters.store.manifest import FORMAT, Manifest
from adapters.store.plan_files import FileEntry
from adapters.store.plans import BEGUN, QUARANTINE, Plan, PlanWriter, change_set, change_table, folder_name
from transforms.vocabulary import SIDES, ChangeSet, PlanError, TableName, of_side

TABLE = TableName("flight", "main")
MANIFEST = manifest(planned(TABLE))

ODD_TYPES: dict[str, pa.Array] = {
    "op": pa.array(["insert", "delete", None], pa.string()),
    "key": pa.array([1, 2, 3], pa.int64()),
    "before": pa.array([Decimal("1.10"), Decimal("-0.01"), None], pa.decimal128(9, 2)),
    "wide": pa.array([Decimal("1.10"), None, Decimal("1e40")], pa.decimal256(60, 2)),
    "instant": pa.array([0, 2**63 - 1, None], pa.timestamp("us", "Europe/Vienna")),
    "naive": pa.array([1, None, -(2**63 - 1)], pa.timestamp("us")),
    "seconds": pa.array([1, None, 3], pa.timestamp("s", "+02:00")),
    "nanos": pa.array([1, None, 3], pa.timestamp("ns")),
    "clock": pa.array([1, None, 86399], pa.time32("s")),
    "fine clock": pa.array([1, None, 3], pa.time64("us")),
    "day": pa.array([0, None, 2**31 - 1], pa.date32()),
    "old day": pa.array([0, None, 86_400_000], pa.date64()),
    "span": pa.array([1, None, -3], pa.duration("us")),
    "nan": pa.array([float("nan"), -0.0, float("inf")], pa.float64()),
    "small": pa.array([1.5, None, 2.5], pa.float32()),
    "unsigned": pa.array([2**64 - 1, None, 0], pa.uint64()),
    "bytes": pa.array([b"\x00\xff", None, b""], pa.binary()),
    "fixed": pa.array([b"ab", None, b"cd"], pa.binary(2)),
    "long": pa.array(["", None, "\u00fc\U0001f600"], pa.large_string()),
    "few": pa.array(["a", None, "a"]).dictionary_encode(),
    "list": pa.array([[1, None], None, []], pa.list_(pa.int32())),
    "struct": pa.array([{"a": 1}, None, {"a": None}], pa.struct([("a", pa.int8())])),
    "nothing": pa.nulls(3),
    "yes": pa.array([True, None, False]),
}


def odd_rows() -> pa.Table:
    fields = [
        pa.field(name, values.type, nullable=name != "key", metadata={"native": name})
        for name, values in ODD_TYPES.items()
    ]
    return pa.Table.from_arrays(list(ODD_TYPES.values()), schema=pa.schema(fields, metadata={"side": "target"}))


def changes(inserts: pa.Table, updates: pa.Table, deletes: pa.Table, table: TableName = TABLE) -> ChangeSet:
    compared = tuple(name for name in inserts.schema.names if name != "key")
    return ChangeSet(
        table,
        ("key",),
        compared,
        inserts,
        updates,
        updates.take(pa.array(range(len(updates))[::-1], pa.int64())),
        deletes,
    )


def numbers(*keys: int) -> pa.Table:
    return pa.table({"key": pa.array(keys, pa.int64()), "text": pa.array([f"row {key}" for key in keys], pa.string())})


def small(table: TableName = TABLE) -> ChangeSet:
    return changes(numbers(1, 2), numbers(3), numbers(4, 5, 6), table)


def assert_same(left: ChangeSet, right: ChangeSet) -> None:
    assert (left.table, left.key, left.compared) == (right.table, right.key, right.compared)
    for part in ("inserts", "before", "after", "deletes"):
        one, other = getattr(left, part), getattr(right, part)
        assert one.schema.equals(other.schema, check_metadata=True), part
        assert [str(row) for row in _as_text(one)] == [str(row) for row in _as_text(other)], part


def _as_text(table: pa.Table) -> list[Any]:
    """Rows as comparable texts; what Python cannot hold goes by its bits."""
    columns = []
    for column in table.columns:
        if pa.types.is_temporal(column.type):
            wide = column.type.bit_width == 64
            column = column.cast(pa.int64() if wide else pa.int32())
        columns.append(column.to_pylist())
    return list(zip(*columns, strict=True))


def finished(folder: Path, manifest: Manifest = MANIFEST) -> Path:
    writer = PlanWriter(folder)
    writer.add(0, small())
    writer.add(1, changes(numbers(), numbers(), numbers(9)))
    writer.add_quarantine(1, TABLE, rejected("null in key"))
    writer.finish(manifest)
    return folder


def rejected(*reasons: str) -> pa.Table:
    return pa.table({"reason": list(reasons), "key": ["[null]"] * len(reasons), "source": ["{}"] * len(reasons)})


@pytest.mark.parametrize("part", ["inserts", "updates", "deletes", "all", "none"])
def test_every_type_comes_back_as_it_was(tmp_path: Path, part: str) -> None:
    rows, none = odd_rows(), odd_rows().slice(0, 0)
    planned = changes(*(rows if part in (name, "all") else none for name in ("inserts", "updates", "deletes")))
    assert_same(change_set(change_table(planned), TABLE, planned.key, planned.compared), planned)
    writer = PlanWriter(tmp_path / "plan")
    entry = writer.add(3, planned)
    writer.finish(MANIFEST)
    assert_same(Plan.open(tmp_path / "plan").changes(entry), planned)


def test_chunks_and_slices_keep_their_order(tmp_path: Path) -> None:
    pieces = pa.concat_tables([numbers(1, 2), numbers(), numbers(3)]).slice(1)
    planned = changes(pieces, pieces, pieces)
    writer = PlanWriter(tmp_path / "plan")
    writer.add(0, planned)
    writer.finish(MANIFEST)
    plan = Plan.open(tmp_path / "plan")
    assert_same(plan.changes(plan.windows()[0]), planned)


def test_a_change_file_is_readable_by_anyone(tmp_path: Path) -> None:
    entry = PlanWriter(tmp_path / "plan").add(7, small())
    assert entry.path == "changes/main.flight/000007.parquet"
    assert entry.counts == {"insert": 2, "update": 1, "delete": 3}
    rows = pq.read_table(tmp_path / "plan" / entry.path).to_pylist()
    assert [row["op"] for row in rows] == ["delete"] * 3 + ["update"] + ["insert"] * 2
    assert rows[0] == {"op": "delete", "key": {"key": 4}, "before": {"key": 4, "text": "row 4"}, "after": None}
    assert rows[5] == {"op": "insert", "key": {"key": 2}, "before": None, "after": {"key": 2, "text": "row 2"}}


def test_a_plan_knows_its_manifest_and_its_windows(tmp_path: Path) -> None:
    plan = Plan.open(finished(tmp_path / "plan"))
    assert plan.manifest == MANIFEST
    assert [(entry.window, entry.counts["delete"]) for entry in plan.windows(TABLE)] == [(0, 3), (1, 1)]
    assert plan.windows(TableName("flight")) == []
    plan.verify()


def _edit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _edit_manifest(path: Path) -> None:
    path.write_text(path.read_text().replace('"window": 1', '"window": 2'))


@pytest.mark.parametrize(
    ("file", "do"),
    [
        ("changes/main.flight/000001.parquet", _edit),
        ("changes/main.flight/000001.parquet", Path.unlink),
        ("quarantine/main.flight/000001.parquet", _edit),
        ("changes/main.flight/000002.parquet", Path.touch),
        ("changes/notes.txt", Path.touch),
        ("manifest.json", _edit_manifest),
        ("manifest.json", lambda path: path.write_text(path.read_text()[:700])),
        ("manifest.json", lambda path: path.write_text("[]")),
    ],
)
def test_a_plan_that_was_changed_is_refused(tmp_path: Path, file: str, do: Callable[[Path], Any]) -> None:
    folder = finished(tmp_path / "plan")
    do(folder / file)
    with pytest.raises(PlanError, match=r"was changed after planning.* Fix: plan again") as caught:
        Plan.open(folder).verify()
    assert Path(file).name in str(caught.value)


def test_a_change_between_opening_and_reading_is_refused(tmp_path: Path) -> None:
    plan = Plan.open(finished(tmp_path / "plan"))
    _edit(plan.folder / plan.windows()[1].path)
    plan.changes(plan.windows()[0])
    with pytest.raises(PlanError, match=r"000001\.parquet was changed"):
        plan.changes(plan.windows()[1])


def test_other_files_beside_the_manifest_do_no_harm(tmp_path: Path) -> None:
    folder = finished(tmp_path / "plan")
    (folder / "report.html").write_text("")
    Plan.open(folder).verify()


def test_a_plan_of_a_newer_format_says_so(tmp_path: Path) -> None:
    manifest = finished(tmp_path / "plan") / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format": FORMAT + 1}))
    with pytest.raises(PlanError, match=rf"newer Syncline \(format {FORMAT + 1}\). Fix: update"):
        Plan.open(tmp_path / "plan")


def test_a_folder_without_a_finished_plan_is_no_plan(tmp_path: Path) -> None:
    PlanWriter(tmp_path / "plan").add(0, small())
    for folder in (tmp_path / "plan", tmp_path / "none"):
        with pytest.raises(PlanError, match="holds no finished plan"):
            Plan.open(folder)


def test_a_plan_is_never_written_over_something_else(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="holds a finished plan"):
        PlanWriter(finished(tmp_path / "plan"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(PlanError, match="is not empty"):
        PlanWriter(tmp_path / "mine")


def test_an_interrupted_plan_goes_on_and_leaves_nothing_of_the_first_attempt(tmp_path: Path) -> None:
    folder = tmp_path / "plan"
    first = PlanWriter(folder)
    first.add(0, small())
    first.add(5, small())
    (folder / "changes" / "main.flight" / f".000001.parquet.{'a' * 32}").touch()
    second = PlanWriter(folder, begun=True)
    second.add(0, small())
    second.finish(MANIFEST)
    assert [entry.window for entry in Plan.open(folder).windows()] == [0]


def test_entries_of_other_processes_join_the_plan(tmp_path: Path) -> None:
    main = PlanWriter(tmp_path / "plan")
    entries = [PlanWriter(tmp_path / "plan", begun=True).add(window, small()) for window in range(3)]
    main.finish(MANIFEST, entries)
    assert Plan.open(tmp_path / "plan").windows() == entries


def test_windows_may_be_added_from_several_threads(tmp_path: Path) -> None:
    writer = PlanWriter(tmp_path / "plan")
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda window: writer.add(window, small()), range(64)))
    writer.finish(MANIFEST)
    plan = Plan.open(tmp_path / "plan")
    assert [entry.window for entry in plan.windows()] == list(range(64))
    plan.verify()


NAMES = [
    TableName("flight"), TableName("Flight"), TableName("flight", "main"), TableName("main.flight"), TableName(".."),
    TableName("a/../../b"), TableName("a\\b"), TableName("\u00fcber \U0001f600" * 15), TableName("x" * 200),
    TableName("con: *?"), TableName("b", "a.b"), TableName("b.b", "a"), TableName("nul\x00"), TableName(" "),
]  # fmt: skip


def test_any_name_of_a_table_has_a_folder_of_its_own(tmp_path: Path) -> None:
    assert len({folder_name(name).lower() for name in NAMES}) == len(NAMES)
    writer = PlanWriter(tmp_path / "plan")
    entries = [writer.add(0, small(name)) for name in NAMES]
    writer.finish(MANIFEST)
    plan = Plan.open(tmp_path / "plan")
    for name, entry in zip(NAMES, entries, strict=True):
        assert plan.changes(entry).table == name
        assert (tmp_path / "plan" / entry.path).resolve().is_relative_to(tmp_path / "plan")
    assert [path.name for path in tmp_path.iterdir()] == ["plan"]


def test_rows_set_aside_come_back_with_their_reasons(tmp_path: Path) -> None:
    writer = PlanWriter(tmp_path / "plan")
    entry = writer.add_quarantine(2, TABLE, rejected("null in key", "no parent"))
    assert (entry.counts, entry.path) == ({"quarantined": 2}, "quarantine/main.flight/000002.parquet")
    writer.add_quarantine(0, TableName("other"), rejected("late"))
    writer.finish(MANIFEST)
    plan = Plan.open(tmp_path / "plan")
    (rows,) = plan.quarantined(TABLE)
    assert rows.schema.equals(QUARANTINE)
    assert rows.to_pylist()[1] == {
        "table": "main.flight", "window": 2, "reason": "no parent", "column": None, "key": "[null]", "value": None,
        "source": "{}", "mapped": None, "code": None, "facts": None,
    }  # fmt: skip
    assert [rows.num_rows for rows in plan.quarantined()] == [2, 1]


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PlanError, match=r"Nothing can be written to .*: Not a directory. Fix: "):
        PlanWriter(tmp_path / "file" / "plan")


def test_a_full_disk_is_a_clear_error_and_leaves_no_half_file(tmp_path: Path) -> None:
    writer = PlanWriter(tmp_path / "plan")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(PlanError, match=r"Nothing can be written to .*: File too large. Fix: free space"):
            writer.add(0, small())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path for path in (tmp_path / "plan").rglob("*") if path.is_file() and path.name != BEGUN] == []


def test_a_type_that_parquet_cannot_hold_is_a_clear_error(tmp_path: Path) -> None:
    rows = pa.table({"key": [1], "span": pa.array([(1, 2, 3)], pa.month_day_nano_interval())})
    with pytest.raises(PlanError, match=r"Changes of main\.flight cannot be kept as Parquet"):
        PlanWriter(tmp_path / "plan").add(0, changes(rows, rows.slice(0, 0), rows.slice(0, 0)))


def test_the_store_knows_its_plans_and_the_latest_of_each_side_of_a_migration(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert (store.plans(), store.latest("m", "target")) == ([], None)
    for run in ("run-1", "run-2"):
        finished(store.plan_folder(run))
        time.sleep(0.01)
    PlanWriter(store.plan_folder("unfinished"))
    store.mark_latest("m", "target", "run-1")
    store.mark_latest("m", "source", "run-2")
    assert store.plans() == [store.plan_folder("run-2"), store.plan_folder("run-1")]
    assert [store.latest("m", side) for side in SIDES] == [store.plan_folder("run-2"), store.plan_folder("run-1")]
    assert store.latest("other", "target") is None
    with pytest.raises(PlanError, match="no name of a run"):
        store.plan_folder("../x")


def test_what_is_of_one_side_lies_apart_and_the_targets_where_it_always_was(tmp_path: Path) -> None:
    store, run = Store(tmp_path), "20261128T060759-2d79ec"
    bases, works = zip(*((store.bases("m", side), store.work("m", side)) for side in SIDES), strict=True)
    assert [path.relative_to(tmp_path).as_posix() for path in bases] == ["bases/m~source", "bases/m"]
    assert [work.parent for work in works] == list(bases)
    plans = [store.plan_folder(of_side(run, side)) for side in SIDES]
    assert [path.relative_to(tmp_path).as_posix() for path in plans] == [f"plans/{run}~source", f"plans/{run}"]


def test_entries_are_plain_values() -> None:
    one = FileEntry("changes", TABLE, 1, "p", "d", 2, {"insert": 1})
    assert one == FileEntry("changes", TABLE, 1, "p", "d", 2, {"insert": 1})
    assert hash(one)
