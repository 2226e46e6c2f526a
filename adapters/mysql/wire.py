"""Rows as they come off the wire: the text protocol's packets, cut into Arrow arrays a block at a time.

A query selects MARK first, so that every row begins with the bytes 01 ff. That tells where packets may begin; and that
each one ends where the next begins proves it for all of them at once, without looking at one after the other.
"""

from __future__ import annotations

import io
import re
import tempfile
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pymysql
from pymysql.constants import CR
from pymysql.protocol import MysqlPacket

from adapters.mysql.connection import Connection, drop
from transforms.vocabulary import DataError, SynclineError

MARK: Final = "x'ff'"
BLOCK_BYTES: Final = 2 * 2**20  # of the wire in one piece: small enough for a cache
SPILL_BYTES: Final = 8 * 2**20  # of an answer that is set aside stay in memory
HEADER: Final = 4
BEGINNING: Final = HEADER + 2  # of a row: its header, then the mark with its length
LONGEST: Final = 2**24 - 1  # a packet of that length goes on in the next one
ERROR_BYTES: Final = 1024  # more than an error packet has

# The length of a column is one byte, or one of these and more bytes. NULL is a length of its own.
NULL, TWO, THREE, EIGHT = 251, 252, 253, 254

_EOF: Final = re.compile(rb"\x05\x00\x00.\xfe.{4}\Z", re.DOTALL)
_ERROR: Final = re.compile(rb"\xff..#[0-9A-Z]{5}", re.DOTALL)

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Block:
    """Whole rows: the wire's bytes, where in them each row's packet begins, and where the last one ends.

    `over` is true where no row comes after them, but the packet that ends the answer.
    """

    data: Bytes
    rows: Places
    end: int
    over: bool = False


def framed(data: bytearray | bytes, size: int) -> Block:
    """The whole rows at the beginning of `data`, of which the first `size` bytes are known."""
    wire = np.frombuffer(data, np.uint8, size)
    if size < BEGINNING:
        return _ended(wire, np.empty(0, np.int64), 0)
    rows = np.flatnonzero((wire[HEADER:-1] == 1) & (wire[HEADER + 1 :] == 255)).astype(np.int64)
    ends = rows + HEADER + _lengths(wire, rows)
    if len(rows) and (rows[0] != 0 or not np.array_equal(rows[1:], ends[:-1])):
        follows = np.isin(rows, ends)  # columns hold the mark's bytes too, but hardly behind a row
        follows[0] = True
        rows, ends = rows[follows], ends[follows]
    if len(rows) and (rows[0] != 0 or not np.array_equal(rows[1:], ends[:-1]) or LONGEST in ends - rows - HEADER):
        return _walked(wire)
    whole = ends <= size
    return _ended(wire, rows[whole], int(ends[whole][-1]) if whole.any() else 0)


def _lengths(wire: Bytes, packets: Places) -> Places:
    first, second, third = (wire[packets + i].astype(np.int64) for i in range(3))
    return first | second << 8 | third << 16


def _ended(wire: Bytes, rows: Places, end: int) -> Block:
    if len(wire) - end <= HEADER:
        return Block(wire, rows, end)
    length = int(_lengths(wire, np.array([end]))[0])
    kind = int(wire[end + HEADER])
    if kind == 1:
        return Block(wire, rows, end)
    if kind not in (254, 255):
        raise pymysql.InternalError(CR.CR_MALFORMED_PACKET, "the rows are not as they should be")
    return Block(wire, rows, end, over=end + HEADER + length <= len(wire))


def _walked(wire: Bytes) -> Block:
    """The same, one packet after the other: for rows of 16 MiB and more, whose packets are joined."""
    rows: list[int] = []
    joints: list[int] = []  # headers inside of a row
    at = begins = end = 0
    while at + BEGINNING <= len(wire) and (begins != at or wire[at + HEADER] == 1):
        length = int(_lengths(wire, np.array([at]))[0])
        if at + HEADER + length > len(wire):
            break
        if begins != at:
            joints.append(at)
        at += HEADER + length
        if length < LONGEST:
            rows.append(begins)
            begins = end = at
    joints = [each for each in joints if each < end]
    over = _ended(wire, np.empty(0, np.int64), end).over
    if not joints:
        return Block(wire, np.array(rows, np.int64), end, over)
    kept = np.delete(wire[:end], [joint + i for joint in joints for i in range(HEADER)])
    moved = np.searchsorted(joints, rows) * HEADER
    return Block(kept, np.array(rows, np.int64) - moved, end, over)


