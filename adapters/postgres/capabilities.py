"""What PostgreSQL does and does not."""

from typing import Final

from adapters.capabilities import POLL, Capabilities, Names, Needs

CAPABILITIES: Final = Capabilities(
    Names("postgresql", "PostgreSQL", most_bytes=63),
    defers_foreign_keys=True,
    trades="unreferred",
    index_bytes=2600,  # its end is 2,704, with what it adds itself
    stores_nul=False,
    ways=(
        Needs(
            "log",
            "the role attribute REPLICATION, CREATE on the database, to own the tables, and wal_level = logical",
            "no more than the log that wal_level = logical brings",
        ),
        Needs(
            "trigger",
            "to own the tables, and CREATE on their schemas",
            "2.2 to 3.3 times the CPU for rows in bulk, nothing to speak of for a row a transaction; partitions up to 10 times",
        ),
        POLL,
    ),
)
