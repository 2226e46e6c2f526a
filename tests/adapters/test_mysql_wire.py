"""Rows off the wire of MariaDB and MySQL: every length, in every place, as the protocol says and as the driver reads them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from databases import Database
from hypothesis import example, given
from hypothesis import strategies as st
from mysql_tables import adapter as adapter
from mysql_tables import database as database
from mysql_tables import read

from adapters.mysql import wire as mysql_wire
from adapters.mysql.adapter import MysqlAdapter
from adapters.mysql.wire import LONGEST, cut, framed

pymysql = pytest.importorskip("pymysql")

Row = Sequence[bytes | None]

END = b"\x05\x00\x00\x00\xfe\x00\x00\x22\x00"  # the packet behind the last row
MARK = b"\xff"
NEAR = [*range(301), *(2**16 + i for i in (-3, -2, -1, 0, 1, 252, 253, 254)), 70_000]  # where a length changes its form


def number(length: int, least: int = 0) -> bytes:
    """A length as the protocol encodes it. `least` asks for a longer form than it needs, which readers take as well."""
    if length < 251 and least < 2:
        return bytes([length])
    for marker, size in ((0xFC, 2), (0xFD, 3), (0xFE, 8)):
        if length < 2 ** (8 * size) and least <= size:
            return bytes([marker]) + length.to_bytes(size, "little")
    raise AssertionError(length)


def encoded(row: Row, least: int = 0, longest: int = LONGEST) -> bytes:
    """One row behind the mark, in as many packets as it needs."""
    values = ((b"\xfb" if value is None else number(len(value), least) + value) for value in row)
    payload = b"\x01" + MARK + b"".join(values)
    packets = [payload[at : at + longest] for at in range(0, len(payload) + 1, longest)]
    return b"".join(len(packet).to_bytes(3, "little") + bytes([n % 256]) + packet for n, packet in enumerate(packets))


def by_the_driver(row: Row, least: int = 0) -> list[bytes | None]:
    from pymysql.protocol import MysqlPacket

    values = [b"\xfb" if value is None else number(len(value), least) + value for value in row]
    packet = MysqlPacket(b"".join(values), "utf-8")
    return [packet.read_length_coded_string() for _ in row]


def decoded(wire: bytes, columns: int, room: int | None = None) -> list[list[bytes | None]]:
    """The columns of all rows, read in pieces of `room` bytes that grow where no row is whole."""
    found: list[list[bytes | None]] = [[] for _ in range(columns)]
    at, size = 0, room or len(wire)
    while True:
        part = wire[at : at + size]
        block = framed(bytearray(part) + bytearray(7), len(part))  # what lies behind the known bytes says nothing
        for column, values in zip(found, cut(block, columns), strict=True):
            column += values.to_pylist()
        at += block.end
        if block.over:
            return found
        assert len(part) == size, "the packet at the end was not seen"
        if not block.end:
            size *= 2


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("least", [0, 2, 3, 8])
def test_a_value_of_every_length_is_read_in_every_place(place: int, least: int) -> None:
    rows = [[b"a" if n % 2 else None, b"\xfd" * 253, b""] for n in range(len(NEAR))]
    for row, length in zip(rows, NEAR, strict=True):
        row[place] = bytes([251 + length % 5]) * length  # bytes that look like the beginnings of lengths
    wire = b"".join(encoded(row, least) for row in rows) + END
    assert decoded(wire, 3) == [list(column) for column in zip(*rows, strict=True)]
    assert [by_the_driver(row, least) for row in rows] == rows


values = st.one_of(
    st.none(),
    st.binary(max_size=6),
    st.sampled_from([b"\x01\xff", b"\x08\x00\x00\x01\x01\xff", END, b"\xff\x01\x02#HY000", encoded([b"x"]), b"\x05\x00\x00"]),
    st.builds(lambda length, byte: bytes([byte]) * length, st.sampled_from(NEAR), st.sampled_from([0, 1, 120, 251, 255])),
)  # fmt: skip
answers = st.integers(1, 4).flatmap(
    lambda columns: st.tuples(st.just(columns), st.lists(st.lists(values, min_size=columns, max_size=columns), max_size=8))
)  # fmt: skip


@given(answer=answers, least=st.sampled_from([0, 2, 3, 8]), room=st.integers(1, 600))
@example(answer=(2, [[b"x" * 253, b"y" * 254]]), least=0, room=9)
def test_whatever_rows_hold_comes_off_the_wire_as_it_was(
    answer: tuple[int, list[list[bytes | None]]], least: int, room: int
) -> None:
    columns, rows = answer
    wire = b"".join(encoded(row, least) for row in rows) + END
    wanted = [[row[column] for row in rows] for column in range(columns)]
    assert decoded(wire, columns, room) == wanted
    assert [by_the_driver(row, least) for row in rows] == rows


@given(answer=answers, longest=st.integers(7, 40), room=st.integers(1, 600))
def test_a_row_is_joined_wherever_its_packets_part(
    answer: tuple[int, list[list[bytes | None]]], longest: int, room: int
) -> None:
    columns, rows = answer
    rows.append([b"y" * max(0, longest - 3)] + [b""] * (columns - 1))  # with one column, it fills its packet wholly
    with pytest.MonkeyPatch.context() as patch:  # the real one is 16 MiB: the server's rows below are as long
        patch.setattr(mysql_wire, "LONGEST", longest)
        wire = b"".join(encoded(row, longest=longest) for row in rows) + END
        assert decoded(wire, columns, room) == [[row[column] for row in rows] for column in range(columns)]


def test_a_block_without_rows_has_empty_columns() -> None:
    block = framed(bytearray(END), len(END))
    assert block.over
    assert [len(each) for each in cut(block, 2)] == [0, 0]
    assert np.array_equal(block.rows, [])


def test_every_length_arrives_from_the_server_as_the_driver_reads_it(adapter: MysqlAdapter, database: Database) -> None:
    sizes = f"SELECT seq AS n FROM seq_0_to_300 UNION ALL VALUES {', '.join(f'({n})' for n in NEAR[301:])}"
    whole = LONGEST - 13  # with which a row that is numbered by three digits and ends in two nulls fills its packet
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, a longtext, b longblob, c varchar(300), d longblob)",
        f"""INSERT INTO t (a, b, c, d) WITH sizes AS ({sizes}) SELECT
            repeat('x', n), concat(x'050000', repeat(x'fd', n)), if(n > 300, NULL, repeat('é', n / 2)), '' FROM sizes""",
        f"INSERT INTO t (id, a) SELECT 500 + seq, repeat('w', {whole} + seq) FROM seq_0_to_1",
        "INSERT INTO t (d, c) VALUES (repeat(x'01ff', 1 << 20), repeat('c', 254))",
    )
    found, wanted = read(adapter), database.execute("SELECT * FROM t ORDER BY id")
    for column, theirs in zip(found.columns, zip(*wanted, strict=True), strict=True):
        assert column.combine_chunks().equals(pa.array(theirs, column.type)), column.type
