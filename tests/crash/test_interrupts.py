"""Signals: at any moment a command ends with one line and the signal's status, and the next one goes on."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import crashing
import pytest
from scenario import RING, Engine, Scenario, pair_name

from adapters import interrupts
from adapters.pools import pool
from flows.commands import Status

NOTHING = "Nothing was written to the target; run it again."
GOES_ON = "goes on"

# where the signal comes, whether something may be in the target by then, and which signal it is
MOMENTS: dict[str, tuple[bool, signal.Signals]] = {
    "click.core.Command.parse_args": (False, signal.SIGTERM),
    "flows.plan.reading.window_reader.map_source": (False, signal.SIGINT),
    "stage": (True, signal.SIGTERM),
    "apply": (True, signal.SIGINT),
    "close": (True, signal.SIGTERM),
}


@contextlib.contextmanager
def heard(folder: Path) -> Iterator[None]:
    """What the process says goes into files, as its descriptors have it."""
    for number, name in ((1, "out"), (2, "err")):
        with (folder / name).open("wb") as file:
            os.dup2(file.fileno(), number)
    yield


def _commanded(arguments: list[str], folder: Path, prepare: Callable[..., None], *given: Any) -> None:
    """In a process of its own: the command, after something has been prepared for it."""
    from flows import entry

    with heard(folder):
        prepare(*given)
        sys.argv = ["syncline", *arguments]
        entry.main()


def _signalled_at(place: str, engine: str, number: int) -> None:
    crashing._die = lambda: os.kill(os.getpid(), number)  # type: ignore[assignment]
    crashing._die_at(f"{crashing.ADAPTERS[engine]}.close" if place == "close" else place, engine)


def commanded(folder: Path, arguments: list[str], prepare: Callable[..., None], *given: Any) -> Any:
    process = crashing.server().Process(target=_commanded, args=(arguments, folder, prepare, *given))
    process.start()
    return process


def said(folder: Path) -> str:
    """What the process said on standard error."""
    return (folder / "err").read_text()


@pytest.mark.parametrize("pair", RING, ids=pair_name)
def test_a_signal_at_any_moment_ends_in_one_line_and_the_next_run_goes_on(
    pair: tuple[Engine, Engine], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    from flows.session.stores import ledger_of

    shop = crashing.migration(Scenario.make(tmp_path, pair, request))
    assert shop.run().status == Status.DONE
    for number, (moment, (written, ends)) in enumerate(MOMENTS.items()):
        shop.source.execute(f"UPDATE sales SET cents = {1000 + number}")
        process = commanded(
            tmp_path, ["run", str(shop.path), "--direct", "--json"], _signalled_at, moment, pair[1], int(ends)
        )
        process.join(120)
        line = said(tmp_path)
        assert process.exitcode == 128 + ends, (moment, line)
        assert line.count("\n") == 1, (moment, line)
        assert line.startswith(f"error: {interrupts.WORDS[ends]}. "), (moment, line)
        assert (GOES_ON if written else NOTHING) in line, (moment, line)
        with ledger_of(shop.spec) as ledger, ledger.lease("shop", "target", "somebody else"):
            pass
    assert shop.run().status == Status.DONE
    assert crashing.left_behind(shop) == []
    shop.settled()
    assert set(shop.target.ask("SELECT cents FROM sale")) == {(1000 + len(MOMENTS) - 1,)}


IMPORTING = """
import os, signal, sys
from importlib.abc import MetaPathFinder

class Signalling(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), getattr(signal, sys.argv[2]))

