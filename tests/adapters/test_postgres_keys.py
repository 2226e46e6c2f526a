"""Which keys PostgreSQL's catalogs are read to have, held to what SQLAlchemy reflects on old and new servers."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import psycopg
import pyarrow as pa
import pytest
import sqlalchemy as sa
from databases import Database

from adapters.postgres.adapter import PostgresAdapter
from adapters.postgres.keys import with_keys
from adapters.postgres.types import new_travel
from transforms.vocabulary import ColumnShape, ForeignKey, Relation, TableName

TABLES = (
    "CREATE SCHEMA beside",
    'CREATE TABLE beside."p q" (b int, a int, c text, PRIMARY KEY (a, b), UNIQUE (c) INCLUDE (b))',
    "CREATE TABLE beside.near (id int PRIMARY KEY, up int REFERENCES beside.near)",
    'CREATE TABLE own (id int PRIMARY KEY, a int, b int, "mixed Case" text UNIQUE, later int UNIQUE DEFERRABLE, '
    'up int REFERENCES own, FOREIGN KEY (a, b) REFERENCES beside."p q" (a, b) ON DELETE SET NULL (b) ON UPDATE CASCADE)',
    "CREATE UNIQUE INDEX a_part ON own (a) WHERE b > 0",
    'CREATE UNIQUE INDEX a_fold ON own (abs(a), "mixed Case")',
    "CREATE UNIQUE INDEX two ON own (b, a) INCLUDE (up)",
    "CREATE TABLE whole (id int, part int, up int REFERENCES own ON DELETE SET DEFAULT ON UPDATE RESTRICT, "
    "PRIMARY KEY (part, id)) PARTITION BY LIST (part)",
    "CREATE TABLE whole_1 PARTITION OF whole FOR VALUES IN (1)",
    "CREATE TABLE child (id int PRIMARY KEY, whole_id int, part int, FOREIGN KEY (part, whole_id) REFERENCES whole (part, id))",
    "CREATE TABLE none (id int)",
)
NAMES = (
    TableName("own"),
    TableName("whole"),
    TableName("whole_1"),
    TableName("none"),
    TableName("own", "public"),
    TableName("near", "beside"),
    TableName("p q", "beside"),
)


@pytest.fixture(params=["postgres_url", "pg15_url"])
def url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(request.param)
    Database("postgresql", url).execute(*TABLES)
    return url


def test_keys_are_those_that_sqlalchemy_reflects(url: str) -> None:
    with closing(PostgresAdapter(url)) as adapter:
        engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
        inspector = sa.inspect(engine)
        for name in NAMES:
            shape = adapter.describe(name)
            assert shape is not None
            primary = tuple(inspector.get_pk_constraint(name.name, name.schema)["constrained_columns"])
            plain = {
                frozenset(each["column_names"])
                for each in inspector.get_indexes(name.name, name.schema)
                if each["unique"]
                and None not in each["column_names"]
                and "postgresql_where" not in each["dialect_options"]
            }
            assert (shape.primary_key, shape.uniques) == (primary, plain | ({frozenset(primary)} if primary else set()))
            assert {(*_plain(key), key.on_delete, key.on_update) for key in shape.foreign_keys} == {
                (
                    tuple(each["constrained_columns"]),
                    TableName(each["referred_table"], each["referred_schema"]),
                    tuple(each["referred_columns"]),
                    each["options"].get("ondelete", ""),
                    each["options"].get("onupdate", ""),
                )
                for each in inspector.get_foreign_keys(name.name, name.schema)
            }, name
        engine.dispose()


def test_a_key_to_a_partitioned_table_is_one(url: str) -> None:
    with closing(PostgresAdapter(url)) as adapter:
        shape = adapter.describe(TableName("child"))
        assert shape is not None
        assert [_plain(key) for key in shape.foreign_keys] == [
            (("part", "whole_id"), TableName("whole"), ("part", "id"))
        ]


def test_an_index_whose_building_failed_makes_nothing_unique(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO none VALUES (1), (1)")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("CREATE UNIQUE INDEX CONCURRENTLY failed ON none (id)")
    with closing(PostgresAdapter(url)) as adapter:
        shape = adapter.describe(TableName("none"))
        assert shape is not None
        assert not shape.uniques


def test_tables_of_one_name_in_two_schemas_may_refer_to_one(url: str) -> None:
    Database("postgresql", url).execute(
        "CREATE TABLE beside.child (id int PRIMARY KEY, part int, up int, FOREIGN KEY (part, up) REFERENCES whole (part, id))"
    )
    with closing(PostgresAdapter(url)) as adapter:
        assert adapter.referrers(TableName("whole")) == [TableName("child"), TableName("child", "beside")]


@pytest.mark.parametrize(("collation", "statements"), [(None, 3), ("folding", 1)])
def test_keys_are_cut_into_statements_unless_two_may_be_one_to_the_engine(
    collation: str | None, statements: int
) -> None:
    made = new_travel(ColumnShape("k", pa.string(), "text"))
    travel = replace(made, shape=replace(made.shape, collation=collation))
    keys = pa.table({"k": [f"{n:02}".ljust(2**20, "x") for n in range(40)]})
    assert len(list(with_keys([travel], keys))) == statements


def _plain(key: ForeignKey) -> tuple[tuple[str, ...], TableName, tuple[str, ...]]:
    return key.columns, key.refers, key.refers_columns


def test_a_key_that_is_no_label_of_an_enum_is_not_there(postgres_url: str) -> None:
    database = Database("postgresql", postgres_url)
    database.execute(
        "CREATE TYPE mood AS ENUM ('a', 'b''\\')",
        "CREATE TABLE moods (k mood PRIMARY KEY)",
        "INSERT INTO moods VALUES ('a'), ('b''\\')",
    )
    with closing(PostgresAdapter(database.url)) as adapter, adapter.snapshot() as snapshot:
        keys = pa.table({"k": ["a", "", "b'\\", "c"]})
        found = pa.Table.from_batches(list(snapshot.scan(Relation(TableName("moods")), ["k"], keys=keys)))
    assert sorted(found["k"].to_pylist()) == ["a", "b'\\"]
