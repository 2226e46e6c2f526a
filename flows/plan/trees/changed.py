"""Keys of rows that may have changed, as the beginnings of a plan that looks at these and at what has to do with them alone.

What a row becomes may hang on others by lookups, and whether it may be there on those that it refers to. So beside the rows of the
keys a plan looks

- below those that one side alone has, at all that hangs there: what waited for a new row comes along with it, and what refers to one
  that is gone goes first;
- below the others, at the rows that look up a value that may be another one now.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from flows.bind.links import Link, apart, as_read
from flows.bind.tables import Binding, BoundTable
from flows.plan.reading.chosen_keys import told_by
from flows.plan.reading.window_reader import map_noting
from flows.plan.trees.source_rows import SourceRows
from flows.plan.trees.tree import Hanging
from flows.plan.trees.tree_rows import TargetRows
from transforms import keys
from transforms.mapping.column_mapping import Identified, LookUp
from transforms.vocabulary import Key, SideName


@dataclass(frozen=True, slots=True)
class Changed:
    """Keys of rows that may have changed.

    `source`: by table of the spec and by the name of one of its sources, values of the columns of that source that its key is made of.
    `target`: by table, keys as the target has them. `looked_up`: by table and source, values of columns that it looks something up
    by in a table of the source that is in no plan, of rows of that table that may have changed.
    """

    source: Mapping[tuple[str, str], pa.Table] = field(default_factory=dict)
    target: Mapping[str, pa.Table] = field(default_factory=dict)
    looked_up: Mapping[tuple[str, str], Sequence[pa.Table]] = field(default_factory=dict)

    @classmethod
    def together(cls, parts: Sequence[Changed]) -> Changed:
        """The keys of several; of the target the same table may be in more than one of them."""
        source = {name: values for part in parts for name, values in part.source.items()}
        looked_up = {name: values for part in parts for name, values in part.looked_up.items()}
        target: dict[str, pa.Table] = {}
        for part in parts:
            for name, values in part.target.items():
                known = target.get(name)
                both = values if known is None else pa.concat_tables([known, values.cast(known.schema)])
                target[name] = keys.distinct(both)
        return cls(source, target, looked_up)

    def only(self, names: Collection[str]) -> Changed:
        """The keys of some tables."""
        return Changed(
            {place: values for place, values in self.source.items() if place[0] in names},
            {name: values for name, values in self.target.items() if name in names},
            {place: parts for place, parts in self.looked_up.items() if place[0] in names},
        )

    def slices(self, most: int, order: Sequence[str]) -> Iterator[Changed]:
        """The same in parts of about `most` keys, where there are many more; those of tables that come first in `order` go first."""
        some = [
            *self.source.values(),
            *self.target.values(),
            *(each for parts in self.looked_up.values() for each in parts),
        ]
        if sum(values.num_rows for values in some) <= 2 * most:
            yield self
            return
        for name in order:
            for (table, part), values in self.source.items():
                if table == name:
                    yield from (Changed({(table, part): each}) for each in _cut(values, most))
            if name in self.target:
                yield from (Changed(target={name: each}) for each in _cut(self.target[name], most))
            for (table, part), tables in self.looked_up.items():
                if table == name:
                    yield from (
                        Changed(looked_up={(table, part): [each]}) for all_ in tables for each in _cut(all_, most)
                    )

    @property
    def tables(self) -> frozenset[str]:
        """The tables of the spec that they are keys of."""
        return frozenset({*(table for table, _ in (*self.source, *self.looked_up)), *self.target})

    @property
    def texts(self) -> tuple[str, ...]:
        """How many keys of which table, for people."""
        counts: dict[str, int] = {}
        some = [(table, values) for (table, _), values in self.source.items()]
        some += [(table, each) for (table, _), parts in self.looked_up.items() for each in parts]
        for table, values in [*some, *self.target.items()]:
            counts[table] = counts.get(table, 0) + values.num_rows
        return tuple(f"{table}: {count:,} changed" for table, count in sorted(counts.items()))


def _cut(values: pa.Table, most: int) -> Iterator[pa.Table]:
    return (values.slice(start, most) for start in range(0, values.num_rows, most))


def grow(
    hanging: Hanging, source: SourceRows, target: TargetRows, binding: Binding, links: Sequence[Link], changed: Changed
) -> Mapping[str, int]:
    """Take in the rows of keys that may have changed, on both sides, and those that have to do with them.

    Out: by table, of how many keys none can be made that its rows could have.
    """
    alone, both, unmapped = _Found({}, {}), _Found({}, {}), dict[str, int]()
    for (name, part), values in changed.source.items():
        unmapped[name] = unmapped.get(name, 0) + _of_source(
            hanging, source, target, _part(binding, name, part), values, alone, both
        )
    for (name, part), parts in changed.looked_up.items():
        bound = _part(binding, name, part)
        for values in parts:
            rows = source.of_part(bound, values.rename_columns([as_read(part, each) for each in values.column_names]))
            if name in hanging.apart:
                both.begin("source", name, rows)
            else:
                both.take(name, rows.select(list(bound.key)))
    for name, wanted in changed.target.items():
        if name in hanging.apart:
            rows, others = target.having(name, wanted), source.looked_up.of_target(name, wanted)
            into = both if rows.num_rows and others.num_rows else alone
            into.begin("target", name, rows)
            into.begin("source", name, others.select(source.schema(name).names))
        else:
            _split(hanging, name, wanted, alone, both)
    for found, followed in ((alone, tuple(links)), (both, tuple(_by_value(binding, links)))):
        hanging.links = followed
        for (side, name), rows in found.rows.items():
            for each in rows:
                hanging.begin(side, name, each)
        hanging.grow({name: pa.concat_tables(parts) for name, parts in found.keys.items()})
    hanging.links = tuple(links)
    return {name: count for name, count in unmapped.items() if count}


@dataclass(frozen=True, slots=True)
class _Found:
    """Keys by table, and of tables that are apart rows by side and table."""

    keys: dict[str, list[pa.Table]]
    rows: dict[tuple[SideName, str], list[pa.Table]]

    def take(self, name: str, wanted: pa.Table) -> None:
        if wanted.num_rows:
            self.keys.setdefault(name, []).append(wanted)

    def begin(self, side: SideName, name: str, rows: pa.Table) -> None:
        if rows.num_rows:
            self.rows.setdefault((side, name), []).append(rows)


def _part(binding: Binding, name: str, part: str) -> BoundTable:
    return next(each for each in binding.table(name).sources if each.part == part)


def _of_source(
    hanging: Hanging,
    source: SourceRows,
    target: TargetRows,
    bound: BoundTable,
    values: pa.Table,
    alone: _Found,
    both: _Found,
) -> int:
    """Out: of how many of the values no key can be made."""
    if not apart(bound) and bound.name not in hanging.apart:
        made, lost = mapped_keys(bound, values)
        _split(hanging, bound.name, made, alone, both)
        return lost
    asked = values.rename_columns([as_read(bound.part, name) for name in values.column_names])
    asked = _with_mapped(bound, values, asked)
    own, made = told_by(bound)
    telling = [*(as_read(bound.part, name) for name in own), *made]
    found = source.of_part(bound, keys.distinct(asked.select(telling)))
    others = target.having(bound.name, source.looked_up.keys_of(bound, asked))
    into = both if found.num_rows == others.num_rows else alone
    into.begin("source", bound.name, found)
    into.begin("target", bound.name, others)
    return int(values.num_rows - asked.num_rows)


def _split(hanging: Hanging, name: str, wanted: pa.Table, alone: _Found, both: _Found) -> None:
    """Keys by whether both sides have a row of them."""
    found = pa.array(hanging.on_both(name, wanted))
    both.take(name, wanted.filter(found))
    alone.take(name, wanted.filter(pa.compute.invert(found)))


def mapped_keys(bound: BoundTable, values: pa.Table) -> tuple[pa.Table, int]:
    """The keys that a table makes of values of the columns of its source that they are made of, and of how many it can make none."""
    mapped = _mapped(bound, bound.key, values)[0].select(list(bound.key)).cast(bound.key_schema)
    made = keys.without_null_keys(mapped, bound.key)
    return keys.distinct(made), values.num_rows - made.num_rows


def _with_mapped(bound: BoundTable, values: pa.Table, asked: pa.Table) -> pa.Table:
    """Values as they are read, with what the key has of them beside them where it is not looked up; without those of which it can have
    nothing. In: the same values by both names."""
    given = {column.shape.name for column in bound.mapping.columns if isinstance(column.origin, LookUp | Identified)}
    own = tuple(name for name in bound.key if name not in given)
    if not own:
        return asked
    mapped, fits = _mapped(bound, own, values)
    asked = asked.filter(fits)
    for name in own:
        asked = asked.append_column(
            bound.key_schema.field(name), mapped.column(name).cast(bound.key_schema.field(name).type)
        )
    return asked


def _mapped(bound: BoundTable, names: Key, values: pa.Table) -> tuple[pa.Table, pa.Array]:
    """Some columns of the table as values of its source are mapped, and which of the values fit."""
    read = tuple(name for name in bound.source_shape.names if name in values.column_names)
    columns = tuple(column for column in bound.mapping.columns if column.shape.name in names)
    mapping = replace(bound.mapping, key=names, columns=columns, on_invalid="quarantine", checks=())
    mapped, bad = map_noting(values.select(list(read)).cast(bound.source_shape.schema(read)), mapping, {})
    return mapped.rows, pa.array(~bad)


def _by_value(binding: Binding, links: Sequence[Link]) -> Iterator[Link]:
    """The links whose children look up what may change of a row that stays: not its key, and not a number that the target gave it."""
    for link in links:
        if link.matched is None:
            continue
        parent = binding.table(link.parent)
        lasting: Key = (*parent.key, *((parent.identity,) if parent.identity else ()))
        mapped = {column.shape.name for column in parent.mapping.columns}
        for part in binding.table(link.child).sources:
            taken = {
                each.origin.take
                for each in part.mapping.columns
                if isinstance(each.origin, LookUp) and part.lookups[each.origin.name].planned == link.parent
            }
            matched = {name for name, _ in link.matched}
            if ({*taken, *matched} & mapped) - set(lasting):
                yield link
                break
