"""Texts without their NUL characters, and JSON without its escaped ones."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.vocabulary.arrow import Mask, as_mask

_ESCAPE: Final = re.compile(r"\\(u0000|.)", re.DOTALL)


def with_nul(values: pa.Array) -> Mask:
    """Which texts have a NUL character, false for nulls.

    The bytes of all of them are looked at first, which takes a twentieth of the time.
    """
    if not _any_nul(values):
        return np.zeros(len(values), dtype=bool)
    return as_mask(pc.match_substring(values, "\x00"))


def _any_nul(values: pa.Array) -> bool:
    _, offsets, data = values.buffers()
    if not len(values) or data is None:
        return False
    ends = np.frombuffer(offsets, np.int32)
    start, stop = int(ends[values.offset]), int(ends[values.offset + len(values)])
    return stop > start and not np.frombuffer(data, np.uint8, stop - start, start).min()


@dataclass(frozen=True, slots=True)
class Stripped:
    """Texts without NUL characters, which of them had some, and which cannot do without: two keys of an object would
    become one."""

    values: pa.Array
    had: Mask
    merging: Mask


def without_nul(values: pa.Array, *, as_json: bool) -> Stripped:
    """In: texts, of a JSON column or not. Out: the same order; a `merging` text keeps its escapes.

    An escaped backslash before u0000 stands for itself and stays.
    """
    had = with_nul(values)
    merging = np.zeros(len(values), dtype=bool)
    if had.any():
        values = pc.replace_substring(values, "\x00", "")
    if not as_json:
        return Stripped(values, had, merging)
    texts = {}
    for row in np.flatnonzero(as_mask(pc.match_substring(values, "\\u0000"))):  # rare
        text = values[row].as_py()
        stripped = _ESCAPE.sub(lambda found: "" if found[1] == "u0000" else found[0], text)
        if stripped == text:
            continue
        if _merges(text):
            merging[row] = True
        else:
            had[row], texts[row] = True, stripped
    if texts:
        place = np.zeros(len(values), dtype=bool)
        place[list(texts)] = True
        values = pc.replace_with_mask(values, pa.array(place), pa.array(texts.values(), values.type))
    return Stripped(values, had, merging)


class _Merging(ValueError):
    """Two keys of an object are one without their NUL characters."""


def _merges(text: str) -> bool:
    """Whether an object has two keys that become one. What is no JSON, or too deep to be read here, is said to be none."""
    try:
        json.loads(text, object_pairs_hook=_apart)
    except _Merging:
        return True
    except (ValueError, RecursionError):
        return False
    return False


def _apart(pairs: list[tuple[str, Any]]) -> None:
    names = {name for name, _ in pairs}
    if len({name.replace("\x00", "") for name in names}) < len(names):
        raise _Merging
