"""Sources that find out how their files are written, so that a spec can say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from transforms.vocabulary import TableName


@runtime_checkable
class Declaring(Protocol):
    """A source of texts in files."""

    def declared(self, tables: Sequence[TableName]) -> Mapping[str, Any]:
        """What was found out of tables, as `source.files` of a spec says it; empty where types stand in the files themselves."""
