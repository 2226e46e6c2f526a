"""Entries of a spec by the names that people give: in any case, where only one has that name."""

from __future__ import annotations

from collections.abc import Iterable

from flows.spec.model import Spec
from flows.spec.problems import meant
from flows.spec.tables import quoted_name
from transforms.vocabulary import SideName, SpecError, TableName


def entry_of(spec: Spec, name: str) -> str:
    """The entry of the spec's tables that a person names, in any case where only one has that name.

    Errors: SpecError where there is none, or more than one.
    """
    if name in spec.tables:
        return name
    found = [each for each in spec.tables if each.casefold() == name.casefold()]
    if len(found) > 1:
        raise SpecError(
            f"The spec has {' and '.join(found)}, and {name} could be any.", fix="write one of them exactly."
        )
    if not found:
        raise SpecError(
            f"The spec has no table {name}. {meant(name, spec.tables)}", fix="name a table as the spec's `tables` do."
        )
    return found[0]


def asked_entry(spec: Spec, name: str) -> str:
    """`entry_of` before anybody looked what `*` stands for: then any other name may be one of those."""
    try:
        return entry_of(spec, name)
    except SpecError:
        if not spec.open:
            raise
        return name


def nearest(name: str, known: Iterable[str]) -> str:
    """The one of `known` that differs from a name in case alone; the name itself where it is among them, or none or several do."""
    there = set(known)
    near = [each for each in there if each.casefold() == name.casefold()]
    return near[0] if name not in there and len(near) == 1 else name


def entry_name(spec: Spec, table: TableName, side: SideName = "target") -> str:
    """How the spec calls a table that it writes on a side; the table's own name where it does not know it, in quotes where an entry has
    that name."""
    known = {
        str(spec.target_table(name) if side == "target" else spec.source_relation(name).table): name
        for name in spec.tables
        if side == "target" or spec.two_way(name)
    }
    text = str(table)
    if spec.open and table.schema == spec.endpoint(side).schema_name:
        text = quoted_name(TableName(table.name))
    return known.get(nearest(text, known), f'"{text}"' if text in spec.tables else text)


def kept_as(spec: Spec, names: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """Entries of the spec that a person names, as the ledger calls them: `known` are its names, in the catalog's spelling.

    Errors: SpecError for one that is not there.
    """
    entries = [asked_entry(spec, name) for name in names]
    there = set(known)
    return tuple(nearest(each, there - (spec.tables.keys() - {each})) for each in entries)
