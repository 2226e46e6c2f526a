"""What tables of files do and do not. Their SQL is DuckDB's."""

from typing import Final

from adapters.capabilities import Capabilities, Names

CAPABILITIES: Final = Capabilities(
    Names("duckdb", "files", tables="ascii", columns="ascii"), holds_foreign_keys=False, decimal_digits=(38, 38)
)
