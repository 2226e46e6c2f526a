"""A value as SQL that an engine reads exactly: the defaults of new columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pyarrow as pa
from sqlalchemy import literal

from adapters.sql.statements import Engine, dialect_of, rendered
from transforms.vocabulary import ColumnShape
from transforms.vocabulary.texts import as_text

EXACT_DIGITS: Final = 15  # of a number that every engine reads as it stands


def exact_number(text: str) -> str | None:
    """A number that every engine reads as it stands, None where it has more digits."""
    digits = [each for each in text.partition("e")[0] if each.isdigit()]
    return text if len(digits) <= EXACT_DIGITS else None


def text_literal(value: str, engine: Engine) -> str | None:
    """A text in quotes; None where it holds a NUL, which no engine's SQL can."""
    return None if "\0" in value else rendered(literal(value), dialect_of(engine))


def hex_literal(value: bytes) -> str:
    """Bytes, as MySQL and SQLite write them."""
    return f"x'{value.hex()}'" if value else "''"


def typed_literal(
    column: ColumnShape, value: pa.Array, engine: Engine, binary: Callable[[bytes], str] = hex_literal
) -> str | None:
    """See `Definitions.literal`: a value by its travel type, in quotes where the engine casts them to the column's own."""
    kind = column.type
    if pa.types.is_boolean(kind):
        return "TRUE" if value[0].as_py() else "FALSE"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return binary(value[0].as_py())
    text = as_text(value)[0].as_py()
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind) or column.meaning == "decimal":
        return exact_number(text) or text_literal(text, engine)
    return text_literal(text, engine)
