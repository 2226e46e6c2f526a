"""What `tables: "*"` stands for now: the tables that are on both sides, each with its own columns, and why others are none of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

from adapters.protocol import Source
from adapters.sql.names import folded
from flows.spec.columns import Column
from flows.spec.every import excepted
from flows.spec.model import Spec
from flows.spec.origins import Origin
from flows.spec.problems import closest
from flows.spec.tables import REST, Table, quoted_name
from transforms.vocabulary import Notice, TableName, TableShape

NAMED: Final = 20  # tables of a warning
_ENTRY: Final = 'or write an entry for it beside `"*"`'


def with_every(
    spec: Spec, source: Source, target: Source, known: Collection[str] = ()
) -> tuple[Spec, tuple[Notice, ...]]:
    """The spec with an entry for each table that `*` stands for, and what is to be known of those that it does not bring over.

    Entries of the spec stand instead of those that would read or write the same tables. `known` are tables that are to be there, since
    an earlier run brought them: they have an entry though they are gone.
    """
    if not spec.open:
        return spec, ()
    found = _Every(spec, source, target)
    found.look()
    found.miss(known)
    return spec.with_taken(found.entries), tuple(found.notices())


@dataclass
class _Every:
    spec: Spec
    source: Source
    target: Source
    entries: dict[str, Table] = field(default_factory=dict)
    _there: list[str] = field(default_factory=list)
    _absent: list[str] = field(default_factory=list)
    _keyless: list[str] = field(default_factory=list)
    _left: dict[str, list[str]] = field(default_factory=dict)

    def look(self) -> None:
        """Find the tables of both sides."""
        spec, schema = self.spec, self.spec.target.schema_name
        mine = set(self.target.tables(schema))
        read, written = self._read(), {self.target.named(spec.target_table(name)) for name in spec.tables}
        for table in self.source.tables(spec.source.schema_name):
            self._there.append(table.name)
            if table in read or excepted(table.name, spec.except_):
                continue
            there = self.target.named(TableName(table.name, schema))
            entry = quoted_name(TableName(there.name))
            if there in written or entry in spec.tables:
                continue
            if there not in mine:
                self._absent.append(table.name)
            elif (made := self._entry(entry, table, there)) is not None:
                self.entries[entry] = made

    def miss(self, known: Collection[str]) -> None:
        """Make entries of tables that are to be there, and are not."""
        near = {name.casefold() for name in (*self.entries, *self.spec.tables)}
        for name in known:
            plain = name.partition(" from ")[0] not in self.spec.tables and not excepted(name, self.spec.except_)
            if plain and name.casefold() not in near:
                self.entries[name] = Table.model_validate({"from": name})
                self._absent = [each for each in self._absent if each.casefold() != name.casefold()]

    def _read(self) -> set[TableName]:
        """The tables of the source that entries of the spec read."""
        parts = [part.source_relation(name).table for name in self.spec.tables for part in self.spec.parts_of(name)]
        return {self.source.named(each) for each in parts if each is not None}

    def _entry(self, entry: str, table: TableName, there: TableName) -> Table | None:
        """What brings a table over; None where nothing tells its rows apart."""
        read, own = self.source.describe(table), self.target.describe(there)
        if read is None or own is None:  # gone since they were listed
            return None
        fold = self.target.capabilities.names.columns
        mine = {folded(name, fold): name for name in own.names}
        left = [name for name in read.names if folded(name, fold) not in mine]
        key = _key(read, own, {mine[folded(name, fold)] for name in read.names if name not in left}, left)
        if key is None:
            self._keyless.append(table.name)
            return None
        columns = None
        if left and self.spec.defaults.drift != "evolve":  # which adds them to the target
            self._left[entry] = left
            columns = {REST: Column.model_validate({"except": left})}
        origin = Origin(table=quoted_name(TableName(table.name)))
        return Table.model_validate({"from": origin.table, "key": key or None}).model_copy(update={"columns": columns})

    def notices(self) -> Iterator[Notice]:
        """What stays where it is, and what to do about it."""
        names = [each for each in self.spec.except_ if not any(excepted(name, [each]) for name in self._there)]
        for name in names:
            near = closest(name, self._there)
            hint = f" Did you mean {near}?" if near else ""
            yield Notice("not_taken", f"`except` names {name}, and the source has no such table.{hint}")
        if self._absent:
            what = f"Not in the target, and not brought over: {_some(self._absent)}."
            fix = f"Fix: create it there (`syncline scaffold` drafts how), {_ENTRY}, or name it in `except`."
            yield Notice("not_taken", f"{what} {fix}", facts={"tables": self._absent})
        if self._keyless:
            what = f"Without a primary key that both sides have, and not brought over: {_some(self._keyless)}."
            fix = 'Fix: write an entry for it beside `"*"` with the `key:` that tells its rows apart, or name it in `except`.'
            yield Notice("not_taken", f"{what} {fix}", facts={"tables": self._keyless})
        for name, columns in self._left.items():
            what = f"{name}: not in the target, and not brought over: {_some(columns)}."
            fix = f"Fix: add the column there, {_ENTRY}."
            yield Notice("not_taken", f"{what} {fix}", name, {"columns": columns})


def _key(read: TableShape, own: TableShape, mapped: Collection[str], left: Collection[str]) -> list[str] | None:
    """The target's primary key, where all of it is mapped; empty for the source's own, None where neither will do."""
    if own.primary_key and set(own.primary_key) <= set(mapped):
        return list(own.primary_key)
    return [] if read.primary_key and not set(read.primary_key) & set(left) else None


def _some(names: Collection[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return f"{', '.join(list(names)[:NAMED])}{more}"
