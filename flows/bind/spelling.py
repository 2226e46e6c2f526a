"""Names of a spec as the catalogs of both sides spell them: found in any case where the engine takes them so.

An exact match comes first. What is bound, planned and kept in the ledger has the catalogs' spelling, so that a name that is
written in another case tomorrow is the same table, and the same history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from adapters.capabilities import Fold
from adapters.protocol import Source
from adapters.sql.names import folded
from flows.spec.columns import Column, Lookup
from flows.spec.create import Create
from flows.spec.entries import entry_of
from flows.spec.model import Endpoint, Spec
from flows.spec.origins import Origin
from flows.spec.problems import problem
from flows.spec.tables import REST, Table, quoted_name, table_name, table_parts
from transforms.vocabulary import Problem, SideName, SpecError, TableName, TableShape

Spell = Callable[[str], str]
"""A name in the spelling of whoever has it; others as they are."""


def speller(names: Iterable[str], fold: Fold, what: str, where: str = "") -> Spell:
    """Spells names of columns as they are among `names`, in any case where the engine takes them so.

    It raises SpecError for a name that may be that of two columns: `what` has those, and `where` is its place in the spec.
    """
    there = tuple(dict.fromkeys(names))
    known: dict[str, list[str]] = {}
    for name in there:
        known.setdefault(folded(name, fold), []).append(name)

    def spell(name: str) -> str:
        if name in there:
            return name
        found = known.get(folded(name, fold), [name])
        if len(found) > 1:
            raise SpecError(
                f"{what} has columns {' and '.join(found)}, and {name} could be any.",
                fix="write one exactly.",
                where=where,
            )
        return found[0]

    return spell


def with_tables(spec: Spec, source: Source | None, target: Source) -> Spec:
    """The spec with tables and schemas as both catalogs spell them. No column is looked at. `source`: None where the spec has
    that side's spelling already.

    Errors: SpecError for two entries that the target takes for one table.
    """
    sides: dict[SideName, _Side] = {
        "source": _Side(spec.source.schema_name, source),
        "target": _Side(spec.target.schema_name, target),
    }
    tables: dict[str, Table] = {}
    renamed: dict[str, str] = {}
    known: dict[TableName, str] = {}
    for name, table in spec.tables.items():
        own = sides["target"].named(spec.target_table(name))
        if own in known:
            raise SpecError(
                f"{target.engine} takes {spec.target_table(known[own])} and {spec.target_table(name)} for one table.",
                fix="give one of them another name with `target:`.",
                where=spec.where("tables", name),
                table=name,
            )
        known[own] = name
        changed: dict[str, Any] = {}
        if (read := _spelled_origin(table.from_, sides["source"])) != table.from_:
            changed["from_"] = read
        spelled = sides["target"].spelled(table.target or name)
        if table.target is not None or (spelled != name and spelled in spec.tables):
            changed["target"] = spelled
        renamed[name] = name if "target" in changed else spelled
        tables[renamed[name]] = table.model_copy(update=changed) if changed else table
    endpoints: dict[SideName, Endpoint] = {"source": spec.source, "target": spec.target}
    ends: dict[str, Any] = {
        name: end.model_copy(update={"schema_name": sides[name].schema})
        for name, end in endpoints.items()
        if sides[name].schema != end.schema_name
    }
    named = spec.model_copy(update={"tables": tables, **ends})
    refer = _References(named, renamed, sides, target)
    referring = {name: refer.of_table(table) for name, table in tables.items()}
    return (
        named.respelled(referring, lambda path: _moved(path, renamed)) if named != spec or referring != tables else spec
    )


def _spelled_origin(origin: Origin, side: _Side) -> Origin:
    def spelled(text: str | None) -> dict[str, str | None]:
        return {"table": None if text is None else side.spelled(text)}

    parts = tuple(each.model_copy(update=spelled(each.table)) for each in origin.parts)
    return origin.model_copy(update={**spelled(origin.table), "parts": parts})


def _moved(path: tuple[Any, ...], renamed: Mapping[str, str]) -> tuple[Any, ...]:
    return (*path[:1], renamed.get(path[1], path[1]), *path[2:]) if path[:1] == ("tables",) and path[1:] else path


@dataclass(slots=True)
class _Side:
    """The tables of a side; `schema` is that of names without one, as the catalog spells it once a name was looked up."""

    schema: str | None
    adapter: Source | None
    _known: dict[TableName, TableName] = field(default_factory=dict)

    def named(self, table: TableName) -> TableName:
        if self.adapter is not None and table not in self._known:
            self._known[table] = self.adapter.named(table)
        return self._known.get(table, table)

    def spelled(self, text: str) -> str:
        """A name as it is written in a spec, in the catalog's spelling."""
        own = table_name(text)
        found = self.named(own if own.schema is not None else TableName(own.name, self.schema))
        if own.schema is None:
            self.schema = found.schema
            found = TableName(found.name)
        return text if found == own else quoted_name(found)


