"""What tables of Parquet files do and do not. Their SQL is DuckDB's."""

from typing import Final

from adapters.capabilities import Capabilities, Names

CAPABILITIES: Final = Capabilities(
    Names("parquet", "Parquet", tables="ascii", columns="ascii"),
    has_foreign_keys=False,
    adds_foreign_keys=False,
    lacks_actions=frozenset({"CASCADE", "SET NULL", "SET DEFAULT"}),
    decimal_digits=(38, 38),
)
