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


def odd_ending(opened: Any, quote: bytes) -> int | None:
    """The first line, from 1, that ends otherwise than the first one does: with CRLF, LF or CR. None where all end alike.

    In: what stands between two of `quote` is a value, where line breaks may be of any kind; empty where there are no quotes.
    """
    line, first, inside = 0, None, False
    for data in _whole_lines(opened, b"\n"):
        held = np.frombuffer(data, np.uint8)
        quotes = np.cumsum(held == quote[0]) if quote else np.zeros(len(held), np.int64)
        outside = (quotes + inside) % 2 == 0
        feeds, returns = held == ord("\n"), held == _RETURN
        before, behind = np.append(False, returns[:-1]), np.append(feeds[1:], False)
        kinds = np.where(feeds, np.where(before, 1, 2), np.where(returns & ~behind, 3, 0))
        ends = np.flatnonzero((kinds > 0) & outside)
        if len(ends):
            first = int(kinds[ends[0]]) if first is None else first
            odd = ends[kinds[ends] != first]
            if len(odd):
                return line + int(np.count_nonzero(kinds[: odd[0]])) + 1
        line, inside = line + int(np.count_nonzero(kinds)), bool(len(quotes) and (quotes[-1] + inside) % 2)
    return None


def ending(opened: Any) -> bytes:
    """What ends the lines of a file: a line feed, or a carriage return where there is none."""
    begins = opened.read(CHUNK_BYTES)
    begins += opened.read(1) if begins.endswith(b"\r") else b""
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
