"""What SQLite does and does not."""

from typing import Final

from adapters.capabilities import POLL, Capabilities, Names, Needs

CAPABILITIES: Final = Capabilities(
    Names("sqlite", "SQLite", tables="ascii", columns="ascii"),
    adds_foreign_keys=False,
    holds_foreign_keys=False,
    defers_foreign_keys=True,
    trades="none",
    numbers_any_column=False,
    typed=False,
    exact_literals=False,
    casts_as_stored=False,
    ways=(
        Needs(
            "trigger",
            "to write the file",
            "1.3 to 2.6 times the CPU for rows in bulk, 1.3 times for a row a transaction",
        ),
        POLL,
    ),
)
