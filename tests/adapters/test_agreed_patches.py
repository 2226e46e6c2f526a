"""Patches of the base of two-way tables: what changes in few rows lies beside a part, and is read with it."""

from __future__ import annotations

import pyarrow as pa
import pytest
from agreed_bases import SCHEMA, TABLE, change, folder, keys_of, rows, whole, write
from agreed_bases import store as store
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.store.agreed import PARTS, Cut, Damaged, parts
from adapters.store.agreed_writing import Window
from adapters.store.layout import Store
from transforms import keys as keyed_by_hash


def test_a_change_of_few_rows_is_a_patch_beside_the_part(store: Store) -> None:
    first = write(store, Window(None, rows(range(100))), Window((100,), rows(range(100, 200))), cut=Cut(("k",), 100))
    with pytest.raises(Damaged):  # it is looked at whole: patches, too
        next((folder(store) / file.file).unlink() for file in change(store, {150: "new"}, [101]).parts[1].patches)
        parts(store, "m", TABLE)
    write(store, Window(None, rows(range(100))), Window((100,), rows(range(100, 200))), cut=Cut(("k",), 100))
    second = change(store, {150: "new", 300: "last"}, [101, 9999])
    assert second.parts[0] == first.parts[0] and second.parts[1].file == first.parts[1].file
    assert second.rows == 200 and len(list(folder(store).iterdir())) == 4
    assert change(store, {150: "new", 300: "last"}, [101, 9999]).rows == 200  # done again, as after a kill
    assert keys_of(store) == [*range(101), *range(102, 200), 300]
    third = change(store, dict.fromkeys(range(100, 120), "many"), [])
    assert not third.parts[1].patches and third.rows == 201  # then the part is written anew
    assert keys_of(store) == [*range(200), 300]


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.integers(0, 60), st.sampled_from(["a", None]), max_size=60),
    st.lists(
        st.tuples(
            st.dictionaries(st.integers(0, 70), st.sampled_from(["b", "c", None]), max_size=3),
            st.sets(st.integers(0, 70), max_size=3),
        ),
        max_size=12,
    ),
    st.booleans(),
)
def test_patches_upon_patches_are_what_putting_and_taking_away_one_by_one_would_be(
    tmp_path_factory: pytest.TempPathFactory,
    state: dict[int, str | None], steps: list[tuple[dict[int, str | None], set[int]]], hashed: bool,
) -> None:  # fmt: skip
    store = Store(tmp_path_factory.mktemp("s"))
    table = pa.table([list(state), list(state.values())], schema=SCHEMA)
    if hashed:
        part = keyed_by_hash.partition(table, ("k",), 3)
        windows = [Window(None, table.filter(pa.array(part == number))) for number in range(3)]
        write(store, *windows, cut=Cut(hashed=keyed_by_hash.named_partition(3)))
    else:
        write(store, Window(None, table), cut=Cut(("k",), 20))
    for put_, gone in steps:
        made = change(store, put_, sorted(gone))
        state = {key: value for key, value in state.items() if key not in gone} | put_
        assert {row["k"]: row["v"] for row in whole(store).to_pylist()} == state and made.rows == len(state)
        assert made == parts(store, "m", TABLE)
        named = {PARTS, *(file.file for part in made.parts for file in part.files)}
        assert {path.name for path in folder(store).iterdir()} == named
