"""Why source rows of a run were set aside, most rows first, with a few of their keys: what fits a page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from adapters.ledger.ledger import Choice, Ledger
from adapters.store.plans import Plan
from flows.results.tables import Report
from flows.session.stores import ledger_of
from flows.spec.model import Spec
from transforms.vocabulary import PlanError, Reason, named_text, text_of

SHOWN: Final = 12  # reasons
KEYS: Final = 3  # of each
LOOKED_AT: Final = 200  # windows of a plan, in which keys are looked for


@dataclass(frozen=True, slots=True)
class Aside:
    """Rows of a table that were set aside for one reason: how many, and the first of their keys, as JSON."""

    table: str
    reason: str
    rows: int
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SetAside:
    """The reasons that most rows have, and how many reasons there are besides."""

    shown: tuple[Aside, ...] = ()
    more: int = 0


NOTHING: Final = SetAside()


@dataclass(slots=True)
class _Wanted:
    table: str
    reason: Reason
    rows: int
    keys: list[str] = field(default_factory=list)


def set_aside(spec: Spec, report: Report) -> SetAside:
    """What a report's run set aside. Keys are those of its plan where it was not applied, else those that the ledger has."""
    every = [
        _Wanted(table.name, reason, rows) for table in report.tables for reason, rows in table.reasons.items() if rows
    ]
    every.sort(key=lambda each: -each.rows)
    wanted = every[:SHOWN]
    if wanted and report.plan and not report.applied:
        _from_plan(Path(report.plan), wanted)
    elif wanted:
        with ledger_of(spec) as ledger:
            if ledger.there():
                _from_ledger(ledger, spec.name, wanted)
    shown = tuple(Aside(each.table, named_text(each.reason), each.rows, tuple(each.keys)) for each in wanted)
    return SetAside(shown, len(every) - len(shown))


def _from_ledger(ledger: Ledger, migration: str, wanted: list[_Wanted]) -> None:
    for each in wanted:
        codes = (each.reason.code,)
        lines = ledger.chosen(migration, Choice((each.table,), reason=text_of(each.reason), codes=codes), KEYS)
        each.keys += dict.fromkeys(line.key for line in lines)


def _from_plan(folder: Path, wanted: list[_Wanted]) -> None:
    try:
        plan = Plan.open(folder, only="quarantine")
        for planned in plan.manifest.tables:
            mine = [each for each in wanted if each.table == planned.name]
            for rows in islice(plan.quarantined(planned.table) if mine else iter(()), LOOKED_AT):
                for each in mine:
                    each.keys += _new_keys(rows, each)
                if all(len(each.keys) >= min(KEYS, each.rows) for each in mine):
                    break
    except PlanError:
        return  # somebody has cleared it away: how many there are is known all the same


def _new_keys(rows: pa.Table, wanted: _Wanted) -> Iterator[str]:
    found = rows.filter(pc.equal(rows["reason"], text_of(wanted.reason)))["key"]
    new = (str(key) for key in pc.unique(found).slice(0, 2 * KEYS).to_pylist() if key not in wanted.keys)
    yield from islice(new, KEYS - len(wanted.keys))
