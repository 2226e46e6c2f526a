"""Where the windows of a plan are worked on: here, in threads of this process, or wherever an Execute takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import Field, replace
from functools import partial
from typing import Any, ClassVar, Protocol, TypeVar

from adapters import interrupts
from adapters.pools import pool
from flows.session.retry import Policy, retried


class Windows(Protocol):
    """Windows of a table that one task works on, one after the other: a frozen dataclass that can travel to another process."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def table(self) -> str: ...

    @property
    def windows(self) -> tuple[Any, ...]: ...


Work = TypeVar("Work", bound=Windows)
Result = TypeVar("Result")


class Execute(Protocol):
    """Runs a function over works, perhaps elsewhere and at once; yields their results in any order, raises what they raise.

    `in_order`: one after the other, in this process.
    """

    def __call__(
        self, function: Callable[[Work], Sequence[Result]], works: Sequence[Work], *, in_order: bool = False
    ) -> Iterable[Sequence[Result]]: ...


def here(workers: int, policy: Policy | None = None) -> Execute:
    """Run works in threads of this process. A window whose fault may pass is tried again; any other error stops what has
    not begun."""

    def execute(
        function: Callable[[Work], Sequence[Result]], works: Sequence[Work], *, in_order: bool = False
    ) -> Iterator[Sequence[Result]]:
        persistent = by_window(function, policy)
        if len(works) <= 1 or workers <= 1 or in_order:
            yield from map(persistent, works)
            return
        with pool(workers, "window") as threads:
            for future in [threads.submit(persistent, work) for work in works]:
                yield future.result()

    return execute


def by_window(
    function: Callable[[Work], Sequence[Result]], policy: Policy | None = None
) -> Callable[[Work], Sequence[Result]]:
    """`function` of a work of several windows, called for each of them alone: what is through is not done again."""

    def every(work: Work) -> Sequence[Result]:
        results: list[Result] = []
        for window in work.windows:
            interrupts.check()
            results += retried(partial(function, replace(work, windows=(window,))), policy)
        return tuple(results)

    return every
