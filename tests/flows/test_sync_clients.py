"""`sync` of a spec with clients: each is followed beside the others, and one that fails or is away stops none of them."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from command_line import answer, syncline
from many_clients import SERVER, Office

from flows.follow.following import Asked
from flows.follow.sync import sync
from flows.spec.members import with_member

NAMES = ("graz", "linz", "wien")
FOLLOW = {"capture": "trigger", "every": "20ms"}


@pytest.fixture
def office(tmp_path: Path) -> Office:
    made = Office.make(tmp_path, NAMES, follow=FOLLOW)
    installed = answer("follow", "install", made.path, "--yes")
    assert set(installed["clients"]) == set(NAMES)
    return made


def once(office: Office, *more: str, status: int = 0) -> list[dict[str, Any]]:
    done = syncline("sync", office.path, "--once", "--json", *more, status=status)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_edits_of_all_clients_travel_while_all_are_followed(office: Office) -> None:
    assert {each["status"] for each in once(office)[-1]["clients"].values()} == {"done"}
    wanted = [("graz", 0, 0), ("linz", 1, 0), ("server", 9, 9), ("wien", 2, 0)]

    def arrived() -> bool:
        return [office.rows(each) for each in (SERVER, *NAMES)] == [wanted] * 4

    ended: list[Any] = []
    for turn in range(5):  # one is enough, but where much else goes on
        followed = threading.Thread(
            target=lambda: ended.append(syncline("sync", office.path, "--for", "3s", "--json")), daemon=True
        )
        followed.start()
        if not turn:
            time.sleep(0.8)
            for number, name in enumerate(NAMES):
                office.execute(name, f"INSERT INTO t VALUES ('{name}', {number}, 0)")
            office.execute(SERVER, "INSERT INTO t VALUES ('server', 9, 9)")
        followed.join(60)
        if arrived():
            break
    assert arrived()
    lines = [json.loads(line) for each in ended for line in each.stdout.splitlines()]
    assert {each["client"] for each in lines if "client" in each} == set(NAMES), "each batch says whose it is"
    assert {name: each["status"] for name, each in lines[-1]["clients"].items()} == dict.fromkeys(NAMES, "done")
    syncline("sync", office.path, "--once", "--client", "graz")  # what came in its last moments
    assert "graz  0 changes in 0 batches" in syncline("sync", office.path, "--once", "--client", "graz").stdout


def test_one_that_fails_or_is_away_stops_no_other(office: Office) -> None:
    once(office)
    office.execute("linz", "ALTER TABLE t RENAME COLUMN n TO renamed")
    (office.folder / "graz.db").rename(office.folder / "gone.db")
    office.execute("wien", "INSERT INTO t VALUES ('w', 1, 1)")
    told = once(office, status=1)[-1]["clients"]
    assert {name: each["status"] for name, each in told.items()} == {"graz": "away", "linz": "error", "wien": "done"}
    assert told["linz"]["fix"]
    assert office.rows(SERVER) == office.rows("wien") == [("w", 1, 1)]
    done = syncline("sync", office.path, "--once", "--client", "linz", "--client", "graz", status=1)
    assert "linz  error: " in done.stderr
    assert "graz  It is away" in done.stderr
    assert "No client is there" in syncline("sync", office.path, "--once", "--client", "graz", status=1).stderr
    (office.folder / "gone.db").rename(office.folder / "graz.db")
    once(office, "--client", "graz")
    assert office.rows("graz") == [("w", 1, 1)], "it catches up"


def test_whoever_is_told_to_stop_does_so_though_nothing_comes(office: Office) -> None:
    once(office, "--client", "graz")
    office.write(
        {"clients": [{"name": "graz", "url": "sqlite:///graz.db"}], "follow": {"capture": "trigger", "every": "60s"}}
    )
    stop, ended = threading.Event(), list[Any]()
    asked = Asked(with_member(office.path, "graz"), stop=stop)
    following = threading.Thread(target=lambda: ended.append(sync(asked)), daemon=True)
    following.start()
    time.sleep(0.5)
    assert following.is_alive()
    stop.set()
    following.join(3)
    assert ended, "it gives back its place, and does not wait until something comes"
