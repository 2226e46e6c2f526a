"""The base of two-way tables: what is read is what was written last, whole, or it is said that it is lost."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from agreed_bases import CUT, SCHEMA, TABLE, folder, keys_of, rows, whole, write
from agreed_bases import store as store
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.store import agreed, agreed_writing
from adapters.store.agreed import PARTS, Agreement, Cut, Damaged, parts, places, read_part
from adapters.store.agreed_writing import Window, forget
from adapters.store.layout import Store
from adapters.store.plans import put
from transforms.vocabulary import KeyValue, PlanError


def test_two_sides_that_never_met_have_no_base(store: Store) -> None:
    assert parts(store, "m", TABLE) is None


def test_a_base_is_read_back_whole_and_ascending(store: Store) -> None:
    made = write(store, Window(None, rows([3, 1])), Window((5,), rows([9, 5], None)))
    known = parts(store, "m", TABLE)
    assert known == made and known is not None
    assert known.cuts() == [(5,)] and known.rows == 4 and known.nbytes > 0
    assert whole(store).to_pylist() == [{"k": k, "v": v} for k, v in ((1, "x"), (3, "x"), (5, None), (9, None))]
    assert places(rows([-1, 4, 5, 6]).select(["k"]), known.starts).tolist() == [0, 0, 1, 1]


def test_a_table_without_rows_has_a_base_too(store: Store) -> None:
    write(store, Window(None, rows([])), Window((5,), rows([])))
    base = parts(store, "m", TABLE)
    assert base is not None and base.rows == 0 and len(base.parts) == 1 and whole(store).schema == SCHEMA


def test_large_parts_are_split_and_small_neighbours_joined(store: Store) -> None:
    base = write(store, Window(None, rows(range(9))), Window((100,), rows([])), Window((200,), rows(range(200, 208))))
    assert [part.rows for part in base.parts] == [3, 3, 3, 8] and base.cuts() == [(3,), (6,), (200,)]
    base = write(store, Window(None, rows([0])), Window((3,), None), Window((6,), rows([6])), Window((200,), None))
    assert [part.rows for part in base.parts] == [4, 1, 8]
    assert keys_of(store) == [0, 3, 4, 5, 6, *range(200, 208)]
    base = write(
        store, *(Window((n,) if n else None, rows([n] if n % 2 else [])) for n in range(40)), cut=Cut(("k",), 8)
    )
    assert base.rows == 20 and max(part.rows for part in base.parts) <= 8 and len(base.parts) <= 8


def test_a_window_that_stays_is_not_written_again(store: Store) -> None:
    first = write(store, Window(None, rows(range(4))), Window((4,), rows(range(4, 8))))
    second = write(store, Window(None, None), Window((4,), rows(range(4, 7), "new")))
    assert second.parts[0] == first.parts[0] and second.parts[1] != first.parts[1]
    assert {path.name for path in folder(store).iterdir()} == {PARTS, *(part.file for part in second.parts)}
    assert second.digest != first.digest


keyed = st.dictionaries(st.integers(0, 60), st.sampled_from(["a", "b", None]), max_size=40)


@settings(max_examples=40, deadline=None)
@given(keyed, keyed, st.sets(st.integers(1, 59), max_size=8), st.sets(st.integers(1, 59), max_size=8), st.data())
def test_windows_may_lie_anywhere_and_what_is_not_given_stays(
    tmp_path_factory: pytest.TempPathFactory,
    old: dict[int, str | None], new: dict[int, str | None], cuts: set[int], others: set[int], data: st.DataObject,
) -> None:  # fmt: skip
    store = Store(tmp_path_factory.mktemp("s"))

    def windows(
        state: dict[int, str | None], at: set[int], given: Callable[[], bool]
    ) -> Iterator[tuple[Window, range]]:
        edges = [0, *sorted(at), 61]
        for start, stop in pairwise(edges):
            inside = {k: v for k, v in state.items() if start <= k < stop}
            table = pa.table([list(inside), list(inside.values())], schema=SCHEMA) if given() else None
            yield Window((start,) if start else None, table), range(start, stop)

    write(store, *(window for window, _ in windows(old, cuts, lambda: True)))
    second = list(windows(new, others, lambda: data.draw(st.booleans())))
    wanted = dict(old)
    for window, inside in second:
        if window.rows is not None:
            wanted = {k: v for k, v in wanted.items() if k not in inside} | {
                k: v for k, v in new.items() if k in inside
            }
    for _ in range(2):  # twice is harmless
        made = write(store, *(window for window, _ in second))
        assert whole(store).to_pylist() == [{"k": k, "v": wanted[k]} for k in sorted(wanted)]
        assert all(part.rows <= 2 * CUT.rows for part in made.parts)
        assert len(made.cuts()) == len(made.parts) - 1 and made.cuts() == sorted(made.cuts())


ODD = {
    "text": pa.array(["😀", "", None, "z\u0000\u0301"], pa.string()),
    "price": pa.array([Decimal("1.10"), None, Decimal("-0.01"), Decimal("9999999.99")], pa.decimal128(9, 2)),
    "wide": pa.array([Decimal("1e40"), None, Decimal("0.5"), Decimal(0)], pa.decimal256(60, 2)),
    "at": pa.array([2**63 - 1, None, -(2**62), 0], pa.timestamp("us", "Europe/Vienna")),
    "span": pa.array([1, None, -3, 0], pa.duration("us")),
    "bytes": pa.array([b"\x00", None, b"", b"\xff"], pa.binary()),
    "real": pa.array([float("nan"), None, -0.0, float("inf")], pa.float64()),
    "yes": pa.array([True, None, False, True]),
    "clock": pa.array([1, None, 3, 4], pa.time64("us")),
    "unsigned": pa.array([2**64 - 1, None, 0, 1], pa.uint64()),
}


def test_every_value_comes_back_as_it_was(store: Store) -> None:
    table = pa.table({"k": [1, 2, 3, 4], **ODD})
    agreement = Agreement("m", {}, table.schema, ("k",))
    write(store, Window(None, table), cut=Cut(("k",), 100), agreement=agreement)
    assert whole(store).schema == table.schema
    assert whole(store).drop(["real"]).equals(table.drop(["real"]))
    assert repr(whole(store)["real"].to_pylist()) == repr(table["real"].to_pylist())


def test_no_part_begins_at_a_key_that_python_cannot_hold(store: Store) -> None:
    at = pa.array([*range(5), *[2**63 - 1] * 5], pa.timestamp("us"))
    table = pa.table({"at": at, "k": list(range(10))})
    cut, agreement = Cut(("at", "k"), 2), Agreement("m", {}, table.schema, ("at", "k"))
    made = write(store, Window(None, table), cut=cut, agreement=agreement)
    assert made.rows == 10 and len(made.cuts()) == len(made.parts) - 1 == 2
    assert whole(store).equals(table)


@pytest.mark.parametrize(
    "key",
    [
        [("a", "b"), ("a", "😀"), ("ab", ""), ("é", "z")],
        [(Decimal("-1.10"), b"\x00"), (Decimal("0.00"), b""), (Decimal("0.00"), b"\xff"), (Decimal("2.00"), b"a")],
        [(dt.date(1, 1, 1), dt.datetime(2020, 1, 1, 0, 0, 0, n)) for n in range(4)],
    ],
    ids=["texts", "decimals", "dates"],
)
def test_parts_begin_at_keys_of_any_type(store: Store, key: list[KeyValue]) -> None:
    columns = [pa.array(list(each)) for each in zip(*key, strict=True)]
    table = pa.table({"p": columns[0], "q": columns[1], "v": [1, 2, 3, 4]})
    agreement = Agreement("m", {}, table.schema, ("q", "p"))
    windows = [Window(start if at else None, table.slice(at, 1)) for at, start in enumerate(key)]
    made = write(store, *windows, cut=Cut(("p", "q"), 1), agreement=agreement)
    known = parts(store, "m", TABLE)
    assert known == made and known is not None and known.cuts() == key[1:]
    assert places(table.select(["p", "q"]), known.starts).tolist() == [0, 1, 2, 3]
    write(store, *(window._replace(rows=None) for window in windows), cut=Cut(("p", "q"), 1), agreement=agreement)
    assert whole(store).equals(table)


def test_hashed_parts_have_numbers_and_no_order(store: Store) -> None:
    cut = Cut(hashed="duckdb 1 % 3")
    first = write(store, *(Window(None, rows([n, n + 10])) for n in range(3)), cut=cut)
    second = write(store, Window(None, None), Window(None, rows([])), Window(None, None), cut=cut)
    assert second.parts[0] == first.parts[0] and second.parts[1].rows == 0 and second.parts[2] == first.parts[2]
    assert keys_of(store) == [0, 10, 2, 12]


def test_thousands_of_parts_are_as_quick_as_their_rows(store: Store) -> None:
    cut = Cut(("k",), 2)
    base = write(store, Window(None, rows(range(4_000))), cut=cut)
    assert len(base.parts) == 2_000
    wanted = [Window(start, rows([start[0]]) if start == (2_000,) else None) for start in base.cuts()]
    again = write(store, Window(None, None), *wanted, cut=cut)
    assert (
        again.rows == 3_999 and sum(one != other for one, other in zip(base.parts, again.parts, strict=False)) <= 1_999
    )
    assert len({part.file for part in again.parts} - {part.file for part in base.parts}) == 1


# Damage


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("harm", [cut_short, flip, Path.unlink], ids=["truncated", "flipped", "missing"])
def test_a_damaged_part_is_noticed(store: Store, harm: Callable[[Path], Any]) -> None:
    base = write(store, Window(None, rows(range(4))), Window((4,), rows(range(4, 8))))
    harm(folder(store) / base.parts[1].file)
    with pytest.raises(Damaged, match="agreed on last"):
        parts(store, "m", TABLE)
    with pytest.raises(Damaged):
        read_part(base, 1)
    with pytest.raises(Damaged):  # it was to stay, at least in part
        write(store, Window(None, rows([1])), Window((5,), None))
    write(store, Window(None, rows([1])))
    assert keys_of(store) == [1]


@pytest.mark.parametrize("harm", [cut_short, flip], ids=["truncated", "flipped"])
def test_a_damaged_list_of_parts_is_noticed(store: Store, harm: Callable[[Path], Any]) -> None:
    write(store, Window(None, rows(range(4))))
    harm(folder(store) / PARTS)
    with pytest.raises(Damaged):
        parts(store, "m", TABLE)
    with pytest.raises(Damaged):
        write(store, Window(None, None))
    write(store, Window(None, rows([1])))
    assert keys_of(store) == [1]


def test_a_list_of_parts_that_says_something_else_is_damaged(store: Store) -> None:
    write(store, Window(None, rows(range(4))))
    path = folder(store) / PARTS
    said = json.loads(path.read_text())
    for change in ({"format": 0}, {"format": "1"}, {"agreed": []}, {"digest": "0"}):
        path.write_text(json.dumps(said | change))
        with pytest.raises(Damaged):
            parts(store, "m", TABLE)
    path.write_text("[]")
    with pytest.raises(Damaged):
        parts(store, "m", TABLE)


def test_a_base_of_format_1_is_read_as_one_without_patches(store: Store) -> None:
    made = write(store, Window(None, rows(range(4))))
    path = folder(store) / PARTS
    said = json.loads(path.read_text())
    del said["digest"]
    said["format"] = 1
    for part in said["agreed"]["parts"]:
        del part["patches"]
    path.write_text(json.dumps({"digest": agreed.digest_of(said), **said}))
    known = parts(store, "m", TABLE)
    assert known is not None and known.parts == made.parts and keys_of(store) == [0, 1, 2, 3]


def test_a_base_of_a_newer_version_is_left_alone(store: Store) -> None:
    write(store, Window(None, rows(range(4))))
    path = folder(store) / PARTS
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": agreed.FORMAT + 1}))
    for act in (lambda: parts(store, "m", TABLE), lambda: write(store, Window(None, rows([1])))):
        with pytest.raises(PlanError, match="newer Syncline") as met:
            act()
        assert not isinstance(met.value, Damaged)
    assert json.loads(path.read_text())["format"] == agreed.FORMAT + 1


def test_a_base_of_another_agreement_is_replaced_as_a_whole(store: Store) -> None:
    write(store, Window(None, rows(range(4))))
    other = Agreement("another", {}, SCHEMA, ("k",))
    with pytest.raises(Damaged):
        write(store, Window(None, None), agreement=other)
    assert keys_of(store) == [0, 1, 2, 3]
    write(store, Window(None, rows([1])), agreement=other)
    assert keys_of(store) == [1]


def test_whoever_is_killed_while_a_base_is_replaced_leaves_the_old_one_or_the_new_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = [Window(None, rows(range(4), "old")), Window((4,), rows(range(4, 8), "old"))]
    new = [Window(None, rows(range(3), "new")), Window((4,), rows(range(4, 6), "new"))]
    states, unlink = [], Path.unlink
    for step in range(12):
        write(store, *old)
        before = whole(store)
        left = iter(range(step))

        def dies(*args: Any, then: Callable[..., Any], left: Iterator[int] = left, **options: Any) -> Any:
            if next(left, None) is None:
                raise KeyboardInterrupt
            return then(*args, **options)

        with monkeypatch.context() as patched:
            patched.setattr(agreed_writing, "put", lambda *a, dies=dies, **o: dies(*a, then=put, **o))
            patched.setattr(Path, "unlink", lambda *a, dies=dies, **o: dies(*a, then=unlink, **o))
            try:
                write(store, *new)
                killed = False
            except KeyboardInterrupt:
                killed = True
        after = whole(store)
        states.append("old" if after.equals(before) else "new")
        write(store, *new)
        assert whole(store)["k"].to_pylist() == [0, 1, 2, 4, 5] and set(whole(store)["v"].to_pylist()) == {"new"}
        assert after.equals(before) or after.equals(whole(store))
        assert len(list(folder(store).iterdir())) == 1 + len(parts(store, "m", TABLE).parts)  # type: ignore[union-attr]
        if not killed:
            break
    assert not killed and states == sorted(states, reverse=True) and {"old", "new"} == set(states)


def test_files_are_for_their_owner_alone(store: Store) -> None:
    write(store, Window(None, rows(range(4))))
    assert {path.stat().st_mode & 0o077 for path in (store.root / "agreed").rglob("*")} == {0}


def test_a_base_that_is_forgotten_is_none(store: Store) -> None:
    forget(store, "m", TABLE)
    write(store, Window(None, rows(range(4))))
    forget(store, "m", TABLE)
    assert parts(store, "m", TABLE) is None and not list(folder(store).iterdir())


def test_a_folder_that_cannot_be_written_is_named(store: Store) -> None:
    store.root.parent.mkdir(exist_ok=True)
    store.root.write_text("a file")
    with pytest.raises(PlanError, match="can be written"):
        write(store, Window(None, rows([1])))