wanted = sys.argv[1:3]
sys.meta_path.insert(0, Signalling())
from flows import entry
sys.argv[:] = ["syncline", *wanted]
sys.argv[1:] = wanted
entry.main()
"""


@pytest.mark.parametrize(
    ("module", "name"), [("adapters.interrupts", "SIGINT"), ("click", "SIGTERM"), ("flows.cli.options", "SIGINT")]
)
def test_a_signal_while_modules_are_imported_ends_in_one_line(module: str, name: str) -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTING, module, name], capture_output=True, text=True, check=False)
    number = getattr(signal, name)
    assert (done.returncode, done.stdout) == (128 + number, "")
    assert done.stderr == f"error: {interrupts.WORDS[number]}. {NOTHING}\n"


def _using_threads(use: Callable[..., None]) -> None:
    _instead_of_planning(_in_threads(use))


def _instead_of_planning(replacement: Callable[..., Any]) -> None:
    from flows import commands

    commands.plan = replacement


def _lost_in_c(*_: Any, **__: Any) -> Any:
    """SQLite asks nobody until a statement is through. Says " " as soon as the statement has begun."""
    import sqlite3

    interrupts.GRACE_SECONDS = 600  # type: ignore[misc]
    idle = time.process_time()

    def tell() -> None:
        while time.process_time() < idle + 0.3:  # so much work is SQLite's alone
            time.sleep(0.01)
        sys.stderr.write(" ")
        sys.stderr.flush()

    threading.Thread(target=tell, daemon=True).start()
    counting = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    return sqlite3.connect(":memory:").execute(counting).fetchall()


def _lost_in_duckdb(*_: Any, **__: Any) -> Any:
    """DuckDB asks, and makes an error of its own of the interrupt."""
    import duckdb

    interrupts.GRACE_SECONDS = 1  # type: ignore[misc]
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    return duckdb.sql("SELECT count(*) FROM range(1000000000000) AS r(i) WHERE i * i % 7 = 3").fetchall()


def _while_a_thread_starts(work: Callable[[], None], signalled: threading.Event) -> None:
    """The thread runs already, and whoever starts it is not through with that."""
    start = threading.Thread.start

    def slowly(thread: threading.Thread) -> None:
        start(thread)
        if thread.name.startswith("window"):
            signalled.wait(60)
            time.sleep(0.01)

    threading.Thread.start = slowly  # type: ignore[method-assign]
    with pool(2, "window") as threads:
        threads.submit(work)


def _while_a_result_is_waited_for(work: Callable[[], None], _: threading.Event) -> None:
    with pool(2, "window") as threads:
        threads.submit(work).result()


def _while_threads_are_waited_for(work: Callable[[], None], _: threading.Event) -> None:
    with pool(2, "window") as threads:
        threads.submit(work)


def _while_another_has_failed(work: Callable[[], None], _: threading.Event) -> None:
    with pool(2, "window") as threads:
        threads.submit(work)
        raise ValueError


def _in_threads(use: Callable[..., None]) -> Callable[..., Any]:
    """Instead of a plan: threads are used, one of them is in the midst of its work when the signal comes, and works on. Says " " where
    it is through when they are left."""

    def using(*_: Any, **__: Any) -> Any:
        signalled, through = threading.Event(), threading.Event()

        def work() -> None:
            time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGINT)
            signalled.set()
            time.sleep(0.2)
            through.set()

        try:
            use(work, signalled)
        finally:
            os.write(2, b" " if through.is_set() else b"left at its work ")

    return using


def _lost_in_finalizer(*_: Any, **__: Any) -> Any:
    """Python cannot raise where it frees an object; it would show a traceback and go on."""

    class Leaving:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    Leaving()
    return [time.sleep(0.01) for _ in range(6000)]


@pytest.fixture
def shop(tmp_path: Path, request: pytest.FixtureRequest) -> Scenario:
    return crashing.migration(Scenario.make(tmp_path, ("sqlite", "sqlite"), request))


@pytest.mark.parametrize("lost", [_lost_in_duckdb, _lost_in_finalizer])
def test_an_interrupt_that_a_library_swallows_is_one_all_the_same(
    shop: Scenario, tmp_path: Path, lost: Callable[..., Any]
) -> None:
    process = commanded(tmp_path, ["plan", str(shop.path), "--json"], _instead_of_planning, lost)
    process.join(120)
    assert (process.exitcode, said(tmp_path)) == (130, f"error: interrupted. {NOTHING}\n")


@pytest.mark.parametrize(
    "use",
    [
        _while_a_thread_starts,
        _while_a_result_is_waited_for,
        _while_threads_are_waited_for,
        _while_another_has_failed,
    ],
)
def test_no_thread_is_at_its_work_any_more_when_an_interrupt_goes_on(
    shop: Scenario, tmp_path: Path, use: Callable[..., None]
) -> None:
    process = commanded(tmp_path, ["plan", str(shop.path), "--json"], _using_threads, use)
    process.join(120)
    assert (process.exitcode, said(tmp_path)) == (130, f" error: interrupted. {NOTHING}\n")


class Asked(Exception):
    """What somebody else's handler raises."""


def test_a_signal_that_is_postponed_is_handled_by_whoever_handles_it_once() -> None:
    def ask(number: int, _frame: object) -> None:
        raise Asked(number)

    before = signal.signal(signal.SIGTERM, ask)
    steps = []
    try:
        with pytest.raises(Asked), interrupts.postponed():
            with interrupts.postponed():
                for _ in range(2):
                    os.kill(os.getpid(), signal.SIGTERM)
                    time.sleep(0.001)
                steps.append("inner")
            steps.append("outer")
        assert (steps, signal.getsignal(signal.SIGTERM)) == (["inner", "outer"], ask)
        with pytest.raises(Asked):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.001)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_second_ctrl_c_ends_what_does_not_end_by_itself(shop: Scenario, tmp_path: Path) -> None:
    process = commanded(tmp_path, ["plan", str(shop.path), "--json"], _instead_of_planning, _lost_in_c)
    until = time.monotonic() + 120
    while not ((tmp_path / "err").exists() and said(tmp_path)) and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    process.join(interrupts.TWICE_SECONDS + 0.3)
    assert process.is_alive(), said(tmp_path)
    while process.is_alive() and time.monotonic() < until:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGINT)
        process.join(
            interrupts.TWICE_SECONDS + 0.3
        )  # where the first one is handled late, this one counts as the first
    assert (process.exitcode, said(tmp_path)) == (130, f" error: interrupted. {NOTHING}\n")


def test_a_helper_process_does_not_die_of_the_terminals_ctrl_c() -> None:
    with interrupts.kept_from_children():
        helper = subprocess.Popen(["sleep", "60"], start_new_session=True)
    os.killpg(helper.pid, signal.SIGINT)
    time.sleep(0.1)
    assert helper.poll() is None
    helper.terminate()
    assert helper.wait(10) == -signal.SIGTERM


def test_output_that_nobody_reads_any_more_is_no_error(tmp_path: Path, shop: Scenario) -> None:
    command = f"{sys.executable} -m flows.entry plan {shop.path}"
    done = subprocess.run(
        ["bash", "-c", f"{command} --json | true; echo ${{PIPESTATUS[0]}}; {command} >/dev/full; echo $?"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "2\n1\n", done
    assert "Traceback" not in done.stderr
    assert "error: The disk is full" in done.stderr
