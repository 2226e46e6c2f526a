"""What documents do and do not. A table of a document is asked in SQLite's SQL."""

from typing import Final

from adapters.capabilities import Capabilities, Names

CAPABILITIES: Final = Capabilities(
    Names("document", "Document", tables="ascii", columns="ascii"),
    adds_foreign_keys=False,
    holds_foreign_keys=False,
    trades="none",
    numbers_any_column=False,
    typed=False,
    exact_literals=False,
    casts_as_stored=False,
)
