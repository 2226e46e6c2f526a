"""Reasons that travel as JSON, as people read them."""

from __future__ import annotations

import pyarrow as pa

from transforms.vocabulary import reason_of, text_of


def why_texts(whys: pa.Array | pa.ChunkedArray) -> list[str | None]:
    """The text of each reason, null for null."""
    return [None if why is None else text_of(reason_of(why)) for why in whys.to_pylist()]