@dataclass(frozen=True, slots=True)
class _References:
    """What lookups and foreign keys name: an entry of the spec, or any table of a side."""

    spec: Spec
    renamed: Mapping[str, str]
    sides: Mapping[SideName, _Side]
    target: Source

    def of_table(self, table: Table) -> Table:
        changed: dict[str, Any] = {}
        if (columns := self._of_columns(table.columns)) != table.columns:
            changed["columns"] = columns
        parts = tuple(each.model_copy(update={"columns": self._of_columns(each.columns)}) for each in table.from_.parts)
        if parts != table.from_.parts:
            changed["from_"] = table.from_.model_copy(update={"parts": parts})
        if table.create is not None and table.create.foreign_keys:
            keys = [each.model_copy(update={"table": self._entry(each.table)}) for each in table.create.foreign_keys]
            if keys != table.create.foreign_keys:
                changed["create"] = table.create.model_copy(update={"foreign_keys": keys})
        return table.model_copy(update=changed) if changed else table

    def _of_columns(self, columns: Mapping[str, Column] | None) -> dict[str, Column] | None:
        return None if columns is None else {name: self._of_column(column) for name, column in columns.items()}

    def _of_column(self, column: Column) -> Column:
        lookup = column.lookup
        if lookup is None:
            return column
        named = self._entry(lookup.table) if lookup.side == "target" else self._table("source", lookup.table)
        return column if named == lookup.table else _with_lookup(column, table=named)

    def _entry(self, text: str) -> str:
        if text in self.renamed:
            return self.renamed[text]
        try:
            entry = entry_of(self.spec, text)
            there = self.sides["target"].named(table_name(text, self.spec.target.schema_name))
        except (SpecError, ValueError):
            return self._table("target", text)
        if there == self.spec.target_table(entry) or self.target.describe(there) is None:
            return entry
        return self._table("target", text)

    def _table(self, side: SideName, text: str) -> str:
        try:
            return self.sides[side].spelled(text)
        except ValueError:
            return text  # whoever reads it says what is wrong


def _with_lookup(column: Column, **changed: Any) -> Column:
    assert column.lookup is not None
    return column.model_copy(update={"lookup": column.lookup.model_copy(update=changed)})


