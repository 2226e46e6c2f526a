"""The identity maps that a ledger keeps: pairs of keys, each with one partner."""

from __future__ import annotations

import pyarrow as pa
import pytest
from ledgers import clock as clock
from ledgers import ledger as ledger
from ledgers import server as server
from ledgers import url as url

from adapters.ledger.identity import LONGEST, PAIRS
from adapters.ledger.ledger import Ledger
from transforms.vocabulary import SynclineError

NONE = PAIRS.empty_table()


def pairs(**known: str) -> pa.Table:
    return pa.table([list(known), list(known.values())], schema=PAIRS)


def kept(ledger: Ledger, table: str = "customer") -> dict[str, str]:
    found = ledger.identities.pairs("m", table)
    return dict(zip(*found.to_pydict().values(), strict=True))


def test_pairs_are_kept_by_migration_and_table_and_noting_them_again_changes_nothing(ledger: Ledger) -> None:
    for _ in range(2):
        ledger.identities.record("m", "customer", pairs(a="[1]", b="[2]"), NONE, "r1")
    ledger.identities.record("m", "order", pairs(a="[7]"), NONE, "r1")
    ledger.identities.record("other", "customer", pairs(a="[9]"), NONE, "r1")
    assert kept(ledger) == {"a": "[1]", "b": "[2]"}
    assert kept(ledger, "order") == {"a": "[7]"}
    assert ledger.identities.sizes("m") == {"customer": 2, "order": 1}


def test_a_key_has_one_partner_on_either_side(ledger: Ledger) -> None:
    ledger.identities.record("m", "customer", pairs(a="[1]", b="[2]", c="[3]"), NONE, "r1")
    ledger.identities.record("m", "customer", pairs(a="[4]", d="[2]"), NONE, "r2")
    assert kept(ledger) == {"a": "[4]", "c": "[3]", "d": "[2]"}
    ledger.identities.record("m", "customer", pairs(a="[3]", c="[4]"), NONE, "r3")
    assert kept(ledger) == {"a": "[3]", "c": "[4]", "d": "[2]"}


def test_pairs_end_where_both_keys_are_meant(ledger: Ledger) -> None:
    ledger.identities.record("m", "customer", pairs(a="[1]", b="[2]"), NONE, "r1")
    ledger.identities.record("m", "customer", NONE, pairs(a="[2]", b="[2]"), "r2")
    assert kept(ledger) == {"a": "[1]"}
    ledger.identities.replace("m", "customer", pairs(x="[8]", a="[9]"), "r3")
    assert kept(ledger) == {"a": "[9]", "x": "[8]"}


def test_pairs_of_some_keys_are_asked_for_in_both_directions(ledger: Ledger) -> None:
    odd = {'["ä\\u0000,""", 1]': '["x\\n;"]', "[2]": "[20]"}
    ledger.identities.record("m", "customer", pairs(**odd), NONE, "r1")
    for of, keys in (("source", ["[2]", "[3]"]), ("target", ["[20]"])):
        found = ledger.identities.pairs("m", "customer", of=of, keys=pa.array(keys))
        assert found.to_pylist() == [{"source_key": "[2]", "target_key": "[20]"}]
    assert kept(ledger) == odd


def test_two_partners_of_one_key_are_refused_and_so_is_a_key_that_no_index_holds(ledger: Ledger) -> None:
    ledger.identities.record("m", "customer", pairs(a="[1]"), NONE, "r1")
    for wrong, why in (
        (
            pa.table([["x", "x"], ["[2]", "[3]"]], schema=PAIRS),
            r"key x of the source has several partners \(\[2\], \[3\]\)",
        ),
        (pairs(x="[2]", y="[2]"), r"key \[2\] of the target has several partners \(x, y\)"),
        (pairs(**{"x" * (LONGEST + 1): "[2]"}), "longer than"),
    ):
        with pytest.raises(SynclineError, match=why):
            ledger.identities.record("m", "customer", wrong, NONE, "r2")
    assert kept(ledger) == {"a": "[1]"}


def test_tens_of_thousands_of_pairs_go_in_and_out(ledger: Ledger) -> None:
    numbers = pa.array([f"[{at}]" for at in range(30_000)])
    many = pa.table([numbers, numbers], schema=PAIRS)
    ledger.identities.record("m", "customer", many, NONE, "r1")
    assert ledger.identities.pairs("m", "customer").sort_by("source_key") == many.sort_by("source_key")
    ledger.identities.record("m", "customer", NONE, many.slice(1), "r2")
    assert ledger.identities.sizes("m") == {"customer": 1}
