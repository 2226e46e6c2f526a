"""A read-only way into a database for a library that speaks SQLAlchemy; each engine's `access` module opens its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import sqlalchemy as sa

from transforms.vocabulary import SynclineError, TableName

Meaning = Callable[[Exception, str], SynclineError]
"""What an error of the driver means, and where it came up."""


@dataclass(frozen=True, slots=True)
class Access:
    """An engine of SQLAlchemy with a connection of its own. `errors` collects what its driver raised.

    Decimals arrive as whole numbers or doubles, as bounds in a spec do: the decimal 0.10 is less than the double 0.1, and
    would fail at its own bound. `own_rows` says of a table whether others may inherit from it, whose rows are not its own.
    """

    url: str
    engine: sa.Engine
    meaning: Meaning
    own_rows: Callable[[TableName], bool] = lambda _: False
    errors: list[Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        sa.event.listen(self.engine, "handle_error", self._note)

    def _note(self, context: sa.ExceptionContext) -> None:
        if isinstance(context.original_exception, Exception):
            self.errors.append(context.original_exception)


def number(text: str) -> int | float:
    """A decimal's text as a number."""
    return int(text) if text.removeprefix("-").isdigit() else float(text)


def meaning_of(translating: Callable[[str], AbstractContextManager[None]]) -> Meaning:
    """What a driver's error means, where a connection says so by raising it."""

    def meaning(error: Exception, where: str) -> SynclineError:
        try:
            with translating(where):
                raise error  # noqa: TRY301
        except SynclineError as known:
            return known
        except Exception as other:  # one of ours, or of a library between
            return SynclineError(f"{where}: {type(other).__name__}")

    return meaning
