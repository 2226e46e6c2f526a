"""What DuckDB does and does not."""

from typing import Final

from adapters.capabilities import Capabilities, Names

CAPABILITIES: Final = Capabilities(
    Names("duckdb", "DuckDB", tables="ascii", columns="ascii"),
    adds_foreign_keys=False,
    lacks_actions=frozenset({"CASCADE", "SET NULL", "SET DEFAULT"}),
    changes_parents=False,
    whole_trees=False,
    decimal_digits=(38, 38),
)
