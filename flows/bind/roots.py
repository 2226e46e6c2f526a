"""Roots of trees: `T:KEY` names the row that a tree begins with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from adapters.protocol import Target
from flows.bind.links import as_read
from flows.bind.tables import BoundTable
from flows.spec.entries import asked_entry
from flows.spec.model import Spec
from transforms import expressions
from transforms.keys import distinct
from transforms.mapping.inverse import fitting
from transforms.mapping.waiting_keys import looked_up_keys
from transforms.vocabulary import Key, SpecError, TableShape
from transforms.vocabulary.arrow import contiguous

_FORM = 'write TABLE:KEY, such as customer:42, or TABLE:["a",7] where the key has several columns.'


@dataclass(frozen=True, slots=True)
class Root:
    """The row that a tree begins with, as it was written: a table of the spec, and the values of its key as texts.

    A JSON object among these stands for a value that is looked up, or that the target gives: it has values of the source.
    """

    table: str
    values: tuple[str | dict[str, Any], ...]
    written: str

    @property
    def of_target(self) -> bool:
        """Whether the key is as the target has it."""
        return not any(isinstance(value, dict) for value in self.values)

    def __str__(self) -> str:
        return f"{self.table}:{self.written}"


def parse_root(text: str, spec: Spec) -> Root:
    """Read `T:KEY`, where KEY is one value as it stands, or a JSON array of all; SpecError where the form or the table is wrong."""
    table, colon, written = text.partition(":")
    if not colon or not table or not written:
        raise SpecError(f"{text!r} names no row.", fix=_FORM)
    try:
        name = asked_entry(spec, table)
    except SpecError as error:
        raise SpecError(f"{text!r}: {error.what}", fix=error.fix) from error
    values = _values(written)
    if any(value is None for value in values):
        raise SpecError(f"{text!r} has a null in its key, and no row is known by one.", fix=_FORM)
    return Root(name, tuple(value if isinstance(value, dict) else str(value) for value in values), written)


def typed_roots(roots: Sequence[Root], table: str, shape: TableShape, key: Key, target: Target | None) -> pa.Table:
    """The keys of roots of one table, each once, in the types of its columns; SpecError where one is no value of its column.

    The target says what its columns keep of a value; None where the table is yet to be made.
    """
    values_of = [root.values if root.of_target else (root.written,) for root in roots]
    for root, each in zip(roots, values_of, strict=True):
        if len(each) != len(key):
            raise _wrong_length(root, table, key, len(each))
    texts = pa.array([json.dumps(each, ensure_ascii=False) for each in values_of], pa.string())
    known = expressions.from_json_keys(texts, shape.schema(key))
    columns = {}
    for place, name in enumerate(key):
        column = shape.column(name)
        assert column is not None, "binding knows the key"
        values = fitting(contiguous(known.column(name)), column)
        values = values if target is None else target.kept(column, values)
        for root, own, fits in zip(roots, values_of, pc.is_valid(values).to_pylist(), strict=True):
            if not fits:
                raise SpecError(
                    f"{root}: {own[place]!r} is no value of {table}.{name} ({column.native}).",
                    fix="give the key as the target has it.",
                )
        columns[name] = values
    return distinct(pa.table(columns))


def of_source(root: Root, bound: BoundTable) -> pa.Table | None:
    """What the row of a root has in columns of a source, mapped ones and such as they are read (`as_read`); None where its key is
    not looked up by these. SpecError where the key is none of the table's."""
    if len(root.values) != len(bound.key):
        raise _wrong_length(root, bound.name, bound.key, len(root.values))
    mapped: dict[str, str] = {}
    read: dict[str, Any] = {}
    looked = looked_up_keys(bound.mapping)
    for name, value in zip(bound.key, root.values, strict=True):
        if not isinstance(value, dict):
            mapped[name] = value
        elif value.keys() == set(looked.get(name, ())):
            read |= value
        else:
            return None
    texts = pa.array([json.dumps([*mapped.values(), *read.values()], ensure_ascii=False, default=str)], pa.string())
    own = [(name, bound.shape.schema((name,)).field(0).type) for name in mapped]
    theirs = [(as_read(bound.part, name), bound.source_shape.schema((name,)).field(0).type) for name in read]
    schema = pa.schema([*own, *theirs])
    return expressions.from_json_keys(texts, schema)


def _wrong_length(root: Root, table: str, key: Key, count: int) -> SpecError:
    return SpecError(
        f"{root}: the key of {table} is ({', '.join(key)}), and this has {count} of its values.",
        fix=f"write {table}:{json.dumps([f'<{name}>' for name in key])}.",
    )


def _values(written: str) -> list[Any]:
    """The values of a key: one as it stands, or those of a JSON array, whose numbers keep their digits."""
    if written.startswith("["):
        try:
            found = json.loads(written, parse_float=str, parse_int=str)
        except ValueError:
            return [written]
        if isinstance(found, list) and found and not any(isinstance(value, list) or value == {} for value in found):
            return [json.dumps(value) if isinstance(value, bool) else value for value in found]
    return [written]
