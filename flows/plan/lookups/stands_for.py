"""What values of keys stand for that come from lookups: the row that was looked up, by what it is matched by.

The number of an order says nothing to people: listings have `purchase(no=p9)` beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.compute as pc

from adapters.store.plans import Plan
from flows.plan.order.interim import whole_changes
from flows.results.stands import Row, Stands, StandsFor
from flows.session.side import Sides, both_open
from flows.spec.columns import Lookup
from flows.spec.model import Spec, load_spec
from flows.spec.tables import table_name
from transforms import expressions
from transforms.vocabulary import Relation, SynclineError, TableName
from transforms.vocabulary.arrow import contiguous
from transforms.vocabulary.texts import as_text

MOST_PLANNED: Final = 1_000_000  # rows of a looked-up table that are taken from a plan; others have no words


def looked_up(spec: Spec, table: str) -> dict[str, Lookup]:
    """The columns of an entry's key that come from lookups; none where it has several sources, or is no entry of the spec."""
    entry = spec.tables.get(table)
    if entry is None or entry.from_.parts:
        return {}
    columns = entry.columns or {}
    found = {name: columns[name].lookup for name in entry.key or () if name in columns}
    return {name: lookup for name, lookup in found.items() if lookup is not None}


def of_source_row(spec: Spec, table: str, row: Mapping[str, Any]) -> StandsFor:
    """What the lookups of a row's key were asked for, found or not: `row` has the columns of the source."""
    found = {}
    for column, lookup in looked_up(spec, table).items():
        asked = lookup.matched or {name: name for name in lookup.by or ()}
        if all(name in row for name in asked.values()):
            by = {own: None if row[name] is None else str(row[name]) for own, name in asked.items()}
            found[column] = Stands(lookup.table, by)
    return found


@dataclass
class Parents:
    """The rows that keys of a spec's tables were looked up in: as `plan` is about to make them, else as they lie in the side.

    The sides are only connected to where a key asks for it. One that cannot be read says nothing: listings do without.
    Memory: of a plan, the looked-up columns of MOST_PLANNED rows a table.
    """

    spec: Spec
    plan: Plan | None = None
    _planned: dict[str, pa.Table | None] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)
    _sides: Sides | None = None
    _away: bool = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def stand_for(self, table: str, keys: Sequence[str]) -> Sequence[StandsFor]:
        """What each of some keys of an entry, JSON arrays, stands for; in their order."""
        columns = looked_up(self.spec, table)
        if not columns:
            return [{}] * len(keys)
        names = self.spec.tables[table].key or []
        values = [json.loads(key) for key in keys]
        found: list[dict[str, Stands]] = [{} for _ in keys]
        for column, lookup in columns.items():
            place = names.index(column)
            own = [_text(each[place]) if place < len(each) else None for each in values]
            known = self._rows(lookup, {text for text in own if text is not None})
            for stands, text in zip(found, own, strict=True):
                if text in known:
                    stands[column] = Stands(lookup.table, known[text])
        return found

    def _rows(self, lookup: Lookup, wanted: set[str]) -> dict[str, Row]:
        """The looked-up rows by what was taken of them, as texts."""
        if not wanted or not lookup.matched:
            return {}
        known = _by_taken(self._about_to_be(lookup), lookup, wanted)
        if left := wanted - known.keys():
            known |= _by_taken(self._there(lookup, left), lookup, left)
        return known

    def _about_to_be(self, lookup: Lookup) -> pa.Table | None:
        """What the plan makes of the looked-up table, in the columns that matter."""
        if self.plan is None or lookup.side != self.plan.manifest.side:
            return None
        name = f"{lookup.table}.{lookup.take}"
        if name not in self._planned:
            self._planned[name] = _made(self.plan, self._table(lookup), _columns(lookup))
        return self._planned[name]

    def _there(self, lookup: Lookup, wanted: set[str]) -> pa.Table | None:
        if self._away:
            return None
        try:
            if self._sides is None:
                self._sides = self._stack.enter_context(both_open(self.spec))
            return _read(self._sides, lookup, self._table(lookup), wanted)
        except SynclineError:  # a listing of what is known is no less true without
            self._away = True
            return None

    def _table(self, lookup: Lookup) -> TableName:
        if lookup.side == "target" and lookup.table in self.spec.tables:
            return self.spec.target_table(lookup.table)
        return table_name(lookup.table, self.spec.endpoint(lookup.side).schema_name)


def parents_of(plan: Plan) -> Parents | None:
    """Of the rows of a plan; None where no column of its spec is looked up, or the spec is not there any more."""
    written = (plan.manifest.spec.document or {}).get("tables")
    told = written if isinstance(written, dict) else {}
    columns = [each for table in told.values() if isinstance(table, dict) for each in _written(table)]
    if not any(isinstance(each, dict) and "lookup" in each for each in columns):
        return None
    try:
        return Parents(load_spec(Path(plan.manifest.spec.path)), plan)
    except SynclineError:
        return None


def _written(table: Mapping[str, Any]) -> Sequence[Any]:
    columns = table.get("columns")
    return list(columns.values()) if isinstance(columns, dict) else []


def _columns(lookup: Lookup) -> list[str]:
    return list(dict.fromkeys([lookup.take, *lookup.matched]))


def _made(plan: Plan, table: TableName, names: Sequence[str]) -> pa.Table | None:
    """Some columns of the rows that a plan inserts into a table or updates."""
    if plan.manifest.of(table) is None:
        return None
    parts, rows = [], 0
    for changes in whole_changes(plan, table, plan.changes, ("insert", "update")):
        for made in (changes.inserts, changes.after):
            if set(names) <= set(made.column_names) and rows < MOST_PLANNED:
                parts.append(pa.table({name: as_text(contiguous(made.column(name))) for name in names}))
                rows += made.num_rows
    return pa.concat_tables(parts) if parts else None


def _read(sides: Sides, lookup: Lookup, table: TableName, wanted: set[str]) -> pa.Table | None:
    """Some columns of the rows of a side whose taken value is one of some texts."""
    side = sides[lookup.side]
    there = side.adapter.named(table)
    shape = side.adapter.describe(there)
    if shape is None or any(shape.column(name) is None for name in _columns(lookup)):
        return None
    texts = pa.array([json.dumps([each]) for each in sorted(wanted)], pa.string())
    values = expressions.from_json_keys(texts, shape.schema((lookup.take,)))
    keys = values.filter(pc.is_valid(values.column(0))).combine_chunks()
    names = _columns(lookup)
    with side.adapter.snapshot() as snapshot:
        batches = [batch.select(names) for batch in snapshot.scan(Relation(there), names, keys=keys)]
    if not batches:
        return None
    rows = pa.Table.from_batches(batches)
    return pa.table({name: as_text(contiguous(rows.column(name))) for name in names})


def _by_taken(rows: pa.Table | None, lookup: Lookup, wanted: set[str]) -> dict[str, Row]:
    if rows is None:
        return {}
    taken = rows.column(lookup.take)
    some = rows.filter(pc.is_in(taken, value_set=pa.array(sorted(wanted), pa.string()))).to_pylist()
    return {each[lookup.take]: {name: each[name] for name in lookup.matched} for each in some}


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)
