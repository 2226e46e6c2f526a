"""What was set aside: list it, show it whole, try it again, forget it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from adapters.ledger import Choice, Quarantined
from adapters.planstore import Plan, plain
from flows.spec import Spec
from flows.spec_errors import meant
from flows.stores import ledger_of, store_of
from flows.version_list import key_text
from transforms.vocabulary import PlanError, SpecError

if TYPE_CHECKING:
    from flows.runbook import Request


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows: of some tables, with one of some keys (as JSON arrays), whose reason has a text in it."""

    tables: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    reason: str | None = None


def chosen(spec: Spec, wanted: Filter, limit: int | None = None) -> list[Quarantined]:
    """The first lines that a filter lets through, by table and key. SpecError for a table that is not there."""
    choice = _choice(spec, wanted)
    with ledger_of(spec) as ledger:
        return ledger.chosen(spec.name, choice, limit)


def listed(spec: Spec, wanted: Filter, limit: int) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """What is in quarantine: the first lines as JSON-ready objects, and how many rows there are by table."""
    choice = _choice(spec, wanted)
    with ledger_of(spec) as ledger:  # of many rows, only those that are shown are read
        lines = ledger.chosen(spec.name, choice, limit)
        return [plain(asdict(each)) for each in lines], ledger.count_chosen(spec.name, choice)


def shown(spec: Spec, wanted: Filter, limit: int) -> list[dict[str, Any]]:
    """The rows that a filter lets through, with the source row and what was mapped of it."""
    found = []
    for each in chosen(spec, wanted, limit):
        rows = list(_stored(spec, each)) or [{"source": None, "mapped": None}]
        found += [{**plain(asdict(each)), **row} for row in rows]
    return found


def retry(request: Request, wanted: Filter) -> Request | None:
    """A request that maps the current source rows of those keys again; None where nothing is chosen."""
    keys: dict[str, set[str]] = {}
    choice = _choice(request.spec, wanted)
    with ledger_of(request.spec) as ledger:
        for table, key in ledger.chosen_keys(request.spec.name, choice):
            keys.setdefault(table, set()).add(key)
    if not keys:
        return None
    frozen = {name: frozenset(some) for name, some in keys.items()}
    return replace(request, kind="retry", tables=tuple(sorted(frozen)), keys=frozen)


def drop(spec: Spec, wanted: Filter) -> int:
    """Forget rows: how many. A run that sets one aside again has it again."""
    choice = _choice(spec, wanted)
    with ledger_of(spec) as ledger:
        return ledger.drop_quarantined(spec.name, choice)


def _choice(spec: Spec, wanted: Filter) -> Choice:
    """The filter in the ledger's terms. SpecError for a table that is not there."""
    for name in wanted.tables:
        if name not in spec.tables:
            raise SpecError(f"The spec has no table {name}. {meant(name, spec.tables)}")
    return Choice(wanted.tables, tuple(each for text in wanted.keys for each in (text, key_text(text))), wanted.reason)


def _stored(spec: Spec, line: Quarantined) -> Iterator[dict[str, Any]]:
    """The stored rows of a line; nothing where its plan is gone."""
    folder = store_of(spec).folder(line.file or "")
    if line.file is None or not folder.exists():
        return
    try:
        for rows in Plan.open(folder, only="quarantine").quarantined(spec.target_table(line.table_name)):
            same = pc.and_(pc.equal(rows["key"], line.key), pc.equal(rows["reason"], line.reason))
            for row in rows.filter(same).select(["source", "mapped"]).to_pylist():
                yield {name: json.loads(row[name]) if row[name] else None for name in ("source", "mapped")}
    except PlanError:
        return
