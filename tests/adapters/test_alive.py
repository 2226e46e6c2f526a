"""What processes leave behind that were killed: the next one clears it away, and nothing of those that live."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from adapters.processes import is_dead, temporary_folder, this_machine

HOLDING = """
from adapters.processes import temporary_folder
with temporary_folder("trial") as folder:
    print(folder, flush=True)
    input()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def holding() -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_passing_folder_is_gone_at_the_end(tmp_path: Path) -> None:
    with temporary_folder("trial") as folder:
        (folder / "big").mkdir()
        assert folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_the_folders_of_the_dead_are_cleared_away_and_those_of_the_living_stay(tmp_path: Path) -> None:
    (dead, left), (alive, kept) = holding(), holding()
    os.kill(dead.pid, signal.SIGKILL)
    dead.communicate()
    other = tmp_path / "syncline-trial-of-somebody"
    other.mkdir()
    (other / "owner").write_text("no stamp")
    assert left.exists() and kept.exists()
    with temporary_folder("trial"):
        assert not left.exists()
        assert kept.exists() and other.exists()
    alive.communicate("\n")
    assert not kept.exists()


def test_a_process_is_dead_once_it_ended_even_before_its_parent_looked() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    assert is_dead(this_machine(), ended.pid)
    ended.wait()
    assert is_dead(this_machine(), ended.pid)
    assert not is_dead(this_machine(), os.getpid())
    assert not is_dead("another/1", ended.pid)
