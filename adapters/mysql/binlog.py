"""MariaDB's binary log as it comes over the wire, one event after the other, from a place on to where it ends."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Self

import pymysql
from pymysql.constants import COMMAND
from pymysql.protocol import MysqlPacket

from adapters.feeds.feed import FeedLost
from adapters.mysql.connection import Connection, Connections, code_of, drop, run

QUERY, ROTATE, DESCRIPTION, XID, TABLE_MAP, INCIDENT, XA_PREPARE = 2, 4, 15, 16, 19, 26, 38
WRITE_ROWS, UPDATE_ROWS, DELETE_ROWS = 23, 24, 25
GTID, QUERY_COMPRESSED, ROWS_COMPRESSED = 162, 165, (166, 167, 168)
"""Of ROWS_COMPRESSED, each stands for the plain kind in the same order."""
FORWARD: Final = (30, 31, 32, 39, 40)  # kinds of MySQL's that MariaDB has no use for: rows could hide in them

HEADER: Final = struct.Struct("<IBIIIH")
BLOCK_BYTES: Final = 2**18
LONGEST: Final = 2**24 - 1  # a packet of that length goes on in the next one
CRC: Final = 4
NON_BLOCKING: Final = 1
GONE: Final = 1236  # what the server says where it cannot send the log from a place on
FAKE: Final = 0  # the place of an event that the server made for this reader
FORMER: Final = {
    **dict(zip(ROWS_COMPRESSED, (WRITE_ROWS, UPDATE_ROWS, DELETE_ROWS), strict=True)),
    QUERY_COMPRESSED: QUERY,
}
STANDALONE: Final = 1

ANEW: Final = "follow anew, which compares everything first."


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the binary log: behind `done` row events of the transaction that begins `at` in a file which was `made` then."""

    file: str
    at: int
    made: int = 0
    done: int = 0

    @classmethod
    def parsed(cls, text: str) -> Self:
        try:
            at, made, done, file = text.split(":", 3)
            return cls(file, int(at), int(made), int(done))
        except ValueError as error:
            raise FeedLost(f"{text!r} is no position in a binary log.", fix=ANEW) from error

    def __str__(self) -> str:
        return f"{self.at}:{self.made}:{self.done}:{self.file}"

    @property
    def order(self) -> tuple[int, int]:
        """Places of one server compare by it: files are numbered."""
        return int(self.file.rpartition(".")[2]), self.at


@dataclass(frozen=True, slots=True)
class Event:
    """An event: its kind (that of the plain form, where it came compressed), when, where it begins and the next one, and its body."""

    kind: int
    when: int
    at: int
    body: bytes
    compressed: bool = False


class Dump:
    """The log from a place on, on a connection of its own. `place` is behind the events that were given, without what is `done`;
    `began` is when the first file was made.
    """

    def __init__(self, connections: Connections, start: Place) -> None:
        """FeedLost where the server has the log no more. SynclineError with the server's reason where it does not give it."""
        self.place = replace(start, done=0)
        self.url = connections.url
        self.began = 0
        self._checked = 0
        self._connection: Connection = connections.take()
        try:
            run(
                self._connection,
                "SET @mariadb_slave_capability = 4, @master_binlog_checksum = @@global.binlog_checksum",
            )
            asked = struct.pack("<IHI", start.at, NON_BLOCKING, 0) + start.file.encode()
            self._connection._execute_command(COMMAND.COM_BINLOG_DUMP, asked)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        drop(self._connection)

    def events(self) -> Iterator[Event]:
        """One after the other up to the end of the log. Errors are the driver's, and FeedLost."""
        for packet in self._packets():
            when, kind, _, size, next_at, _ = HEADER.unpack_from(packet, 1)
            if kind == DESCRIPTION:
                self._described(when, packet)
            stop = len(packet) - self._checked
            body = packet[1 + HEADER.size : stop]
            if next_at != FAKE:  # events that nobody asked for are left out, so that sizes do not add up
                self.place = replace(self.place, at=_unwrapped(next_at, self.place.at))
            if kind == ROTATE:
                if not body.startswith(self.place.file.encode(), 8):  # a fake one says where reading begins, too
                    self.place = Place(body[8:].decode(), int.from_bytes(body[:8], "little"))
            elif next_at != FAKE:
                yield Event(FORMER.get(kind, kind), when, self.place.at - size, body, kind in FORMER)

    def _described(self, made: int, packet: bytes) -> None:
        """A file begins, or is gone on with: when it was made, and whether its events end with a checksum."""
        if self.place.made not in (0, made):
            raise FeedLost(f"The binary log {self.place.file} of {self.url} is another one than before.", fix=ANEW)
        self.place = replace(self.place, made=made)
        self.began = self.began or made
        self._checked = CRC * packet[-1 - CRC]

    def _packets(self) -> Iterator[bytes]:
        """The packets, each whole and without its header."""
        file, rest, begun = self._connection._rfile, b"", b""
        while True:
            data = file.read1(BLOCK_BYTES)
            if not data:
                raise pymysql.OperationalError(2013, "the connection was lost while the log was read")
            data, at = rest + data, 0
            while at + 4 <= len(data):
                length = int.from_bytes(data[at : at + 3], "little")
                if at + 4 + length > len(data):
                    break
                packet = begun + data[at + 4 : at + 4 + length]
                at += 4 + length
                begun = packet if length == LONGEST else b""
                if begun:
                    continue
                if packet[0] == 0xFE:
                    return
                if packet[0] == 0xFF:
                    self._refused(packet)
                yield packet
            rest = data[at:]

    def _refused(self, packet: bytes) -> None:
        try:
            MysqlPacket(packet, "utf-8").raise_for_error()
        except pymysql.Error as error:
            if code_of(error) != GONE:
                raise
            raise FeedLost(
                f"The binary log of {self.url} is gone from {self.place} on: {error.args[1]}.", fix=ANEW
            ) from error


def _unwrapped(low: int, before: int) -> int:
    """A place behind another one, of which an event has the lower 32 bits."""
    place = before & ~0xFFFFFFFF | low
    return place if place >= before else place + 2**32


def unpacked(data: bytes) -> bytes:
    """What is compressed in an event: a byte that says how many bytes say how long it is, these, and zlib's."""
    return zlib.decompress(data[1 + (data[0] & 7) :])


def statement(event: Event) -> tuple[str, str]:
    """The default database of a QUERY event and its text."""
    body = event.body
    name, status = body[8], int.from_bytes(body[11:13], "little")
    at = 13 + status
    text = body[at + name + 1 :]
    return body[at : at + name].decode("utf-8", "replace"), (unpacked(text) if event.compressed else text).decode(
        "utf-8", "replace"
    )


def is_alone(event: Event) -> bool:
    """Whether what a GTID event begins is a statement of its own, and no transaction."""
    return bool(event.body[12] & STANDALONE)
