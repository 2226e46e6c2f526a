"""A source table as it was found, with the target table that it may go to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flows.scaffold.design import unique_key
from flows.scaffold.keys import NO_KEY, Likely
from flows.scaffold.profile import Facts
from transforms.vocabulary import Design, ForeignKey, Key, TableName, TableShape


@dataclass(slots=True)
class Read:
    """A source table as it was found, and what its rows say."""

    name: TableName
    shape: TableShape
    design: Design
    rows: int
    facts: Mapping[str, Facts]
    likely: Likely = NO_KEY  # where no key is declared
    found: TableShape | None = None  # the target table, where there is one
    orphans: Mapping[ForeignKey, int] = field(default_factory=dict)
    stranded: Mapping[ForeignKey, int] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        """The primary key, what else is declared as unique and never null, or the likely key."""
        return self.shape.primary_key or unique_key(self.shape) or self.likely.key
