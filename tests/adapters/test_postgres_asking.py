"""PostgreSQL is asked which texts its types keep: old and new servers give the same answers, and the column agrees."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pyarrow as pa
import pytest
from databases import Database

from adapters.postgres.adapter import PostgresAdapter
from transforms.vocabulary import TableName

TYPES = (
    "CREATE TYPE mood AS ENUM ('good', 'so so')",
    "CREATE DOMAIN percent AS integer CHECK (VALUE BETWEEN 0 AND 100)",
    "CREATE DOMAIN fraction AS integer NOT NULL CHECK (100 / VALUE > 1)",
    "CREATE DOMAIN zip AS varchar(5) CHECK (VALUE ~ '^[0-9]+$')",
    "CREATE TYPE pair AS (a integer, b text)",
)
DEEP = "[" * 200_000 + "]" * 200_000
TEXTS: dict[str, tuple[list[str], list[str]]] = {  # of each type, texts that it keeps, and others
    "text[]": (["{a,b}", "{ a , b }", '{"a,b",NULL}', "{}"], ["a,b", "{a", "{a,{b}}"]),
    "integer[]": (["{1,2}", "{01}"], ["1,2", "{x}", "{1.5}"]),
    "numeric(3,1)[]": (["{1.5}"], ["{1.55}", "{999}"]),
    "int4range": (["[1,2]", "[1,2)", "empty"], ["1-2", "[2,1]"]),
    "tsrange": (['["2020-01-01 00:00:00","2020-01-02 00:00:00")'], ["[2020-01-01,2020-01-02)", "x"]),
    "inet": (["10.0.0.1", "10.0.0.1/24", "::1"], ["10.0.0.256", "no address", ""]),
    "cidr": (["10.0.0.0/8"], ["10.0.0.1/8"]),
    "macaddr": (["08:00:2b:01:02:03", "08002b010203"], ["xx"]),
    "tsvector": (["'a' 'b'"], ["it's", "b a"]),
    "tsquery": (["'a' & 'b'"], ["a b", "a & b", "a &"]),
    "bit(3)": (["101"], ["10", "1010", "abc"]),
    "bit varying(3)": (["101", "1"], ["1010", "2"]),
    "money": (["$5.00"], ["5", "1.005", "x"]),
    "point": (["(1,2)"], ["1,2", "x"]),
    "interval": (["1 day"], ["24 months", "soon"]),
    "pg_lsn": (["0/10", "0/00000010"], ["x"]),
    "regclass": (["pg_class"], ["nix", "no such.table", "1"]),
    "jsonb": (['{"a": 1}', '"\\u00e9"', "1e400"], ['{"a":"\\u0000"}', "{", '"\\ud800"', "9e999999", "NaN", "\ufeff1", DEEP]),
    "json": (['{"a":"\\u0000"}', "9e999999"], ["{", "NaN", "", DEEP]),
    "uuid[]": (["{3b241101-e2bb-4255-8caf-4136c566a962}"], ["{3b}"]),
    "pair": (["(1,a)"], ["(1)", "(x,a)", '( 1,"a")']),
    "mood[]": (["{good}"], ["{bad}"]),
    "zip": (["01234"], ["1234a", "012345"]),
}  # fmt: skip


def asked(url: str, kind: str, texts: list[str]) -> list[str | None]:
    with closing(PostgresAdapter(url)) as adapter:
        shape = adapter.describe(TableName("t"))
        column = shape.column(kind) if shape else None
        assert column is not None
        answers: list[str | None] = adapter.kept(column, pa.array(texts, pa.string())).to_pylist()
        return answers


@pytest.fixture
def asked_servers(postgres_url: str, pg15_url: str) -> tuple[str, str]:
    columns = ", ".join(f'"{kind}" {kind}' for kind in TEXTS)
    for url in (postgres_url, pg15_url):
        Database("postgresql", url).execute(
            *TYPES, f"CREATE TABLE t ({columns})", "CREATE TABLE d (percent percent, fraction fraction)"
        )
    return postgres_url, pg15_url


def test_old_and_new_servers_keep_the_same_texts_and_a_column_takes_exactly_those(
    asked_servers: tuple[str, str],
) -> None:
    for url in asked_servers:
        for kind, (good, bad) in TEXTS.items():
            answers = asked(url, kind, [*good, *bad])
            kept = [text for text, answer in zip([*good, *bad], answers, strict=True) if answer is not None]
            assert kept == good, (url, kind)
            with psycopg.connect(url, autocommit=True) as connection:
                for text, answer in zip(good, answers, strict=False):
                    row = connection.execute(f'INSERT INTO t ("{kind}") VALUES (%s::text::{kind}) RETURNING "{kind}"::text', [text])  # fmt: skip
                    back = row.fetchone()
                    assert back is not None
                    # what is compared with the target's row of the next run is what the column gives back
                    assert kind in ("json", "jsonb", "interval") or back[0] == answer


def test_a_domain_takes_the_numbers_that_its_checks_take_even_where_a_check_fails(
    asked_servers: tuple[str, str],
) -> None:
    for url in asked_servers:
        with closing(PostgresAdapter(url)) as adapter:
            shape = adapter.describe(TableName("d"))
            assert shape is not None
            percent, fraction = shape.column("percent"), shape.column("fraction")
            assert percent is not None
            assert fraction is not None
            numbers = pa.array([0, 100, 101, -1, None], pa.int32())
            assert adapter.kept(percent, numbers).to_pylist() == [0, 100, None, None, None]
            numbers = pa.array([0, 7, 90, None], pa.int32())
            assert adapter.kept(fraction, numbers).to_pylist() == [None, 7, None, None]


def test_many_values_are_asked_for_at_once_and_by_somebody_who_may_only_read(pg15_url: str) -> None:
    database = Database("postgresql", pg15_url)
    database.execute("CREATE TABLE t (inet inet, xml xml)", "REVOKE ALL ON SCHEMA public FROM PUBLIC")
    with psycopg.connect(pg15_url, autocommit=True) as connection:
        connection.execute("SELECT 1")
        name = connection.info.dbname
        connection.execute(f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC")
    texts = [f"10.0.{number // 250}.{number % 250}" for number in range(20_000)] + ["10.0.0.1/33"]
    with closing(PostgresAdapter(pg15_url, read_only=True)) as adapter:
        shape = adapter.describe(TableName("t"))
        assert shape is not None
        answers = adapter.kept(shape.columns[0], pa.array(texts))
    assert answers.null_count == 1
    assert answers[-1].as_py() is None
    assert asked(pg15_url, "xml", ["<a>1</a>", "<a>", "<a></b>"]) == ["<a>1</a>", None, None]
