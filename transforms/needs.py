"""Changes that need other changes: which of them stand before what they need, and an order in which none does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transforms.vocabulary.arrow import Indices, Mask


@dataclass(frozen=True, slots=True)
class Needs:
    """Pairs of changes, by number: `later` comes after `earlier`, and in another window than it where they are `apart`.

    One that needs itself is a circle.
    """

    later: Indices
    earlier: Indices
    apart: Mask

    def __len__(self) -> int:
        return len(self.later)

    def chosen(self, pairs: Mask) -> Needs:
        """Some of the pairs."""
        return Needs(self.later[pairs], self.earlier[pairs], self.apart[pairs])

    @classmethod
    def of(cls, parts: list[Needs]) -> Needs:
        """All of several."""
        none = cls(np.array([], np.int64), np.array([], np.int64), np.array([], dtype=bool))
        whole = [none, *parts]
        return cls(
            np.concatenate([each.later for each in whole]),
            np.concatenate([each.earlier for each in whole]),
            np.concatenate([each.apart for each in whole]),
        )


@dataclass(frozen=True, slots=True)
class Order:
    """Windows (or levels), from 0 on, for changes; `circle` says which of them need each other, or themselves."""

    window: Indices
    circle: Mask


class _Followers:
    """Who needs a change: pairs, found by the one that comes earlier."""

    def __init__(self, needs: Needs, count: int) -> None:
        self._by_earlier = np.argsort(needs.earlier, kind="stable")
        self._ends = np.cumsum(np.bincount(needs.earlier, minlength=count))
        self._sizes = np.bincount(needs.earlier, minlength=count)

    def of(self, changes: Indices) -> Indices:
        """The places of the pairs in which one of these changes is the earlier one."""
        sizes = self._sizes[changes]
        starts = self._ends[changes] - sizes
        within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        places: Indices = self._by_earlier[np.repeat(starts, sizes) + within]
        return places


def misplaced(window: Indices, needs: Needs) -> Mask:
    """The changes that stand before something that they need, or together with it though apart, and all that need those.

    In: the window of each change, in the order in which windows come.
    """
    here, there = window[needs.later], window[needs.earlier]
    found = np.zeros(len(window), dtype=bool)
    front = np.unique(needs.later[(there > here) | ((there == here) & needs.apart)])
    followers = _Followers(needs, len(window))
    while len(front):
        found[front] = True
        next_ones = needs.later[followers.of(front)]
        front = np.unique(next_ones[~found[next_ones]])
    return found


def waiting_windows(window: Indices, needs: Needs) -> Indices:
    """The windows with a change that needs one of another window, ascending."""
    here, there = window[needs.later], window[needs.earlier]
    return np.unique(here[here != there])


def arranged(count: int, needs: Needs, most: int) -> Order:
    """Windows for `count` changes in which each comes after all that it needs, or together with it where that may be.

    A window has at most `most` changes, but for those that go in a circle: they stay together in one. Memory: some numbers a
    change and a pair. Time: a step for each change in the longest chain.
    """
    ranks = _Ranks(count, needs)
    ranks.follow(np.flatnonzero(ranks.open == 0))
    stuck = ranks.open > 0
    circle = _within_circles(count, needs, stuck) if stuck.any() else stuck
    block = np.arange(count)
    if circle.any():
        inside = needs.chosen(circle[needs.later] & circle[needs.earlier])
        block = _components(count, inside)
        ranks.place_after_all(circle)
    # first by what has to be apart, then by depth; a block is never cut
    order = np.lexsort((block, ranks.depth, ranks.phase))
    phase = ranks.phase[order]
    starts = np.flatnonzero(np.diff(phase, prepend=-1))
    within = np.arange(count) - np.repeat(starts, np.diff(np.append(starts, count)))
    first = np.full(count, count, dtype=np.int64)
    np.minimum.at(first, block[order], within)
    piece = first[block[order]] // max(most, 1)
    fresh = (np.diff(phase, prepend=-1) != 0) | (np.diff(piece, prepend=-1) != 0)
    window = np.empty(count, dtype=np.int64)
    window[order] = np.cumsum(fresh) - 1
    return Order(window, circle)


def levels(count: int, needs: Needs) -> Order:
    """Levels for `count` changes, each of which is above all that it needs; those that go in a circle share one where none of
    its pairs is `apart`.

    Memory: some numbers a change and a pair. Time: a step for each change in the longest chain.
    """
    depth, circle = _depths(count, needs)
    tied = needs.chosen(circle[needs.later] & circle[needs.earlier] & ~needs.apart)
    if len(tied):
        block = _components(count, tied)
        joined = Needs(block[needs.later], block[needs.earlier], needs.apart)
        depth, circle = _depths(count, joined.chosen((joined.later != joined.earlier) | joined.apart))
        depth, circle = depth[block], circle[block]
    return Order(depth, circle)


def _depths(count: int, needs: Needs) -> tuple[Indices, Mask]:
    """How many steps each change is from those that need nothing, and which go in circles, or lead from one to another."""
    ranks = _Ranks(count, needs)
    ranks.follow(np.flatnonzero(ranks.open == 0))
    stuck = ranks.open > 0
    return ranks.depth, _within_circles(count, needs, stuck) if stuck.any() else stuck


class _Ranks:
    """How far each change is from those that need nothing: in steps (`depth`), and in steps to what is apart (`phase`)."""

    def __init__(self, count: int, needs: Needs) -> None:
        self._needs, self._followers = needs, _Followers(needs, count)
        self.open = np.bincount(needs.later, minlength=count)
        self.depth, self.phase = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)

    def follow(self, front: Indices) -> None:
        """Go on from changes whose needs are settled."""
        while len(front):
            pairs = self._followers.of(front)
            later, earlier = self._needs.later[pairs], self._needs.earlier[pairs]
            np.maximum.at(self.depth, later, self.depth[earlier] + 1)
            np.maximum.at(self.phase, later, self.phase[earlier] + self._needs.apart[pairs])
            reached, times = np.unique(later, return_counts=True)
            self.open[reached] -= times
            front = reached[self.open[reached] == 0]

    def place_after_all(self, circle: Mask) -> None:
        """Let circles come behind all that is settled, and go on from there."""
        self.phase[circle] = self.phase.max() + 1
        self.depth[circle] = 0
        self.open[circle] = -len(self._needs)  # settled: pairs inside do not lead here again
        settled = self.phase.max()
        self.follow(np.flatnonzero(circle))
        self.phase[circle], self.depth[circle] = settled, 0


def _within_circles(count: int, needs: Needs, stuck: Mask) -> Mask:
    """Of changes that wait for each other those that others of them wait for, too: circles, and what leads from one to another."""
    back = needs.chosen(stuck[needs.later] & stuck[needs.earlier])
    back = Needs(back.earlier, back.later, back.apart)
    ranks = _Ranks(count, back)
    ranks.follow(np.flatnonzero(stuck & (ranks.open == 0)))
    return stuck & (ranks.open > 0)


def _components(count: int, needs: Needs) -> Indices:
    """A number for each change, the same for those that pairs join, however indirectly: the lowest of theirs."""
    number = np.arange(count)
    while True:
        low = np.minimum(number[needs.later], number[needs.earlier])
        lower = number.copy()
        for ends in (needs.later, needs.earlier):
            np.minimum.at(lower, number[ends], low)
            np.minimum.at(lower, ends, low)
        lower = lower[lower]
        if np.array_equal(lower, number):
            return number
        number = lower
