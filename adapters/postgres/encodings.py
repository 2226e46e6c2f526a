"""What the encodings of PostgreSQL's databases hold, and texts of a database that checks none."""

from __future__ import annotations

import sys
from functools import cache
from itertools import pairwise
from typing import Final

import pyarrow as pa

from transforms.vocabulary import unread

UNCHECKED: Final = "SQL_ASCII"
"""A database that keeps whatever bytes it is given."""

SURROGATES: Final = (0xD800, 0xE000)
"""Where Unicode has no characters: the first, and the one behind the last."""

SHOWN: Final = 40  # bytes of a text in a message

CODECS: Final = {
    "EUC_CN": "gb2312",
    "EUC_JIS_2004": "euc_jis_2004",
    "EUC_JP": "euc_jp",
    "EUC_KR": "euc_kr",
    "ISO_8859_5": "iso8859_5",
    "ISO_8859_6": "iso8859_6",
    "ISO_8859_7": "iso8859_7",
    "ISO_8859_8": "iso8859_8",
    "KOI8R": "koi8_r",
    "KOI8U": "koi8_u",
    "LATIN1": "iso8859_1",
    "LATIN2": "iso8859_2",
    "LATIN3": "iso8859_3",
    "LATIN4": "iso8859_4",
    "LATIN5": "iso8859_9",
    "LATIN6": "iso8859_10",
    "LATIN7": "iso8859_13",
    "LATIN8": "iso8859_14",
    "LATIN9": "iso8859_15",
    "LATIN10": "iso8859_16",
    "WIN866": "cp866",
    "WIN874": "cp874",
    "WIN1250": "cp1250",
    "WIN1251": "cp1251",
    "WIN1252": "cp1252",
    "WIN1253": "cp1253",
    "WIN1254": "cp1254",
    "WIN1255": "cp1255",
    "WIN1256": "cp1256",
    "WIN1257": "cp1257",
    "WIN1258": "cp1258",
}
"""Python's names of server encodings. EUC_TW and MULE_INTERNAL have none."""


def is_foreign(encoding: str) -> bool:
    """Whether a database's texts are kept in another encoding than the one that they travel in."""
    return encoding not in ("UTF8", UNCHECKED)


@cache
def held(encoding: str) -> str | None:
    """The inside of an RE2 class of the characters that a database's encoding holds; None where it holds all."""
    codec = CODECS.get(encoding)
    if codec is None:
        return None
    every = "".join(map(chr, (*range(1, SURROGATES[0]), *range(SURROGATES[1], sys.maxunicode + 1))))
    known = sorted(set(map(ord, every.encode(codec, "ignore").decode(codec, "ignore"))))
    starts = [known[0], *(after for before, after in pairwise(known) if after != before + 1)]
    ends = [*(before for before, after in pairwise(known) if after != before + 1), known[-1]]
    return "".join(rf"\x{{{start:x}}}-\x{{{end:x}}}" for start, end in zip(starts, ends, strict=True))


def decoded(texts: pa.Array) -> pa.Array:
    """Texts as they came from a database that checks none: null for those that are not valid UTF-8."""
    try:
        return texts.cast(pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:
        if len(texts) == 1:
            return pa.nulls(1, pa.string())
    middle = len(texts) // 2
    return pa.concat_arrays([decoded(texts[:middle]), decoded(texts[middle:])])


def undecoded(texts: pa.Array, name: str) -> pa.Array:
    """Why texts of a column cannot travel, null for those that can: each is looked at, so it is for few."""
    reasons: list[str | None] = []
    for value in texts.cast(pa.binary()).to_pylist():
        try:
            (value or b"").decode()
            reasons.append(None)
        except UnicodeDecodeError:
            shown = value[:SHOWN].decode("utf-8", "backslashreplace")
            reasons.append(unread("undecodable", name, shown, stored="text", charset="UTF-8"))
    return pa.array(reasons, pa.string())
