"""A folder that the user may not write in is refused with its name before anything is written, whatever is in it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from flows.cli.main import main

NOBODY = 65_534


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that another user can reach, too."""
    made = Path(tempfile.mkdtemp(prefix="syncline-read-only-", dir="/tmp"))
    made.chmod(0o777)
    yield made
    (made / "closed").chmod(0o755)
    shutil.rmtree(made)


def as_nobody(*arguments: str) -> tuple[int, str]:
    """The command in a process of a user who owns nothing: its status and what it said."""
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        try:
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            done = CliRunner().invoke(main, arguments)
            os.write(write, done.output.encode()[:60_000])
            os._exit(done.exit_code)
        finally:
            os._exit(99)
    os.close(write)
    with os.fdopen(read, "rb") as said:
        text = said.read().decode()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text


def state(folder: Path) -> dict[str, tuple[int, int, int]]:
    """The files and folders there, each with its inode, its size and when it was written."""
    found = {str(each): each.stat() for each in folder.rglob("*")}
    return {name: (each.st_ino, each.st_size, each.st_mtime_ns) for name, each in found.items()}


@pytest.mark.parametrize("target", ["yaml:///closed/app.yaml", "parquet:///closed/lake", "sqlite:///closed/app.db"])
def test_nothing_is_written_into_a_folder_that_is_read_only(folder: Path, target: str) -> None:
    (folder / "centre.json").write_text('{"a": 2, "b": 3}')
    closed = folder / "closed"
    closed.mkdir()
    (closed / "app.yaml").write_text("a: 1\n")
    (closed / "lake").mkdir()
    with closing(sqlite3.connect(closed / "app.db")) as database:
        database.execute("CREATE TABLE app (path TEXT PRIMARY KEY, value TEXT, kind TEXT)")
    columns = {each: each for each in ("path", "value", "kind")}
    (folder / "spec.yaml").write_text(yaml.safe_dump({
        "version": 1, "name": "x", "source": {"url": "json:///centre.json"}, "target": {"url": target},
        "state": {"url": "sqlite:///ledger.db", "store": "store"},
        "tables": {"app": {"from": "centre", "key": ["path"], "columns": columns, **({"create": {}} if "lake" in target else {})}},
    }))  # fmt: skip
    shutil.copytree(closed, folder / "open")
    (folder / "open.yaml").write_text(
        (folder / "spec.yaml").read_text().replace("closed", "open").replace("name: x", "name: y")
    )
    done = CliRunner().invoke(
        main, ["run", str(folder / "open.yaml"), "--direct", "--yes"]
    )  # imports all that it needs
    assert done.exit_code == 0, done.output
    shutil.rmtree(folder / "store")
    (folder / "ledger.db").unlink()
    for each in closed.rglob("*"):
        each.chmod(0o555 if each.is_dir() else 0o444)
    closed.chmod(0o555)
    known = state(closed)
    status, said = as_nobody("run", str(folder / "spec.yaml"), "--direct", "--yes")
    assert status == 1 and "Fix:" in said and "Traceback" not in said, said
    assert "closed" in said and any(word in said for word in ("read-only", "may not", "Permission denied")), said
    assert state(closed) == known
