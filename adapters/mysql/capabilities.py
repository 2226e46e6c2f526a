"""What MySQL does and does not."""

from typing import Final

from adapters.capabilities import POLL, Capabilities, Names, Needs

CAPABILITIES: Final = Capabilities(
    Names("mysql", "MySQL", columns="unicode", most_characters=64, plain=True),
    holds_foreign_keys=False,
    lacks_actions=frozenset({"SET DEFAULT"}),
    index_bytes=3072,
    indexes_any_text=False,
    decimal_digits=(65, 30),
    stores_odd_values=False,
    has_spans=False,
    has_zero_dates=True,
    exact_catalog=False,
    casts_as_stored=False,
    ways=(
        Needs(
            "log",
            "REPLICATION SLAVE, and a binary log with binlog_format = ROW; MariaDB alone",
            "nothing more",
        ),
        Needs(
            "trigger",
            "TRIGGER, CREATE, DROP, SELECT, INSERT and DELETE on the database, PROCESS, and with a binary log SUPER or "
            "log_bin_trust_function_creators = 1",
            "3.2 to 4.9 times the CPU for rows in bulk, 1.4 times for a row a transaction",
        ),
        POLL,
    ),
)
