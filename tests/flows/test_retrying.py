"""What is tried again, how often, and after which pauses; the clock stands still."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from flows.session.execute import by_window, here
from flows.session.retry import ONCE, GaveUp, Policy, retried
from transforms.vocabulary import DataError, SnapshotLost, TransientError


@dataclass(frozen=True)
class Work:
    windows: tuple[int, ...]


class Faulty:
    """Fails in turn with the errors given, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def policy(pauses: list[float]) -> Policy:
    return Policy(attempts=4, pause=1.0, jitter=0.5, sleep=pauses.append, chance=lambda: 0.5)


def lost() -> TransientError:
    return TransientError("Writing t on postgresql://db: the connection was lost")


def test_what_passes_is_tried_again_after_pauses_that_double(policy: Policy, pauses: list[float]) -> None:
    work = Faulty(lost(), lost())
    assert retried(work, policy) == "done"
    assert (work.calls, pauses) == (3, [1.25, 2.5])


def test_what_does_not_pass_ends_and_says_how_often_it_was_tried(policy: Policy, pauses: list[float]) -> None:
    work = Faulty(*(lost() for _ in range(9)))
    with pytest.raises(GaveUp, match=r"^Tried 4 times: Writing t .* the connection was lost\. Fix: ") as caught:
        retried(work, policy)
    assert (work.calls, pauses) == (4, [1.25, 2.5, 5.0])
    assert isinstance(caught.value.__cause__, TransientError)
    assert not isinstance(caught.value, TransientError)


def test_a_fix_that_the_error_names_stays_the_only_one(policy: Policy) -> None:
    work = Faulty(*(TransientError("legacy.db is held.", fix="end the other writer.") for _ in range(4)))
    with pytest.raises(GaveUp) as caught:
        retried(work, policy)
    assert str(caught.value) == "Tried 4 times: legacy.db is held. Fix: end the other writer."


@pytest.mark.parametrize("error", [DataError("no number"), OSError(5, "I/O"), GaveUp("Tried 4 times: it")])
def test_everything_else_ends_at_once(policy: Policy, error: Exception) -> None:
    work = Faulty(error)
    with pytest.raises(type(error)) as caught:
        retried(work, policy)
    assert caught.value is error
    assert work.calls == 1


def test_a_lost_snapshot_is_tried_again_only_by_those_who_open_another(policy: Policy) -> None:
    work, cleared = Faulty(SnapshotLost("gone"), SnapshotLost("gone")), list[int]()
    with pytest.raises(SnapshotLost):
        retried(work, policy)
    assert retried(work, policy, renewed=True, before_again=lambda: cleared.append(work.calls)) == "done"
    assert cleared == [2]


def test_one_try_leaves_the_error_as_it_is() -> None:
    error = lost()
    with pytest.raises(TransientError) as caught:
        retried(Faulty(error), ONCE)
    assert caught.value is error


def failing(times: dict[int, int], seen: list[int]) -> Callable[[Work], tuple[int, ...]]:
    def function(work: Work) -> tuple[int, ...]:
        for window in work.windows:
            seen.append(window)
            if seen.count(window) <= times.get(window, 0):
                raise lost()
        return work.windows

    return function


def test_windows_that_are_through_are_not_done_again(policy: Policy) -> None:
    seen: list[int] = []
    assert by_window(failing({2: 2}, seen), policy)(Work((1, 2, 3))) == (1, 2, 3)
    assert seen == [1, 2, 2, 2, 3]


@pytest.mark.parametrize("workers", [1, 2])
def test_works_of_this_process_are_tried_again_window_by_window(policy: Policy, workers: int) -> None:
    seen: list[int] = []
    works = [Work((1, 2)), Work((3, 4))]
    done = list(here(workers, policy)(failing({2: 1, 3: 3}, seen), works))
    assert done == [(1, 2), (3, 4)]
    assert sorted(seen) == [1, 2, 2, 3, 3, 3, 3, 4]
    with pytest.raises(GaveUp, match="Tried 4 times"):
        list(here(workers, policy)(failing({4: 9}, []), works))
