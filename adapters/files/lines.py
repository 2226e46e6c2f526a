"""Lines of a text file: in which one a byte is, and which are empty."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

CHUNK_BYTES: Final = 4 * 1024 * 1024
_RETURN: Final = ord("\r")

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Survey:
    """Of each byte that was asked for its line, from 1, and how many lines that count come before; `total` counts all of them."""

    lines: Numbers
    before: Numbers
    total: int


def survey(opened: Any, starts: Numbers, end: bytes, empty: Callable[[pa.Table], None] | None = None) -> Survey:
    """Go through a file once. With `empty` lines that are empty do not count: it is told of them, `before` how many others they
    come and how many empty ones there were by then (`empty`).

    In: `starts` are bytes from 0, ascending; `end` is what ends a line. Memory: a chunk, and a line.
    """
    lines, before = np.zeros(len(starts), np.int64), np.zeros(len(starts), np.int64)
    offset = line = counted = 0
    for data in _whole_lines(opened, end):
        held = np.frombuffer(data, np.uint8)
        stops = np.flatnonzero(held == end[0])
        begins = np.concatenate([[0], stops[:-1] + 1])
        sizes = stops - begins
        hollow = (sizes == 0) | ((sizes == 1) & (held[begins] == _RETURN))
        counts = ~hollow if empty is not None else np.ones(len(stops), dtype=bool)
        passed = np.cumsum(counts)
        low, high = np.searchsorted(starts, [offset, offset + len(data)])
        place = np.searchsorted(begins + offset, starts[low:high], side="right") - 1
        lines[low:high] = line + place + 1
        before[low:high] = counted + (passed - counts)[place]
        if empty is not None and hollow.any():
            others = counted + passed[hollow]
            so_far = line - counted + np.cumsum(hollow)[hollow]
            empty(pa.table({"before": others, "empty": so_far}))
        offset, line, counted = offset + len(data), line + len(stops), counted + int(passed[-1])
    return Survey(lines, before, counted)


def ending(opened: Any) -> bytes:
    """What ends the lines of a file: a line feed, or a carriage return where there is none."""
    begins = opened.read(CHUNK_BYTES)
    return b"\r" if b"\r" in begins and b"\n" not in begins else b"\n"


def _whole_lines(opened: Any, end: bytes) -> Iterator[bytes]:
    """The bytes of a file, cut behind lines; the last one is given its end."""
    rest = b""
    for chunk in chunks(opened):
        rest += chunk
        if not chunk:
            rest += end if rest else b""
        cut = rest.rfind(end) + 1
        if cut:
            yield rest[:cut]
            rest = rest[cut:]


def chunks(opened: Any) -> Iterator[bytes]:
    """The bytes of a file, the last of them empty."""
    while chunk := opened.read(CHUNK_BYTES):
        yield chunk
    yield b""
