"""Values as the binary log stores them, in the travel types of their columns: what a scan of the table would read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from adapters.mysql.arrow import arrived
from adapters.mysql.row_events import DECIMAL, ENUM, GROUP, STRING, Column
from adapters.mysql.types import UNICODE, Travel
from adapters.sql.statements import dialect_of, rendered
from transforms.vocabulary import Relation

KINDS: Final = {
    "tinyint": (1,), "smallint": (2,), "mediumint": (9,), "int": (3,), "bigint": (8,), "float": (4,), "double": (5,),
    "year": (13,), "date": (10, 14), "datetime": (18,), "timestamp": (17,), "decimal": (DECIMAL,), "bit": (16,),
    "char": (STRING,), "varchar": (15,), "binary": (STRING,), "varbinary": (15,), "enum": (ENUM,), "uuid": (STRING,),
    "tinytext": (252,), "text": (252,), "mediumtext": (252,), "longtext": (252,),
    "tinyblob": (252,), "blob": (252,), "mediumblob": (252,), "longblob": (252,),
}  # fmt: skip
"""By the kind of a column those of the log; what is not here is not read out of it."""

Ask = Callable[[str], pa.Array]
"""The one column that a query answers with, as it comes off the wire."""

UUID_BYTES: Final = 16


def travelled(raw: pa.Array, column: Column, travel: Travel, ask: Ask) -> pa.Array | None:
    """Stored values in their travel type; None where one of them cannot travel."""
    known = raw.drop_null()
    found = _values(known, column, travel, ask) if len(known) else pa.nulls(0, travel.shape.type)
    if found is None or found.null_count:
        return None
    if not raw.null_count:
        return found
    places = np.cumsum(raw.is_valid().to_numpy(zero_copy_only=False)) - 1
    return found.take(pa.array(places, mask=raw.is_null().to_numpy(zero_copy_only=False)))


def _values(raw: pa.Array, column: Column, travel: Travel, ask: Ask) -> pa.Array | None:
    kind, wanted = travel.kind, travel.shape.type
    if kind in ("float", "double"):
        return pa.array(_bytes(raw).view("<f4" if kind == "float" else "<f8").ravel()).cast(wanted)
    if kind == "year":
        years = _number(raw)
        return pa.array(np.where(years == 0, 0, years + 1900)).cast(wanted)
    if kind == "bit":
        return pa.array(_number(raw, big=True).view(np.uint64)).cast(wanted)
    if pa.types.is_integer(wanted):
        return _integers(raw, column.width, wanted)
    if kind == "enum":
        return _labels(raw, travel)
    if kind == "uuid":
        return _uuids(_padded(raw, UUID_BYTES))
    if kind == "binary":
        return _padded(raw, travel.declared.length or 0)
    if pa.types.is_binary(wanted):
        return raw
    if travel.is_text and travel.declared.charset not in UNICODE:
        raw = ask(_converted(raw, travel))
    elif not travel.is_text:
        raw = _texts(raw, column, travel)
    found, reasons = arrived(raw.cast(pa.binary()), travel, Relation(query="the log"))
    return found if reasons is None else None


def _bytes(raw: pa.Array) -> npt.NDArray[np.uint8]:
    """Values of one length, a row of bytes each."""
    _, offsets, data = raw.buffers()
    ends = np.frombuffer(offsets, np.int32)[raw.offset : raw.offset + len(raw) + 1]
    wire = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]]
    return np.ascontiguousarray(wire.reshape(len(raw), -1))


def _number(raw: pa.Array | npt.NDArray[np.uint8], *, big: bool = False) -> npt.NDArray[np.int64]:
    """Unsigned numbers of up to eight bytes, of which the highest bit may become a sign."""
    rows = raw if isinstance(raw, np.ndarray) else _bytes(raw)
    value = np.zeros(len(rows), np.uint64)
    for each in rows.T if big else rows.T[::-1]:
        value = value << np.uint64(8) | each
    return value.view(np.int64)


def _integers(raw: pa.Array, width: int, wanted: pa.DataType) -> pa.Array:
    value = _number(raw)
    if pa.types.is_unsigned_integer(wanted):
        return pa.array(value.view(np.uint64)).cast(wanted)
    half = 1 << 8 * width - 1
    return pa.array(value if width == 8 else (value ^ half) - half).cast(wanted)


def _labels(raw: pa.Array, travel: Travel) -> pa.Array | None:
    labels = travel.shape.labels
    if labels is None:
        return None
    return pa.array(["", *labels], pa.string()).take(pa.array(_number(raw)))


def _padded(raw: pa.Array, width: int) -> pa.Array:
    """What a fixed length has beside the zeros at its end, which are not stored."""
    lengths = pc.binary_length(raw).to_numpy()
    _, offsets, data = raw.buffers()
    starts = np.frombuffer(offsets, np.int32)[raw.offset : raw.offset + len(raw)].astype(np.int64)
    wire = np.append(np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8), np.uint8(0))
    places = np.arange(width)
    stored = places < lengths[:, None]
    rows = np.where(stored, wire[np.where(stored, starts[:, None] + places, -1)], 0).astype(np.uint8)
    return pa.Array.from_buffers(pa.binary(width), len(raw), [None, pa.py_buffer(rows.tobytes())]).cast(pa.binary())


_HEX: Final = np.frombuffer(b"0123456789abcdef", np.uint8)
_DASHED: Final = [place for place in range(36) if place not in (8, 13, 18, 23)]


def _digits(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.stack([_HEX[rows >> 4], _HEX[rows & 15]], axis=-1).reshape(len(rows), -1)


def _uuids(raw: pa.Array) -> pa.Array:
    letters = np.full((len(raw), 36), ord("-"), np.uint8)
    letters[:, _DASHED] = _digits(_bytes(raw))
    ends = np.arange(0, 36 * len(raw) + 1, 36, dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), len(raw), [None, pa.py_buffer(ends), pa.py_buffer(letters.tobytes())])


def _converted(raw: pa.Array, travel: Travel) -> str:
    """The query that reads texts of another character set, given in hexadecimal digits, as a scan reads them."""
    _, offsets, data = raw.buffers()
    ends = np.frombuffer(offsets, np.int32)[raw.offset : raw.offset + len(raw) + 1]
    wire = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]]
    letters = _digits(wire.reshape(-1, 1)).tobytes()
    places = pa.py_buffer(np.ascontiguousarray((ends - ends[0]) * 2))
    texts = pa.Array.from_buffers(pa.string(), len(raw), [None, places, pa.py_buffer(letters)])
    one = pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), texts)
    listed = pc.binary_join(one, '","')[0].as_py()
    own: Any = sa.literal_column(f"CAST(UNHEX(j.h) AS CHAR CHARACTER SET {travel.declared.charset})")
    read = rendered(travel.read(own), dialect_of("mysql"))
    return (
        f"SELECT x'ff', {read} FROM JSON_TABLE('[\"{listed}\"]', '$[*]' "  # noqa: S608 - hexadecimal digits
        "COLUMNS (n FOR ORDINALITY, h LONGTEXT PATH '$')) j ORDER BY j.n"
    )


# ---------------------------------------------------------------------------------------------------------------------
# As the server would write them in an answer


def _texts(raw: pa.Array, column: Column, travel: Travel) -> pa.Array:
    if travel.kind == "date":
        value = _number(raw)
        return _joined((value >> 9, 4), "-", (value >> 5 & 15, 2), "-", (value & 31, 2))
    if travel.kind == "decimal":
        return _decimals(_bytes(raw), column.told & 255, column.told >> 8)
    rows = _bytes(raw)
    whole = 4 if travel.kind == "timestamp" else 5
    value, micros = _number(rows[:, :whole], big=True), _micros(rows[:, whole:])
    if travel.kind == "timestamp":
        instants = pa.array(value * 1_000_000 + micros, pa.timestamp("us")).cast(pa.string())
        none = pa.array((value == 0) & (micros == 0))
        return pc.if_else(none, "0000-00-00 00:00:00.000000", instants)
    value = value - (1 << 39)
    months, day, clock = value >> 22, value >> 17 & 31, value & (1 << 17) - 1
    date = ((months // 13, 4), "-", (months % 13, 2), "-", (day, 2), " ")
    return _joined(*date, (clock >> 12, 2), ":", (clock >> 6 & 63, 2), ":", (clock & 63, 2), ".", (micros, 6))


def _micros(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    return _number(rows, big=True) * np.int64(100 ** (3 - rows.shape[1]))


def _joined(*parts: str | tuple[npt.NDArray[np.int64], int]) -> pa.Array:
    """Texts between numbers of so many digits."""
    texts = [
        each if isinstance(each, str) else pc.utf8_lpad(pa.array(each[0]).cast(pa.string()), each[1], "0")
        for each in parts
    ]
    return pc.binary_join_element_wise(*texts, "")


def _decimals(rows: npt.NDArray[np.uint8], precision: int, scale: int) -> pa.Array:
    """Decimals: groups of nine digits in four bytes each, and fewer at both ends; of negative ones every bit is turned."""
    rows = rows.copy()
    rows[:, 0] ^= 0x80
    negative = rows[:, 0] >= 0x80
    rows[negative] = ~rows[negative]
    integer, at = precision - scale, 0
    parts: list[Any] = []
    groups = [integer % 9, *[9] * (integer // 9), 0, *[9] * (scale // 9), scale % 9]
    point = 1 + integer // 9
    for i, digits in enumerate(groups):
        if i == point:
            parts += ["."] * (scale > 0)
            continue
        size = GROUP[digits]
        if size:
            parts.append((_number(rows[:, at : at + size], big=True), digits))
        at += size
    if parts[:1] == ["."]:
        parts.insert(0, "0")
    sign = pc.if_else(pa.array(negative), "-", "")
    text = pc.binary_join_element_wise(sign, _joined(*parts), "")
    return pc.replace_substring_regex(text, r"^(-?)0+(\d)", r"\1\2")