def cut(block: Block, columns: int) -> list[pa.Array]:
    """The columns behind the mark as they came, binary and null where they are NULL."""
    wire, at = block.data, block.rows + BEGINNING
    if len(wire) >= 2**31:
        raise DataError("A row has more than 2 GiB, which is more than travels.", fix="leave it out with `where`.")
    # Columns and the lengths between them alternate: together they are one array over the wire's own bytes.
    bounds = np.empty((len(at), 2 * columns), np.int32)
    nulls: list[npt.NDArray[np.bool_] | None] = []
    for column in range(columns):
        first = wire[at]  # the length, or what stands before a longer one: a length of two bytes may well be 253
        lengths = first.astype(np.int64)
        at = at + 1
        null = None
        if len(first) and first.max() >= NULL:
            null = first == NULL
            lengths[null] = 0
            for marker, size in ((TWO, 2), (THREE, 3), (EIGHT, 8)):
                longer = np.flatnonzero(first == marker)
                places = at[longer]
                lengths[longer] = sum(wire[places + i].astype(np.int64) << 8 * i for i in range(size))
                at[longer] += size
        nulls.append(null)
        bounds[:, 2 * column] = at
        at = at + lengths
        bounds[:, 2 * column + 1] = at
    if not np.array_equal(at, np.append(block.rows[1:], min(block.end, len(wire)))[: len(at)]):
        raise pymysql.InternalError(CR.CR_MALFORMED_PACKET, "the columns of a row do not end where it ends")
    offsets = np.append(bounds.ravel(), bounds[-1, -1] if len(at) else np.int32(0))
    every = pa.Array.from_buffers(pa.binary(), len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(wire)])
    firsts = np.arange(len(at), dtype=np.int32) * (2 * columns)
    return [
        pc.take(every, pa.array(firsts + 2 * column, mask=null), boundscheck=False) for column, null in enumerate(nulls)
    ]


class Answer:
    """The rows of one query, block by block. The connection is busy until they are all read, or set aside."""

    def __init__(self, connection: Connection, query: str) -> None:
        """Send the query, which selects MARK first. Errors are the driver's."""
        connection.query(query, unbuffered=True)
        self.on_wire = True
        self._connection = connection
        self._buffered = True
        self._rest = b""
        self._file: Any = None
        self._error: pymysql.Error | None = None
        self._unwanted = False
        self._raw = memoryview(b"")

    def block(self) -> Block | None:
        """The next rows, None behind the last. An error that ends them is raised."""
        if self._file is None:
            return self._received()
        if self._file.closed:
            return None
        size = int.from_bytes(self._file.read(8), "little")
        if not size:
            self._file.close()
            if self._error is not None:
                raise self._error
            return None
        return framed(self._file.read(size), size)

    def set_aside(self) -> None:
        """Take the rest off the wire and into a temporary file, from where `block` goes on."""
        while self.on_wire and self._unwanted:
            self._received()
        if not self.on_wire:
            return
        file = tempfile.SpooledTemporaryFile(SPILL_BYTES)  # noqa: SIM115 - closed behind the last block
        try:
            while (found := self._received()) is not None:
                file.write(found.end.to_bytes(8, "little"))
                file.write(self._raw[: found.end])
        except pymysql.Error as error:  # its reader's, and not of the one who needs the connection
            self._error = error
        except OSError as error:
            self.on_wire = False
            drop(self._connection)
            raise SynclineError(
                f"Rows could not be set aside in {tempfile.gettempdir()}: {error}.",
                fix="make room there, or set TMPDIR.",
            ) from error
        file.write(bytes(8))
        file.seek(0)
        self._file = file

    def leave(self) -> None:
        """Nobody reads the rest. It stays on the wire until the connection is needed."""
        self._unwanted = True
        if self._file is not None:
            self._file.close()

    def _received(self) -> Block | None:
        """Whole rows off the wire, some BLOCK_BYTES of them."""
        if not self.on_wire:
            return None
        room = max(BLOCK_BYTES, 2 * len(self._rest))
        while True:
            data = bytearray(room)
            size = len(self._rest)
            data[:size] = self._rest
            found = Block(np.empty(0, np.uint8), np.empty(0, np.int64), 0)
            with memoryview(data) as view:
                while size < room:
                    size += self._read(view[size:])
                    tail = bytes(view[max(0, size - ERROR_BYTES) : size])
                    if _EOF.search(tail) or _ERROR.search(tail):
                        found = framed(data, size)
                        if found.over:
                            break
            if size == room:
                found = framed(data, size)
            self._raw, self._rest = memoryview(data), bytes(data[found.end : size])
            if found.over:
                self._finish()
                return found if len(found.rows) else None
            if len(found.rows):
                return found
            room *= 2  # a row longer than that

    def _read(self, into: memoryview) -> int:
        file = self._connection._rfile
        try:
            if self._buffered:  # what came with the columns' descriptions; behind it, nothing is copied twice
                first = file.read1(io.DEFAULT_BUFFER_SIZE)
                into[: len(first)] = first
                size, self._buffered = len(first), False
            else:
                size = int(file.raw.readinto(into))
        except (OSError, ValueError, AttributeError) as error:
            raise self._lost() from error
        if not size:
            raise self._lost()
        return size

    def _lost(self) -> pymysql.Error:
        self.on_wire = False
        drop(self._connection)
        return pymysql.OperationalError(CR.CR_SERVER_LOST, "Lost connection to MySQL server during query")

    def _finish(self) -> None:
        """The packet that ends the answer: the connection is free, and an error is raised."""
        self.on_wire = False
        result = self._connection._result
        result.unbuffered_active, result.connection, result.has_next = False, None, False
        packet = MysqlPacket(self._rest[HEADER:], "utf-8")
        self._rest = b""
        if packet.is_error_packet():
            packet.raise_for_error()