@dataclass(slots=True)
class Columns:
    """Spells the columns of a spec, given the tables of both sides. All problems are raised together, a line each."""

    spec: Spec
    sources: Mapping[str, tuple[TableShape | None, ...]]
    targets: Mapping[str, TableShape | None]
    source: Source
    target: Source
    _moves: dict[tuple[Any, ...], str] = field(default_factory=dict)
    _described: dict[tuple[str, str], TableShape | None] = field(default_factory=dict)

    def spelled(self) -> Spec:
        problems: list[Problem] = []
        tables: dict[str, Table] = {}
        for name, table in self.spec.tables.items():
            try:
                tables[name] = self._table(name, table)
            except SpecError as error:
                problems += error.of_table(name)
        if problems:
            raise SpecError.of(problems)
        if tables == self.spec.tables:
            return self.spec
        moved = {path: (*path[:-1], new) for path, new in self._moves.items()}
        return self.spec.respelled(tables, lambda path: _as_moved(path, moved))

    def _table(self, name: str, table: Table) -> Table:
        if not table.from_.parts:
            return self._of_one_source(name, table, self._own(name))
        each = zip(self.spec.parts_of(name), self.sources[name], strict=True)
        parts = [replace(self, spec=spec, sources={**self.sources, name: (shape,)}) for spec, shape in each]
        own = self._own(name)
        return table.with_parts([part._of_one_source(name, part.spec.tables[name], own) for part in parts])

    def _of_one_source(self, name: str, table: Table, own: Spell) -> Table:
        read = self._read(name)
        at = ("tables", name)
        changed: dict[str, Any] = {}
        if table.columns is not None:
            changed["columns"] = self._renamed(
                (*at, "columns"), table.columns, own, lambda column: self._column(name, column, own, read)
            )
        changed["key"] = None if table.key is None else [own(each) for each in table.key]
        changed["identity"] = None if table.identity is None else table.identity.spelled(own, read)
        changed["ignore"] = [own(each) for each in table.ignore]
        changed["expect"] = [each.spelled(own) for each in table.expect]
        changed["loaded"] = [each.spelled(own) for each in table.loaded]
        if (flag := self.spec.delete_policy(name).column) is not None and own(flag) != flag:
            changed["delete"] = self.spec.delete_policy(name).model_copy(update={"column": own(flag)})
        if (conflict := self.spec.conflict_of(name)) != (spelt := conflict.spelled(own, read)):
            changed["conflict"] = spelt
        if table.on_source:
            changed["on_source"] = {read(each): wanted for each, wanted in table.on_source.items()}
        if table.create is not None:
            changed["create"] = self._create(name, table.create, own)
        made = table.model_copy(update=changed)
        problems = [
            problem(fault, name, self.spec.where(*fault.path))
            for invalid in made.misnamed()
            for fault in invalid.under(*at).faults
        ]
        if problems:
            raise SpecError.of(problems)
        return made

    def _own(self, name: str) -> Spell:
        """Spells the target's columns: those that are there, or those that the spec makes."""
        shape, table = self.targets[name], self.spec.tables[name]
        fold, written = self.target.capabilities.names.columns, list[str]()
        for part, read in zip(table.parts, self.sources[name], strict=True):
            more = [each for each in part.columns or {} if each != REST]
            if read is not None and (part.columns is None or REST in part.columns):
                more += read.names
            before = {folded(each, fold) for each in written}  # sources may write one column in several ways
            written += [each for each in more if folded(each, fold) not in before]
        names = {each: folded(each, fold) for each in (shape.names if shape is not None else ())}
        for others in (written, table.create.columns if table.create else ()):
            known = set(names.values())
            names |= {each: folded(each, fold) for each in others if folded(each, fold) not in known}
        return speller(names, fold, str(self.spec.target_table(name)), self.spec.where("tables", name))

    def _read(self, name: str) -> Spell:
        (found,) = self.sources[name]
        what, fold = f"the source's {self.spec.source_relation(name)}", self.source.capabilities.names.columns
        return speller(found.names if found else (), fold, what, self.spec.where("tables", name))

    def _renamed(
        self, at: tuple[Any, ...], columns: Mapping[str, Any], spell: Spell, made: Callable[[Any], Any]
    ) -> dict[str, Any]:
        """Columns under the names that the target has for them. SpecError for two that it takes for one."""
        found: dict[str, Any] = {}
        before: dict[str, str] = {}
        for written, each in columns.items():
            named = written if written == REST else spell(written)
            if named in found:
                raise SpecError(
                    f"{self.target.engine} takes columns {before[named]} and {written} for one.",
                    fix="give one of them another name under `columns:`.",
                    where=self.spec.where(*at, written),
                )
            before[named] = written
            if named != written:
                self._moves[*at, written] = named
            found[named] = made(each)
        return found

    def _column(self, name: str, column: Column, own: Spell, read: Spell) -> Column:
        changed: dict[str, Any] = {}
        for field_, spell in (("from_", read), ("columns", read), ("except_", read)):
            given = getattr(column, field_)
            if given is not None:
                changed[field_] = spell(given) if isinstance(given, str) else [spell(each) for each in given]
        if column.inverse is not None:
            changed["inverse"] = {read(each): sql for each, sql in column.inverse.items()}
        if column.lookup is not None:
            changed["lookup"] = self._lookup(name, column.lookup, own, read)
        changed = {key: value for key, value in changed.items() if value != getattr(column, key)}
        return column.model_copy(update=changed) if changed else column

    def _lookup(self, name: str, lookup: Lookup, own: Spell, read: Spell) -> Lookup:
        looked = self._of(lookup.table, lookup.side)
        (found,) = self.sources[name]

        def matched(by: str) -> str:
            named = read(by)
            return named if found is None or named in found.names else own(by)

        match = None if lookup.match is None else {looked(there): matched(by) for there, by in lookup.match.items()}
        by = None if lookup.by is None else [read(each) for each in lookup.by]
        take = lookup.take if not lookup.take or lookup.to == "source" else looked(lookup.take)
        return lookup.model_copy(update={"match": match, "by": by, "take": take})

    def _create(self, name: str, create: Create, own: Spell) -> Create:
        changed: dict[str, Any] = {
            "columns": self._renamed(("tables", name, "create", "columns"), create.columns, own, lambda each: each),
            "unique": [[own(each) for each in names] for names in create.unique],
            "indexes": [[own(each) for each in names] for names in create.indexes],
        }
        if create.primary_key is not None:
            changed["primary_key"] = [own(each) for each in create.primary_key]
        keys = []
        for key in create.foreign_keys:
            there = self._of(key.table, "target")
            ends = {"columns": [own(each) for each in key.columns], "refers": [there(each) for each in key.refers]}
            keys.append(key.model_copy(update=ends))
        return create.model_copy(update={**changed, "foreign_keys": keys})

    def _of(self, text: str, side: SideName) -> Spell:
        """Spells the columns of a table that is named: an entry of the spec, or one of a side as it is."""
        if side == "target" and text in self.spec.tables:
            return self._own(text)
        adapter = self.source if side == "source" else self.target
        fold = (self.source if side == "source" else self.target).capabilities.names.columns
        if fold == "exact":
            return str
        if (side, text) not in self._described:
            schema = (self.spec.source if side == "source" else self.spec.target).schema_name
            try:
                self._described[side, text] = adapter.describe(table_name(text, schema))
            except ValueError:
                self._described[side, text] = None
        found = self._described[side, text]
        return speller(found.names if found else (), fold, text)


