"""A part of a transaction that is taken back by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def savepoint(run: Callable[[str], object], name: str, lost: type[Exception], *, trial: bool) -> Iterator[None]:
    """After an error, and after a `trial`, the transaction is as it was before.

    In: what runs a statement, and what it raises where the server has rolled back by itself, so that the savepoint is gone.
    """
    run(f"SAVEPOINT {name}")
    try:
        yield
        if trial:
            run(f"ROLLBACK TO SAVEPOINT {name}")
    except BaseException:
        with suppress(lost):
            run(f"ROLLBACK TO SAVEPOINT {name}")
        raise
    finally:
        with suppress(lost):
            run(f"RELEASE SAVEPOINT {name}")
