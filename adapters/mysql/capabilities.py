"""What MySQL does and does not."""

from typing import Final

from adapters.capabilities import Capabilities, Names

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
)
