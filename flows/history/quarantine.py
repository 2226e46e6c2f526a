"""What was set aside: list it, show it whole, try it again, forget it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import pyarrow.compute as pc

from adapters.ledger.ledger import Choice, Ledger, Quarantined
from adapters.store.plans import Plan, plain
from flows.history.version_list import key_text
from flows.plan.lookups.stands_for import looked_up, of_source_row
from flows.results.stands import as_dict
from flows.session.stores import ledger_of, store_of
from flows.spec.entries import kept_as
from flows.spec.model import Spec
from flows.spec.problems import meant
from transforms.vocabulary import PlanError, SpecError
from transforms.vocabulary.reasons import MEANINGS

if TYPE_CHECKING:
    from flows.plan.request import Request


SOME: Final = 20  # rows with one key, such as those whose key is null, that are put into words


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows: of some tables, with one of some keys (as JSON arrays), whose reason has one of some codes, and a text in it."""

    tables: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    reason: str | None = None
    codes: tuple[str, ...] = ()


def chosen(spec: Spec, wanted: Filter, limit: int | None = None) -> list[Quarantined]:
    """The first lines that a filter lets through, by table and key. SpecError for a table that is not there."""
    with ledger_of(spec) as ledger:
        return ledger.chosen(spec.name, _choice(spec, wanted, ledger), limit)


def listed(spec: Spec, wanted: Filter, limit: int) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """What is in quarantine: the first lines as JSON-ready objects, and how many rows there are by table."""
    with ledger_of(spec) as ledger:  # of many rows, only those that are shown are read
        choice = _choice(spec, wanted, ledger)
        lines = ledger.chosen(spec.name, choice, limit)
        counts = ledger.count_chosen(spec.name, choice)
    return [plain(asdict(each)) | _words(spec, each) for each in lines], counts


def shown(spec: Spec, wanted: Filter, limit: int) -> list[dict[str, Any]]:
    """The rows that a filter lets through, with the source row and what was mapped of it."""
    found = []
    for each in chosen(spec, wanted, limit):
        rows = list(_stored(spec, each)) or [{"source": None, "mapped": None}]
        words = [of_source_row(spec, each.table_name, row["source"] or {}) for row in rows]
        stands = [{"stands_for": as_dict(one)} if one else {} for one in words]
        found += [{**plain(asdict(each)), **row, **one} for row, one in zip(rows, stands, strict=True)]
    return found


def _words(spec: Spec, line: Quarantined) -> dict[str, Any]:
    """What the key of a line stands for, as JSON has it; of several rows that have one key nothing, where they differ."""
    if not looked_up(spec, line.table_name):
        return {}
    of_rows = (of_source_row(spec, line.table_name, row["source"] or {}) for row in _stored(spec, line))
    found = [as_dict(one) for one in islice(of_rows, SOME)]
    told = [one for at, one in enumerate(found) if one and one not in found[:at]]
    return {"stands_for": told} if told else {}


def retry(request: Request, wanted: Filter, *, most: int | None = None) -> Request | None:
    """A request that maps the current source rows of those keys again, the first `most` of them; None where nothing is chosen."""
    keys: dict[str, set[str]] = {}
    with ledger_of(request.spec) as ledger:
        choice = replace(_choice(request.spec, wanted, ledger), side="target")
        for table, key in islice(ledger.chosen_keys(request.spec.name, choice), most):
            if (
                table in request.spec.tables or request.spec.open
            ):  # else rows that go with others, which nothing but their deletes tries again
                keys.setdefault(table, set()).add(key)
    if not keys:
        return None
    frozen = {name: frozenset(some) for name, some in keys.items()}
    return replace(request, kind="retry", tables=tuple(sorted(frozen)), keys=frozen)


def drop(spec: Spec, wanted: Filter) -> int:
    """Forget rows: how many. A run that sets one aside again has it again."""
    with ledger_of(spec) as ledger:
        return ledger.drop_quarantined(spec.name, _choice(spec, wanted, ledger))


def _choice(spec: Spec, wanted: Filter, ledger: Ledger) -> Choice:
    """The filter in the ledger's terms. SpecError for a table or a code that is not there."""
    for code in wanted.codes:
        if code not in MEANINGS:
            raise SpecError(f"No reason has the code {code!r}. {meant(code, MEANINGS)}")
    tables = kept_as(spec, wanted.tables, ledger.count_chosen(spec.name, Choice()) if wanted.tables else ())
    named = tuple(each for text in wanted.keys for each in (text, key_text(text)))
    return Choice(tables, named, wanted.reason, codes=wanted.codes)


def _stored(spec: Spec, line: Quarantined) -> Iterator[dict[str, Any]]:
    """The stored rows of a line; nothing where its plan is gone."""
    folder = store_of(spec).folder(line.file or "")
    if line.file is None or not folder.exists():
        return
    try:
        plan = Plan.open(folder, only="quarantine")
        tables = (planned.table for planned in plan.manifest.tables if planned.name == line.table_name)
        for rows in (rows for table in tables for rows in plan.quarantined(table)):
            reasons = pc.replace_substring(rows["reason"], "\0", r"\x00")  # as the ledger writes it
            same = pc.and_(pc.equal(rows["key"], line.key), pc.equal(reasons, line.reason))
            for row in rows.filter(same).select(["source", "mapped"]).to_pylist():
                yield {name: json.loads(row[name]) if row[name] else None for name in ("source", "mapped")}
    except PlanError:
        return
