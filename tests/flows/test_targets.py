"""One source and many targets: each gets its own part, and one that fails or is away keeps no other from its turn."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import answer, syncline
from many_targets import ITEM, REGIONS, WRITTEN, Centre, own_rows
from scenario import Scenario, Side

from flows.spec.members import with_member
from flows.spec.model import load_spec
from transforms.vocabulary import ConnectionFailed, SpecError


@pytest.fixture
def centre(tmp_path: Path) -> Centre:
    return Centre.make(tmp_path)


def test_each_target_has_its_rows_ledger_versions_and_report_whatever_its_variables_hold(centre: Centre) -> None:
    centre.write()
    told = answer("plan", centre.path, status=2)
    assert list(told["targets"]) == list(REGIONS) and told["summary"]["total"]["insert"] == 6
    told = answer("run", centre.path, "--direct")
    for name in REGIONS:
        assert centre.rows(name) == own_rows(name)
        assert told["targets"][name]["migration"] == f"centre@{name}" and told["targets"][name]["version"] == 1
        assert Path(told["targets"][name]["report"]).exists()
    assert len({told["targets"][name]["report"] for name in REGIONS}) == 3
    said = syncline("verify", centre.path).output
    assert re.search(r"graz\s+done\s+0\s+0\s+0\s+0\s", said) and said.endswith("3 targets: 3 done.\n")
    assert set(answer("check", centre.path, status=0)["targets"]) == set(REGIONS)
    assert {len(each["versions"]) for each in answer("history", centre.path)["targets"].values()} == {1}
    syncline("undo", centre.path, 1, "--target", "york", "--target", "kyiv", "--yes", "--direct")
    assert [len(centre.rows(name)) for name in REGIONS] == [2, 0, 0]
    assert answer("run", with_member(centre.path, "york"), "--direct")["total"]["insert"] == 2


def test_one_that_fails_or_is_away_keeps_no_other_from_its_turn_and_the_status_tells(centre: Centre) -> None:
    away = {"name": "away", "url": "postgresql://u:s3cret@127.0.0.1:1/none", "variables": {"region": "AT"}}
    lacks = {"name": "lacks", "url": "sqlite:///lacks.db"}
    centre.write([away, lacks, *WRITTEN])
    centre.execute("graz", "DROP TABLE item")
    centre.execute("graz", "CREATE TABLE item (id integer PRIMARY KEY)")
    told = answer("run", centre.path, "--direct", status=1)
    assert [each["how"] for each in told["summary"]["each"].values()] == ["away", "failed", "failed", "done", "done"]
    assert told["summary"]["message"] == "5 targets: 2 done, 2 failed (lacks, graz), 1 away (away)."
    assert "the target lacks has no variable region; it has none" in told["targets"]["lacks"]["error"]
    assert f"{centre.path}:" in told["targets"]["lacks"]["error"]
    assert centre.rows("york") == own_rows("york") and centre.rows("kyiv") == own_rows("kyiv")
    page = Path(told["summary"]["page"]).read_text()
    assert page.index(">away<") < page.index(">kyiv<") and "no variable region" in page and "s3cret" not in page
    done = syncline("run", centre.path, "--direct", status=1)
    assert "away is away:" in done.stderr and "error: lacks:" in done.stderr
    assert "s3cret" not in done.output + str(told)
    alone = answer("run", centre.path, "--direct", "--target", "away", status=1)
    assert "No target is there" in alone["error"]


def test_several_at_once_do_what_they_do_one_after_the_other(centre: Centre) -> None:
    centre.write(defaults={"runner": {"threads": {"workers": 4}}})
    said = syncline("run", centre.path, "--direct", "--workers", 3, "--yes").stdout
    for name in REGIONS:
        assert centre.rows(name) == own_rows(name)
        assert f"{name}\n====" in said
    assert said.count("Version 1. 2 inserted") == 3
    told = answer("verify", centre.path, "--workers", 2)
    assert list(told["targets"]) == list(REGIONS) and told["summary"]["message"] == "3 targets: 3 done."


def test_a_query_yields_names_urls_and_variables_and_none_of_them_is_shown(centre: Centre) -> None:
    secret = "canary-5fd1"
    rows = [(name, f"sqlite:///{name}.db", region) for name, region in REGIONS.items()]
    rows.append(("away", f"postgresql://u:{secret}@127.0.0.1:1/none?password={secret}", secret))
    centre.write(centre.listed(*rows))
    done = syncline("run", centre.path, "--direct", "--workers", 2, status=1)
    told = answer("plan", centre.path, status=1)
    assert told["summary"]["each"]["away"]["how"] == "away"
    assert all(centre.rows(name) == own_rows(name) for name in REGIONS)
    spec = load_spec(with_member(centre.path, "away"))
    assert spec.document["target"]["url"] == "${target.url}" and secret not in repr(spec) + str(spec.document)
    kept = b"".join(file.read_bytes() for file in (centre.folder / "store").rglob("*") if file.is_file())
    assert secret not in done.output + str(told) and secret.encode() not in kept
    assert secret.encode() not in (centre.folder / "ledger.db").read_bytes()


def test_a_password_that_a_query_yields_is_in_nothing_that_a_run_leaves(
    centre: Centre, request: pytest.FixtureRequest
) -> None:
    side = Side("postgresql", request.getfixturevalue("postgres_url"), "fanned")
    side.execute("CREATE TABLE item (id integer PRIMARY KEY, name text, region text)")
    secret = "canary-77ab"
    address = f"{side.url}{'&' if '?' in side.url else '?'}password={secret}"
    assert secret not in side.url
    listed = centre.listed(("graz", address, "AT"))
    for url, more in ((None, {}), ("${target.address}", {"query": "SELECT name, url AS address, region FROM shop"})):
        target = {"schema": "fanned"} | ({"url": url} if url else {})
        centre.write(listed | more, target=target)
        done = syncline("run", centre.path, "--direct", status=1 if url else 0)
        assert secret not in done.output and ("place of the scheme" in done.output) == bool(url)
    head, _, tail = address.partition(secret)
    centre.write(
        {"query": f"SELECT 'graz' AS name, 'AT' AS region, '{secret}' AS key"},
        target={"url": head + "${target.key}" + tail, "schema": "fanned"},
    )
    centre.execute("source", "UPDATE item SET name = 'new'")
    told = answer("run", centre.path, "--direct")
    assert told["summary"]["total"]["update"] == 2 and side.count("item") == 2
    left = b"".join(
        file.read_bytes()
        for file in centre.folder.rglob("*")
        if file.is_file() and file.suffix not in (".yaml",) and file.name != "source.db"
    )
    assert secret not in str(told) and secret.encode() not in left


def test_edits_of_one_target_reach_the_others_by_way_of_the_source(centre: Centre) -> None:
    item = {"where": None, "owns": None, "columns": None}
    centre.write(direction="two_way", initial="policy", conflict={"resolve": "merge"}, item=item)
    answer("run", centre.path, "--direct")
    centre.execute("york", "UPDATE item SET name = 'of york' WHERE id = 1")
    centre.execute("kyiv", "DELETE FROM item WHERE id = 2")
    for _ in range(2):
        told = answer("run", centre.path, "--direct")
    assert told["summary"]["message"] == "3 targets: 3 done."
    rows = centre.rows("source")
    assert len(rows) == 5 and (1, "of york", REGIONS["york"]) in rows
    assert [centre.rows(name) for name in REGIONS] == [rows] * 3


def test_all_targets_follow_what_changes_in_the_source(centre: Centre) -> None:
    centre.write(follow={"capture": "trigger", "every": "20ms"})
    assert set(answer("follow", "install", centre.path, "--yes")["targets"]) == set(REGIONS)
    syncline("sync", centre.path, "--once")
    centre.execute("source", "UPDATE item SET name = 'new' WHERE id = 1")
    away = {"name": "away", "url": "postgresql://u@127.0.0.1:1/none", "variables": {"region": "AT"}}
    centre.write([*WRITTEN, away], follow={"capture": "trigger", "every": "20ms"})
    done = syncline("sync", centre.path, "--once", "--json", status=1)
    states = json.loads(done.stdout.splitlines()[-1])["targets"]
    assert {name: each["status"] for name, each in states.items()} == dict.fromkeys(REGIONS, "done") | {"away": "away"}
    assert centre.rows("york")[0] == (1, "newyork", REGIONS["york"]) and centre.rows("graz") == own_rows("graz")


def test_where_the_query_finds_nobody_it_is_an_error_and_nothing_is_done(centre: Centre) -> None:
    centre.write({"query": "SELECT 1", "url": "postgresql://u:s3cret@127.0.0.1:1/none"})
    told = answer("run", centre.path, "--direct", status=1)
    assert told["code"] == ConnectionFailed.code and "s3cret" not in str(told)


def test_a_glob_names_targets_after_files_and_parts_of_paths(centre: Centre) -> None:
    for name, region in (("graz", "AT"), ("york", "O'Brien")):
        (centre.folder / "shops" / region).mkdir(parents=True)
        (centre.folder / f"{name}.db").rename(centre.folder / "shops" / region / f"{name}.db")
    (centre.folder / "shops" / "AT" / "notes.txt").write_text("")
    centre.write({"glob": "shops/{region}/*.db"})
    assert list(answer("run", centre.path, "--direct")["targets"]) == ["graz", "york"]
    assert centre.rows("shops/O'Brien/york") == own_rows("york")
    centre.write({"glob": "shops/*/{name}.db"}, item={"where": None, "owns": None, "columns": None})
    assert list(answer("run", centre.path, "--direct", "--allow-deletes")["targets"]) == ["graz", "york"]
    assert len(centre.rows("shops/AT/graz")) == 6


def test_a_run_that_was_killed_and_two_at_once_leave_each_target_with_its_rows_and_one_version(centre: Centre) -> None:
    names = [f"shop{number}" for number in range(4)]
    for name in names:
        centre.execute(name, ITEM)
    centre.write(
        [{"name": name, "url": f"sqlite:///{name}.db"} for name in names],
        item={"where": None, "owns": None, "columns": None},
    )
    command = [sys.executable, "-m", "flows.cli.main", "run", str(centre.path), "--direct", "--wait", "30s"]

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    killed = start()
    until = time.monotonic() + 60
    while not centre.rows(names[1]) and time.monotonic() < until:
        time.sleep(0.005)
    killed.kill()
    killed.wait()
    filled = [name for name in names if centre.rows(name)]
    assert len(filled) < len(names)
    other = start()
    answer("run", centre.path, "--direct", "--wait", "30s")
    assert other.wait(60) == 0
    assert all(len(centre.rows(name)) == 6 for name in names)
    told = answer("history", centre.path)["targets"]
    assert [len(told[name]["versions"]) for name in names] == [1] * len(names)


def test_values_are_literals_by_the_rules_of_each_engine(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    made = Scenario.make(tmp_path, ("mysql", "postgresql"), request)
    for side in (made.source, made.target):
        side.execute("CREATE TABLE item (id integer NOT NULL PRIMARY KEY, region varchar(60) NOT NULL)")
        side.insert("item", list(enumerate(REGIONS.values())))
    made.target.execute("DELETE FROM item WHERE id = 2")
    endpoint = made.target.endpoint
    targets = [{"name": name, "url": endpoint["url"], "variables": {"region": REGIONS[name]}} for name in ("kyiv",)]
    item = {"from": "item", "where": "region = ${target.region}", "owns": "region = ${target.region}"}
    rest = {each: said for each, said in endpoint.items() if each != "url"}
    made.write({"item": item}, targets=targets, target=rest)
    assert answer("run", made.path, "--direct")["summary"]["total"]["insert"] == 1
    assert made.target.rows("item") == made.source.rows("item")
    assert answer("verify", made.path)["summary"]["message"] == "1 target: 1 done."
    turned = [{"name": "kyiv", "url": made.source.url, "variables": {"region": REGIONS["kyiv"]}}]
    made.write({"item": item}, source=endpoint, targets=turned, target={})
    assert answer("verify", made.path)["summary"]["total"]["unchanged"] == 1


FOUR = "${target.region}"
WRONG: list[tuple[Any, dict[str, Any], str]] = [
    ([], {}, "targets has none"),
    ([WRITTEN[0], WRITTEN[0]], {}, "two of the name graz"),
    ([WRITTEN[0], {**WRITTEN[1], "name": "GRAZ"}], {}, "two of the name GRAZ (graz)"),
    ([WRITTEN[0], {**WRITTEN[0], "name": "b", "variables": {"region": "DE"}}], {}, "graz and b are one and the same"),
    ([WRITTEN[0], {**WRITTEN[1], "url": "sqlite:///../{here}/graz.db"}], {}, "graz and york are one and the same"),
    ([{**WRITTEN[0], "url": "sqlite:///source.db"}], {}, "the source's own database"),
    ([{"name": "graz", "variables": {"url": "x"}}], {}, "a variable url"),
    ({"glob": "none/*.db"}, {}, "none/*.db finds no file"),
    ({"glob": "*.yaml"}, {}, "is no database by its name"),
    ({"query": "SELECT nothing"}, {}, "the query fails"),
    ({"query": "SELECT 1 AS other"}, {}, "has no column name"),
    ({"query": "SELECT NULL AS name"}, {}, "has no name"),
    ({"query": "SELECT 'a/b' AS name, 1 AS x"}, {}, "'a/b' is no name of a target"),
    ({"query": "SELECT 'a' AS name, 1 AS x UNION ALL SELECT 'a', 2"}, {}, "two of the name a"),
    ({"query": "SELECT 'graz' AS name, 'not-one' AS url"}, {}, "url cannot be used"),
    ({"query": "SELECT 'graz' AS name, x'00ff' AS key"}, {}, "variables.key cannot be used"),
    ({"query": "SELECT 'graz' AS name WHERE 1 = 0"}, {}, "targets has none"),
    (5, {}, "targets must be a list"),
    (None, {}, "targets"),
    ({"glob": "*.db", "folder": "x"}, {}, "targets.folder is not a known key"),
    ({"url": "sqlite:///x.db"}, {}, "targets.url is not a known key"),
    ({"glob": "[.db"}, {}, "[.db finds no file"),
    (WRITTEN, {"clients": WRITTEN}, "`clients:` and `targets:`"),
    (WRITTEN, {"item": {"where": f"region = '{FOUR}'"}}, "in quotes or in a comment"),
    (WRITTEN, {"item": {"where": f"1 = 1 -- {FOUR}"}}, "in quotes or in a comment"),
    (WRITTEN, {"item": {"where": f"x'{FOUR}"}}, "in quotes or in a comment"),
    (WRITTEN, {"item": {"where": f"region = E{FOUR}"}}, "touches what stands beside it"),
    (WRITTEN, {"item": {"where": "region = ${client.region}"}}, "the spec has no `clients:`"),
    (WRITTEN, {"item": {"history": FOUR}}, "cannot stand here"),
    (WRITTEN, {"item": {"columns": {FOUR: "id", "id": "id"}}}, "stands in values alone"),
    (WRITTEN, {"item": {"from": f"item_{FOUR}"}}, ""),
]  # fmt: skip


@pytest.mark.parametrize(("targets", "said", "told"), WRONG)
def test_what_is_wrong_with_targets_is_said_before_anything_is_done(
    centre: Centre, targets: Any, said: dict[str, Any], told: str
) -> None:
    text = yaml.safe_load(yaml.safe_dump(targets).replace("{here}", centre.folder.name))
    centre.write(text, **said)
    if not told:
        with pytest.raises(SpecError, match="no part of a name"):
            load_spec(with_member(centre.path, "kyiv"))
        return
    with pytest.raises(SpecError) as met:
        load_spec(with_member(centre.path, "graz"))
    assert told in str(met.value) and str(centre.path) in str(met.value)


def test_a_backslash_is_no_escape_and_refused_where_nobody_knows_whose_sql_it_is(centre: Centre) -> None:
    for url, said in (
        ("sqlite:///kyiv.db", "\\"), ("mysql://u@h/d", "\\\\"), ("mariadb+pymysql://u@h/d", "\\\\"), ("postgresql://u@h/d", "\\"),
    ):  # fmt: skip
        centre.write([{**WRITTEN[2], "url": url}], item={"where": None})
        spec = load_spec(with_member(centre.path, "kyiv"))
        assert spec.tables["item"].owns == f"region = 'it''s 🐈 {said} \"x\" -- ; DROP TABLE item'"
    centre.write([{**WRITTEN[2], "url": {"secret": "a-block"}}], item={"where": None})
    with pytest.raises(SpecError, match="does not say whose SQL"):
        load_spec(with_member(centre.path, "kyiv"))
    assert (
        "--workers is for several" in answer("run", with_member(centre.path, "graz"), "--workers", 2, status=1)["error"]
    )


def test_variables_stand_in_urls_schemas_names_and_constants(centre: Centre) -> None:
    centre.execute("source", "CREATE TABLE item_7 (id integer PRIMARY KEY, label text, price_eur integer)")
    centre.execute("source", "INSERT INTO item_7 VALUES (1, 'a', 5)")
    targets = [{"name": "seven", "variables": {"no": 7, "file": "it's #7", "currency": "eur", "live": True}}]
    columns = {"id": "id", "price": "price_${target.currency}", "no": {"const": "${target.no}"}}
    item = {
        "from": "item_${target.no}",
        "where": "id < ${target.no} AND ${target.live}",
        "owns": None,
        "columns": columns,
    }
    centre.write(targets, target={"url": "sqlite:///${target.file}.db"}, item=item)
    answer("run", centre.path, "--direct")
    assert centre.ask("it's #7", "SELECT id, price, no FROM item") == [(1, 5, 7)]
    centre.write(
        targets, target={"url": "postgresql://${target.file}:${target.file}@h:1/d?x=${target.file}"}, item=item
    )
    url = load_spec(with_member(centre.path, "seven")).target.url
    assert url.value == "postgresql://it%27s%20%237:it%27s%20%237@h:1/d?x=it%27s%20%237"  # type: ignore[union-attr]
    centre.write(targets, target={"url": "postgresql://h/${target.file}"}, item=item)
    with pytest.raises(SpecError, match="mean something else in a URL"):
        load_spec(with_member(centre.path, "seven"))


def test_a_hundred_targets_are_one_run(tmp_path: Path) -> None:
    centre = Centre(tmp_path)
    centre.execute("source", ITEM)
    names = [f"shop{number:03d}" for number in range(100)]
    centre.execute("source", "INSERT INTO item VALUES (?, ?, ?)", [(n, name, name) for n, name in enumerate(names)])
    (tmp_path / "shops").mkdir()
    for name in names:
        centre.execute(f"shops/{name}", ITEM)
    item = {"where": "region = ${target.name}", "owns": None, "columns": None}
    centre.write({"glob": "shops/*.db"}, item=item)
    told = answer("run", centre.path, "--direct", "--workers", 2)["summary"]
    assert told["message"] == "100 targets: 100 done." and told["total"]["insert"] == 100
    assert centre.rows("shops/shop042") == [(42, "shop042", "shop042")]
