"""JSON that one engine's parser reads and another one may not: only its texts have to be asked about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

DEEP: Final = 1_000  # levels at which a parser's stack may end
LONG: Final = 100_000  # characters in which a number may be longer than an engine's largest one

_ODD: Final = "|".join(
    (
        r"\\u(?:0000|[dD][89a-fA-F])",  # NUL, and surrogates, which may stand alone
        r'\\[^"\\/bfnrtu]',  # \x41 is an escape to MariaDB
        r"(?:^|[\[:,\s+-])(?i:nan|inf)",  # numbers to DuckDB
        r",\s*[\]}]",  # DuckDB takes a comma at the end
        r"[0-9]\.(?:[^0-9]|$)",  # MariaDB takes 1.
        r"[0-9.][eE][+-]?(?:[^0-9+-]|$)",
        r"[0-9][eE][+-]?[0-9]{3}",  # beyond what numeric holds
        r"(?:^|[\[:,\s])-(?:[^0-9]|$)",
        r"[\x00-\x08\x0b\x0c\x0e-\x1f]",
        "^\ufeff",
        r"^\s*$",
    )
)


def doubtful(texts: pa.Array, levels: int = DEEP) -> pa.Array:
    """Where a text that is JSON to one engine may be none to another; false for null.

    In: `levels` is how deep all of them surely read. Texts that every parser reads may be among them.
    """
    found = pc.match_substring_regex(texts, _ODD)
    longest = pc.max(pc.binary_length(texts)).as_py() or 0
    if longest > levels:
        opened = pc.add(pc.count_substring(texts, "["), pc.count_substring(texts, "{"))
        found = pc.or_(found, pc.or_(pc.greater(opened, levels), pc.greater(pc.binary_length(texts), LONG)))
    return pc.fill_null(found, False)


def kept_where_doubtful(values: pa.Array, doubt: pa.Array, ask: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """The values, with what `ask` gives back in the place of the doubtful ones."""
    asked = values.filter(doubt)
    return pc.replace_with_mask(values, doubt, ask(asked)) if len(asked) else values
