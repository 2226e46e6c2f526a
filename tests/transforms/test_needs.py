"""Changes that need others: no order that is given breaks a need, none is longer than it must be, and circles stay whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from transforms.needs import Needs, arranged, misplaced, waiting_windows
from transforms.vocabulary.arrow import Indices


@dataclass(frozen=True)
class Case:
    """`count` changes in windows, pairs of which the first comes after the second one, and which of those are apart."""

    count: int
    window: list[int]
    pairs: list[tuple[int, int]]
    apart: list[bool]

    @property
    def needs(self) -> Needs:
        later, earlier = (np.array([pair[i] for pair in self.pairs], np.int64) for i in (0, 1))
        return Needs(later, earlier, np.array(self.apart, dtype=bool))

    @property
    def circle(self) -> set[int]:
        """Those that come to themselves again, and those on a way from one circle to another: by their definition."""
        after = {change: {later for later, earlier in self.pairs if earlier == change} for change in range(self.count)}
        before = {change: {earlier for later, earlier in self.pairs if later == change} for change in range(self.count)}
        round_ = {each for each in range(self.count) if each in reached(after, after[each])}
        return {
            each
            for each in range(self.count)
            if round_ & ({each} | reached(after, after[each])) and round_ & ({each} | reached(before, before[each]))
        }


def reached(links: dict[int, set[int]], start: set[int]) -> set[int]:
    found: set[int] = set()
    while fresh := start - found:
        found |= fresh
        start = {each for one in fresh for each in links[one]}
    return found


@st.composite
def cases(draw: st.DrawFn) -> Case:
    count = draw(st.integers(1, 12))
    number = st.integers(0, count - 1)
    pairs = draw(st.lists(st.tuples(number, number), max_size=14))
    window = draw(st.lists(st.integers(0, 4), min_size=count, max_size=count))
    return Case(count, window, pairs, draw(st.lists(st.booleans(), min_size=len(pairs), max_size=len(pairs))))


@given(cases(), st.integers(1, 5))
def test_each_change_comes_after_what_it_needs_or_in_its_window(case: Case, most: int) -> None:
    order = arranged(case.count, case.needs, most)
    assert set(np.flatnonzero(order.circle).tolist()) == case.circle
    for (later, earlier), apart in zip(case.pairs, case.apart, strict=True):
        both = later in case.circle and earlier in case.circle
        assert order.window[earlier] <= order.window[later] - (apart and not both)
        assert not both or order.window[earlier] == order.window[later]
    sizes = np.bincount(order.window)
    assert sizes.all(), "windows are numbered without gaps"
    if not case.circle:
        assert sizes.max() <= most


@given(cases())
def test_what_stays_in_its_window_finds_what_it_needs_before_it(case: Case) -> None:
    window: Indices = np.array(case.window, dtype=np.int64)
    out = misplaced(window, case.needs)
    bad = {
        later
        for (later, earlier), apart in zip(case.pairs, case.apart, strict=True)
        if window[earlier] > window[later] or (apart and window[earlier] == window[later])
    }
    after = {change: {later for later, earlier in case.pairs if earlier == change} for change in range(case.count)}
    assert set(np.flatnonzero(out).tolist()) == reached(after, bad), "these, and no others"
    behind = {case.window[later] for later, earlier in case.pairs if case.window[later] != case.window[earlier]}
    assert waiting_windows(window, case.needs).tolist() == sorted(behind)


def test_windows_are_no_more_than_rows_and_what_is_apart_ask_for() -> None:
    chain = Needs(np.arange(1, 10), np.arange(9), np.zeros(9, dtype=bool))
    assert arranged(10, chain, 4).window.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
    apart = Needs(np.arange(1, 4), np.arange(3), np.array([False, True, False]))
    assert arranged(4, apart, 10).window.tolist() == [0, 0, 1, 1]


def test_a_large_forest_whose_keys_are_in_any_order_is_arranged_by_depth() -> None:
    count = 200_000
    rng = np.random.default_rng(5)
    parents = (rng.random(count - 1) * np.arange(1, count)).astype(np.int64)  # some thirty levels
    names = rng.permutation(count)
    order = arranged(count, Needs(names[1:], names[parents], np.zeros(count - 1, dtype=bool)), 30_000)
    assert (order.window[names[parents]] <= order.window[names[1:]]).all()
    assert np.bincount(order.window).tolist() == [30_000] * 6 + [20_000]
