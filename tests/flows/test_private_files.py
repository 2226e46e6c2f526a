"""What holds rows is for its owner alone, whatever the umask says, and from its first moment on."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from scenario import Scenario

from adapters import private
from flows.cli.main import main

OTHERS = stat.S_IRWXG | stat.S_IRWXO


@pytest.fixture
def umask() -> Iterator[int]:
    """The one that leaves everything open: a narrow one would do our work."""
    before = os.umask(0)
    yield 0
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    """The files and folders inside that somebody else may read, write or enter."""
    return [f"{path} {oct(path.stat().st_mode)}" for path in folder.rglob("*") if path.stat().st_mode & OTHERS]


def syncline(*arguments: Any, statuses: tuple[int, ...] = (0,)) -> None:
    done = CliRunner().invoke(main, [str(each) for each in arguments])
    assert done.exit_code in statuses, done.output


def test_files_of_every_command_are_for_their_owner_alone(
    umask: int, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.plan import build

    shop = Scenario.make(tmp_path, ("sqlite", "duckdb"), request)
    shop.source.execute("CREATE TABLE t (k bigint PRIMARY KEY, v text)")
    shop.source.insert("t", [(n, "x" if n % 3 else "1") for n in range(30)])
    columns = {"label": {"expr": "'no ' || k::varchar"}, "v": {"from": "v", "cast": "bigint"}}  # is spilled
    shop.write({"t": {"from": "t", "key": ["label"], "columns": columns}}, defaults={"delete": {"max_ratio": 1.0}})
    working: list[str] = []

    def watched(folder: Path, **options: Any) -> None:
        working.extend(str(path) for path in folder.rglob("*.arrow"))
        assert open_to_others(Path(folder)) == []
        shutil.rmtree(folder, **options)

    monkeypatch.setattr(build, "shutil", type("Watched", (), {"rmtree": staticmethod(watched)}))
    out = tmp_path / "out"
    out.mkdir(0o700)
    syncline("plan", shop.path, "-o", out / "new" / "plan", statuses=(2,))
    syncline("run", shop.path, "--direct")
    assert working
    shop.source.execute("UPDATE t SET v = '2' WHERE k = 3")
    syncline("run", shop.path, "--direct")
    for command in ("check", "verify"):
        syncline(command, shop.path, statuses=(0, 1, 2))
    syncline("quarantine", shop.path, "retry", "--direct")
    syncline("report", shop.path, "-o", out / "report.html")
    syncline("asof", shop.path, 1, "t", "-o", out / "t.parquet")
    syncline("undo", shop.path, 2, "--direct", "--yes")
    syncline("prune", shop.path, "--keep", "0s", "--yes")
    assert open_to_others(tmp_path / "store") == []
    assert open_to_others(out) == []
    ledgers = [path for path in tmp_path.glob("ledger*") if path.stat().st_mode & OTHERS]
    assert not ledgers
    syncline("scaffold", shop.source.url, f"duckdb:///{out / 'new.db'}", "-o", out / "draft.yaml")
    assert (out / "draft.yaml").stat().st_mode & 0o777 == 0o666  # a file of the user's, without rows: as the umask says


def test_what_earlier_versions_left_open_is_closed(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    shop = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    shop.source.execute("CREATE TABLE t (k bigint PRIMARY KEY)")
    shop.write({"t": {"from": "t", "key": ["k"]}})
    syncline("run", shop.path, "--direct")
    (ledger,) = tmp_path.glob("ledger*db")
    ledger.chmod(0o644)
    (tmp_path / "store" / "plans").chmod(0o755)
    syncline("run", shop.path, "--direct")
    assert [path for path in (ledger, tmp_path / "store" / "plans") if path.stat().st_mode & OTHERS] == []


def test_a_file_that_cannot_be_narrowed_stays_as_it_is(tmp_path: Path) -> None:
    private.narrow(tmp_path / "nowhere")
    private.make_file(tmp_path)  # a folder: whoever opens it as a file says what is wrong
    assert tmp_path.is_dir()
