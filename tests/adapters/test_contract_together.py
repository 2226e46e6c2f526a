"""Windows of several tables in one transaction, with foreign keys that wait for its end: of the engines that can."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pyarrow as pa
import pytest
from contract import ID, a_shape, change, col, edited, read, rows_of
from databases import Database

from adapters.protocol import Deferring, Target
from transforms.vocabulary import Applied, ChangeSet, ForeignKey, Marker, RowRefused, TableName, TableShape

pytestmark = pytest.mark.parametrize("engine", ["sqlite", "postgresql"])

Circle = tuple[TableShape, TableShape]


@pytest.fixture
def circle(adapter: Target, database: Database) -> Circle:
    """Two tables that refer to each other, in PostgreSQL by keys that are looked at at once where nobody defers them."""
    shapes = [
        a_shape(
            here,
            [ID, col(there, pa.int64(), nullable=False), col("n", pa.int64())],
            foreign_keys=(ForeignKey((there,), TableName(there), ("id",), deferred=True),),
        )
        for here, there in (("store", "staff"), ("staff", "store"))
    ]
    late = database.engine != "sqlite"
    for each in shapes:
        adapter.execute_ddl(adapter.ddl(replace(each, foreign_keys=()) if late else each))
    for each in shapes if late else ():
        adapter.execute_ddl(adapter.constraints(each))
    store, staff = (adapter.describe(each.name) for each in shapes)
    assert store is not None
    assert staff is not None
    assert store.foreign_keys[0].deferrable
    return store, staff


def new(shape: TableShape, *rows: tuple[int, int]) -> ChangeSet:
    named = [dict(zip(shape.names, (*row, 0), strict=True)) for row in rows]
    return change(shape, inserts=rows_of(shape, *named))


@contextmanager
def deferring(adapter: Target) -> Iterator[Deferring]:
    assert adapter.capabilities.defers_foreign_keys
    assert isinstance(adapter, Deferring)
    yield adapter


def test_rows_that_need_each_other_go_in_together_with_their_markers(adapter: Target, circle: Circle) -> None:
    store, staff = circle
    markers = [Marker("m", "p", str(each.name), 0) for each in circle]
    with deferring(adapter) as target:
        for already in (False, True):
            with target.together() as joint:
                for shape, rows, marker in zip(circle, [[(1, 10), (2, 20)], [(10, 1), (20, 2)]], markers, strict=True):
                    done = joint.apply(new(shape, *rows), shape, marker, empty=True)
                    assert done == (Applied(already=True) if already else Applied(inserted=2))
                joint.hold()
        assert adapter.applied("p") == set(markers)
        rows = [read(adapter, each, ("id",)) for each in circle]
        with target.together() as joint:  # each takes the other's partner, and another value
            for shape, there in zip(circle, rows, strict=True):
                after = edited(edited(there, shape.names[1], there[shape.names[1]].to_pylist()[::-1]), "n", [1, 2])
                assert joint.apply(change(shape, before=there, after=after), shape, None) == Applied(updated=2)
            joint.hold()
        with target.together() as joint:
            for shape in circle:
                assert joint.apply(change(shape, deletes=read(adapter, shape)), shape, None) == Applied(deleted=2)
            joint.hold()
    assert [read(adapter, each).num_rows for each in (store, staff)] == [0, 0]


def test_a_row_that_refers_to_nothing_is_seen_before_the_commit_and_nothing_stays(
    adapter: Target, circle: Circle
) -> None:
    store, staff = circle
    with deferring(adapter) as target:
        with pytest.raises(RowRefused), target.together() as joint:
            joint.apply(new(store, (1, 10), (2, 99)), store, None)
            joint.apply(new(staff, (10, 1)), staff, None)
            with pytest.raises(RowRefused):
                joint.hold()
            lost = joint.unmet(store, ["id", "staff"], store.foreign_keys[0])
            assert lost.to_pylist() == [{"id": 2, "staff": 99}]
            assert joint.unmet(staff, ["id"], staff.foreign_keys[0]).num_rows == 0
        assert [read(adapter, each).num_rows for each in (store, staff)] == [0, 0]
        with target.together() as joint:
            joint.apply(new(store, (1, 10)), store, None)
            joint.apply(new(staff, (10, 1)), staff, None)
        with pytest.raises(RowRefused), target.together() as joint:  # the one who is referred to goes alone
            joint.apply(change(staff, deletes=read(adapter, staff)), staff, None)
            with pytest.raises(RowRefused):
                joint.hold()
            assert joint.unmet(store, ["id"], store.foreign_keys[0]).to_pylist() == [{"id": 1}]
    assert [read(adapter, each).num_rows for each in (store, staff)] == [1, 1]


def test_what_is_refused_or_only_tried_leaves_the_transaction_as_it_was(adapter: Target, circle: Circle) -> None:
    store, staff = circle
    with deferring(adapter) as target, target.together() as joint:
        assert joint.apply(new(staff, (10, 1)), staff, None) == Applied(inserted=1)
        twice = change(store, inserts=rows_of(store, *[{"id": 7, "staff": 10, "n": n} for n in (1, 2)]))
        with pytest.raises(Exception, match=r"(?i)unique"):
            joint.apply(twice, store, Marker("m", "p", "store", 0))
        assert joint.apply(new(store, (5, 10)), store, None, trial=True) == Applied(inserted=1)
        assert joint.apply(new(store, (1, 10)), store, None) == Applied(inserted=1)
        joint.hold()
    assert [read(adapter, each)["id"].to_pylist() for each in (store, staff)] == [[1], [10]]
    assert adapter.applied("p") == set()
