"""What a server itself has to be asked about values: whether a type reads them, and what it gives back.

From version 16 on `pg_input_is_valid` answers for a whole batch at once. Older servers, and types whose input functions
raise errors all the same, read value by value in a DO block, each in a subtransaction: that needs no rights but the use
of plpgsql, which everybody has, and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from adapters.postgres.connection import Connections, answer
from adapters.postgres.limits import unmodified
from adapters.postgres.snapshot import spelled
from adapters.sql.json_texts import doubtful, kept_where_doubtful
from adapters.sql.statements import Expression, Named
from transforms.vocabulary import ColumnShape, ConnectionFailed, Meaning, SynclineError, TransientError

ASKED_BYTES: Final = 16 * 2**20  # of one question
VALIDATES: Final = 160_000  # the first version with pg_input_is_valid

_KNOWN: Final = (
    "smallint", "integer", "bigint", "real", "double precision", "numeric", "boolean", "text", "character", "character varying",
    "bytea", "date", "time without time zone", "timestamp without time zone", "timestamp with time zone", "uuid", "name",
    '"char"', "citext",
)  # fmt: skip
"""Types whose limits a ColumnShape tells."""
_WIDENED: Final = (
    "json", "jsonb", "inet", "cidr", "macaddr", "macaddr8", "bit", "bit varying", "oid", "int4range", "int8range", "daterange",
    "int4multirange", "int8multirange", "datemultirange", "pg_lsn", "smallint[]", "integer[]", "bigint[]", "text[]", "uuid[]",
    "boolean[]", "inet[]", "cidr[]", "macaddr[]",
)  # fmt: skip
"""Types that read a text without loss, however it is spelled: [1,2] is the range [1,3)."""

UNREAD: Final = ("22", "23", "42", "54", "0A", "2F", "38", "39", "P0", "XX")
"""Classes of errors that an input function, or a check of a domain, raises about a value."""
FORBIDDEN: Final = ("42501", "42704")
"""No right to use plpgsql, or no plpgsql."""

GIVEN: Final = "SELECT pg_catalog.set_config('syncline.given', %s, true)"
ONE_BY_ONE: Final = """
DECLARE
    given text[] := pg_catalog.current_setting('syncline.given')::text[];
    answer text[] := '{{}}';
BEGIN
    FOR i IN 1 .. pg_catalog.cardinality(given) LOOP
        answer[i] := NULL;
        CONTINUE WHEN given[i] IS NULL;
        BEGIN
            DECLARE
                value {variable} := {read};
            BEGIN
                answer[i] := {back};
            END;
        EXCEPTION WHEN OTHERS THEN
            IF pg_catalog.left(SQLSTATE, 2) NOT IN ({unread}) THEN
                RAISE;
            END IF;
        END;
    END LOOP;
    PERFORM pg_catalog.set_config('syncline.kept', answer::text, true);
