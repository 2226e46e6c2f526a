"""Threads of this process that nothing outlives: an interrupt neither loses one of them nor cuts short the wait for them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from adapters import interrupts


@contextmanager
def pool(workers: int, name: str = "") -> Iterator[ThreadPoolExecutor]:
    """Threads that are through with all they were given when this is left: they work with connections that are closed next.

    What has not begun is dropped where this is left by an error or an interrupt.
    """
    threads = _Threads(workers, thread_name_prefix=name)
    failed = True
    try:
        yield threads
        failed = False
    finally:
        try:
            with interrupts.postponed():
                threads.shutdown(wait=True, cancel_futures=failed)
        except KeyboardInterrupt:  # it came before it was postponed, or when all was over
            threads.shutdown(wait=True, cancel_futures=True)
            raise


class _Threads(ThreadPoolExecutor):
    """A thread is started and known to be, or neither."""

    def submit(self, *args: Any, **options: Any) -> Future[Any]:
        with interrupts.postponed():
            return super().submit(*args, **options)
