"""Reading one table by several connections at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from transforms.vocabulary import Relation


@runtime_checkable
class InPieces(Protocol):
    """A snapshot that knows where the rows of a table lie."""

    def pieces(self, relation: Relation, most: int) -> Sequence[Relation]:
        """The relation in at most so many pieces of about one size, each row in one of them; itself where it is small, or
        nobody knows where its rows lie. They are for reading alone."""
