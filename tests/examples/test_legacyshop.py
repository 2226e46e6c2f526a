"""The legacy shop: a drafted spec loads it as it is, and what was ugly in MariaDB is in PostgreSQL as it was meant."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from flows.cli.main import main

EDITED = {"staff": {"update": 1}, "order": {"update": 1}, "order_line": {"delete": 3}, "product": {"insert": 1}}


def syncline(*arguments: str, status: int = 0) -> dict[str, Any]:
    done = CliRunner().invoke(main, [*arguments, "--json"])
    assert done.exit_code == status, done.output[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def changed(plan: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Of each table that a plan changes, how many rows by operation."""
    found = {
        name: {op: table[op] for op in ("insert", "update", "delete", "quarantined") if table[op]}
        for name, table in plan["tables"].items()
    }
    return {name: operations for name, operations in found.items() if operations}


def test_the_legacy_shop_moves_by_its_draft(mariadb_url: str, postgres_url: str, tmp_path: Path) -> None:
    psycopg = pytest.importorskip("psycopg")
    from examples.legacyshop.demo import EDITS, execute, fill

    fill(mariadb_url)
    spec = str(tmp_path / "shop.yaml")
    syncline("scaffold", mariadb_url, postgres_url, "-o", spec)
    draft = Path(spec).read_text(encoding="utf-8")
    for decision in (
        "active: tinyint(1) that holds only 0 and 1",
        "admin: tinyint(1) that holds 0 to 2: no boolean",
        "placed_at: 20 of 20,000 rows hold a date that is none",
        "# access_log:",
    ):
        assert decision in draft
    syncline("check", spec)
    loaded = syncline("run", spec, "--direct")
    assert {name: table["insert"] for name, table in loaded["tables"].items()} == {
        "country": 3, "store": 3, "staff": 4, "product": 5, "order": 20_000, "order_line": 40_001, "Größe & co": 3,
    }  # fmt: skip
    assert changed(syncline("verify", spec)) == {}

    with psycopg.connect(postgres_url) as target:
        staff = target.execute("SELECT name, active, admin, overtime FROM staff ORDER BY staff_id").fetchall()
        assert staff[:2] == [
            ("Ann", True, 2, timedelta(hours=100, minutes=30)), ("Zoë ", True, 0, timedelta(hours=-5)),
        ]  # fmt: skip
        assert target.execute("SELECT kind, features FROM product WHERE product_id = 5").fetchall() == [("", "")]
        serials = target.execute("SELECT max(serial), max(product_id), sum(gross) FROM product").fetchone()
        assert serials == (Decimal(2**64 - 1), 2**53 + 1, Decimal("120000035.86"))
        assert target.execute('SELECT count(*) FROM "order" WHERE placed_at IS NULL').fetchone() == (20,)
        ends = "SELECT conrelid::regclass::text FROM pg_constraint WHERE contype = 'f' ORDER BY 1"
        refers = [name for (name,) in target.execute(ends)]
        assert refers == ['"order"', "order_line", "order_line", "staff", "store", "store"]
        assert target.execute("INSERT INTO country VALUES ('XX', 'x') RETURNING code").fetchone() == ("XX",)
        (number,) = target.execute("INSERT INTO product (sku, title) VALUES ('Z', '') RETURNING product_id").fetchone()
        assert number == 2**53 + 2
        target.rollback()

    execute(mariadb_url, EDITS)
    tree = syncline("run", spec, "--tree", "order:2", "--direct")
    assert {name: table["source_rows"] for name, table in tree["tables"].items()} == {"order": 1, "order_line": 0}
    assert changed(tree) == {"order_line": EDITED["order_line"]}
    assert changed(syncline("verify", spec, "--tree", "order:2")) == {}
    rest = {name: table for name, table in EDITED.items() if name != "order_line"}
    assert changed(syncline("run", spec, "--direct")) == rest
    assert changed(syncline("verify", spec)) == {}
