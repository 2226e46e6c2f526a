"""Types at both ends of a foreign key, and indexes: what the target would refuse is known before a row is written."""

from __future__ import annotations

from itertools import product
from typing import Final

import pymysql
import pytest
from databases import Database
from drafts import scaffold, untold
from scenario import Scenario, pair_name

from adapters.registry import open_target
from flows.commands import Status
from transforms.vocabulary import SpecError, TableName

TYPES: Final = (
    "TINYINT", "TINYINT(1)", "SMALLINT", "INT", "INT UNSIGNED", "BIGINT", "BIGINT UNSIGNED", "YEAR", "DECIMAL(10,2)", "DECIMAL(12,2)",
    "FLOAT", "DOUBLE", "DATE", "DATETIME", "DATETIME(6)", "TIMESTAMP", "TIME", "CHAR(9)", "VARCHAR(9)", "VARCHAR(20)",
    "VARCHAR(9) COLLATE utf8mb4_bin", "VARCHAR(9) CHARACTER SET latin1", "VARBINARY(9)", "BINARY(4)", "UUID", "BIT(9)", "INET6",
)  # fmt: skip


def test_what_mariadb_does_not_link_is_known_without_asking_it(mariadb_url: str) -> None:
    database = Database("mysql", mariadb_url)
    for number, kind in enumerate(TYPES):
        database.execute(f"CREATE TABLE p{number} (id {kind} NOT NULL PRIMARY KEY)")
    adapter = open_target(mariadb_url)
    columns = []
    for number in range(len(TYPES)):
        shape = adapter.describe(TableName(f"p{number}"))
        assert shape is not None
        columns.append(shape.columns[0])
    for own, there in product(range(len(TYPES)), repeat=2):
        if (own + there) % 3 and own != there:  # a third of the pairs
            continue
        try:
            database.execute(
                f"CREATE TABLE c (id {TYPES[own]} NOT NULL, FOREIGN KEY (id) REFERENCES p{there} (id))", "DROP TABLE c"
            )
            taken = True
        except pymysql.Error:
            taken = False
        known = adapter.unlinked(columns[own], columns[there]) is None
        assert taken or not known, (TYPES[own], TYPES[there])
        assert known or own != there, TYPES[own]
    adapter.close()


@pytest.fixture(params=[("sqlite", "mysql"), ("sqlite", "postgresql"), ("postgresql", "mysql")], ids=pair_name)
def linked(request: pytest.FixtureRequest, tmp_path: object) -> Scenario:
    return Scenario.make(tmp_path, request.param, request)  # type: ignore[arg-type]


def test_a_key_that_the_target_does_not_take_is_listed_and_refused_by_a_spec_before_a_row_is_written(
    linked: Scenario,
) -> None:
    linked.source.execute(
        "CREATE TABLE p (id INT PRIMARY KEY, n DECIMAL(10,2) UNIQUE)",
        "CREATE TABLE c (id INT PRIMARY KEY, p INT, n DECIMAL(12,2))",
        "INSERT INTO p VALUES (1, 1.5)",
        "INSERT INTO c VALUES (1, 1, 1.5)",
    )
    table = "  {name}:\n    from: {name}\n    key: [id]\n    create:\n      columns: {columns}\n"
    body = table.format(name="p", columns="{id: integer}") + table.format(name="c", columns="{id: integer, p: text}")
    body = body.replace(
        "    create:\n      columns: {id: integer, p: text}",
        "    columns: {id: id, p: {from: p, cast: text}}\n    create:\n      columns: {id: integer, p: text}",
    )
    body += "      foreign_keys: [{columns: p, table: p, refers: id}]\n"
    head = scaffolded(linked)
    linked.path.write_text(head + body)
    with pytest.raises(SpecError, match=r"spec.yaml:\d+: .*(one type at both ends|cannot be implemented)"):
        linked.run()
    assert not linked.target.tables()


def scaffolded(scenario: Scenario) -> str:
    """The head of a spec."""
    scaffold(scenario)
    return scenario.path.read_text().partition("tables:")[0] + "tables:\n"


def test_a_key_between_unlike_types_is_listed_by_the_draft(linked: Scenario) -> None:
    kind = "TEXT" if linked.source.engine == "sqlite" else "bigint"
    linked.source.execute(
        "CREATE TABLE p (id INT PRIMARY KEY)",
        f"CREATE TABLE c (id INT PRIMARY KEY, p {kind} REFERENCES p (id))",
        "INSERT INTO p VALUES (1)",
        "INSERT INTO c VALUES (1, '1')",
    )
    draft = scaffold(linked)
    listed = any(what.startswith("foreign key (p) to p") for what in untold(draft, "c"))
    assert listed == (kind == "TEXT")  # whole numbers become alike
    assert linked.run().status == Status.DONE
    assert linked.plan().status == Status.DONE
    assert not any(table.after_load for table in linked.plan().report.tables)
