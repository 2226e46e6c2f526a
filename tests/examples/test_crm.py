"""Two CRMs in step: the whole story of `make sync`, its commands in this process, one second of edits, and the kill in one of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from flows.cli.main import main

Status = int | tuple[int, ...]


def test_two_crms_are_kept_in_step(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    psycopg = pytest.importorskip("psycopg")
    from examples.crm import demo

    said: dict[str, str] = {}

    def syncline(*arguments: str, status: Status = 0, shown: bool = True) -> str:
        done = CliRunner().invoke(main, list(arguments))
        assert done.exit_code in (status if isinstance(status, tuple) else (status,)), (arguments, done.output[-2000:])
        said[" ".join(each for each in arguments[:3:2] if each != demo.SPEC)] = done.output
        return done.stdout

    with psycopg.connect(postgres_url) as new:
        new.execute((demo.HERE / "target.sql").read_bytes())
    monkeypatch.setattr(demo, "SECONDS", 1.0)
    monkeypatch.chdir(demo.ROOT)
    story = demo.Story(tmp_path / "old.db", postgres_url)
    monkeypatch.setattr(story, "syncline", syncline)
    for name, value in story.places.items():
        monkeypatch.setenv(name, value)

    story.told()  # it holds both sides to each other by itself, after each step

    edits = dict(line.rsplit(" ", 2)[:2] for line in capfd.readouterr().out.splitlines() if line.endswith(" times"))
    assert {name.split(":")[0] for name in edits} == {"old", "new"}
    assert "they are a Ltd since May" in said["log company"]
    for name in ("Willow & Sons", "Willow Ltd", "update/update"):
        assert name in said["conflicts show"]
