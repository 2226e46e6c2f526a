"""A key for a table that declares none: the columns that tell apart the rows that are there now, the best ones first.

The rows are looked at where they are: a candidate is found on a few rows in memory and held to all of them by the
database, which answers with rows that the candidate does not tell apart. Those join the few, and the next candidate
tells them apart too, so that a few rounds end at a key, or at rows that nothing tells apart.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.protocol import Inspection
from flows.scaffold.design import in_shape_order
from transforms.vocabulary import INVALID, ColumnRange, ColumnShape, Key, Relation, TableShape
from transforms.vocabulary.arrow import Indices, as_mask, contiguous

FEW_ROWS: Final = 4_000  # on which candidates are found
MORE_ROWS: Final = 400  # that join them in a round, of this many values
MORE_VALUES: Final = 20
ROUNDS: Final = 20  # each of which makes the database group all rows once
MOST_PAIRS: Final = 200
LONGEST: Final = 255  # characters of a text in a key: what every engine's index takes
POOR: Final = 8.0  # from this weight on, a column is part of a key only where the others do not do
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_NAMING: Final = frozenset(
    ["id", "uid", "uuid", "guid", "key", "code", "no", "nr", "num", "number", "sku", "slug", "isbn"]
)


@dataclass(frozen=True, slots=True)
class Likely:
    """A key that is not declared, and how far it can be trusted; or no key, and why there is none and what to do."""

    key: Key = ()
    about: str = ""


NO_KEY: Final = Likely()


def likely_key(
    snapshot: Inspection, shape: TableShape, among: Collection[str], preferred: Iterable[Collection[str]] = ()
) -> Likely:
    """The best key of the columns `among` for the rows that are there now.

    `preferred` are sets of columns that are the key rather than others, where they tell the rows apart.
    Memory: a few thousand rows. Time: at most ROUNDS groupings of the table by the database; for 1M rows some seconds.
    """
    usable = [column for column in shape.columns if column.name in among and may_be_key(column)]
    if not usable:
        return Likely((), "none of its columns can be a key. Fix: add one to the source that numbers the rows")
    if not snapshot.count(Relation(shape.name)):
        return _guess(shape, usable)
    names = {column.name for column in usable}
    indexed = sorted(shape.uniques, key=lambda unique: (len(unique), in_shape_order(shape, unique)))
    for wanted, which in ((preferred, "the target's own key"), (indexed, "a unique index takes nulls in it")):
        for unique in wanted:
            key = in_shape_order(shape, unique)
            if set(unique) <= names and not snapshot.count(snapshot.unkeyed(shape.name, key, 1)):
                return Likely(key, f"unique and never null in the rows that are there now; {which}")
    search = _Search(snapshot, shape, usable)
    key = search.key([column for column in usable if _weight(column, shape) < POOR]) or search.key(usable)
    if key:
        return Likely(
            key, "unique in the rows that are there now; not declared: later rows that share a key are quarantined"
        )
    return Likely((), search.why())


def may_be_key(column: ColumnShape) -> bool:
    """Whether rows can be matched by such a column at all."""
    return not column.refused and column.meaning not in ("json", "interval") and not pa.types.is_duration(column.type)


def _guess(shape: TableShape, usable: Sequence[ColumnShape]) -> Likely:
    """What is a key by its looks, where no row says otherwise."""
    names = [column.name for column in usable]
    own = {"id", *(f"{shape.name.name}{each}".lower() for each in ("id", "_id"))}
    naming = [column for column in usable if _names_rows(column, shape)]
    alone = next((c.name for c in usable if c.identity or c.name.lower() in own), None)
    firm = [column.name for column in usable if not column.nullable and _weight(column, shape) < POOR]
    whole = [in_shape_order(shape, unique) for unique in shape.uniques if unique <= set(names)]
    if whole:
        key = min(whole, key=len)
    elif alone:
        key = (alone,)
    else:
        firm_names = [column.name for column in naming if not column.nullable]
        key = tuple(firm_names or firm or [column.name for column in naming] or names[:1])
    return Likely(key, "a guess: the table is empty, and no key is declared")


def _names_rows(column: ColumnShape, shape: TableShape) -> bool:
    """Whether a column looks like the name or number of something, by its own name or by what refers from it."""
    words = _WORDS.findall(column.name)
    naming = bool(words) and (words[0].lower() in _NAMING or words[-1].lower() in _NAMING)
    return naming or any(column.name in foreign.columns for foreign in shape.foreign_keys)


def _weight(column: ColumnShape, shape: TableShape) -> float:
    """How little a column suggests itself for a key: none of 0, and more than POOR for what hardly anybody would match by."""
    kind, types = column.type, pa.types
    if types.is_integer(kind) or column.meaning == "uuid":
        weight = 1.0
    elif types.is_floating(kind):
        weight = 14.0
    elif types.is_binary(kind) or types.is_large_binary(kind):
        weight = 10.0
    elif types.is_date(kind) or column.labels is not None:
        weight = 2.0
    elif types.is_temporal(kind) or types.is_boolean(kind):
        weight = 3.0
    elif types.is_decimal(kind) or column.meaning == "decimal":
        weight = 5.0
    else:
        short = column.length is not None and column.length <= LONGEST
        weight = 2.0 if short else 6.0 if column.meaning == "plain" else 7.0
    if weight < POOR:
        weight += 1.0 * column.nullable + 1.0 * column.generated - 0.7 * _names_rows(column, shape)
    return weight + 0.02 * min(shape.names.index(column.name), 20)


class _Search:
    """Rows that candidates are found on, and more of them with every candidate that all rows show to be none."""

    def __init__(self, snapshot: Inspection, shape: TableShape, usable: Sequence[ColumnShape]) -> None:
        self._snapshot = snapshot
        self._shape = shape
        self._names = [column.name for column in usable]
        self._weights = {column.name: _weight(column, shape) for column in usable}
        self._dated = tuple(
            (c.name, "null") for c in usable if pa.types.is_date(c.type) or pa.types.is_timestamp(c.type)
        )
        self._refuted: set[frozenset[str]] = set()
        self._rounds = ROUNDS
        self._rows = self._different(self._some(Relation(shape.name), FEW_ROWS))

    def key(self, columns: Sequence[ColumnShape]) -> Key:
        """The key that suggests itself most, in the table's order of columns; empty where there is none of these columns."""
        names = [column.name for column in columns]
        while self._rounds:
            found = self._candidate(names)
            if not found:
                return ()
            key = in_shape_order(self._shape, found)
            self._rounds -= 1
            alike = self._some(self._snapshot.unkeyed(self._shape.name, key, MORE_VALUES), MORE_ROWS)
            if not alike.num_rows:
                return key
            self._refuted.add(frozenset(key))
            self._rows = self._different(pa.concat_tables([self._rows, alike]))
        return ()

    def why(self) -> str:
        """Why there is no key, counted over all rows."""
        number = "add a column to the source that numbers the rows"
        whole = [name for name in self._names if not self._nulls(name)]
        if not whole:
            return f"every column holds nulls, and a key takes none. Fix: {number}"
        alike = self._snapshot.count(self._snapshot.unkeyed(self._shape.name, tuple(whole)))
        if not alike:
            return f"only values of more than {LONGEST} letters or bytes tell its rows apart. Fix: {number}"
        holding = [name for name in self._names if name not in whole]
        but = f", and {', '.join(holding)} hold nulls, which a key does not take" if holding else ""
        return f"{alike:,} rows are like another one in ({', '.join(whole)}){but}. Fix: take out the rows that are there twice, or {number}"

    def _nulls(self, name: str) -> bool:
        column = self._shape.column(name)
        if column is None or not column.nullable:
            return False
        table = Relation(self._shape.name)
        return bool(self._rows[name].null_count) or self._snapshot.count(table) > self._snapshot.count(
            table, [ColumnRange(name)]
        )

    def _some(self, relation: Relation, most: int) -> pa.Table:
        """As many rows of a relation, without those that cannot travel: they are no rows of a target."""
        whole = Relation(relation.table, where=relation.where, zero_dates=self._dated)
        found: list[pa.RecordBatch] = []
        count = 0
        for batch in self._snapshot.scan(whole, self._names):
            rows = batch.slice(0, most - count)
            if INVALID in rows.schema.names:
                rows = rows.filter(pa.array(~as_mask(pc.is_valid(rows.column(INVALID)))))
            found.append(rows.select(self._names))
            count += rows.num_rows
            if count >= most:
                break
        return pa.Table.from_batches(found, self._shape.schema(tuple(self._names)))

    def _different(self, rows: pa.Table) -> pa.Table:
        """Each row once: one that is met again may be itself. Rows that are alike are found by the database."""
        if not rows.num_rows:
            return rows
        groups = np.zeros(rows.num_rows, np.int64)
        for name in self._names:
            groups, _ = _together(groups, _codes(rows[name]))
        return rows.take(np.unique(groups, return_index=True)[1])

    def _candidate(self, names: Sequence[str]) -> Sequence[str]:
        """The lightest set of columns that tells apart the rows that are known: one, two, or as few as can be had."""
        rows = self._rows.num_rows
        codes = {name: _codes(self._rows[name]) for name in names if self._fits(name)}
        kinds = {name: int(each.max(initial=0)) for name, each in codes.items()}
        light = sorted(codes, key=lambda name: self._weights[name])
        found = [(name,) for name in light if kinds[name] == rows and {name} not in self._refuted][:1]
        best = self._weights[found[0][0]] if found else float("inf")
        pairs = [pair for pair in combinations(light, 2) if kinds[pair[0]] * kinds[pair[1]] >= rows]
        heavy = {pair: 0.5 + sum(self._weights[name] for name in pair) for pair in pairs}
        for pair in sorted(pairs, key=lambda pair: heavy[pair])[:MOST_PAIRS]:
            if heavy[pair] >= best:
                break
            if {*pair} not in self._refuted and _together(codes[pair[0]], codes[pair[1]])[1] == rows:
                return pair
        return found[0] if found else self._grown(codes, light)

    def _fits(self, name: str) -> bool:
        values = self._rows[name]
        if values.null_count:
            return False
        long = pa.types.is_string(values.type) and (pc.max(pc.utf8_length(values)).as_py() or 0) > LONGEST
        wide = pa.types.is_binary(values.type) and (pc.max(pc.binary_length(values)).as_py() or 0) > LONGEST
        return not (long or wide)

    def _grown(self, codes: dict[str, Indices], light: Sequence[str]) -> Sequence[str]:
        """Columns added by how much they tell apart for their weight, and taken out again where the others do without."""
        rows = self._rows.num_rows
        chosen: list[str] = []
        groups, parts = np.zeros(rows, np.int64), min(rows, 1)
        while parts < rows:
            grown = {name: _together(groups, codes[name]) for name in light if name not in chosen}
            gains = {name: np.log(grown[name][1] / parts) / self._weights[name] for name in grown}
            best = max(gains, key=lambda name: gains[name], default=None)
            if best is None or gains[best] <= 0:
                return ()
            chosen.append(best)
            groups, parts = grown[best]
        for name in sorted(chosen, key=lambda name: -self._weights[name]):
            rest = [other for other in chosen if other != name]
            if rest and frozenset(rest) not in self._refuted and _parts([codes[other] for other in rest]) == rows:
                chosen = rest
        return () if frozenset(chosen) in self._refuted else chosen


def _codes(values: pa.ChunkedArray) -> Indices:
    """Numbers from 1 on for the values, the same for the same, and 0 for null."""
    coded = contiguous(values).dictionary_encode()
    numbers: Indices = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return numbers + 1


def _together(one: Indices, other: Indices) -> tuple[Indices, int]:
    """The same for two columns, and how many different numbers there are."""
    found, numbers = np.unique(one * (int(other.max(initial=0)) + 1) + other, return_inverse=True)
    return numbers, len(found)


def _parts(columns: Sequence[Indices]) -> int:
    groups = columns[0]
    for each in columns[1:]:
        groups, _ = _together(groups, each)
    return len(np.unique(groups))
