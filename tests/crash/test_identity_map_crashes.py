"""A run that gives rows their keys and is killed: the next one gives no row a second key, and ends in the same map."""

from __future__ import annotations

from pathlib import Path

import pytest
from crashing import killed_at
from scenario import PAIRS, Scenario, pair_name

from flows.commands import Status
from flows.session.stores import ledger_of

POINTS = (
    "after the COMMIT of a window",
    "all windows in, before the ledger",
    "before the version",
    "after the version",
)
ROWS = 9


@pytest.mark.parametrize("pair", [PAIRS[0], PAIRS[2]], ids=pair_name)
@pytest.mark.parametrize("point", POINTS)
def test_no_row_gets_two_keys_wherever_a_run_is_killed(
    pair: tuple[str, str], point: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = Scenario.make(tmp_path, pair, request)  # type: ignore[arg-type]
    shop.source.execute("CREATE TABLE customers (no varchar(9) PRIMARY KEY, name varchar(30))")
    shop.source.insert("customers", [("c0", "first")])
    shop.write(
        {"customer": {"from": "customers", "key": {"map": ["id"]}, "columns": {"name": "name"}}}, defaults={"window": 3}
    )
    shop.run()
    shop.source.execute("DELETE FROM customers")
    shop.source.insert("customers", [(f"c{at}", f"name {at}") for at in range(1, ROWS + 1)])
    assert killed_at(shop, point), "it never came there"
    shop.run()
    found = dict(shop.target.ask("SELECT name, id FROM customer"))
    assert sorted(found) == sorted(f"name {at}" for at in range(1, ROWS + 1)) and shop.target.count("customer") == ROWS
    with ledger_of(shop.spec) as ledger:
        known = dict(zip(*ledger.identities.pairs("shop", "customer").to_pydict().values(), strict=True))
    assert known == {f'["c{at}"]': f"[{found[f'name {at}']}]" for at in range(1, ROWS + 1)}
    shop.settled()
    assert shop.undo(2).status == Status.DONE
    assert shop.target.rows("customer", "name") == [("first",)]
    with ledger_of(shop.spec) as ledger:
        assert ledger.identities.pairs("shop", "customer").to_pylist() == [
            {"source_key": '["c0"]', "target_key": "[1]"}
        ]
