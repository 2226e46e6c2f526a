"""What tables that are made of files, and not of a database, have in common."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

from transforms.vocabulary import Design, TableName, TableShape
from transforms.vocabulary.features import Feature


class PlainSource:
    """Answers of a catalog that knows of columns and a key alone."""

    def design(self, table: TableName) -> Design:
        return Design()

    def referrers(self, table: TableName) -> list[TableName]:
        return []

    def besides(self, schema: str | None = None) -> list[Feature]:
        return []

    def usual_zone(self) -> str | None:
        return None


class PlainTarget(PlainSource):
    """Answers of what is written to, and whose tables limit nothing, number nothing and can all be tried."""

    def sized(self, shape: TableShape) -> TableShape:
        return shape

    def untried(self, table: TableName) -> str | None:
        return None

    def advance_identity(self, table: TableName, column: str) -> None:
        return None


def sync_folder(folder: Path) -> None:
    """A rename inside it outlives a power cut. Errors: OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@runtime_checkable
class Dated(Protocol):
    """A side whose tables are files that people edit."""

    def changed(self) -> Mapping[str, datetime]:
        """The files that are there, and when each was written last, in UTC."""
