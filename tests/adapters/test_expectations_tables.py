"""Great Expectations at the loaded checkpoint, on tables of real databases."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from databases import Database
from expecting import BETWEEN, COUNT, IN_SET, NOT_NULL, ORPHANS, REGEX, UNIQUE, expected

from adapters.expectations.run import BrokenCheck, Checked, check_table
from transforms.vocabulary import ConnectionFailed, TableName


@pytest.fixture
def people(database: Database) -> Database:
    database.execute(
        'CREATE TABLE "Peo ple" (id integer PRIMARY KEY, "First Name" varchar(20), age integer, pay decimal(10,2))',
        """INSERT INTO "Peo ple" VALUES (1, 'Ann', 20, 0.10), (2, NULL, 30, 0.30), (3, 'bob:5%', NULL, 0.31), (4, 'Ann', 150, NULL)""",
    )
    return database


def on_table(
    database: Database, *checks: tuple[str, dict[str, Any]], where: str | None = None, **totals: int
) -> tuple[Checked, ...]:
    return check_table(database.url, TableName("Peo ple"), ["id"], expected(*checks), totals, where, "people")


def test_every_engine_answers_the_common_checks(people: Database) -> None:
    name = {"column": "First Name"}
    found = on_table(
        people,
        (NOT_NULL, name),
        (BETWEEN, {"column": "age", "min_value": 0, "max_value": 120}),
        (IN_SET, {**name, "value_set": ["Ann", "bob:5%"]}),
        (REGEX, {**name, "regex": "^[A-Z][a-z]+$"}),
        (COUNT, {"value": "$source_rows"}),
        (UNIQUE, name),
        (BETWEEN, {"column": "pay", "min_value": 0.1, "max_value": 0.3}),
        ("expect_column_min_to_be_between", {"column": "pay", "min_value": 0.1, "max_value": 0.1}),
        ("expect_column_sum_to_be_between", {"column": "age", "min_value": 200, "max_value": 200}),
        ("expect_compound_columns_to_be_unique", {"column_list": ["First Name", "age"]}),
        source_rows=4,
    )
    assert [each.number for each in found] == list(range(10))
    assert [each.passed for each in found] == [False, False, True, False, True, False, False, True, True, True]
    assert [each.unexpected for each in found[:4]] == [1, 1, 0, 1]
    assert [each.checked for each in found[:4]] == [4] * 4
    assert all(each.rows == () for each in found)
    assert [each.sample for each in found[:4]] == [
        ("id=2, First Name=null",),
        ("id=4, age=150",),
        (),
        ("id=3, First Name=bob:5%",),
    ] or found[0].sample == ("id=2",)
    assert sorted(each.split(",")[0] for each in found[5].sample) == ["id=1", "id=4"]
    assert found[4].observed == "4"
    assert found[8].observed == "200"


def test_a_condition_restricts_the_table_as_it_is_written(people: Database) -> None:
    kept = """ "First Name" = 'bob:5%' -- only bob"""
    if people.engine == "mysql":
        kept = "`First Name` = 'bob:5%' -- only bob"
    count, null, some = on_table(
        people, (COUNT, {"value": 1}), (NOT_NULL, {"column": "age"}), (NOT_NULL, {"column": "First Name"}), where=kept
    )
    assert count.passed
    assert (null.unexpected, null.checked) == (1, 1)
    assert [each.split(",")[0] for each in null.sample] == ["id=3"]
    assert some.passed


@pytest.mark.parametrize("engine", ["sqlite", "postgresql", "mysql"])
def test_orphans_are_found_by_a_query(people: Database) -> None:
    query = "SELECT id FROM {batch} WHERE age > 100 AND id % 2 = 0"
    (found,) = on_table(people, (ORPHANS, {"unexpected_rows_query": query}), where="id > 1")
    assert (found.passed, found.observed, found.sample) == (False, "1", ("id=4",))


def test_a_missing_column_or_table_breaks_the_check_on_every_engine(people: Database) -> None:
    with pytest.raises(BrokenCheck, match=r"check 1, .* of nmae could not be evaluated: .*nmae"):
        on_table(people, (NOT_NULL, {"column": "id"}), (NOT_NULL, {"column": "nmae"}))
    with pytest.raises(BrokenCheck, match="gone"):
        check_table(people.url, TableName("gone"), ["id"], expected((NOT_NULL, {"column": "id"})), {}, None, "gone")


@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
def test_the_check_that_broke_is_named_and_not_those_of_the_same_statement(people: Database) -> None:
    with pytest.raises(BrokenCheck, match=r"check 1, .*match_regex"):
        on_table(
            people,
            (NOT_NULL, {"column": "id"}),
            (REGEX, {"column": "First Name", "regex": "(("}),
            (NOT_NULL, {"column": "age"}),
        )


def test_an_empty_table_of_every_engine_passes(people: Database) -> None:
    people.execute('DELETE FROM "Peo ple"')
    found = on_table(
        people,
        (NOT_NULL, {"column": "age"}),
        (UNIQUE, {"column": "age"}),
        (COUNT, {"value": 0}),
        (REGEX, {"column": "First Name", "regex": "x"}),
    )
    assert [each.passed for each in found] == [True] * 4
    (least,) = on_table(people, ("expect_column_min_to_be_between", {"column": "age", "min_value": 1}))
    assert least.observed is None


def test_tables_are_checked_by_four_threads_at_once(people: Database) -> None:
    def counted(number: int) -> bool:
        return on_table(people, (COUNT, {"value": number}), where=f"id <= {number}")[0].passed

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(counted, (1, 2, 3, 4))) == [True] * 4


@pytest.mark.parametrize("engine", ["postgresql"])
def test_schemas_keep_the_case_of_their_letters(database: Database) -> None:
    database.execute(
        'CREATE SCHEMA "Sales"',
        'CREATE TABLE "Sales"."Order" (id int, at timestamptz)',
        """INSERT INTO "Sales"."Order" VALUES (1, '2013-01-01')""",
    )
    checks = expected(
        (COUNT, {"value": 1}),
        (BETWEEN, {"column": "at", "min_value": "2013-06-01"}),
        ("expect_table_columns_to_match_set", {"column_set": ["id", "at"]}),
    )
    found = check_table(database.url, TableName("Order", "Sales"), ["id"], checks, {}, None, "order")
    assert [each.passed for each in found] == [True, False, True]


@pytest.mark.parametrize("scheme", ["postgresql", "mysql", "mariadb"])
def test_a_password_never_appears_when_a_server_cannot_be_reached(scheme: str) -> None:
    url = f"{scheme}://ann:s3cr%40t@127.0.0.1:1/shop"
    with pytest.raises(ConnectionFailed) as caught:
        check_table(url, TableName("t"), ["id"], expected((COUNT, {"value": 1})), {}, None, "t")
    assert "s3cr" not in f"{caught.value} {caught.value!r}"


def test_a_password_never_appears_when_a_check_breaks(people: Database, caplog: pytest.LogCaptureFixture) -> None:
    if people.engine not in ("postgresql", "mysql"):
        return
    secret = "s3cr3t"
    who = "CREATE USER" if people.engine == "postgresql" else "CREATE OR REPLACE USER"
    grant = 'GRANT SELECT ON "Peo ple" TO checker'
    made = f"{who} checker " + (
        f"PASSWORD '{secret}'" if people.engine == "postgresql" else f"IDENTIFIED BY '{secret}'"
    )
    people.execute(made, grant)
    try:
        url = people.url.replace(people.url.split("//")[1].split("@")[0] + "@", f"checker:{secret}@", 1)
        with caplog.at_level(logging.DEBUG), pytest.raises(BrokenCheck) as caught:
            check_table(
                url,
                TableName("Peo ple"),
                ["id"],
                expected((REGEX, {"column": "First Name", "regex": f"(({secret}"})),
                {},
                None,
                "t",
            )
        assert caught.value.__cause__ is None
        assert secret not in f"{caught.value}"
        assert f":{secret}@" not in caplog.text
    finally:
        people.execute(*(["DROP OWNED BY checker"] if people.engine == "postgresql" else []), "DROP USER checker")


@pytest.mark.parametrize("engine", ["sqlite", "duckdb"])
def test_a_file_that_is_not_there_is_not_made(database: Database) -> None:
    with pytest.raises((ConnectionFailed, BrokenCheck)):
        on_table(database, (COUNT, {"value": 1}))
    assert not database.path.exists()
