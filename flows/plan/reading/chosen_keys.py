"""The keys of a plan that looks at some rows, as each side is asked for them: by its own columns, in their own types.

Those of rows in quarantine come as texts: that is what is known for certain of every one. Of a row that is read, its key says whether
it was asked for; what is asked here only keeps all other rows from being read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.protocol import Target
from flows.bind.tables import BoundTable
from flows.session.route import Route
from transforms import expressions, keys
from transforms.mapping import casts
from transforms.mapping.column_mapping import (
    ColumnMapping,
    Constant,
    Expression,
    Function,
    Identified,
    LookUp,
    Rename,
)
from transforms.mapping.inverse import fitting, turned_back, unlike
from transforms.mapping.mapping import Mapped
from transforms.mapping.waiting_keys import looked_up_keys
from transforms.vocabulary import ColumnShape, Key, Keys, Notice, Selection, Since, TableShape, Tree
from transforms.vocabulary.arrow import contiguous

ASKED: Final = 500_000  # keys that the target is asked for at once


@dataclass(frozen=True, slots=True)
class Asked:
    """The keys that a side is asked for, in its columns; None where it has to be read whole, and why."""

    keys: pa.Table | None
    why: str = ""


def among(rows: pa.Table, key: Key, wanted: Keys | Tree) -> pa.Array:
    """Which rows have one of the keys of a plan."""
    if isinstance(wanted, Keys):
        texts = expressions.as_json_keys(rows, key).combine_chunks()
        return pc.is_in(texts, value_set=pa.array(wanted.texts, pa.string()))
    found = np.zeros(rows.num_rows, dtype=bool)
    whole = ~keys.null_keys(rows, key)
    if whole.any() and wanted.rows:
        asked = rows.select(list(key)).filter(pa.array(whole))
        found[whole] = keys.contained(asked, wanted.keys, key)
    return pa.array(found)


def keys_of(tree: Tree, key: Key) -> pa.ChunkedArray:
    """The keys of rows of trees as quarantine has them: as the target has them, and as those may be called that wait for others."""
    texts = expressions.as_json_keys(tree.keys, key).cast(pa.string())
    return texts if tree.source is None else pa.chunked_array([*texts.chunks, tree.source.waiting], pa.string())


def of_target(route: Route, wanted: Keys | Tree) -> Asked:
    """What the target is asked for. A key with a null, or with a value that no row of the target can have, is not."""
    known = _known(route.table, wanted)
    return Asked(None, "some of the keys have no one text") if known is None else Asked(held_by_target(route, known))


def held_by_target(route: Route, values: pa.Table) -> pa.Table:
    """Values of some columns of the target as it holds them, without nulls and without those that no row can have."""
    return as_held(route.table.shape, route.writes.adapter, values)


def as_held(shape: TableShape, target: Target, values: pa.Table) -> pa.Table:
    """Values of some columns of a table as the target holds them, without nulls and without those that no row can have."""
    kept, found = target.kept, held(shape, values)
    columns = (shape.column(name) for name in found.column_names)
    made = [
        kept(column, contiguous(each))
        for column, each in zip(columns, found.columns, strict=True)
        if column is not None
    ]
    return pa.table(made, found.schema).drop_null()


def held(shape: TableShape, values: pa.Table) -> pa.Table:
    """Values of some columns in the types of a table, without nulls and without those that they cannot hold."""
    made = {}
    for name in values.column_names:
        column = shape.column(name)
        assert column is not None, "binding knows the column"
        made[name] = fitting(
            casts.cast(contiguous(values.column(name)), casts.Cast(column.type, column.meaning)).values, column
        )
    return pa.table(made, shape.schema(tuple(made))).drop_null()


def of_source(bound: BoundTable, wanted: Keys | Tree) -> Asked:
    """What the source is asked for: what is left of the keys in its own columns, which may be more rows than those of the keys."""
    if isinstance(wanted, Tree) and wanted.source is not None:
        return Asked(wanted.source.values.get(bound.part, _nothing(bound)))
    known = _known(bound, wanted)
    return Asked(None, "some of the keys have no one text") if known is None else held_by_source(bound, known)


def held_by_source(bound: BoundTable, values: pa.Table, as_they_are: Mapping[str, str] | None = None) -> Asked:
    """Values of some mapped columns as the columns of the source hold them, which may be those of more rows.

    `as_they_are`: which of the values are those of a column of the source itself.
    """
    sources: dict[str, ColumnShape] = {}
    why: list[str] = []
    for name, source_name in (as_they_are or {}).items():
        shape = bound.source_shape.column(source_name)
        assert shape is not None, "binding knows the column"
        sources[name] = shape
    for column in bound.mapping.columns:
        name = column.shape.name
        if name not in values.column_names or name in sources:
            continue
        if isinstance(column.origin, Constant) and column.values is None:
            values = values.filter(_is(column.origin.value, values.column(name)))
        source = _source(bound, column)
        reason = unlike(column, source)
        if not reason and values.column(name).null_count:
            reason = "is null in some of the keys"
        if source is not None and not reason:
            sources[name] = source
        elif not isinstance(column.origin, Constant):
            why.append(f"{'key column' if name in bound.key else 'column'} {name} {reason}")
    if not values.num_rows:
        return Asked(_nothing(bound))
    if not sources:
        return Asked(None, "; ".join(why) or "the key is made of constants")
    return Asked(turned_back(values, sources))


def told_by(bound: BoundTable) -> tuple[Key, Key]:
    """What says which row of a source is meant, where its key is looked up or the target gives it: columns of the source, and
    mapped columns that are made of more than one of those."""
    columns = {column.shape.name: column for column in bound.mapping.columns}
    own: dict[str, None] = {}
    made: dict[str, None] = {}

    def tell(name: str) -> None:
        origin = columns[name].origin
        match origin:
            case Rename(source):
                own[source] = None
            case Identified(by=by):
                own.update(dict.fromkeys(by))
            case LookUp(match=pairs, chained=chained):
                for _, each in pairs:
                    if each in chained:
                        tell(each)
                    else:
                        own[each] = None
            case Expression() | Function():
                made[name] = None

    for name in bound.key:
        tell(name)
    return tuple(own), tuple(made)


def source_texts(bound: BoundTable, source: pa.Table, mapped: pa.Table) -> pa.Array:
    """What `told_by` says of rows of a source, as JSON. In: the same rows as they are read and as they are mapped."""
    own, made = told_by(bound)
    rows = source.select(list(own)).cast(bound.source_shape.schema(own))
    columns = [pa.repeat(bound.part, rows.num_rows), *rows.columns, *(mapped.column(name) for name in made)]
    names = tuple(map(str, range(len(columns))))
    return contiguous(expressions.as_json_keys(pa.table(columns, names=list(names)), names).cast(pa.string()))


def _nothing(bound: BoundTable) -> pa.Table:
    return bound.source_shape.schema(tuple(bound.reads[:1])).empty_table()


def _is(value: object, values: pa.ChunkedArray) -> pa.Array:
    """Which values are a constant, as far as that can be told."""
    if value is None:
        return pa.repeat(False, len(values))
    made = casts.cast(pa.array([value]), casts.Cast(values.type))
    return pa.repeat(True, len(values)) if made.bad.any() else pc.equal(contiguous(values), made.values[0])


def read_whole(bound: BoundTable, wanted: Keys | Tree) -> Iterator[Notice]:
    """A notice where the source cannot be asked for the keys of a plan."""
    for part in bound.sources:
        asked = of_source(part, wanted)
        if asked.keys is None:
            what = "1 key" if wanted.rows == 1 else f"{wanted.rows:,} keys"
            which = f"{part.part} of the source" if part.part else "the source"
            text = f"{bound.name}: {which} was read whole for {what}: {asked.why}."
            yield Notice("source_read_whole", text, bound.name, {"keys": wanted.rows})


def _source(bound: BoundTable, column: ColumnMapping) -> ColumnShape | None:
    """The source column that a column is made of, where its values are read as they are."""
    if not isinstance(column.origin, Rename):
        return None
    name = column.origin.source
    replaced = dict(bound.source.zero_dates).get(name, "null") not in ("null", "quarantine", "fail")
    return None if replaced else bound.source_shape.column(name)


@dataclass(slots=True)
class Arrived:
    """What to look at in the target for keys that may have waited for a lookup: those that they are by now. Of what is new,
    the keys that came.

    `selection` is as it was where no key is chosen, or none is looked up.
    """

    bound: BoundTable
    selection: Selection
    came: list[pa.Table] = field(default_factory=list)

    def selections(self) -> Iterator[Selection]:
        """What the target is asked for, one after the other: no row is in two of them. Memory: all keys that came."""
        if not isinstance(self.selection, Since):
            yield self.selection
            return
        whole = [self.bound.key_schema.empty_table(), *self.came]
        every = keys.distinct(keys.without_null_keys(pa.concat_tables(whole), self.bound.key))
        for start in range(0, every.num_rows, ASKED):
            yield Tree(every.slice(start, ASKED))

    def with_texts(self, some: Keys) -> Keys:
        """Some keys, and those that came, as texts."""
        texts = (expressions.as_json_keys(each, self.bound.key).to_pylist() for each in self.came)
        return Keys(tuple(sorted({*some.texts, *(text for each in texts for text in each)})))

    def add(self, mapped: Mapped) -> None:
        """Rows of the selection, as they are mapped by now."""
        rows = mapped.rows
        if isinstance(self.selection, Since):
            names = list(self.bound.key)
            self.came += [each.select(names).cast(self.bound.key_schema) for each in (rows, mapped.rejected_rows)]
        elif isinstance(self.selection, Tree) and self.selection.source is not None:
            new = rows.select(list(self.bound.key)).cast(self.selection.keys.schema)
            self.selection = replace(self.selection, keys=keys.distinct(pa.concat_tables([self.selection.keys, new])))
        elif isinstance(self.selection, Keys) and any(looked_up_keys(each.mapping) for each in self.bound.sources):
            texts = pa.array(self.selection.texts, pa.string())
            again = contiguous(_again(self.bound, texts))
            whole = texts.filter(pc.fill_null(pc.equal(again, texts), False)).to_pylist()
            new = expressions.as_json_keys(rows, self.bound.key).to_pylist()
            self.selection = Keys(tuple(sorted({*whole, *new})))


def _again(bound: BoundTable, texts: pa.Array) -> pa.ChunkedArray:
    """Keys as they are written once they are read."""
    return expressions.as_json_keys(expressions.from_json_keys(texts, bound.shape.schema(bound.key)), bound.key)


def _known(bound: BoundTable, wanted: Keys | Tree) -> pa.Table | None:
    """The keys in the target's types; None where one would be written in another way than it is here."""
    if isinstance(wanted, Tree):
        return wanted.keys
    texts = pa.array(wanted.texts, pa.string())
    known = expressions.from_json_keys(texts, bound.shape.schema(bound.key))
    again = contiguous(expressions.as_json_keys(known, bound.key))
    return known if pc.all(pc.equal(again, texts)).as_py() is not False else None
