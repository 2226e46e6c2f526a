"""One server and many clients: each meets the server by itself, edits travel through it, and whoever was away catches up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from command_line import answer, syncline
from many_clients import SERVER, TABLE, Office, written
from scenario import Scenario, Side

from flows import commands
from flows.commands import Status
from flows.plan.request import asked_for
from flows.spec.members import with_member
from flows.spec.model import load_spec
from transforms.vocabulary import SpecError

NAMES = ("graz", "wien")


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office.make(tmp_path, NAMES)


def everywhere(office: Office) -> list[list[tuple[str, int | None, int | None]]]:
    return [office.rows(place) for place in (SERVER, *office.names)]


def test_edits_travel_through_the_server_and_none_comes_back_to_its_origin(office: Office) -> None:
    office.execute("graz", "INSERT INTO t VALUES ('g', 1, 1)")
    office.execute("wien", "INSERT INTO t VALUES ('w', 2, 2)")
    assert [written(outcome) for outcome in office.run_all()] == [1, 2]
    assert written(office.run("graz")) == 1
    assert everywhere(office) == [[("g", 1, 1), ("w", 2, 2)]] * 3
    office.execute("graz", "UPDATE t SET n = 9 WHERE k = 'w'")
    office.execute("wien", "UPDATE t SET m = 8 WHERE k = 'w'")
    office.execute("wien", "DELETE FROM t WHERE k = 'g'")
    office.run_all()
    office.run("graz")
    assert everywhere(office) == [[("w", 9, 8)]] * 3
    assert [written(outcome) for outcome in office.run_all()] == [0, 0]


def test_each_client_has_a_history_of_its_own(office: Office) -> None:
    office.execute("graz", "INSERT INTO t VALUES ('g', 1, 1)")
    office.run_all()
    one, other = (answer("history", with_member(office.path, name))["versions"] for name in NAMES)
    assert [(each["version"], each["side"]) for each in one] == [(1, "target")]
    assert [(each["version"], each["side"]) for each in other] == [(1, "source")]
    assert answer("undo", with_member(office.path, "wien"), 1, "--yes", "--direct")["migration"] == "crm@wien"
    assert everywhere(office) == [[("g", 1, 1)], [("g", 1, 1)], []]


def test_a_client_that_lost_what_it_agreed_on_meets_anew_and_says_so(office: Office) -> None:
    office.execute("graz", "INSERT INTO t VALUES ('a', 1, 1)")
    office.run_all()
    office.lose("graz")
    office.execute("graz", "DELETE FROM t WHERE k = 'a'")
    outcome = office.run("graz")
    assert [notice.code for notice in outcome.report.warnings] == ["base_lost"]
    assert everywhere(office) == [[("a", 1, 1)]] * 3
    assert not office.run("wien").report.warnings


def test_clients_disagree_by_way_of_the_server(office: Office) -> None:
    office.execute("graz", "INSERT INTO t VALUES ('a', 1, 1)")
    office.run_all()
    for name, number in zip(NAMES, (5, 7), strict=True):
        office.execute(name, f"UPDATE t SET n = {number}")
    assert [outcome.status for outcome in office.run_all()] == [Status.DONE, Status.CONFLICTS]
    assert everywhere(office) == [[("a", 5, 1)], [("a", 5, 1)], [("a", 7, 1)]]
    named = with_member(office.path, "wien")
    assert [each["key"] for each in answer("conflicts", named, "list")["conflicts"]] == [["a"]]
    syncline("conflicts", named, "resolve", "--key", "a", "--take", "source")
    office.run("wien")
    office.run("graz")
    assert everywhere(office) == [[("a", 7, 1)]] * 3


def test_commands_go_over_all_clients_and_pass_over_those_that_are_away(office: Office) -> None:
    office.execute("graz", "INSERT INTO t VALUES ('a', 1, 1)")
    (office.folder / "wien.db").unlink()
    found = answer("run", office.path, "--direct")["clients"]
    assert found["graz"]["total"]["insert"] == 1 and list(found["wien"]) == ["away"]
    assert not (office.folder / "wien.db").exists()
    said = syncline("run", office.path, "--direct").output
    assert "2 clients: 1 done, 1 away (wien)." in said
    office.execute("wien", TABLE)
    said = syncline("plan", office.path, status=2).output
    assert "2 clients: 1 done, 1 with changes pending." in said
    assert list(answer("plan", office.path, "--client", "graz")["clients"]) == ["graz"]
    assert answer("run", with_member(office.path, "wien"), "--direct")["tables"]["t"]["back"]["insert"] == 1
    assert everywhere(office) == [[("a", 1, 1)]] * 3
    assert list(answer("verify", office.path)["clients"]) == list(answer("check", office.path)["clients"]) == [*NAMES]


def test_a_client_that_fails_keeps_no_other_from_its_turn(office: Office) -> None:
    office.execute("graz", "DROP TABLE t")
    office.execute("wien", "INSERT INTO t VALUES ('a', 1, 1)")
    found = answer("run", office.path, "--direct", status=1)["clients"]
    assert found["graz"]["error"] and found["wien"]["total"]["insert"] == 1


def test_where_no_client_is_there_it_is_an_error(office: Office) -> None:
    for name in NAMES:
        (office.folder / f"{name}.db").unlink()
    assert "No client is there" in answer("run", office.path, "--direct", status=1)["error"]


def test_a_folder_has_a_client_for_each_file(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NORTH", "north")
    (office.folder / "offices").mkdir()
    for name in ("graz.db", "wien.db"):
        (office.folder / name).rename(office.folder / "offices" / name)
    (office.folder / "offices" / "linz.yaml").write_text("url: sqlite:///../linz.db")
    (office.folder / "offices" / "nord.yaml").write_text("variables: {WHERE: '${NORTH}'}")
    (office.folder / "offices" / "notes.txt").write_text("none of them")
    office.execute("linz", TABLE)
    office.execute("north", TABLE)
    office.write({"clients": {"folder": "offices"}, "source": {"url": "sqlite:///${WHERE}.db"}})
    monkeypatch.setenv("WHERE", "nowhere")
    office.execute("linz", "INSERT INTO t VALUES ('l', 1, 1)")
    found = answer("run", office.path, "--direct")["clients"]
    assert list(found) == ["graz", "linz", "nord", "wien"] and not any("away" in each for each in found.values())
    assert office.rows("north") == office.rows("offices/wien") == [("l", 1, 1)]


def test_a_plan_of_a_client_is_applied_as_its_own_whatever_becomes_of_the_list(office: Office) -> None:
    office.execute("wien", "INSERT INTO t VALUES ('a', 1, 1)")
    plan = answer("plan", with_member(office.path, "wien"), status=2)["plan"]
    more = [{"name": name, "url": f"sqlite:///{name}.db"} for name in ("new", "wien")]
    office.write({"clients": more})
    assert answer("apply", plan, "--direct")["migration"] == "crm@wien"
    assert office.rows(SERVER) == [("a", 1, 1)]


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"clients": []}, "graz", "clients has none"),
    ({"clients": [{"name": "graz"}]}, "graz", "says nothing of its own"),
    ({"clients": [{"name": "a b", "url": "sqlite:///a.db"}]}, "graz", "clients[0].name"),
    ({"clients": [{"name": "graz", "url": "graz"}]}, "graz", "is not a URL"),
    ({"clients": [{"name": "graz", "url": "sqlite:///a.db"}] * 2}, "graz", "two of the name graz"),
    ({"clients": [{"name": n, "url": "sqlite:///a.db"} for n in NAMES]}, "graz", "one and the same database"),
    ({"clients": [{"name": "graz", "url": "sqlite:///server.db"}]}, "graz", "the server's own database"),
    ({"clients": [{"name": "graz", "variables": {"X": "1"}}], "source": {"url": "${Y_UNSET}"}}, "graz", "Y_UNSET"),
    ({"clients": {"folder": "nowhere"}}, "graz", "is no folder"),
    ({}, "nobody", "Known: graz, wien"),
    ({}, "", "none is named"),
    ({"clients": None, "source": {"url": "sqlite:///graz.db"}}, "graz", "clients"),
]


@pytest.mark.parametrize(("said", "client", "told"), WRONG)
def test_what_is_wrong_with_clients_is_said_before_anything_is_done(
    office: Office, said: dict[str, Any], client: str, told: str
) -> None:
    clients = [{"name": name, "url": f"sqlite:///{name}.db"} for name in NAMES]
    office.write({"clients": clients, **said})
    with pytest.raises(SpecError) as met:
        load_spec(with_member(office.path, client) if client else office.path)
    assert told in str(met.value) and str(office.path) in str(met.value)


def test_what_a_client_has_of_the_environment_is_not_shown(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERE", "secret.example")
    (office.folder / "offices").mkdir()
    (office.folder / "offices" / "graz.yaml").write_text("url: 'postgresql://u@${WHERE}:1/none'")
    for said in ([{"name": "graz", "url": "postgresql://u@${WHERE}:1/none"}], {"folder": "offices"}):
        office.write({"clients": said})
        spec = office.spec("graz")
        assert spec.document["source"]["url"] == "postgresql://u@${WHERE}:1/none" and "clients" not in spec.document
        assert "secret.example" not in spec.hidden("it is at secret.example")
        digest = spec.digest
        monkeypatch.setenv("WHERE", "other.example")
        assert office.spec("graz").digest == digest
        monkeypatch.setenv("WHERE", "secret.example")


def test_a_password_in_the_url_of_a_client_is_not_shown(office: Office) -> None:
    office.write({"clients": [{"name": "graz", "url": "postgresql://u:s3cret@localhost:1/none"}]})
    spec = office.spec("graz")
    assert "s3cret" not in str(spec.document) + repr(spec)
    assert "s3cret" not in syncline("run", office.path, "--direct", status=1).output


def test_clients_of_other_engines_share_a_server_one_after_the_other_and_at_once(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    made = Scenario.make(tmp_path, ("mysql", "postgresql"), request)
    sides = {"main": made.source, "small": Side("sqlite", str(tmp_path / "small.db"))}
    for side in (*sides.values(), made.target):
        side.execute("CREATE TABLE t (k varchar(20) NOT NULL PRIMARY KEY, n integer, at date)")
    clients = [{"name": name, "url": side.url} for name, side in sides.items()]
    rest = {"clients": clients, "direction": "two_way", "initial": "policy", "conflict": {"resolve": "merge"}}
    made.write({"t": {"from": "t"}}, **rest, source={"time_zone": "UTC"})
    for number, side in enumerate(sides.values()):
        side.execute(*(f"INSERT INTO t VALUES ('{number} {n}', {n}, '2024-02-29')" for n in range(20)))
    with ThreadPoolExecutor(2) as pool:
        futures = [
            pool.submit(lambda own: commands.run(asked_for(own, "run")), with_member(made.path, each)) for each in sides
        ]
        assert {future.result().status for future in futures} <= {Status.DONE, Status.CONFLICTS}
    for _ in range(2):
        found = answer("run", made.path, "--direct")["clients"]
        assert all(not each["total"]["conflicts"] for each in found.values())
    states = [[tuple(map(str, row)) for row in side.rows("t")] for side in (*sides.values(), made.target)]
    assert states[0] == states[1] == states[2] and len(states[0]) == 40
    assert answer("verify", made.path)["clients"].keys() == sides.keys()
