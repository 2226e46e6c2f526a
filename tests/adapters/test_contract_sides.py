"""Contract: two sides of one migration may lie in one database, and know nothing of each other's markers and locks."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from contract import ID, a_shape, change, make, rows_of
from databases import Database

from adapters.protocol import Target
from adapters.registry import open_target
from transforms.vocabulary import SIDES, Applied, BusyError, Marker, of_side

RUN = "20261128T060759-2d79ec"
LOCKED = ("postgresql", "mysql")  # the others leave it to the ledger's lease


def test_plans_of_one_run_do_not_take_each_others_windows_for_their_own(adapter: Target) -> None:
    shape = make(adapter, a_shape("t", [ID]))
    markers = [Marker("m", of_side(RUN, side), "t", 0) for side in SIDES]
    for number, marker in enumerate(markers):
        rows = rows_of(shape, {"id": number})
        assert adapter.apply(change(shape, inserts=rows), shape, marker) == Applied(inserted=1)
        assert adapter.apply(change(shape, inserts=rows), shape, marker).already
    assert [adapter.applied(marker.plan) for marker in markers] == [{marker} for marker in markers]


def test_a_lock_on_one_side_leaves_the_other_free(adapter: Target, database: Database) -> None:
    with ExitStack() as stack:
        other = open_target(database.url)
        stack.callback(other.close)
        for side in SIDES:
            stack.enter_context(adapter.lock(of_side("m", side)))
        for side in SIDES if database.engine in LOCKED else ():
            with pytest.raises(BusyError), other.lock(of_side("m", side)):
                pass
        stack.enter_context(other.lock(of_side("other", "source")))
