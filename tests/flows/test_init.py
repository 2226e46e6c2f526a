"""`syncline init`: a folder that works, for the first minute and for a migration of one's own."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import answer, syncline

from flows.cli.main import main
from flows.scaffold.folder import FILES, LEGACY, SPEC, rendered

ROOT = Path(__file__).resolve().parents[2]


def commands(folder: Path) -> list[list[str]]:
    """What the folder's README tells one to type."""
    lines = [line.split("#")[0].split() for line in (folder / "README.md").read_text().splitlines()]
    return [words[1:] for words in lines if words[:1] == ["syncline"]]


def test_what_the_folders_readme_says_works_from_the_first_command_to_the_proof(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert f"{Path('shop')} has {LEGACY}, {SPEC}" in syncline("init", "-o", "shop").stdout
    monkeypatch.chdir(tmp_path / "shop")
    told = commands(Path())
    assert [words[0] for words in told] == ["check", "plan", "run", "verify", "history"]
    for words in told:
        direct = ["--direct"] if words[0] == "run" else []  # else a Prefect server would start for it
        done = syncline(*words, *direct, status=2 if words[0] == "plan" else 0)
    assert "run" in done.stdout
    with closing(sqlite3.connect("new.db")) as there:
        assert there.execute("SELECT count(*) FROM orders JOIN customers ON id = customer").fetchone() == (3,)
    assert all(word in main.commands for word, *_ in told)


def test_a_folder_for_two_databases_holds_no_password(tmp_path: Path, postgres_url: str) -> None:
    source = tmp_path / "old.db"
    with closing(sqlite3.connect(source)) as there:
        there.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, v TEXT)")
        there.commit()
    target = postgres_url.replace("postgres@", "postgres:hunter2@").replace("postgres:@", "postgres:hunter2@")
    assert "hunter2" in target
    made = answer("init", f"sqlite:///{source}", target, "-o", tmp_path / "move", "--name", "move")
    assert made["files"] == [SPEC, *FILES]
    texts = {name: (tmp_path / "move" / name).read_text() for name in made["files"]}
    assert not [name for name, text in texts.items() if "hunter2" in text]
    assert "\nTARGET_URL=\n" in texts[".env.example"]
    assert "${TARGET_URL}" in texts[SPEC]
    assert {".env", ".syncline/"} <= set(texts[".gitignore"].splitlines())


def test_deployments_of_two_migrations_have_names_of_their_own(tmp_path: Path) -> None:
    names = []
    for name in ("shop", "crm"):
        syncline("init", "-o", tmp_path / name)
        deployments = yaml.safe_load((tmp_path / name / "prefect.yaml").read_text())["deployments"]
        names += [(each["entrypoint"], each["name"]) for each in deployments]
    assert len(set(names)) == len(names) == 14


def test_the_deployments_of_the_example_are_made_of_the_same_template() -> None:
    facts: dict[str, Any] = {
        "name": "nycflights", "spec": "examples/nycflights/spec.yaml", "variables": "", "every": "1d",
        "range": "flight.departed_on:2013-01-01..2013-02-01",
    }  # fmt: skip
    there = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    assert yaml.safe_load(rendered("prefect.yaml.j2", facts)) == there


@pytest.mark.parametrize("name", [SPEC, "README.md", LEGACY])
def test_nothing_that_is_there_is_written_over(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    shown = answer("init", "-o", tmp_path, status=1)
    assert name in shown["what"] and shown["fix"]
    assert [each.name for each in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_one_url_alone_and_a_folder_that_cannot_be_are_refused(tmp_path: Path) -> None:
    assert "both sides" in answer("init", "sqlite:///a.db", "-o", tmp_path, status=1)["fix"]
    (tmp_path / "file").write_text("")
    assert "cannot be written to" in answer("init", "-o", tmp_path / "file" / "x", status=1)["what"]
