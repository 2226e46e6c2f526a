"""The keys of a plan that looks at some rows, as each side is asked for them: by its own columns, in their own types.

They come as texts: of every key in quarantine, that is what is known for certain. Of a row that is read, the text says whether it
was asked for; what is asked here only keeps all other rows from being read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from flows.bind.tables import BoundTable
from flows.session.route import Route
from transforms import expressions, keys
from transforms.mapping.column_mapping import ColumnMapping, Constant, Rename
from transforms.mapping.inverse import fitting, turned_back, unlike
from transforms.vocabulary import ColumnShape, Notice
from transforms.vocabulary.arrow import contiguous


@dataclass(frozen=True, slots=True)
class Asked:
    """The keys that a side is asked for, in its columns; None where it has to be read whole, and why."""

    keys: pa.Table | None
    why: str = ""


def of_target(route: Route, texts: pa.Array) -> Asked:
    """What the target is asked for. A key with a null, or with a value that no row of the target can have, is not."""
    bound, kept = route.table, route.writes.adapter.kept
    known = _known(bound, texts)
    if known is None:
        return Asked(None, "some of the keys have no one text")
    made = {}
    for name in bound.key:
        shape = bound.shape.column(name)
        assert shape is not None, "binding knows the key"
        made[name] = kept(shape, fitting(contiguous(known.column(name)), shape))
    return Asked(keys.without_null_keys(pa.table(made, bound.shape.schema(bound.key)), bound.key))


def of_source(bound: BoundTable, texts: pa.Array) -> Asked:
    """What the source is asked for: what is left of the keys in its own columns, which may be more rows than those of the keys."""
    known = _known(bound, texts)
    if known is None:
        return Asked(None, "some of the keys have no one text")
    sources: dict[str, ColumnShape] = {}
    why: list[str] = []
    for column in bound.mapping.columns:
        name = column.shape.name
        if name not in bound.key:
            continue
        source = _source(bound, column)
        reason = unlike(column, source)
        if not reason and known.column(name).null_count:
            reason = "is null in some of the keys"
        if source is not None and not reason:
            sources[name] = source
        elif not isinstance(column.origin, Constant):
            why.append(f"key column {name} {reason}")
    if not sources:
        return Asked(None, "; ".join(why) or "the key is made of constants")
    return Asked(turned_back(known, sources))


def read_whole(bound: BoundTable, texts: Collection[str]) -> Iterator[Notice]:
    """A notice where the source cannot be asked for the keys of a plan."""
    asked = of_source(bound, pa.array(sorted(texts), pa.string()))
    if asked.keys is None:
        what = "1 key" if len(texts) == 1 else f"{len(texts):,} keys"
        text = f"{bound.name}: the source was read whole for {what}: {asked.why}."
        yield Notice("source_read_whole", text, bound.name, {"keys": len(texts)})


def _source(bound: BoundTable, column: ColumnMapping) -> ColumnShape | None:
    """The source column that a column is made of, where its values are read as they are."""
    if not isinstance(column.origin, Rename):
        return None
    name = column.origin.source
    replaced = dict(bound.source.zero_dates).get(name, "null") not in ("null", "quarantine", "fail")
    return None if replaced else bound.source_shape.column(name)


def _known(bound: BoundTable, texts: pa.Array) -> pa.Table | None:
    """The keys in the target's types; None where one would be written in another way than it is here."""
    known = expressions.from_json_keys(texts, bound.shape.schema(bound.key))
    again = contiguous(expressions.as_json_keys(known, bound.key))
    return known if pc.all(pc.equal(again, texts)).as_py() is not False else None
