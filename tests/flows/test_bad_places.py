"""Servers, files, ledgers, stores and disks that are not as they should be: a clear error, and the target as it was."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from refusing import ROOT, T, refused
from refusing import small as small
from scenario import Engine, Scenario, Side

from flows.cli.main import main


@pytest.mark.parametrize("side", ["source", "target"])
def test_an_unreachable_server(small: Scenario, side: str) -> None:
    url = "postgresql://me:hunter2@127.0.0.1:1/nowhere"
    small.write({"t": T}, **{side: {"url": url}})
    message = refused(small, "127.0.0.1", "Fix:", f"The {side}: Cannot connect", f"{small.path.name}:")
    assert "hunter2" not in message


@pytest.mark.parametrize("url", ["sqlite:///no/such/folder/x.db", "duckdb:///no/such/folder/x.db", "oracle://x/y"])
def test_a_database_that_is_not_there(small: Scenario, url: str) -> None:
    small.write({"t": T}, target={"url": url})
    refused(small, "Fix:")


@pytest.mark.parametrize("engine", ["sqlite", "duckdb"])
def test_a_source_that_is_not_there_is_not_made(small: Scenario, engine: str) -> None:
    small.write({"t": T}, source={"url": f"{engine}:///nothing.db"})
    refused(small, "nothing.db", "The source: ", "Fix:")
    assert not (small.folder / "nothing.db").exists()


@pytest.mark.parametrize("engine", ["sqlite", "duckdb"])
def test_looking_makes_no_target(small: Scenario, engine: Engine) -> None:
    """check, plan and verify write nothing to the target: not even an empty file."""
    small.target = Side(engine, str(small.folder / "fresh.db"))
    small.write({"t": T})
    for command, status in (("check", 0), ("plan", 2), ("verify", 2)):
        done = CliRunner().invoke(main, [command, str(small.path)])
        assert (command, done.exit_code) == (command, status), done.output
        assert not (small.folder / "fresh.db").exists(), command


@pytest.mark.parametrize("engine", ["sqlite", "duckdb"])
def test_a_file_that_is_no_database(small: Scenario, engine: str) -> None:
    (small.folder / "text.db").write_text("this is no database, however long it may be " * 100)
    small.write({"t": T}, source={"url": f"{engine}:///text.db"})
    refused(small, "text.db", commands=("check",))


def test_a_ledger_that_cannot_be_opened(small: Scenario) -> None:
    for url in ("sqlite:///no/such/folder/ledger.db", "postgresql://me:hunter2@127.0.0.1:1/ledger"):
        small.write({"t": T}, state={"url": url, "store": "store"})
        before = small.target.content()
        done = CliRunner().invoke(main, ["run", "--direct", str(small.path)])
        if done.exit_code == 0:  # a folder may be made
            assert url.startswith("sqlite")
            continue
        assert (done.exit_code, "unexpected" in done.stderr, "hunter2" in done.stderr) == (1, False, False), done.stderr
        assert small.target.content() == before


@pytest.mark.parametrize("place", ["store", "a-file"])
def test_a_store_that_cannot_be_written(small: Scenario, place: str) -> None:
    (small.folder / place).write_text("a file where a folder should be")
    small.write({"t": T}, state={"url": "sqlite:///ledger.db", "store": place})
    refused(small, place, "Fix:", commands=("plan", "run"))


def _full_store(command: str, small: Scenario) -> tuple[int, str]:
    """Run a command in a process that may write no file beyond 200 kB: what a full disk does, without filling one."""

    def limit() -> None:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    done = subprocess.run(
        [sys.executable, "-m", "flows.cli.main", command, str(small.path), *(["--direct"] if command == "run" else [])],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("path", ["ordered", "spill"])
def test_a_full_disk_under_the_store_stops_the_plan(small: Scenario, path: str) -> None:
    noise = Path("/dev/urandom")
    with noise.open("rb") as random:
        small.source.insert("t", [(n, random.read(2000).hex(), n) for n in range(10, 200)])
    if path == "spill":
        small.write({"t": {**T, "from": {"query": "SELECT * FROM t"}}})
    before = small.target.content()
    status, said = _full_store("run", small)
    assert status == 1, said
    assert "Traceback" not in said
    assert "unexpected" not in said, said
    assert "File too large" in said
    assert small.target.content() == before
    done = CliRunner().invoke(main, ["run", "--direct", str(small.path)])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("engine", ["sqlite", "duckdb"])
def test_a_full_disk_under_the_target_rolls_back(small: Scenario, engine: Engine) -> None:
    """The plan is small (its texts compress), the table is not."""
    small.target = Side(engine, str(small.folder / "big.db"))
    small.target.execute("CREATE TABLE t (k bigint PRIMARY KEY, name text, n bigint)")
    small.source.insert("t", [(n, "x" * 4000, n) for n in range(10, 400)])
    small.write({"t": T}, defaults={"window": {"rows": 1000}})
    before = small.target.content()
    status, said = _full_store("run", small)
    assert status == 1, said
    assert "Traceback" not in said
    assert "unexpected" not in said, said
    assert "another transaction" not in said, said
    assert small.target.content() == before
    done = CliRunner().invoke(main, ["run", "--direct", str(small.path)])
    assert done.exit_code == 0, done.output


@pytest.fixture
def cramped(tmp_path: Path) -> Path:
    """A file system of 600 kB, where this user may mount one."""
    place = tmp_path / "cramped"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip("mounting needs root")
    return place


def test_history_is_read_from_a_place_that_cannot_be_written(small: Scenario, cramped: Path) -> None:
    def mounted(how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", str(cramped)], check=True)

    place = cramped / "a place?"
    small.write({"t": T}, state={"url": f"sqlite:///{place}/ledger.db", "store": str(place / "store")})
    assert CliRunner().invoke(main, ["run", "--direct", str(small.path)]).exit_code == 0
    commands = [["history"], ["show", "1"], ["log", "t", "--key", "1"], ["asof", "1", "t"], ["diff", "0", "1"]]
    try:
        said = [CliRunner().invoke(main, [name, str(small.path), *rest, "--json"]).stdout for name, *rest in commands]
        mounted("ro")
        for (name, *rest), known in zip(commands, said, strict=True):
            done = CliRunner().invoke(main, [name, str(small.path), *rest, "--json"])
            assert (done.exit_code, done.stdout) == (0, known), done.output
        assert CliRunner().invoke(main, ["quarantine", str(small.path), "list"]).exit_code == 0
        done = CliRunner().invoke(main, ["run", "--direct", str(small.path)])
        assert done.exit_code == 1
        assert "Fix:" in done.stderr
        mounted("rw")
        assert CliRunner().invoke(main, ["run", "--direct", str(small.path)]).exit_code == 0
    finally:
        subprocess.run(["umount", str(cramped)], check=True)


@pytest.mark.parametrize("place", ["store", "sqlite", "duckdb"])
def test_a_disk_that_is_really_full(small: Scenario, cramped: Path, place: str) -> None:
    try:
        state = {"url": "sqlite:///ledger.db", "store": str(cramped / "store") if place == "store" else "store"}
        if place in ("sqlite", "duckdb"):
            small.target = Side("sqlite" if place == "sqlite" else "duckdb", str(cramped / "target.db"))
            small.target.execute("CREATE TABLE t (k bigint PRIMARY KEY, name text, n bigint)")
        with Path("/dev/urandom").open("rb") as random:
            small.source.insert("t", [(n, random.read(2000).hex(), n) for n in range(10, 400)])
        small.write({"t": T}, state=state)
        refused(small, "disk is full" if place == "store" else "full", "Fix:", commands=("run",))
    finally:
        subprocess.run(["umount", str(cramped)], check=True)
