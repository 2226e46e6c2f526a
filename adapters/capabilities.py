"""What engines differ in, where others have to know it before they ask: a record of each, to be looked at instead of its name.

An engine's own record is `CAPABILITIES` in its package.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Fold = Literal["exact", "ascii", "unicode"]
"""Which names are one: equal ones; those that differ in the case of ASCII letters alone; or in that of any letter."""


Trades = Literal["any", "unreferred", "none"]
"""Any rows; those of tables that no foreign key refers to; or none that is sure to pass."""


@dataclass(frozen=True, slots=True)
class Names:
    """What an engine makes of names of tables and columns."""

    engine: str
    """As `Source.engine` has it."""

    title: str
    """As people write it."""

    tables: Fold = "exact"
    """Of MySQL it is a setting of the server, which `Source.named` knows."""

    columns: Fold = "exact"

    most_bytes: int | None = None
    """What is longer is cut short, without an error."""

    most_characters: int | None = None
    """What is longer is refused."""

    plain: bool = False
    """Characters of four bytes and blanks at the end are refused."""


@dataclass(frozen=True, slots=True)
class Needs:
    """A way to tell which rows changed (see adapters/feeds/feed.py): the rights it takes, and what it costs those who write."""

    way: Literal["log", "trigger", "poll"]
    rights: str
    writers: str


POLL: Final = Needs("poll", "SELECT", "nothing, with an index that begins with the cursor column")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine does; the defaults are those of most."""

    names: Names

    has_foreign_keys: bool = True
    """Tables can refer to each other."""

    adds_foreign_keys: bool = True
    """To a table that is there; elsewhere tables have theirs from the start, or never."""

    holds_foreign_keys: bool = True
    """Always; elsewhere the check can be turned off, so that rows may refer to nothing in spite of a foreign key."""

    lacks_actions: frozenset[str] = frozenset()
    """What foreign keys cannot do when a row changes that they refer to."""

    changes_parents: bool = True
    """Rows that others refer to can be changed; elsewhere a foreign key is checked before a statement ends, and refuses it."""

    trades: Trades = "any"
    """Which rows that one window updates may take unique values from each other, whatever the table demands of its values."""

    whole_trees: bool = True
    """Rows of a table that refer to each other go in one window, and may be updated while others refer to them."""

    defers_foreign_keys: bool = False
    """Foreign keys can wait for the end of a transaction: those that are declared DEFERRABLE, or any."""

    numbers_any_column: bool = True
    """An identity need not be the primary key."""

    index_bytes: int | None = None
    """What an index holds of a row, where that has an end."""

    indexes_any_text: bool = True
    """Elsewhere a text of an index has to have a length."""

    decimal_digits: tuple[int, int] | None = None
    """The most digits of a decimal, in all and behind the point, where there is no decimal without an end."""

    stores_nul: bool = True
    """In texts."""

    stores_odd_values: bool = True
    """NaN, infinity, and dates before the year 1000."""

    has_spans: bool = True
    """A type for spans of time; elsewhere a time of day goes beyond the day."""

    has_zero_dates: bool = False
    """Dates that are none, such as 0000-00-00, stand in columns of dates."""

    typed: bool = True
    """A column holds values of its type; elsewhere that is a claim, and any value may be there."""

    exact_catalog: bool = True
    """The catalog has the SQL of defaults as it was written; elsewhere a ? may stand for a character of four bytes."""

    exact_literals: bool = True
    """A number in SQL is exact; elsewhere one with many digits becomes a double."""

    casts_as_stored: bool = True
    """A cast to a column's type gives what the column would hold."""

    ways: tuple[Needs, ...] = (POLL,)
    """In which ways it can tell which rows changed."""
