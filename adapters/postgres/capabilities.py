"""What PostgreSQL does and does not."""

from typing import Final

from adapters.capabilities import Capabilities, Names

CAPABILITIES: Final = Capabilities(
    Names("postgresql", "PostgreSQL", most_bytes=63),
    defers_foreign_keys=True,
    trades="unreferred",
    index_bytes=2600,  # its end is 2,704, with what it adds itself
    stores_nul=False,
)
