"""The README states only what was run: its transcripts are run again here, and its tables checked.

`UPDATE_README=1 pytest tests/test_readme.py` puts what the commands print now into the README.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

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


def run(command: str, folder: Path) -> str:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "160"}
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode in (0, 2), done.stderr
    return done.stdout.replace(str(folder) + "/", "")


@pytest.mark.timeout(400)
def test_the_transcripts_print_what_the_readme_says(tmp_path: Path) -> None:
    folder = tmp_path / "quickstart"
    shutil.copytree(
        ROOT / "examples" / "quickstart", folder, ignore=shutil.ignore_patterns(".syncline", "*.db*", "__pycache__")
    )
    text = README.read_text()
    blocks = [block for block in BLOCK.findall(text) if block.startswith("$ ")]
    assert blocks
    for block in blocks:
        printed = "".join(f"$ {command}\n{run(command, folder)}" for command in commands(block))
        if os.environ.get("UPDATE_README"):
            text = text.replace(block, printed)
            README.write_text(text)
            continue
        assert normal(printed) == normal(block)


def test_the_annotated_spec_is_the_example_that_is_run() -> None:
    specs = re.findall(r"```yaml\n(version: 1.*?)```", README.read_text(), re.DOTALL)
    assert (ROOT / "examples" / "quickstart" / "spec.yaml").read_text() in specs
    for spec in specs:
        assert yaml.safe_load(spec)["version"] == 1


def test_every_command_is_in_the_readme() -> None:
    from flows.cli import main

    text = README.read_text()
    assert [name for name in main.commands if f"`{name}" not in text and f"syncline {name}" not in text] == []


def test_every_file_that_the_readme_names_is_there() -> None:
    named = re.findall(r"`((?:flows|adapters|transforms|tests|examples|benchmarks)/[\w./]*)`", README.read_text())
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
