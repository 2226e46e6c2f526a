"""What SQLite does and does not."""

from typing import Final

from adapters.capabilities import Capabilities, Names

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
)
