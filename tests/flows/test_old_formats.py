"""What earlier versions left behind stays whole: every old ledger and store answers as it did, and goes on from where it stood.

What is in the stores, and how another one is made, says `old_stores/make_old_store.py`. Answers may have more in them than
they had, and errors other words.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from old_store import PACKED, UNORDERED, lacking, target_rows, unpacked

from flows.cli.main import main

every_store = pytest.mark.parametrize(
    "archive", sorted(PACKED.glob("*.tar.xz")), ids=lambda path: path.name.partition(".")[0]
)
NUMBERS = {"customer": 1, "purchase": 0, "event": 0}  # tables whose history is kept whole: where the column `number` is
OLDEST = 3  # the first version of which all that came after it is kept
DELETED_BY_HAND = {"purchase": [6]}  # after that, and so by no version


@every_store
def test_all_that_an_old_store_was_asked_is_answered_as_it_was(archive: Path, tmp_path: Path) -> None:
    answers = unpacked(archive, tmp_path)
    asked = {line["command"][0] for line in answers["reading"]}
    assert asked == {"history", "drift", "quarantine", "conflicts", "log", "show", "asof", "diff"}
    gone = [each for line in answers["reading"] for each in lost(line)]
    assert not gone, "\n".join(gone[:20])
    assert target_rows(tmp_path) == answers["target"]  # nothing of that has written to it


@every_store
def test_a_run_that_an_earlier_version_left_cut_off_is_finished_and_the_history_adds_up(
    archive: Path, tmp_path: Path
) -> None:
    answers = gone_on(archive, tmp_path, "the next run")
    assert [run["status"] for run in answers["reading"][0]["answer"]["unfinished"]] == ["interrupted"]
    spec = str(tmp_path / "shop.yaml")
    _, now = given(["history", spec, "--json"])
    assert now["unfinished"] == []
    newest, there = now["versions"][0]["version"], target_rows(tmp_path)
    for table in NUMBERS:
        _, since = given(["diff", spec, str(OLDEST), str(newest), "--table", table, "--json"])
        _, last = given(["asof", spec, str(newest), table, "--json"])
        counts = since["tables"][table]
        came = counts.get("insert", 0) - counts.get("delete", 0) - len(DELETED_BY_HAND.get(table, ()))
        assert len(as_of(answers, OLDEST, table)) + came == last["total"] == len(there[table]), table


@every_store
def test_versions_of_an_earlier_version_can_be_taken_back(archive: Path, tmp_path: Path) -> None:
    answers = gone_on(archive, tmp_path, "back to old versions")
    there = target_rows(tmp_path)
    for table, place in NUMBERS.items():
        then = [int(row["number"]) for row in as_of(answers, OLDEST, table)]
        back = [row[place] for row in there[table]] + DELETED_BY_HAND.get(table, [])
        assert sorted(back) == sorted(then), table


@every_store
def test_a_plan_of_an_earlier_version_is_applied(archive: Path, tmp_path: Path) -> None:
    answers = gone_on(archive, tmp_path, "a plan that waited")
    before, after = answers["target"]["event"], target_rows(tmp_path)["event"]
    assert [row for row in before if row not in after] == [
        [3, "2024-01-02", "event 3"],
        [4, "2024-01-03", "event 4"],
        [8, "2024-01-05", "event 8"],
    ]
    assert [row for row in after if row not in before] == [
        [100, "2024-03-01", "new"],
        [3, "2024-01-02", "moved"],
        [4, "2024-01-03", "moved"],
    ]


@every_store
@pytest.mark.parametrize("story", ["undos", "quarantine and prune"])
def test_an_old_store_goes_on_as_it_went_on(archive: Path, tmp_path: Path, story: str) -> None:
    gone_on(archive, tmp_path, story)


def as_of(answers: dict[str, Any], version: int, table: str) -> list[dict[str, Any]]:
    """The rows of a table at a version, as they were known then. Versions that changed nothing in it are not listed."""
    lines = [line for line in answers["reading"] if line["command"][0] == "asof" and line["command"][3] == table]
    rows: list[dict[str, Any]] = [line for line in lines if int(line["command"][2]) <= version][-1]["answer"]["rows"]
    return rows


def given(words: list[str]) -> tuple[int, Any]:
    """The exit status of a command, and its answer."""
    done = CliRunner().invoke(main, words)
    assert "Traceback" not in done.output, (words, done.output)
    return done.exit_code, json.loads(done.stdout)


def lost(line: dict[str, Any]) -> list[str]:
    """What of a command's old answer is not in today's."""
    words = line["command"]
    status, answer = given(words)
    told = " ".join(Path(word).name for word in words)
    if status != line["status"]:
        return [f"{told} ends with {status}, and ended with {line['status']}: {answer}"]
    return [f"{told}: {each}" for each in lacking(line["answer"], answer, ordered=words[0] not in UNORDERED)]


def gone_on(archive: Path, folder: Path, story: str) -> dict[str, Any]:
    """Go on in a store of one's own as the version that made it did, and hold every step to that; the store's answers."""
    answers = unpacked(archive, folder)
    for step in answers["going on"][story]:
        if "source" in step:
            with closing(sqlite3.connect(folder / "legacy.db")) as source, source:
                source.executescript(";".join(step["source"]))
        else:
            gone = [*lost(step), *lacking(step["target"], target_rows(folder), at="target")]
            assert not gone, "\n".join(gone[:20])
    return answers
