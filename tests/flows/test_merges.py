"""Several source tables that go into one target table: `from: [{table: …}, {table: …}]`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from scenario import RING, Scenario, counts, halves, pair_name, quarantine, reasons

from flows import commands
from flows.check.assess import assess
from flows.history import quarantine as quarantining
from flows.spec.json_schema import json_schema
from flows.spec.model import load_spec
from transforms.vocabulary import DataError, PlanError, SpecError

everywhere = pytest.mark.parametrize("small", RING, indirect=True, ids=pair_name)
one_half, other_half = halves("small")
few = pytest.mark.parametrize("small", RING[:1], indirect=True, ids=pair_name)

PERSONS = [(1, "Ada", "1815-12-10"), (2, "Grace", "1906-12-09"), (3, "Alan", "1912-06-23")]
COMPANIES = [(11, "Škoda", "AT1"), (12, "Böhler", None)]


@pytest.fixture
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    made = Scenario.make(tmp_path, getattr(request, "param", ("sqlite", "sqlite")), request)
    made.source.execute(
        "CREATE TABLE person (id integer NOT NULL PRIMARY KEY, name varchar(40), born varchar(20))",
        "CREATE TABLE company (no bigint NOT NULL PRIMARY KEY, title varchar(60), vat varchar(20))",
    )
    made.source.insert("person", PERSONS)
    made.source.insert("company", COMPANIES)
    return made


def parts(**company: Any) -> list[dict[str, Any]]:
    born = {"from": "born", "cast": "date"}
    return [
        {"table": "person", "columns": {"id": "id", "name": "name", "born": born, "kind": {"const": "person"}}},
        {"table": "company", "columns": {"id": "no", "name": "title", "vat": "vat", "kind": {"const": "company"}}}
        | company,
    ]


def write(scenario: Scenario, defaults: dict[str, Any] | None = None, **table: Any) -> None:
    entry = {"from": parts(), "key": ["id"]} | table
    scenario.write({"party": entry}, defaults={"window": {"rows": 2}} | (defaults or {}))


def there(scenario: Scenario) -> dict[int, str]:
    return {int(number): name for number, name in scenario.target.ask("SELECT id, name FROM party")}


@everywhere
def test_rows_of_two_tables_go_into_one_and_follow_them_and_come_back(small: Scenario) -> None:
    write(small)
    done = small.run()
    assert counts(done, "party") == {"source_rows": 5, "insert": 5}
    assert small.target.rows("party", "id, vat, kind") == [
        (1, None, "person"), (11, "AT1", "company"), (12, None, "company"), (2, None, "person"), (3, None, "person"),
    ]  # fmt: skip
    small.settled()
    before = small.target.content()

    small.source.execute(
        "DELETE FROM person WHERE id = 2",
        "UPDATE company SET title = 'Voest' WHERE no = 12",
        "INSERT INTO person VALUES (4, 'Emmy', '1882-03-23')",
    )
    again = small.run()
    assert counts(again, "party") == {"source_rows": 5, "insert": 1, "update": 1, "delete": 1, "unchanged": 3}
    assert there(small) == {1: "Ada", 3: "Alan", 4: "Emmy", 11: "Škoda", 12: "Voest"}
    small.settled()
    small.undo(again.report.version or 0)
    assert small.target.content() == before


@one_half
def test_a_key_that_two_tables_have_is_set_aside_with_both_and_nobody_wins(small: Scenario) -> None:
    small.source.execute("INSERT INTO company VALUES (2, 'Clash', 'AT9')")
    write(small)
    done = small.run()
    why = "duplicate key: several source rows map to one party (from company and person)"
    assert counts(done, "party") == {"source_rows": 6, "insert": 4, "quarantined": 2}
    assert there(small) == {1: "Ada", 3: "Alan", 11: "Škoda", 12: "Böhler"}
    assert {(table, tuple(key)) for table, key, _ in quarantine(small)} == {("party", (2,))}
    assert reasons(done, "party") == {f"id: {why}": 2}
    small.settled()
    small.source.execute("DELETE FROM person WHERE id = 2")
    again = small.run()
    assert counts(again, "party") == {"source_rows": 5, "insert": 1, "unchanged": 4}
    assert there(small)[2] == "Clash"
    assert quarantine(small) == []


def test_a_clash_with_what_is_there_leaves_it_as_it_is(small: Scenario) -> None:
    write(small)
    small.run()
    small.source.execute("INSERT INTO company VALUES (2, 'Clash', 'AT9')")
    done = small.run()
    assert counts(done, "party") == {"source_rows": 6, "unchanged": 4, "quarantined": 2, "unproved": 1}
    assert there(small)[2] == "Grace"


def test_a_clash_with_a_row_that_is_set_aside_for_another_reason_names_both(small: Scenario) -> None:
    small.source.execute("UPDATE person SET born = 'never' WHERE id = 2", "INSERT INTO company VALUES (2, 'X', NULL)")
    write(small)
    done = small.run()
    assert reasons(done, "party") == {
        "id: duplicate key: several source rows map to one party (from company and person)": 1,
        "born: text that is no date without loss (from person)": 1,
    }


@few
def test_a_clash_within_one_table_names_that_one(small: Scenario) -> None:
    small.source.execute("INSERT INTO person VALUES (5, 'Ada', '1815-12-10')")
    write(small, key=["name"])
    done = small.run()
    assert reasons(done, "party") == {"name: duplicate key: several source rows map to one party (from person)": 2}


@few
def test_where_a_row_comes_from_is_in_the_quarantine_and_in_check(small: Scenario) -> None:
    small.source.execute("UPDATE person SET born = 'never' WHERE id = 3")
    write(small)
    small.run()
    rows, _ = quarantining.listed(small.spec, quarantining.Filter(), 10)
    assert [(row["code"], row["facts"]["from"]) for row in rows] == [("inexact", ["person"])]
    found = assess(small.spec, small.request().at).tables[0]
    assert [each.reason for each in found.findings] == ["text that is no date without loss (from person)"]
    assert found.source.endswith("person, " + found.source.rpartition(", ")[2])
    small.source.execute("UPDATE person SET born = '1912-06-23' WHERE id = 3")
    request = quarantining.retry(small.request("retry"), quarantining.Filter())
    assert request is not None
    again = commands.run(request)
    assert counts(again, "party") == {"source_rows": 1, "insert": 1}
    assert quarantine(small) == []
    small.settled()


@few
def test_columns_of_the_table_are_shared_and_those_of_a_part_come_first(small: Scenario) -> None:
    company = {"table": "company", "where": "vat IS NOT NULL", "columns": {"id": "no", "name": "title"}}
    shared = {"id": "id", "name": "name", "made": {"const": "syncline"}}
    write(small, columns=shared, **{"from": ["person", company]})
    small.run()
    assert small.target.rows("party", "id, name, made") == [
        (1, "Ada", "syncline"), (11, "Škoda", "syncline"), (2, "Grace", "syncline"), (3, "Alan", "syncline"),
    ]  # fmt: skip


@other_half
def test_a_backfill_of_a_range_of_the_key_touches_nothing_else(small: Scenario) -> None:
    write(small)
    small.run()
    small.source.execute("UPDATE person SET name = 'P'", "UPDATE company SET title = 'C'")
    done = small.backfill("party.id:3..12")
    assert counts(done, "party") == {"source_rows": 2, "update": 2}
    assert there(small) == {1: "Ada", 2: "Grace", 3: "P", 11: "C", 12: "Böhler"}


@one_half
def test_lookups_into_a_merged_table_and_from_it(small: Scenario) -> None:
    small.source.execute(
        "CREATE TABLE land (code varchar(5) NOT NULL PRIMARY KEY, name varchar(20))",
        "CREATE TABLE orders (no integer NOT NULL PRIMARY KEY, party integer)",
    )
    small.source.insert("land", [("AT1", "Austria")])
    small.source.insert("orders", [(100, 1), (101, 11), (102, 99)])
    looked = {"lookup": {"table": "land", "match": {"code": "vat"}, "take": "name"}, "missing": "null"}
    company = parts()[1]["columns"] | {"land": looked}
    tables = {
        "land": {"from": "land", "key": ["code"]},
        "party": {"from": [parts()[0], {"table": "company", "columns": company}], "key": ["id"]},
        "purchase": {
            "from": "orders",
            "key": ["no"],
            "columns": {
                "no": "no",
                "party": {"lookup": {"table": "party", "match": {"id": "party"}, "take": "name"}},
            },
        },
    }
    small.write(tables)
    done = small.run()
    assert counts(done, "purchase") == {"source_rows": 3, "insert": 2, "quarantined": 1}
    assert small.target.rows("purchase") == [(100, "Ada"), (101, "Škoda")]
    assert small.target.rows("party", "id, land")[1] == (11, "Austria")
    small.settled()


@few
def test_types_that_are_not_alike_are_the_wider_one_or_an_error_that_names_both(small: Scenario) -> None:
    small.source.execute("INSERT INTO company VALUES (5000000000, 'Far', NULL)")
    write(small)
    small.run()
    assert there(small)[5000000000] == "Far"
    write(
        small, **{"from": ["person", {"table": "company", "columns": {"id": "title", "name": "vat"}}]}, target="other"
    )
    with pytest.raises(SpecError, match=r"id is .* of person and .* of company.*Fix: say its type"):
        small.run()


def test_a_source_that_gives_no_value_for_a_column_without_nulls_is_an_error(small: Scenario) -> None:
    small.target.execute("CREATE TABLE party (id integer PRIMARY KEY, name text, born date, kind text NOT NULL)")
    company = {"table": "company", "columns": {"id": "no", "name": "title"}}
    write(small, **{"from": [parts()[0], company]})
    with pytest.raises(SpecError, match=r"spec.yaml:\d+: company gives no kind, which takes no nulls"):
        small.run()


def test_on_invalid_fail_names_the_source(small: Scenario) -> None:
    small.source.execute("INSERT INTO company VALUES (2, 'Clash', 'AT9')")
    write(small, on_invalid="fail")
    with pytest.raises(DataError, match="from company and person"):
        small.run()
    assert small.target.tables() == set()


@few
def test_the_schema_of_each_source_is_watched(small: Scenario) -> None:
    write(small)
    small.run()
    small.source.execute("ALTER TABLE company ADD COLUMN seat varchar(20)")
    with pytest.raises(Exception, match=r"party: in the source's .*company .*seat"):
        small.run()


def test_mistakes_are_named_with_their_lines(small: Scenario) -> None:
    for wrong, message in (
        ([], "tables.party.from is empty"),
        ([{"tabel": "person"}], r"tables.party.from\[0\].tabel is not a known key. Did you mean table"),
        ([{"table": "person", "columns": {"id": {"cast": "date"}}}], r"tables.party.from\[0\].columns.id"),
        ([{"table": "person", "columns": {"name": "name"}}], r"tables.party.key\[0\] is not among the columns"),
    ):
        with pytest.raises(SpecError, match=message):
            load_spec(small.write({"party": {"from": wrong, "key": ["id"]}}))


def test_all_sources_number_their_rows_or_none(small: Scenario) -> None:
    people = {"table": "person", "columns": {"nr": {"generate": "identity"}, "code": "id"}}
    write(small, **{"from": [people, {"table": "company", "columns": {"code": "no"}}]}, key=["code"])
    with pytest.raises(SpecError, match="nr is generated for person and not for company"):
        small.run()
    shared = {"nr": {"generate": "identity"}}
    both = [{"table": "person", "columns": {"code": "id"}}, {"table": "company", "columns": {"code": "no"}}]
    write(small, **{"from": both}, key=["code"], columns=shared)
    small.run()
    assert sorted(number for (number,) in small.target.ask("SELECT nr FROM party")) == [1, 2, 3, 4, 5]
    small.settled()


@few
def test_one_source_that_is_suddenly_empty_stops_a_plan_as_all_would(small: Scenario) -> None:
    write(small, {"delete": {"policy": "hard", "max_ratio": 0.9}})
    small.run()
    before = small.target.content()
    small.source.execute("DELETE FROM company")
    with pytest.raises(PlanError, match="party: company of the source has no rows at all, and had some"):
        small.run()
    assert small.target.content() == before
    small.run(allow_deletes=True)
    assert set(there(small)) == {1, 2, 3}
    small.source.execute("DELETE FROM person WHERE id = 3")  # company is empty as it was before
    small.run()
    assert set(there(small)) == {1, 2}


def test_the_json_schema_knows_lists_of_sources(small: Scenario) -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    write(small, **{"from": [*parts(), "person"]})
    assert not list(validator.iter_errors(yaml.safe_load(small.path.read_text())))
    write(small, **{"from": [{"tabel": "person"}]})
    assert list(validator.iter_errors(yaml.safe_load(small.path.read_text())))


def test_one_table_may_be_several_sources_and_so_may_a_query(small: Scenario) -> None:
    twice = [
        {"table": "person", "columns": {"id": "id", "text": "name"}},
        {"table": "person", "columns": {"id": {"expr": "id + 100"}, "text": "born"}},
        {"query": "SELECT no AS id, title AS text FROM company"},
    ]
    write(small, **{"from": twice})
    small.run()
    assert small.target.count("party") == 8
    small.settled()
    small.source.execute("INSERT INTO person VALUES (101, 'Clash', NULL)")
    clash = "id: duplicate key: several source rows map to one party (from person (1) and person (2))"
    assert reasons(small.run(), "party") == {clash: 2}
