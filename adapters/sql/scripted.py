"""Statements of people, in a database's own SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable


@runtime_checkable
class Scripted(Protocol):
    """A database that takes statements of people, in its own SQL."""

    def run_script(self, statements: Sequence[str]) -> None:
        """Run them one after the other in a session of their own, which commits each by itself unless they say otherwise. Answers are
        read and thrown away. The first error ends it: what was committed stays."""