def _as_moved(path: tuple[Any, ...], moved: Mapping[tuple[Any, ...], tuple[Any, ...]]) -> tuple[Any, ...]:
    for length in range(len(path), 0, -1):
        if path[:length] in moved:
            return (*moved[path[:length]], *path[length:])
    return path


def namesakes(spec: Spec, new: Iterable[str], target: Source) -> list[Problem]:
    """Entries whose tables are not made, and why: each would stand beside one whose name differs from its own in case alone.

    A name in quotes is meant as it is written, and so is one beside that of another entry.
    """
    problems: list[Problem] = []
    claimed = {spec.target_table(each) for each in spec.tables}
    there: dict[str | None, list[TableName]] = {}
    for name in new:
        own = spec.target_table(name)
        if table_parts(spec.tables[name].target or name)[-1].startswith('"'):
            continue
        if own.schema not in there:
            there[own.schema] = target.tables(own.schema)
        near = [each for each in there[own.schema] if each.name.casefold() == own.name.casefold()]
        if found := [each for each in near if each not in claimed]:
            exactly = f"'\"{own.name}\"'"
            problem = Problem(
                f"the target has no table {own}, and {target.engine} tells it from {found[0]}, which is there. "
                f"Did you mean {found[0]}?",
                f"write it so, or `target: {exactly}` where a second table is meant.",
                spec.where("tables", name),
                name,
            )
            problems.append(problem)
    return problems
