"""What a tree reads: its own rows on both sides, by the servers' own counts."""

from __future__ import annotations

from pathlib import Path

import pytest
from rows_read import rows_read
from scenario import Engine, Scenario, Status, counts

from flows import commands
from flows.bind.roots import parse_root
from flows.plan.trees.chosen_tree import Trees

ROWS = 6_000
TABLES = ("customer", "purchase", "line", "memo")
SERIES = {
    "postgresql": "generate_series(1, {0}) AS t (n)",
    "mysql": "(SELECT seq AS n FROM seq_1_to_{0}) AS t",
    "sqlite": "(WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < {0}) SELECT n FROM r) AS t",
    "duckdb": "range(1, {0} + 1) AS t (n)",
}
"""By engine the numbers from 1 to {0}."""


@pytest.fixture(params=["postgresql", "mysql", "sqlite", "duckdb"])
def large(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Customers with three orders each, these with two lines, and a memo each by a lookup of the code; all is equal."""
    engine: Engine = request.param
    made = Scenario.make(tmp_path, (engine, engine), request)
    n = SERIES[engine].format
    c = "concat('C', n)" if engine == "mysql" else "'C' || n"
    whole = "div" if engine == "mysql" else "//" if engine == "duckdb" else "/"
    for side, own in ((made.source, "customer varchar(12)"), (made.target, "customer_id integer")):
        side.execute(
            "CREATE TABLE customer (id integer PRIMARY KEY, code varchar(12) NOT NULL UNIQUE, name varchar(20))",
            "CREATE TABLE purchase (nr integer PRIMARY KEY, customer_id integer, v varchar(9), "
            "FOREIGN KEY (customer_id) REFERENCES customer (id))",
            "CREATE TABLE line (id integer PRIMARY KEY, nr integer, v varchar(9), FOREIGN KEY (nr) REFERENCES purchase (nr))",
            f"CREATE TABLE memo (id integer PRIMARY KEY, {own}, v varchar(9))",
            f"INSERT INTO customer SELECT n, {c}, 'x' FROM {n(ROWS // 6)}",
            f"INSERT INTO purchase SELECT n, (n + 2) {whole} 3, 'x' FROM {n(ROWS // 2)}",
            f"INSERT INTO line SELECT n, (n + 1) {whole} 2, 'x' FROM {n(ROWS)}",
            f"INSERT INTO memo SELECT n, {c if own.startswith('customer v') else 'n'}, 'x' FROM {n(ROWS // 6)}",
            "CREATE INDEX purchase_customer ON purchase (customer_id)",
            "CREATE INDEX line_nr ON line (nr)",
            f"CREATE INDEX memo_customer ON memo ({own.split()[0]})",
        )
        if engine == "postgresql":
            side.execute(*(f"ANALYZE {table}" for table in TABLES))
    lookup = {"lookup": {"table": "customer", "match": {"code": "customer"}, "take": "id"}}
    plain = {name: {"from": name} for name in TABLES}
    made.write(plain | {"memo": {"from": "memo", "columns": {"id": "id", "customer_id": lookup, "v": "v"}}})
    return made


def test_rows_outside_of_a_tree_are_not_read(large: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = ["DELETE FROM line WHERE nr = 20", "DELETE FROM purchase WHERE nr = 20"]
    if large.source.engine == "duckdb":  # it goes through a whole table for keys that are not there
        gone = []
    come = ["INSERT INTO purchase VALUES (90000, 7, 'new')", "INSERT INTO line VALUES (90000, 90000, 'new')"]
    large.source.execute(*gone, *come, "UPDATE memo SET v = 'new' WHERE id = 7")
    read = rows_read(large, TABLES, monkeypatch)
    done = commands.run(large.request(trees=Trees((parse_root("customer:7", large.spec),))))
    found = read()
    assert done.status == Status.DONE
    left = len(gone)
    assert {name: counts(done, name) for name in TABLES} == {
        "customer": {"source_rows": 1, "unchanged": 1},
        "purchase": {"source_rows": 4 - left // 2, "insert": 1, "unchanged": 3 - left // 2}
        | ({"delete": 1} if gone else {}),
        "line": {"source_rows": 7 - left, "insert": 1, "unchanged": 6 - left} | ({"delete": 2} if gone else {}),
        "memo": {"source_rows": 1, "update": 1},
    }
    assert not done.report.warning_texts
    assert found["source"] < 200
    assert found["target"] < 300


@pytest.fixture(params=["postgresql", "mysql", "sqlite"])  # DuckDB goes through what it finds few keys in
def numbered(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Customers by an identity map, orders with numbers of the target, lines by these, and bills from two tables; all is equal."""
    engine: Engine = request.param
    made = Scenario.make(tmp_path, (engine, engine), request)
    n = SERIES[engine].format
    c, e = ("concat('c', n)", "concat('e', n)") if engine == "mysql" else ("'c' || n", "'e' || n")
    made.source.execute(
        "CREATE TABLE customer (no varchar(12) PRIMARY KEY, email varchar(12) NOT NULL UNIQUE, v varchar(9))",
        "CREATE TABLE purchase (no varchar(12) PRIMARY KEY, customer varchar(12), v varchar(9))",
        "CREATE TABLE line (purchase varchar(12), pos integer, v varchar(9), PRIMARY KEY (purchase, pos))",
        "CREATE TABLE invoice (no integer PRIMARY KEY, customer varchar(12), v varchar(9))",
        "CREATE TABLE receipt (id integer PRIMARY KEY, customer varchar(12), v varchar(9))",
        f"INSERT INTO customer SELECT {c}, {e}, 'x' FROM {n(2000)}",
        f"INSERT INTO purchase SELECT {c}, {c}, 'x' FROM {n(2000)}",
        *(f"INSERT INTO line SELECT {c}, {pos}, 'x' FROM {n(2000)}" for pos in (1, 2)),
        f"INSERT INTO invoice SELECT n, {c}, 'x' FROM {n(2000)}",
        f"INSERT INTO receipt SELECT 10000 + n, {c}, 'x' FROM {n(2000)}",
        "CREATE INDEX purchase_customer ON purchase (customer)",
        "CREATE INDEX invoice_customer ON invoice (customer)",
        "CREATE INDEX receipt_customer ON receipt (customer)",
    )
    customer = {"lookup": {"table": "customer", "by": "customer"}}
    by_customer = {"indexes": [["customer_id"]]}
    parts = [
        {"table": each, "columns": {"no": no, "customer_id": customer, "v": "v"}}
        for each, no in (("invoice", "no"), ("receipt", "id"))
    ]
    order = {"lookup": {"table": "purchase", "match": {"no": "purchase"}, "take": "id"}}
    made.write(
        {
            "customer": {
                "from": "customer", "key": {"map": ["id"], "match": ["email"]}, "columns": {"email": "email", "v": "v"},
                "create": {"unique": [["email"]]},
            },
            "purchase": {
                "from": "purchase", "key": ["no"], "create": {"unique": [["id"]]} | by_customer,
                "columns": {"id": {"generate": "identity"}, "no": "no", "customer_id": customer, "v": "v"},
            },
            "line": {"from": "line", "key": ["purchase_id", "pos"], "columns": {"purchase_id": order, "pos": "pos", "v": "v"}},
            "bill": {"from": parts, "key": ["no"], "create": by_customer},
        }
    )  # fmt: skip
    made.run()
    for side in (made.source, made.target) if engine == "postgresql" else ():
        side.execute("ANALYZE")
    return made


def test_rows_outside_are_not_read_where_both_sides_have_keys_of_their_own(
    numbered: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbered.source.execute(
        "UPDATE line SET v = 'y'", "UPDATE receipt SET v = 'y'", "INSERT INTO line VALUES ('c7', 3, 'new')"
    )
    numbered.source.execute(
        "INSERT INTO customer VALUES ('new', 'new', 'x')", "INSERT INTO purchase VALUES ('new', 'new', 'x')"
    )
    ((known,),) = numbered.target.ask("SELECT id FROM customer WHERE email = 'e7'")
    tables = ("customer", "purchase", "line", "invoice", "receipt", "bill")
    read = rows_read(numbered, tables, monkeypatch)
    roots = (f"customer:{known}", 'customer:[{"no":"new"}]')
    done = commands.run(numbered.request(trees=Trees(tuple(parse_root(each, numbered.spec) for each in roots))))
    found = read()
    assert {name: counts(done, name) for name in ("customer", "purchase", "line", "bill")} == {
        "customer": {"source_rows": 2, "insert": 1, "unchanged": 1},
        "purchase": {"source_rows": 2, "insert": 1, "unchanged": 1},
        "line": {"source_rows": 3, "insert": 1, "update": 2},
        "bill": {"source_rows": 2, "update": 1, "unchanged": 1},
    }
    assert not done.report.warning_texts
    assert found["source"] < 300
    assert found["target"] < 600
