"""Lookups through an identity map in both directions, and numbers that no row of the other side can have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scenario import RING, Engine, Scenario, counts, pair_name, quarantine

from adapters.ledger.identity import PAIRS
from flows.history import identity as maps
from transforms.vocabulary import SynclineError

CUSTOMER: dict[str, Any] = {
    "from": "customers",
    "key": {"map": ["id"], "match": ["email"]},
    "columns": {"email": "email"},
}


def made(
    folder: Path, pair: tuple[Engine, Engine], request: pytest.FixtureRequest, lookup: dict[str, str], there: str
) -> Scenario:
    """Orders hold a number of a customer of one side, and get that of the other one."""
    shop = Scenario.make(folder, pair, request)
    shop.source.execute(
        "CREATE TABLE customers (no integer PRIMARY KEY, email varchar(30))",
        "CREATE TABLE orders (no integer PRIMARY KEY, cust bigint)",
    )
    shop.source.insert("customers", [(1000, "a"), (2000, "b")])
    shop.target.execute(
        "CREATE TABLE customer (id integer PRIMARY KEY, email varchar(30))",
        f"CREATE TABLE purchase (no integer PRIMARY KEY, other {there})",
    )
    column = {"lookup": {"table": "customer", "by": "cust", **lookup}, "missing": "quarantine"}
    purchase = {"from": "orders", "key": "no", "columns": {"no": "no", "other": column}}
    shop.write({"customer": CUSTOMER, "purchase": purchase})
    return shop


@pytest.mark.parametrize("pair", RING, ids=pair_name)
def test_the_key_of_the_source_is_looked_up_by_that_of_the_target(
    pair: tuple[Engine, Engine], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = made(tmp_path, pair, request, {"to": "source"}, "integer")
    shop.target.insert("customer", [(7, "b"), (8, "a")])
    shop.source.insert("orders", [(1, 7), (2, 8), (3, 77), (4, 2**40), (5, None)])
    done = shop.run()
    assert counts(done, "purchase") == {"source_rows": 5, "insert": 3, "quarantined": 2}
    assert shop.target.rows("purchase") == [(1, 2000), (2, 1000), (5, None)]
    assert [key for _, key, _ in quarantine(shop)] == [[3], [4]]
    assert counts(shop.run(), "purchase") == {"source_rows": 5, "unchanged": 3, "quarantined": 2}


@pytest.mark.parametrize("pair", RING, ids=pair_name)
def test_a_number_that_no_customer_can_have_has_no_partner(
    pair: tuple[Engine, Engine], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = made(tmp_path, pair, request, {}, "integer")
    shop.target.insert("customer", [(7, "b"), (8, "a")])
    shop.source.insert("orders", [(1, 1000), (2, 2**40), (3, -(2**62))])
    assert counts(shop.run(), "purchase") == {"source_rows": 3, "insert": 1, "quarantined": 2}
    assert shop.target.rows("purchase") == [(1, 8)]


@pytest.mark.parametrize("pair", [each for each in RING if each[1] != "sqlite"], ids=pair_name)
def test_a_key_that_does_not_fit_where_it_is_to_go_is_set_aside(
    pair: tuple[Engine, Engine], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = made(tmp_path, pair, request, {}, "smallint")
    shop.target.insert("customer", [(7, "b"), (70000, "a")])
    shop.source.insert("orders", [(1, 1000), (2, 2000)])
    assert counts(shop.run(), "purchase") == {"source_rows": 2, "insert": 1, "quarantined": 1}
    assert shop.target.rows("purchase") == [(2, 7)]


@pytest.mark.parametrize("pair", RING[:2], ids=pair_name)
@pytest.mark.parametrize("ends", [("[1000]", f"[{2**40}]"), ("[1000]", "[1e300]"), (f"[{10**30}]", "[8]")])
def test_a_file_with_a_number_that_no_row_can_have_is_refused(
    ends: tuple[str, str], pair: tuple[Engine, Engine], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = made(tmp_path, pair, request, {}, "integer")
    shop.target.insert("customer", [(8, "a")])
    file = tmp_path / "pairs.parquet"
    pq.write_table(pa.Table.from_pylist([dict(zip(PAIRS.names, ends, strict=True))], PAIRS), file)
    with pytest.raises(SynclineError):
        maps.imported(shop.spec, "customer", file)
