"""Where the windows of a plan are worked on: here, in threads of this process, or wherever an Execute takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from flows.session.retry import Policy, by_window

Work = TypeVar("Work")
Result = TypeVar("Result")
Execute = Callable[[Callable[[Work], Result], Sequence[Work]], Iterable[Result]]
"""Runs a function over works, perhaps elsewhere and at once; yields results in any order, raises what they raise."""


def here(workers: int, policy: Policy | None = None) -> Execute[Any, Any]:
    """Run works in threads of this process. A window whose fault may pass is tried again; any other error stops what has
    not begun."""

    def execute(function: Callable[[Any], Any], works: Sequence[Any]) -> Iterator[Any]:
        persistent = by_window(function, policy)
        if len(works) <= 1 or workers <= 1:
            yield from map(persistent, works)
            return
        with ThreadPoolExecutor(workers, thread_name_prefix="window") as pool:
            futures = [pool.submit(persistent, work) for work in works]
            try:
                for future in futures:
                    yield future.result()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    return execute
