"""Which rows were written since a transaction, by the `xmin` that every row of a table has; and who is still writing.

`age(xid)` counts back from now, so that numbers that have gone round the clock of 2^32 compare as they should. A row keeps its own
when it is frozen.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import psycopg

from transforms.vocabulary import SynclineError

COLUMN: Final = "xmin"
ROUND: Final = 2**32
FIRST: Final = 3  # transactions; what is below stands for frozen ones
MOST: Final = 2**31 - 10_000_000  # transactions apart that can be told: the server stops somewhat before that by itself

# A transaction that was prepared is nobody's, and does not say when it began
OLDEST: Final = """
SELECT least(clock_timestamp(), min(xact_start)) FROM pg_catalog.pg_stat_activity
WHERE pid <> pg_catalog.pg_backend_pid() AND datname = pg_catalog.current_database() AND backend_type = 'client backend'
HAVING pg_catalog.pg_has_role('pg_read_all_stats', 'usage')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database())"""


def position(state: str) -> int:
    """See `RowVersions.position`. In: `pg_current_snapshot()` as text."""
    oldest, _, rest = state.partition(":")
    if not (oldest.isdecimal() and rest):
        raise SynclineError(f"{state!r} is no state of PostgreSQL that a plan has read.", fix="plan again.")
    return int(oldest)


def written_since(known: int, now: int) -> tuple[str, str] | None:
    """See `RowVersions.written_since`."""
    if not known <= now < known + MOST:
        return None
    newer = f"pg_catalog.age({COLUMN}) <= pg_catalog.age('{max(known % ROUND, FIRST)}'::pg_catalog.xid)"
    return newer, f"NOT ({newer})"


def oldest_writer(connection: psycopg.Connection[Any]) -> datetime | None:
    """See `RowVersions.oldest_writer`."""
    found = connection.execute(OLDEST).fetchone()
    return None if found is None else found[0]