END"""
"""A value is assigned and not cast, because a cast cuts a bit varying(3) where an assignment raises; rows can only be cast."""
IS_ROW: Final = "SELECT typtype = 'c' FROM pg_catalog.pg_type WHERE oid = pg_catalog.to_regtype(%s)"
KEPT: Final = "SELECT kept FROM unnest(pg_catalog.current_setting('syncline.kept')::text[]) WITH ORDINALITY u (kept, n) ORDER BY n"


def is_asked(column: ColumnShape) -> bool:
    """Whether only the server can tell which values it takes: types that read a text, and domains with their checks."""
    return column.labels is None and not pa.types.is_temporal(column.type) and unmodified(column.native) not in _KNOWN


def kept(connections: Connections, column: ColumnShape, values: pa.Array, known: Meaning) -> pa.Array:
    """What the column gives back for values, see `Target.kept`."""
    if not is_asked(column):
        return values
    if known == column.meaning == "json":
        doubt = doubtful(values)
        if column.characters is not None:  # an escape may be of a character that the database does not hold
            doubt = pc.or_(doubt, pc.fill_null(pc.match_substring(values, "\\u"), False))
        return kept_where_doubtful(values, doubt, lambda some: kept(connections, column, some, "plain"))
    texts = values.cast(pa.string()).dictionary_encode()
    parts = [pa.array([], pa.string()), *(_answered(connections, column, part) for part in _parts(texts.dictionary))]
    back = pa.concat_arrays(parts).take(texts.indices)
    if pa.types.is_string(values.type) and column.meaning != "plain":
        return back
    return pc.if_else(pc.is_valid(back), values, pa.scalar(None, values.type))


def _answered(connections: Connections, column: ColumnShape, texts: pa.Array) -> pa.Array:
    """The text that the column gives back for each of `texts`: null for null, for what is no value of the type, and for
    what it would give back as another value."""
    if connections.version >= VALIDATES:
        try:
            return _at_once(connections, column, texts)
        except (TransientError, ConnectionFailed):
            raise
        except SynclineError:
            pass  # an input function that raises errors itself, for one value or another
    with connections.begin(f"Asking for values of {column.native}") as connection:
        return _one_by_one(connection, column, texts)


def _at_once(connections: Connections, column: ColumnShape, texts: pa.Array) -> pa.Array:
    reader = connections.reader()
    try:
        with connections.translated(f"Asking for values of {column.native}"):
            told = answer(reader, spelled(_question(column, texts))).column(0)
    finally:
        connections.give_back(reader)
    return told.cast(pa.string()).combine_chunks()


def _question(column: ColumnShape, texts: pa.Array) -> sa.Select[Any]:
    text, own = sa.String(), Named(column.native)
    given = sa.func.unnest(sa.cast(sa.literal(_array_literal(texts), text), Named("text[]")))
    rows = given.table_valued(sa.column("v", text), with_ordinality="n", name="given").render_derived()
    valid = sa.func.pg_catalog.pg_input_is_valid(rows.c.v, sa.literal(column.native, text))
    back: Expression = rows.c.v if column.meaning == "json" else sa.cast(sa.cast(rows.c.v, own), Named("text"))
    if _is_spelled_one_way(column):
        back = sa.case((back == rows.c.v, rows.c.v))
    return sa.select(sa.case((valid, back)).label("kept")).order_by(rows.c.n)


def _one_by_one(connection: psycopg.Connection[Any], column: ColumnShape, texts: pa.Array) -> pa.Array:
    back = "given[i]" if column.meaning == "json" else "value::text"
    if _is_spelled_one_way(column):
        back = "CASE WHEN value::text = given[i] THEN given[i] END"
    unread = ", ".join(f"'{each}'" for each in UNREAD)
    found = connection.execute(IS_ROW, [column.native]).fetchone()
    variable, read = column.native, "given[i]"
    if found and found[0]:
        variable, read = "text", f"given[i]::{column.native}"
    body = ONE_BY_ONE.format(variable=variable, read=read, back=back, unread=unread)
    try:
        with connection.transaction():
            connection.execute(GIVEN, [_array_literal(texts)])
            connection.execute(f"DO {spelled(sa.literal(body, sa.String()))}")
            return pa.array([each for (each,) in connection.execute(KEPT)], pa.string())
    except psycopg.Error as error:
        if error.sqlstate in FORBIDDEN:
            return texts  # nobody can be asked: the database itself refuses the row
        if (error.sqlstate or "")[:2] != "22":
            raise
        if len(texts) == 1:  # a text that the database's encoding does not hold
            return pa.nulls(1, pa.string())
    middle = len(texts) // 2
    halves = (texts.slice(0, middle), texts.slice(middle))
    return pa.concat_arrays([_one_by_one(connection, column, half) for half in halves])


def _is_spelled_one_way(column: ColumnShape) -> bool:
    """Whether a text has to come back as it went in, because the type rounds, or reads several things as one."""
    return column.meaning in ("opaque", "interval") and unmodified(column.native) not in _WIDENED


def _parts(texts: pa.Array) -> Iterator[pa.Array]:
    rows = max(1, len(texts) * ASKED_BYTES // max(1, texts.nbytes))
    return (texts.slice(start, rows) for start in range(0, len(texts), rows))


def _array_literal(texts: pa.Array) -> str:
    """Texts as PostgreSQL reads an array; it knows no NUL characters, so that a text with one becomes null."""
    escaped = pc.replace_substring(pc.replace_substring(texts, "\\", "\\\\"), '"', '\\"')
    quoted = pc.binary_join_element_wise('"', escaped, '"', "")
    known = pc.if_else(pc.match_substring(texts, "\x00"), pa.scalar(None, pa.string()), quoted)
    filled = pc.fill_null(known, "NULL")
    whole = pc.binary_join(pa.ListArray.from_arrays(pa.array([0, len(filled)], pa.int32()), filled), ",")
    return f"{{{whole[0].as_py()}}}"
