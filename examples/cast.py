"""A terminal session of 80 columns as it was: `python -m examples.cast` runs real commands in a pseudo-terminal and writes
`docs/session.cast` (asciicast v2) and, as what is left on the screen, the transcript in `docs/session.md`.

The commands run one after the other in one process, in the folder of the quickstart's copy, so that Python imports once. Progress
is drawn as for people, and gone when a command ends: that is why the transcript is what a terminal shows, and not all that was sent.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from examples.story import ROOT

COLUMNS, LINES = 80, 24
QUICKSTART = ROOT / "examples" / "quickstart"
CAST, PAGE = ROOT / "docs" / "session.cast", ROOT / "docs" / "session.md"
TRANSCRIPT = re.compile(r"(?<=```text\n).*?(?=```)", re.DOTALL)
SESSION = (
    "python make.py",
    "syncline check spec.yaml",
    "syncline run spec.yaml --direct --progress bars",
    "syncline quarantine spec.yaml list",
    "python make.py edit",
    "syncline plan spec.yaml --limit 3",
    "syncline run spec.yaml --direct --yes",
    "syncline verify spec.yaml",
    "syncline log spec.yaml customer --key 1",
    "syncline undo spec.yaml 2 --direct --yes",
    "syncline history spec.yaml",
)
TYPING, READING = (
    0.04,
    1.2,
)  # seconds a letter, and behind each command: the player's pace, and no wait of the recording
DRIVER = """
import runpy, shlex, sys
from flows.cli.main import main
for line in open(3):
    program, *arguments = shlex.split(line)
    try:
        if program == "python":
            sys.argv = arguments
            runpy.run_path(arguments[0], run_name="__main__")
        else:
            main(arguments, prog_name="syncline")
    except SystemExit as ended:
        pass
    sys.stdout.flush()
    sys.stderr.flush()
    open(4, "w", closefd=False).write("x\\n")
"""
SENT = re.compile(r"\x1b\[([\d;?]*)([A-Za-z])|\x1b\][^\x07]*\x07|\r|\n|[^\x1b\r\n]+")

VARYING = (
    (re.compile(r"^\w+: at work: \d+ s\n", re.MULTILINE), ""),
    (re.compile(r"\d{8}T\d{6}-[0-9a-f]{6}"), "RUN"),
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?:Z|:[\d.]+\+00:00(?=  ))"), "TIME"),
    (re.compile(r"[\d.,]+ s, [\d,]+ source rows"), "SPEED"),
)

Event = tuple[float, str]


def record(folder: Path, commands: Sequence[str] = SESSION) -> Iterator[Event]:
    """Run commands in a copy of the quickstart in `folder`; yields what a terminal was sent, and when, in seconds from the start."""
    shutil.copytree(
        QUICKSTART, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.db", ".syncline", "__pycache__")
    )
    (master, slave), (told, tell), (heard, say) = pty.openpty(), os.pipe(), os.pipe()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    environment |= {
        "TERM": "xterm-256color",
        "PYTHONPATH": str(ROOT),
        "LANG": "C.UTF-8",
        "USER": "ada",
        "LOGNAME": "ada",
    }
    process = subprocess.Popen(
        ["bash", "-c", f'exec "$0" -c "$1" 3<&{told} 4>&{say}', sys.executable, DRIVER],
        cwd=folder, env=environment, stdin=slave, stdout=slave, stderr=slave, pass_fds=(told, say), start_new_session=True,
    )  # fmt: skip
    for end in (slave, told, say):
        os.close(end)
    at = 0.0
    try:
        for command in commands:
            yield at, "$ "
            for letter in command:
                at += TYPING
                yield at, letter
            yield at, "\r\n"
            began = time.monotonic()
            os.write(tell, f"{command}\n".encode())
            for seconds, text in _output(master, heard, began):
                yield at + seconds, text
            at += time.monotonic() - began + READING
        yield at, "$ "
    finally:
        os.close(tell)
        process.wait(60)
        for end in (master, heard):
            os.close(end)


def _output(master: int, heard: int, began: float) -> Iterator[Event]:
    """What comes until the command has ended, and what is left then."""
    ended, pending = False, b""
    while True:
        ready, _, _ = select.select([master] if ended else [master, heard], [], [], 0 if ended else 60)
        if master in ready:
            pending += os.read(master, 65536)
            text = pending.decode("utf-8", "ignore")
            pending = pending[len(text.encode()) :]  # the beginning of a letter of several bytes
            yield time.monotonic() - began, text
        elif heard in ready:
            ended = os.read(heard, 2) != b""
            if not ended:
                raise RuntimeError("The session ended before its commands.")
        elif ended:
            return
        else:
            raise RuntimeError("A command has printed nothing for a minute.")


def screen(events: Sequence[Event]) -> str:
    """What is left of it all on a terminal that is long enough: what was drawn over is gone."""
    lines, row, column = [""], 0, 0
    for found in SENT.finditer("".join(text for _, text in events)):
        text, (numbers, kind) = found[0], found.groups()
        count = int(numbers) if numbers and numbers.isdigit() else 1
        if text == "\r":
            column = 0
        elif text == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif kind == "A":
            row = max(0, row - count)
        elif kind == "K":
            lines[row] = "" if numbers == "2" else lines[row][:column]
        elif kind is None and not text.startswith("\x1b"):
            before = lines[row].ljust(column)
            lines[row] = before[:column] + text + before[column + len(text) :]
            column += len(text)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def masked(transcript: str) -> str:
    """A transcript without what is another each time: moments, runs, rates, and lines of a machine that is busy."""
    for pattern, name in VARYING:
        transcript = pattern.sub(name, transcript)
    return transcript


def saved(events: Sequence[Event]) -> str:
    """The session as asciicast v2: a header, and an event a line."""
    header = {
        "version": 2,
        "width": COLUMNS,
        "height": LINES,
        "idle_time_limit": 2,
        "title": "Syncline: the quickstart",
    }
    lines = [header, *([round(at, 3), "o", text] for at, text in events)]
    return "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)


def read(cast: str) -> list[Event]:
    """The events of what `saved` gave."""
    return [(float(at), str(text)) for at, _, text in map(json.loads, cast.splitlines()[1:])]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        session = list(record(Path(made) / "shop"))
    CAST.write_text(saved(session), encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(TRANSCRIPT.sub(lambda _: screen(session), page), encoding="utf-8")
    print(screen(session), end="")
