"""`check` says which targets differ, in how many rows, and since when."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from command_line import answer, syncline
from many_targets import REGIONS, Centre

from flows.spec.members import with_member


def test_check_names_each_target_that_differs_and_when_it_was_equal_last(tmp_path: Path) -> None:
    centre = Centre.make(tmp_path)
    centre.write()
    apart = answer("check", centre.path)["targets"]
    assert all(
        each["differs"] == {"rows": {"item": 2}, "since": None, "equal_by": None, "edited": {}}
        for each in apart.values()
    )
    answer("run", centre.path, "--direct")
    told = answer("check", centre.path)
    assert told["summary"]["message"] == "3 targets: 3 done. None differs."
    centre.execute("york", "UPDATE item SET name = 'edited' WHERE id = (SELECT min(id) FROM item)")
    centre.execute("kyiv", "DELETE FROM item")

    def kept() -> list[Path]:
        return sorted(each for each in (tmp_path / "store").rglob("*"))

    before, york = kept(), (tmp_path / "york.db").read_bytes()
    told = answer("check", centre.path, "--workers", 2)
    assert told["summary"]["message"] == "3 targets: 3 done. 2 differ: york, kyiv."
    found = {name: each["differs"] for name, each in told["targets"].items()}
    assert {name: each["rows"]["item"] for name, each in found.items()} == {"graz": 0, "york": 1, "kyiv": 2}
    run = answer("history", with_member(centre.path, "york"))["versions"][0]["run_id"]
    assert found["york"]["equal_by"] == f"run {run}" and found["york"] == told["summary"]["each"]["york"]["differs"]
    assert (kept(), (tmp_path / "york.db").read_bytes()) == (before, york)
    said = syncline("check", centre.path, "--target", "york", "--target", "graz").stdout
    line = rf"york differs in 1 row \(item 1\) since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC, when run {run} left both equal\."
    assert len(re.findall(line, said)) == 2 and "graz is equal." in said
    answer("run", centre.path, "--target", "york", "--direct")
    answer("verify", centre.path, "--target", "york")
    centre.execute("york", "DELETE FROM item")
    apart = answer("check", with_member(centre.path, "york"))["differs"]
    assert apart["equal_by"].startswith("verify ") and apart["since"] > found["york"]["since"]
    assert set(REGIONS) == set(told["targets"])


@pytest.mark.parametrize("direction", ["one_way", "two_way"])
def test_check_says_when_the_document_of_a_component_was_edited(tmp_path: Path, direction: str) -> None:
    (tmp_path / "centre.yaml").write_text("web: {port: 1, host: a}\nworker: {port: 2}\n")
    columns = {each: each for each in ("path", "value", "kind")}
    both = {"direction": direction, "initial": "source", "conflict": {"resolve": "manual"}}
    spec = tmp_path / "spec.yaml"
    names = ("web", "worker")
    spec.write_text(yaml.safe_dump({
        "version": 1, "name": "parts", "source": {"url": "yaml:///centre.yaml?at=${target.name}"}, "target": {},
        "targets": [{"name": each, "url": f"json:///{each}.json"} for each in names], **(both if direction == "two_way" else {}),
        "state": {"url": "sqlite:///ledger.db", "store": "store"},
        "tables": {"part": {"from": "centre", "target": "${target.name}", "key": ["path"], "columns": columns}},
    }))  # fmt: skip
    answer("run", spec, "--direct")
    assert answer("check", spec)["summary"]["message"] == "2 targets: 2 done. None differs."
    path = tmp_path / "web.json"
    path.write_text(path.read_text().replace("1", "9"))
    edited = datetime(2100, 1, 1, 12, tzinfo=UTC)
    os.utime(path, (edited.timestamp(), edited.timestamp()))
    told = answer("check", spec)
    assert told["summary"]["message"] == "2 targets: 2 done. 1 differs: web."
    apart = told["targets"]["web"]["differs"]
    assert apart["rows"] == {"part": 1} and apart["edited"] == {str(path): edited.isoformat()}
    assert f"; {path} was edited at 2100-01-01 12:00:00 UTC." in syncline("check", spec).stdout
