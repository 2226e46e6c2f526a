"""What a document holds to as a target: one writer, markers that a kill leaves true, and edits that nobody loses."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from adapters.registry import open_target
from transforms.vocabulary import (
    Applied,
    ChangedMeanwhile,
    ChangeSet,
    ColumnRange,
    KeyRange,
    Marker,
    Relation,
    RowRefused,
    SynclineError,
    TableName,
)

BEFORE = "# mine\na: 1 # one\nb: x\n"
AFTER = "# mine\na: 2 # one\nb: x\n"
SCHEMA = pa.schema([("path", pa.string()), ("value", pa.string()), ("kind", pa.string())])
MARKER = Marker("m", "p1", "app", 0)


def rows(*found: tuple[str, str | None, str]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(SCHEMA.names, each, strict=True)) for each in found], SCHEMA)


def changes(before: pa.Table, after: pa.Table, inserts: pa.Table | None = None) -> ChangeSet:
    none = rows()
    return ChangeSet(
        TableName("app"), ("path",), ("value", "kind"), none if inserts is None else inserts, before, after, none
    )


ONE = changes(rows(("a", "1", "int")), rows(("a", "2", "int")))


def applied(folder: Path, what: ChangeSet = ONE, marker: Marker | None = MARKER, **more: Any) -> Applied:
    target = open_target(f"yaml:///{folder}/app.yaml", create=True)
    shape = target.describe(TableName("app"))
    assert shape is not None
    return target.apply(what, shape, marker, **more)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_around_the_rename_leaves_a_marker_that_says_whether_the_window_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    app = tmp_path / "app.yaml"
    app.write_text(BEFORE)
    rename = Path.replace

    def killed(self: Path, other: Path) -> Path:
        if when == "after":
            rename(self, other)
        os._exit(9)

    if (child := os.fork()) == 0:
        monkeypatch.setattr(Path, "replace", killed)
        applied(tmp_path)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    target = open_target(f"yaml:///{app}", create=True)
    assert target.applied("p1") == ({MARKER} if when == "after" else set())
    assert app.read_text() == (AFTER if when == "after" else BEFORE)
    again = applied(tmp_path)
    assert (again.already, again.updated) == ((True, 0) if when == "after" else (False, 1))
    assert app.read_text() == AFTER
    assert target.applied("p1") == {MARKER}
    assert target.writers(TableName("app")) == {"m"}
    assert target.plans_by("m", TableName("app")) == {"p1"}
    assert sorted(each.name for each in tmp_path.iterdir()) == [".app.yaml.syncline", "app.yaml"]


def test_an_edit_while_the_document_is_written_stays_and_nothing_of_the_window_is_in(tmp_path: Path) -> None:
    app = tmp_path / "app.yaml"
    app.write_text(BEFORE)
    with pytest.raises(ChangedMeanwhile, match="edited while"):
        applied(tmp_path, before_commit=lambda _: app.write_text("a: 1\nedited: true\n") and None)
    assert app.read_text() == "a: 1\nedited: true\n"
    assert open_target(f"yaml:///{app}").applied("p1") == set()
    assert applied(tmp_path).updated == 1
    assert app.read_text() == "a: 2\nedited: true\n"


def test_rows_that_are_no_longer_as_planned_are_conflicts_and_what_no_document_holds_is_refused(tmp_path: Path) -> None:
    app = tmp_path / "app.yaml"
    app.write_text("a: 7\nb: x\n")
    done = applied(tmp_path)
    assert done.conflicts is not None
    assert done.conflicts.num_rows == 1
    with pytest.raises(RowRefused):
        applied(tmp_path, changes(rows(), rows(), rows(("c", "no", "int"))), None)
    with pytest.raises(RowRefused, match=r"b would be"):
        applied(tmp_path, changes(rows(), rows(), rows(("b.c", "1", "int"))), None)
    assert app.read_text() == "a: 7\nb: x\n"


@pytest.mark.parametrize("scheme", ["yaml", "json", "toml", "ini", "env"])
def test_a_document_is_read_as_any_table(tmp_path: Path, scheme: str) -> None:
    names = [f"k{number}" for number in range(300)] + ["K1", "_", "a"]
    bare = {"ini": "{} = {}", "env": "{}={}", "toml": "{} = '{}'", "yaml": "{}: '{}'", "json": '"{}": "{}"'}[scheme]
    body = ("," if scheme == "json" else "\n").join(bare.format(name, f"v{name}") for name in names)
    path = tmp_path / f"app.{scheme}"
    path.write_text(f"{{{body}}}" if scheme == "json" else body + "\n")
    opened, app, key = open_target(f"{scheme}:///{path}"), TableName("app"), ("path",)
    ordered = sorted(names)
    with opened.snapshot() as snapshot:

        def paths(**more: Any) -> list[str]:
            found = snapshot.scan(Relation(app, where=more.pop("where", None)), ["path"], key=key, **more)
            return [each for batch in found for each in batch["path"].to_pylist()]

        cuts = snapshot.split(Relation(app), key, 100)
        assert cuts == [(ordered[at],) for at in (100, 200, 300)] and paths() == ordered
        ends = [None, *cuts, None]
        windows = [KeyRange(low, high, low is None) for low, high in itertools.pairwise(ends)]
        assert [name for window in windows for name in paths(within=window)] == ordered
        assert paths(where="value = 'va'") == ["a"]
        asked = pa.table({"path": ["k7", "nothing", "K1", "k1"]})
        found = snapshot.scan(Relation(app), ["value"], keys=asked)
        assert sorted(each for batch in found for each in batch["value"].to_pylist()) == ["vK1", "vk1", "vk7"]
        assert snapshot.count(Relation(app), [ColumnRange("path", "k2", "k3")]) == sum(
            "k2" <= each < "k3" for each in names
        )
        assert snapshot.count(Relation(query="SELECT value FROM app", where="value > 'vk'")) == 300
        one, other = (snapshot.scan(Relation(app), ["path"], key=key) for _ in range(2))
        assert next(one).equals(next(other))
        with pytest.raises(SynclineError, match="nmae"):
            list(snapshot.scan(Relation(app), ["nmae"]))
        mark = snapshot.mark
        path.write_text(path.read_text().replace("vk299", "other"))
        assert paths() == ordered and paths(where="value = 'other'") == []  # what was read stays what it was
    with opened.snapshot() as snapshot:
        assert snapshot.mark != mark and snapshot.count(Relation(app, where="value = 'other'")) == 1
    assert opened.describe(TableName("nothing")) is None and [each.name for each in opened.tables()] == ["app"]
