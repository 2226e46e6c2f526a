"""The README and the pages state only what was run: their transcripts are run again here, and the README's tables checked.

`UPDATE_README=1 pytest tests/test_readme.py` puts what the commands print now into them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml
from transcripts import Shell, copied, differing, normal, pages

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"


@pytest.fixture(scope="module")
def shell() -> Iterator[Shell]:
    made = Shell()
    yield made
    made.close()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("page", pages())
def test_the_transcripts_print_what_the_page_says(page: str, tmp_path: Path, shell: Shell) -> None:
    found = differing(page, copied(page, tmp_path), shell)
    if os.environ.get("UPDATE_README"):
        text = (ROOT / page).read_text(encoding="utf-8")
        for said, printed in found:
            text = text.replace(f"```console\n{said}```", f"```console\n{printed}```")
        (ROOT / page).write_text(text, encoding="utf-8")
        return
    assert [normal(printed) for _, printed in found] == [normal(said) for said, _ in found]


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
