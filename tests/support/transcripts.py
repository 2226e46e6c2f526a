"""Transcripts of pages, run again: what stands behind `$ ` is a command, what follows it is what it prints.

A page says by `<!-- run in: quickstart -->` in a copy of which folder of `examples/` its commands run, one after the other. A block with
a title, as in ```yaml title="spec.yaml", is a file there by the time of the commands below it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
BLOCK: Final = re.compile(
    r'^```(?P<kind>\w+)(?: title="(?P<file>[\w./-]+)")?\n(?P<text>.*?)^```$', re.DOTALL | re.MULTILINE
)
PLACE: Final = re.compile(r"^<!-- run in: (\w+) -->$", re.MULTILINE)
VARYING: Final = [
    (re.compile(r"\d{8}T\d{6}-[0-9a-f]{6}"), "RUN"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(\+00:00|Z)"), "TIME"),
    (re.compile(r"[\d.,]+ s, [\d,]+ source rows"), "SPEED"),
    (re.compile(r"^([\d-]+\s+TIME\s+\w+\s+)\w+\s+", re.MULTILINE), r"\1AUTHOR "),
    (re.compile(r"by \w+, run RUN"), "by AUTHOR, run RUN"),
    (re.compile(r"[^\s]*/\.syncline"), ".syncline"),
]
SHELL: Final = """
import json, os, sys
from click.testing import CliRunner
from flows.cli.main import main
for line in sys.stdin:
    folder, arguments = json.loads(line)
    os.chdir(folder)
    done = CliRunner().invoke(main, arguments, prog_name="syncline")
    print(json.dumps([done.exit_code, done.stdout, done.stderr]), flush=True)
"""
"""One process runs all commands of the transcripts, and starts one Prefect for them: modules are imported once."""


def pages() -> list[str]:
    """The pages that have transcripts."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return [str(page.relative_to(ROOT)) for page in found if "```console\n$ " in page.read_text(encoding="utf-8")]


def normal(text: str) -> str:
    """The text without what is another one in each run."""
    for pattern, name in VARYING:
        text = pattern.sub(name, text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def copied(page: str, into: Path) -> Path:
    """A copy of the example that a page's commands run in."""
    place = PLACE.search((ROOT / page).read_text(encoding="utf-8"))
    assert place, f"{page} has transcripts: say where they run, as in <!-- run in: quickstart -->"
    ignored = shutil.ignore_patterns(".syncline", "*.db*", "__pycache__")
    return Path(shutil.copytree(ROOT / "examples" / place[1], into / place[1], ignore=ignored))


def differing(page: str, folder: Path, shell: Shell) -> list[tuple[str, str]]:
    """The blocks of a page that print something else now: what it says, and what was printed."""
    found = []
    for block in BLOCK.finditer((ROOT / page).read_text(encoding="utf-8")):
        if block["file"]:
            (folder / block["file"]).write_text(block["text"], encoding="utf-8")
        if block["kind"] == "console" and block["text"].startswith("$ "):
            commands = [line[2:] for line in block["text"].splitlines() if line.startswith("$ ")]
            printed = "".join(f"$ {command}\n{shell.run(command, folder)}" for command in commands)
            if normal(printed) != normal(block["text"]):
                found.append((block["text"], printed))
    return found


class Shell:
    """Runs commands in a folder, as pages show them."""

    def __init__(self) -> None:
        environment = {**os.environ, "COLUMNS": "160", "PYTHONPATH": str(ROOT)}
        self._status = 0
        self._process = subprocess.Popen(
            [sys.executable, "-c", SHELL], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, command: str, folder: Path) -> str:
        """What the command prints on standard output. AssertionError where it ends in an error."""
        program, *arguments = shlex.split(command)
        if program == "echo":
            assert arguments == ["$?"]
            return f"{self._status}\n"
        if program == "python":
            done = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=True)
            return done.stdout
        assert program == "syncline" and self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps([str(folder), arguments]) + "\n")
        self._process.stdin.flush()
        self._status, printed, said = json.loads(self._process.stdout.readline())
        assert self._status not in (1, 130, 143), f"{command}: {said}"
        return str(printed).replace(f"{folder}/", "")

    def close(self) -> None:
        self._process.communicate(timeout=60)
