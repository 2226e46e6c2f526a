"""What only the server can tell: which texts its indexes take for one, and which values its types keep."""

from __future__ import annotations

import re
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from adapters.mysql.connection import Connection, Server, rows, run
from adapters.mysql.load_data import load, name_of
from adapters.mysql.types import FIRST_YEAR, Declared, Travel, labels_of, travel
from adapters.mysql.wire import MARK, Answer, cut
from transforms.vocabulary import ColumnShape, DataError, TableName

LEVELS: Final = 30  # of JSON: MariaDB's parser ends at 32
VALUES: Final = TableName("syncline_values")
ROUNDED: Final = re.compile(r"(?:float|double)\(\d+,(\d+)\)")
UNTOLD: Final = ("big5", "sjis", "ujis", "euckr", "gb2312", "gbk", "gb18030", "cp932", "eucjpms")
"""Character sets of several bytes, of which nobody tells what they hold."""
NOTATIONS: Final = {"inet4": "CAST(v AS INET4)", "inet6": "CAST(v AS INET6)", "uuid": "CAST(v AS UUID)"}


def compared(connection: Connection, server: Server, column: Travel | None, values: pa.ChunkedArray) -> pa.Array:
    """An array in which two values are equal where a unique index over the column takes them for one.

    A collation compares texts by their weights; where it pads with blanks, the weights of blanks at the end are nothing.
    A text that the column's character set does not hold is nothing but itself.
    """
    whole = pa.chunked_array(values).combine_chunks()
    if column is None or column.shape.collation is None:
        return whole
    if column.shape.padded:
        whole = pc.utf8_rtrim(whole, " ")
    charset, collation = column.declared.charset, column.declared.collation
    weight = f"HEX(WEIGHT_STRING(CONVERT(v USING {charset}) COLLATE {collation}))"
    weights = _answers(connection, whole, f"IF({_held(server, str(charset))}, {weight}, CONCAT('=', HEX(v)))")
    if _pads(connection, str(collation)):
        blank = f"HEX(WEIGHT_STRING(CONVERT(' ' USING {charset}) COLLATE {collation}))"
        ((weight,),) = rows(connection, f"SELECT {blank}")
        weights = pc.replace_substring_regex(weights, f"(?:{_plain(weight)})+$", "")
    return weights


def _plain(text: str | bytes) -> str:
    return text.decode() if isinstance(text, bytes) else text


def _pads(connection: Connection, collation: str) -> bool:
    """Whether blanks at the end count for nothing in a collation."""
    if "nopad" in collation:
        return False
    known = rows(
        connection,
        "SELECT COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'information_schema' "
        "AND TABLE_NAME = 'COLLATIONS' AND COLUMN_NAME = 'PAD_ATTRIBUTE'",
    )
    if not known[0][0]:
        return True
    found = rows(
        connection, "SELECT PAD_ATTRIBUTE FROM information_schema.COLLATIONS WHERE COLLATION_NAME = %s", [collation]
    )
    return not found or found[0][0] == "PAD SPACE"


def is_asked(column: ColumnShape) -> bool:
    """Whether a value within the column's limits may still be one that it does not keep."""
    kind, charset = _kind(column), _charset(column)
    return (
        kind in (*NOTATIONS, "json", "set", "year", "binary")
        or ROUNDED.match(column.native) is not None
        or charset in UNTOLD
    )


def _kind(column: ColumnShape) -> str:
    return re.split(r"\W", column.native, maxsplit=1)[0]


def _charset(column: ColumnShape) -> str:
    """The character set of a text column, which begins the name of its collation."""
    return (column.collation or "utf8mb4").split("_")[0]


def kept(connection: Connection, server: Server, column: ColumnShape, values: pa.Array) -> pa.Array:
    """The values as the column gives them back, null for those that it does not keep."""
    kind, native = _kind(column), column.native
    nothing = pa.scalar(None, values.type)
    if kind == "year":
        return pc.if_else(pc.or_(pc.equal(values, 0), pc.greater_equal(values, FIRST_YEAR)), values, nothing)
    if kind == "binary":
        return pc.if_else(pc.equal(pc.binary_length(values), column.octets), values, nothing)
    if kind == "set":
        return _listed(values, labels_of(native))
    if match := ROUNDED.match(native):
        rounded = pc.round(values.cast(pa.float64()), int(match[1])).cast(values.type)
        return pc.if_else(pc.equal(rounded, values), values, nothing)
    if kind == "json":
        return _answers(
            connection,
            values,
            "IF(JSON_VALID(v), v, NULL)" if server.mariadb else "IF(JSON_VALID(v), CAST(v AS JSON), NULL)",
        )
    if kind in NOTATIONS:
        return _answers(connection, values, NOTATIONS[kind])
    return _answers(connection, values, f"IF({_held(server, _charset(column))}, v, NULL)")


def _held(server: Server, charset: str) -> str:
    """SQL that says whether a character set holds `v`: whether it comes back from it as it was."""
    exact = server.exact_collation
    return f"CONVERT(CONVERT(v USING {charset}) USING utf8mb4) COLLATE {exact} = v COLLATE {exact}"


def _listed(values: pa.Array, labels: tuple[str, ...] | None) -> pa.Array:
    """Texts of a SET that name its members once, and in their order; null for others."""
    if labels is None:
        return values
    members = "".join(f"(?:{re.escape(each)}(?:,|$))?" for each in labels)
    good = pc.and_not(pc.match_substring_regex(values, f"^{members}$"), pc.ends_with(values, ","))
    return pc.if_else(good, values, pa.scalar(None, values.type))


def _answers(connection: Connection, values: pa.Array, expression: str) -> pa.Array:
    """What `expression` over `v` answers for each text, each asked once; null for null."""
    encoded = values.dictionary_encode()
    texts = encoded.dictionary
    if not len(texts):
        return pa.nulls(len(values), pa.string())
    table, charset, collation = name_of(VALUES), "utf8mb4", "utf8mb4_bin"
    run(connection, f"DROP TEMPORARY TABLE IF EXISTS {table}")
    kind = f"LONGTEXT CHARACTER SET {charset} COLLATE {collation}"
    run(connection, f"CREATE TEMPORARY TABLE {table} (n INT NOT NULL PRIMARY KEY, v {kind}) ENGINE=InnoDB")
    text = travel(Declared("v", "longtext", "longtext", charset=charset, collation=collation), Server(False, (8,)))
    loaded = load(connection, VALUES, ["n", "v"], [None, text], pa.table({"n": range(len(texts)), "v": texts}))
    if loaded.warning or loaded.count != len(texts):
        raise DataError(
            f"The server was asked for values that it cannot hold: {loaded.warning}.", fix="quarantine them."
        )
    answer = Answer(connection, f"SELECT {MARK}, {expression} FROM {table} ORDER BY n")  # noqa: S608
    found = []
    while (block := answer.block()) is not None:
        found.append(cut(block, 1)[0].cast(pa.string()))
    run(connection, f"DROP TEMPORARY TABLE {table}")
    return pa.concat_arrays(found).take(encoded.indices)
