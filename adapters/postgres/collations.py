"""What PostgreSQL's unique indexes compare in place of texts, where different texts are one to them."""

from __future__ import annotations

from dataclasses import replace
from string import ascii_lowercase, ascii_uppercase
from typing import Any, Final

import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from adapters.postgres.types import BLANK_PADDED, CITEXT
from transforms.vocabulary import ColumnShape, TableShape

TEXTS: Final = "FROM unnest(%s::text[]) WITH ORDINALITY t (v, n) ORDER BY n"
FOLDED: Final = 'SELECT {0}(v COLLATE "default") ' + TEXTS
# A hash under a collation is made of its sort key, and two of 64 bits do not meet by chance.
HASHED: Final = (
    "SELECT hashtextextended(v COLLATE {0}, 0)::text || ':' || hashtextextended(v COLLATE {0}, 1)::text " + TEXTS
)


FOLDS: Final = {
    "lower": (pc.ascii_lower, ascii_uppercase, ascii_lowercase),
    "upper": (pc.ascii_upper, ascii_lowercase, ascii_uppercase),
}

FOLDING_INDEXES: Final = """
SELECT array_agg(a.attname::text ORDER BY k.place),
       array_agg(CASE WHEN k.coll = 'pg_catalog."default"'::regcollation
                      THEN pg_catalog.pg_get_indexdef(i.indexrelid, k.place::int, true) END ORDER BY k.place)
FROM pg_catalog.pg_index i
CROSS JOIN LATERAL unnest(i.indkey::int[], i.indcollation::oid[]) WITH ORDINALITY k (attnum, coll, place)
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND k.attnum > 0
WHERE i.indrelid = %s AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NOT NULL
  AND k.place <= i.indnkeyatts
GROUP BY i.indexrelid"""


def with_folded(connection: psycopg.Connection[Any], shape: TableShape, oid: int | None) -> TableShape:
    """The shape with what unique indexes over lower(column) or upper(column) add to it."""
    folds = {
        form.format(name): (column.name, f"{fold}({column.name})")
        for column in shape.columns
        if pa.types.is_string(column.type) and not column.collation
        for fold in FOLDS
        for form in (fold + "({0})", fold + "({0}::text)")
        for name in (column.name, '"' + column.name.replace('"', '""') + '"')
    }
    found: dict[str, str] = {}
    uniques = set(shape.uniques)
    for names, terms in connection.execute(FOLDING_INDEXES, [oid]):
        read = [(name, None) if name else folds.get(term) for name, term in zip(names, terms, strict=True)]
        known = [each for each in read if each is not None]
        folded = {name: collation for name, collation in known if collation}
        others = {name for unique in shape.uniques for name in unique}
        # an exact unique of the column would be taken for folded too
        if len(known) == len(read) and (len(read) == 1 or not others & set(folded)):
            found |= folded
            uniques.add(frozenset(name for name, _ in known))
    columns = tuple(replace(each, collation=found.get(each.name, each.collation)) for each in shape.columns)
    return replace(shape, columns=columns, uniques=frozenset(uniques))


def compared(connection: psycopg.Connection[Any], column: ColumnShape | None, values: pa.ChunkedArray) -> pa.Array:
    """An array in which two values are equal where a unique index over the column takes them for one.

    A text with a NUL character, which the server cannot be asked about, is nothing but itself.
    """
    whole = values.combine_chunks()
    if column is None:
        return whole
    if column.padded:
        whole = pc.utf8_rtrim(whole, characters=" ")
    if column.collation in (None, BLANK_PADDED):
        return whole
    foreign = pc.fill_null(pc.match_substring(whole, "\0"), False)
    fold = "lower" if column.collation == CITEXT else str(column.collation).partition("(")[0]
    if fold not in FOLDS:
        return pc.if_else(foreign, whole, _answers(connection, HASHED.format(column.collation), whole, foreign))
    question, known = FOLDED.format(fold), foreign
    fold_ascii, one, other = FOLDS[fold]
    if _answers(connection, question, pa.array([one]), pa.array([False]))[0].as_py() == other:
        known = pc.or_(foreign, pc.fill_null(pc.string_is_ascii(whole), True))  # the server need not be asked: I is i
    own = pc.if_else(foreign, whole, fold_ascii(whole))
    return pc.if_else(known, own, _answers(connection, question, whole, known))


def _answers(connection: psycopg.Connection[Any], question: str, texts: pa.Array, known: pa.Array) -> pa.Array:
    """The server's answer for each text that is not known, each asked once; null for all others."""
    encoded = pc.if_else(known, pa.scalar(None, pa.string()), texts).dictionary_encode()
    if not len(encoded.dictionary):
        return pa.nulls(len(texts), pa.string())
    found = connection.execute(question.encode(), [encoded.dictionary.to_pylist()]).fetchall()
    return pa.array([text for (text,) in found], pa.string()).take(encoded.indices)
