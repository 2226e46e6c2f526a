"""What counts as a difference between two shapes of a table, and what is told of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from transforms.drift import ColumnPrint, TablePrint, changes, fingerprint
from transforms.vocabulary import ColumnShape, TableName, TableShape

NAMES = st.sampled_from(list("abcdefg"))
COLUMNS = st.builds(
    ColumnPrint, NAMES, st.sampled_from(["int", "text", None]), st.booleans(), st.booleans(), st.booleans()
)
TABLES = st.builds(
    TablePrint,
    st.lists(COLUMNS, unique_by=lambda column: column.name, max_size=6).map(tuple),
    st.lists(NAMES, unique=True, max_size=2).map(tuple),
)


def table(*columns: str, key: tuple[str, ...] = ("id",)) -> TablePrint:
    """Columns as `name type`."""
    return TablePrint(tuple(ColumnPrint(*column.split()) for column in columns), key)


def kinds(was: TablePrint, now: TablePrint | None) -> list[tuple[str, str | None]]:
    return [(change.kind, change.column) for change in changes(was, now)]


@given(TABLES)
def test_a_shape_is_no_different_from_itself_also_by_way_of_json(one: TablePrint) -> None:
    again = TablePrint.of_dict(json.loads(json.dumps(one.as_dict())))
    assert again == one
    assert changes(one, again) == ()


@given(TABLES, TABLES)
def test_every_column_that_differs_is_told_and_no_other(was: TablePrint, now: TablePrint) -> None:
    before, after = ({column.name: column for column in each.columns} for each in (was, now))
    differing = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    found = changes(was, now)
    renamed = sum(change.kind == "renamed" for change in found)
    told = {change.column for change in found if change.column}
    assert told <= differing
    assert len(differing) == len(told) + renamed  # two of them are told in one
    assert any(change.kind == "primary_key" for change in found) == (was.primary_key != now.primary_key)


def test_one_that_went_and_one_of_its_type_that_came_in_its_place_are_perhaps_renamed() -> None:
    was = table("id int", "name text", "born date")
    assert kinds(was, table("id int", "called text", "born date")) == [("renamed", "name")]
    assert kinds(was, table("id int", "called int", "born date")) == [("gone", "name"), ("added", "called")]
    assert kinds(was, table("id int", "born date", "called text")) == [("gone", "name"), ("added", "called")]
    more = table("id int", "called text", "born date", "mail text")
    assert kinds(was, more) == [("renamed", "name"), ("added", "mail")]
    doubtful = table("id int", "first text", "last text", "born date")
    assert kinds(was, doubtful) == [("gone", "name"), ("added", "first"), ("added", "last")]


def test_only_an_added_column_is_additive() -> None:
    was = table("id int", "name text")
    for now in (None, table("id int"), table("id int", "name int"), table("id int", "name text", key=())):
        assert [change.additive for change in changes(was, now)] == [False]
    assert [change.additive for change in changes(was, table("id int", "name text", "mail text"))] == [True]


def test_a_type_that_only_values_tell_is_not_taken_down() -> None:
    column = ColumnShape("c", pa.int64(), "INTEGER", inferred=True)
    shape = TableShape(TableName("(query)"), (column,))
    other = replace(shape, columns=(replace(column, type=pa.string(), native="TEXT"),))
    assert fingerprint(shape) == fingerprint(other) == TablePrint((ColumnPrint("c", None),))
