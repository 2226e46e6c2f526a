"""The README and the pages state only what was run: their transcripts are run again here, and the README's tables checked.

`UPDATE_README=1 pytest tests/test_readme.py` puts what the commands print now into them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
BLOCK = re.compile(r"(?<=```console\n)(.*?)(?=```)", re.DOTALL)
VARYING = [
    (re.compile(r"\d{8}T\d{6}-[0-9a-f]{6}"), "RUN"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00"), "TIME"),
    (re.compile(r"[\d.,]+ s, [\d,]+ source rows"), "SPEED"),
    (re.compile(r"^(\d+\t)TIME\t\w+", re.MULTILINE), r"\1TIME\tAUTHOR"),
    (re.compile(r"[^\s]*/\.syncline"), ".syncline"),
]


def normal(text: str) -> str:
    for pattern, name in VARYING:
        text = pattern.sub(name, text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def commands(block: str) -> list[str]:
    return [line[2:] for line in block.splitlines() if line.startswith("$ ")]


# One process runs all commands of the transcripts, and starts one Prefect for them: modules are imported once.
SHELL = """
import json, shlex, sys
from click.testing import CliRunner
from flows.cli.main import main
for line in sys.stdin:
    done = CliRunner().invoke(main, shlex.split(line), prog_name="syncline")
    print(json.dumps([done.exit_code, done.stdout, done.stderr]), flush=True)
"""


class Shell:
    """Runs commands in a folder, as the README shows them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        environment = {**os.environ, "COLUMNS": "160"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", SHELL],
            cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, command: str) -> str:
        program, rest = command.split(" ", 1)
        if program == "python":
            done = subprocess.run(
                [sys.executable, *rest.split()], cwd=self._folder, capture_output=True, text=True, check=True
            )
            return done.stdout
        assert program == "syncline" and self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{rest}\n")
        self._process.stdin.flush()
        status, printed, said = json.loads(self._process.stdout.readline())
        assert status in (0, 2), said
        return str(printed).replace(f"{self._folder}/", "")

    def close(self) -> None:
        self._process.communicate(timeout=60)


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("page", "example"), [("README.md", "quickstart"), ("docs/compare.md", "compare")])
def test_the_transcripts_print_what_the_page_says(
    page: str, example: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = tmp_path / example
    ignored = shutil.ignore_patterns(".syncline", "*.db*", "__pycache__")
    shutil.copytree(ROOT / "examples" / example, folder, ignore=ignored)
    text = (ROOT / page).read_text()
    blocks = [block for block in BLOCK.findall(text) if block.startswith("$ ")]
    assert blocks
    shell = Shell(folder)
    request.addfinalizer(shell.close)
    for block in blocks:
        printed = "".join(f"$ {command}\n{shell.run(command)}" for command in commands(block))
        if os.environ.get("UPDATE_README"):
            text = text.replace(block, printed)
            (ROOT / page).write_text(text)
            continue
        assert normal(printed) == normal(block)


def test_the_annotated_spec_is_the_example_that_is_run() -> None:
    specs = re.findall(r"```yaml\n(version: 1.*?)```", README.read_text(), re.DOTALL)
    assert (ROOT / "examples" / "quickstart" / "spec.yaml").read_text() in specs
    for spec in specs:
        assert yaml.safe_load(spec)["version"] == 1


def test_every_command_has_its_line_among_the_commands() -> None:
    from flows.cli.main import main

    text = (ROOT / "docs" / "commands.md").read_text()
    assert [name for name in main.commands if f"| `{name} " not in text and f"| `{name}`" not in text] == []


def test_commands_take_the_options_and_end_as_their_lines_say() -> None:
    """What the page names is there; and what a status means is said in the same words by the help and by the page."""
    from flows.cli.main import main
    from flows.cli.options import EXIT_STATUSES

    text = (ROOT / "docs" / "commands.md").read_text()
    known = {number: what.strip() for number, what in re.findall(r"(?<!\d)(\d)  ([a-z][a-z ,]*)", EXIT_STATUSES)}
    assert sorted(known) == list("0123456")
    assert [f"{n} {what}" for n, what in known.items() if f"{n} {what.partition(',')[0]}" not in text] == []
    for line in text.splitlines():
        if not line.startswith("| `"):
            continue
        cell, _, statuses = (each.strip() for each in re.split(r"(?<!\\)\|", line)[1:-1])
        names = dict.fromkeys([re.findall(r"`([\w-]+)", cell)[0], *re.findall(r"`follow ([\w-]+)", cell)])
        commands: list[click.Command] = [main.commands[name] for name in names if name in main.commands]
        for command in commands:
            commands += command.commands.values() if isinstance(command, click.Group) else []
        taken = {each for command in commands for param in command.params for each in param.opts}
        wanted = re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)", cell)
        assert [each for each in wanted if each not in taken] == [], line
        assert set(re.findall(r"(?<![\w-])\d+", statuses)) <= {*known, "130"}, line


def test_drift_is_of_schemas_and_rows_differ() -> None:
    """In the help of all commands, and in states and events of Prefect."""
    from flows.cli.main import main
    from flows.orchestration import events
    from flows.orchestration.members import STATUSES

    helps = {name: command.get_help(click.Context(command)) for name, command in main.commands.items()}
    assert [
        name for name, text in helps.items() if "drift" in text.lower().replace(name, "") and "schema" not in text
    ] == []
    assert "Difference" in STATUSES and "Drift" not in STATUSES
    assert events.DIFFERENCE == "syncline.difference.found"


def test_every_file_that_the_readme_names_is_there() -> None:
    named = re.findall(r"`((?:flows|adapters|transforms|tests|examples|benchmarks)/[\w./]*)`", README.read_text())
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_page_is_on_the_site() -> None:
    def pages(nav: list[Any]) -> Iterator[str]:
        for entry in nav:
            inner = entry if isinstance(entry, str) else next(iter(entry.values()))
            yield from pages(inner) if isinstance(inner, list) else [inner]

    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    assert sorted(pages(nav)) == sorted(page.name for page in (ROOT / "docs").glob("*.md"))
