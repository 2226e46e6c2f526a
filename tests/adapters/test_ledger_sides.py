"""What a ledger notes of one side of a migration says nothing of the other."""

from __future__ import annotations

import pytest
from ledgers import aside, conflicts, new_version
from ledgers import clock as clock
from ledgers import ledger as ledger
from ledgers import server as server
from ledgers import url as url

from adapters.ledger.ledger import Base, Choice, Ledger
from transforms.vocabulary import SIDES, BusyError, SideName

OTHER: dict[SideName, SideName] = {"source": "target", "target": "source"}


@pytest.mark.parametrize("side", SIDES)
def test_rows_set_aside_on_one_side_stay_when_the_other_is_swept_or_dropped(ledger: Ledger, side: SideName) -> None:
    for each in SIDES:
        ledger.record_quarantine("m", each, aside(("[1]", "late"), ("[2]", "late")), "r1")
    assert ledger.sweep_quarantine("m", side, "flight", "r2", ["[1]"]) == 1
    assert [line.key for line in ledger.chosen("m", Choice(side=side))] == ["[2]"]
    assert [line.key for line in ledger.chosen("m", Choice(side=OTHER[side]))] == ["[1]", "[2]"]
    assert ledger.drop_quarantined("m", Choice(side=side)) == 1
    assert [(line.side, line.key) for line in ledger.chosen("m", Choice())] == [
        (OTHER[side], key) for key in ("[1]", "[2]")
    ]
    assert ledger.count_chosen("m", Choice(side=side)) == {}
    assert ledger.sweep_quarantine("m", OTHER[side], "flight", "r2") == 2


@pytest.mark.parametrize("side", SIDES)
def test_a_conflict_on_one_side_stays_open_when_the_other_is_settled(ledger: Ledger, side: SideName) -> None:
    for each, key in (("source", 1), ("target", 1), (side, 2)):
        ledger.record_conflicts("m", each, "flight", conflicts(key), "r1")
    assert [(met.key, met.side) for met in ledger.conflicts("m")] == [
        ("[1]", "source"),
        ("[1]", "target"),
        ("[2]", side),
    ]
    assert ledger.settle_conflicts("m", side, "flight", "r2") == 2
    assert [(met.key, met.side) for met in ledger.conflicts("m")] == [("[1]", OTHER[side])]


def test_each_side_has_its_own_bases_and_versions_and_one_row_of_numbers(ledger: Ledger) -> None:
    for side, rows in (("source", 3), ("target", 5)):
        ledger.set_base(Base("m", side, "flight", 0, f"bases/{side}", rows))
    assert [ledger.bases("m", side)["flight"].rows for side in SIDES] == [3, 5]
    assert [ledger.add_version(new_version(f"r1 {side}", side=side)) for side in SIDES] == [1, 2]
    assert [(each.side, each.plan_id, each.run_id) for each in ledger.versions("m")] == [
        ("target", "r1 target", "r"),
        ("source", "r1 source", "r"),
    ]


def test_each_side_has_one_writer(ledger: Ledger) -> None:
    with ledger.lease("m", "source", "ann") as source, ledger.lease("m", "target", "bob") as target:
        assert [ledger.writing_since("m", side) is not None for side in SIDES] == [True, True]
        for side in SIDES:
            with pytest.raises(BusyError):
                ledger.lease("m", side, "eve").__enter__()
        source.release()
        target.check()
        assert [ledger.writing_since("m", side) is not None for side in SIDES] == [False, True]
