"""What falls with a row that is set aside, and who is its own ancestor: against a reckoning row by row."""

from __future__ import annotations

import random

import numpy as np
import pytest

from transforms.mapping.column_mapping import LookUp
from transforms.mapping.own_lookups import Link, circle_of, circles, unfounded

QUARANTINE, NULL = (LookUp("t", (("code", "parent"),), "id", missing) for missing in ("quarantine", "null"))


def links_of(rng: random.Random, rows: int) -> list[Link]:
    """Lookups by names of which some nobody has, some several rows, some only rows of the target or ones in quarantine."""
    found = []
    for lookup in (QUARANTINE, NULL):
        own = np.array([rng.choice([-1, at, at, at, at % 3]) for at in range(rows)])
        asked = np.array([rng.choice([-1, rng.randrange(rows + 4), rng.randrange(rows)]) for _ in range(rows)])
        found.append(Link("c", lookup, asked, own, np.array([rows, rows + 1]), np.array([rows + 1, rows + 2])))
    return found


@pytest.mark.parametrize("seed", range(40))
def test_rows_fall_with_the_last_row_that_they_find(seed: int) -> None:
    rng = random.Random(seed)
    rows = rng.choice([1, 3, 7])
    links, stays = links_of(rng, rows), np.array([rng.random() < 0.2 for _ in range(rows)])
    fallen: set[int] = set()
    while True:
        more = set()
        for each in links:
            there = {*each.others, *(each.own[at] for at in range(rows) if at not in fallen or stays[at])}
            away = {*each.away, *(each.own[at] for at in fallen)}
            for at in range(rows):
                name = each.asked[at]
                if name >= 0 and name not in there and (name in away or each.lookup.missing == "quarantine"):
                    more.add(at)
        if more <= fallen:
            break
        fallen |= more
    assert set(np.flatnonzero(unfounded(links, stays)).tolist()) == fallen


def test_a_long_chain_falls_in_one_go() -> None:
    rows = 3_000
    names = np.arange(rows)
    chain = Link("c", QUARANTINE, names - 1, names, names[:0], names[:0])
    assert not unfounded([chain], np.zeros(rows, dtype=bool)).any()
    broken = Link("c", QUARANTINE, np.where(names == 0, rows, names - 1), names, names[:0], names[:0])
    assert unfounded([broken], np.zeros(rows, dtype=bool)).all()


def test_circles_are_found_of_any_length_and_nothing_that_leads_into_them() -> None:
    parent = np.array([1, 2, 0, 0, 3, 5, 5, -1, 7, 9])
    names = np.arange(10)
    each = Link("c", QUARANTINE, parent, np.where(names == 9, 8, names), names[:0], names[:0])
    assert circles(each).tolist() == [0, 1, 2, 5]
    assert circle_of(each, 0) == [0, 1, 2] and circle_of(each, 5) == [5]
