"""What a lookup reads."""

from __future__ import annotations

from dataclasses import dataclass

from transforms.vocabulary import SideName, TableName


@dataclass(frozen=True, slots=True)
class LookupSource:
    """What a lookup reads: a planned table of the migration (`planned`), or a table of one side as it is."""

    side: SideName
    table: TableName
    planned: str | None
    columns: tuple[str, ...]
