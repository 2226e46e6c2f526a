"""The evidence of a run: what was asked, what changed, what came of rules and reconciliation. JSON, and a page to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from adapters.store.json_lines import in_lines
from adapters.store.layout import EVIDENCE, Store
from adapters.store.plans import plain
from flows.bind.tables import BoundTable
from flows.plan.reading.unproved import WORDS
from flows.plan.totals import Reconciled
from flows.results import cursors
from flows.results.stands import in_words
from flows.results.tables import Report, TableReport
from flows.session.author import author
from flows.session.hooks import title
from flows.session.session import Session
from flows.spec.model import Spec
from transforms.mapping.column_mapping import (
    ColumnMapping,
    Constant,
    Expression,
    Function,
    Identified,
    KeyUuid,
    LookUp,
    Rename,
)
from transforms.mapping.sources import read_by
from transforms.vocabulary import OPS, SIDES, ColumnTotals, Notice, PlanError, SideName, SpecError, Totals
from transforms.vocabulary.texts import as_text

FORMAT = 1
LONGEST = 200  # characters of a smallest or largest text
PLACES = 12  # behind the point of a sum of floats, whose exact one can have a thousand


def evidence(
    session: Session,
    report: Report,
    kind: str,
    at: datetime,
    status: str,
    message: str,
    ranges: Sequence[str] = (),
    undoes: Sequence[int] = (),
) -> dict[str, Any]:
    """All of it, JSON-ready. Keys, names and totals are in it; other values of rows are not, but for ends of columns and
    what differs in conflicts and in edits that lost.

    A run that `undoes` versions knows the target and its history alone: it tells of no source and no mapping.
    """
    spec = session.spec
    return {
        "format": FORMAT,
        "migration": report.migration,
        "run_id": report.run_id,
        "kind": kind,
        "at": at.isoformat(),
        "author": author(),
        "seconds": round(report.seconds, 3),
        "status": status,
        "message": message,
        "version": report.version,
        "spec": {"path": str(spec.path.absolute()), "digest": spec.digest},
        **{name: _side(session, name) for name in SIDES},
        "ranges": list(ranges),
        "tree": list(report.tree),
        "undoes": list(undoes),
        "warnings": list(report.warning_texts),
        "notices": [asdict(each) for each in report.warnings],
        "hooks": [{**each.as_dict(), "title": title(each)} for each in report.hooks],
        "tables": [_counts(told) | ({} if undoes else _origins(session, told)) for told in report.tables],
        "checkpoints": [each.as_dict() for each in report.checkpoints],
        "reconciled": [_reconciled(session.bound.table(each.table), each) for each in report.reconciled],
        "orphans": [each.as_dict() for each in report.orphans],
        "conflicts": [asdict(each) | {"stands_for": in_words(each.stands_for)} for each in report.met],
    }


def _side(session: Session, name: SideName) -> dict[str, Any]:
    """Where a side is, and what the spec calls it."""
    side = session.sides[name]
    return {"url": side.url, "engine": side.engine, "name": session.spec.endpoint(name).name}


def evident(report: Report, store: Store, told: Mapping[str, Any]) -> Report:
    """The report with the page that its evidence made; a warning where the store cannot take it."""
    try:
        return replace(report, page=str(keep(store, told)))
    except PlanError as error:
        return replace(report, warnings=(*report.warnings, Notice("no_evidence", f"No evidence was kept: {error}")))


def keep(store: Store, told: Mapping[str, Any]) -> Path:
    """Write the evidence of a run into the store, and the page beside it; the page's path."""
    ready = plain(told)
    store.write_evidence(str(told["run_id"]), EVIDENCE, in_lines(ready).encode())
    return page(store, ready)


def page(store: Store, told: Mapping[str, Any]) -> Path:
    """Make the page of evidence that is kept; its path."""
    from flows.evidence.page import html_report

    return store.write_evidence(str(told["run_id"]), "report.html", html_report(told).encode())


def kept(store: Store, migration: str, run_id: str | None) -> dict[str, Any]:
    """The evidence of a run of a migration, of the latest one where none is named. SpecError where there is none."""
    found = store.evidence(migration, run_id)
    if found is None:
        known = ", ".join(islice(store.evidence_runs(migration), 5))
        which = f"run {run_id}" if run_id else "any run"
        what = f"{store.root} holds no evidence of {which} of {migration}."
        raise SpecError(f"{what} Known: {known}." if known else what, fix="" if known else "run it first.")
    return found


def _counts(told: TableReport) -> dict[str, Any]:
    return {
        "name": told.name,
        "target": told.target,
        "in_spec": told.in_spec,
        "from": "",
        "key": [],
        "counts": told.counts.as_dict(),
        "reasons": told.reason_texts,
        "set_aside": told.set_aside,
        "differing": dict(told.differing),
        "by_column": [each.as_dict() for each in told.by_column],
        "sealed": None if told.sealed is None else {**asdict(told.sealed), "text": str(told.sealed)},
        "unproved": {WORDS[why]: rows for why, rows in told.unproved.items()},
        "created": bool(told.ddl),
        "added": [column for column, _ in told.adds],
        "windows": told.windows,
        "mapping": [],
        **({} if told.cursor is None else {"cursor": told.cursor.as_dict(), "read": cursors.line(told.cursor)}),
        **_both_ways(told),
    }


def _both_ways(told: TableReport) -> dict[str, Any]:
    """What became of the source's rows, or how both sides stand to what they agreed on; nothing where a table goes one way."""
    if told.agreement is not None:
        return {"agreement": told.agreement.as_dict()}
    if told.back is None:
        return {}
    counts = {op: getattr(told.back, op) for op in OPS}
    columns = [each.as_dict() for each in told.back_by_column]
    back = {"table": told.back_table, "counts": counts, "differing": dict(told.back_differing), "by_column": columns}
    return {
        "back": back,
        "merged": told.merged,
        "overruled": told.overruled,
        "overruled_edits": [each.as_dict() for each in told.overruled_edits],
    }


def _origins(session: Session, told: TableReport) -> dict[str, Any]:
    """Where the rows of a table came from; nothing of one that the spec does not name any more, of which a cut-off plan knows."""
    tables = session.binding.tables if session.binding else ()
    bound = next((table for table in tables if table.name == told.name), None)
    if bound is None:
        return {}
    return {"from": bound.origin, "key": list(bound.key), "mapping": list(_mapping(session, bound))}


def _mapping(session: Session, bound: BoundTable) -> Iterator[dict[str, Any]]:
    if bound.identity:
        yield {"column": bound.identity, "from": [], "how": "generate", "about": "identity"}
    for part, spec in zip(bound.sources, session.spec.parts_of(bound.name), strict=True):
        for column in (*part.mapping.columns, *part.computed):
            how, about = _origin(spec, part, column)
            read = [f"{part.part}.{name}" if part.part else name for name in read_by(column, part.reads)]
            yield {"column": column.shape.name, "from": read, "how": how, "about": about}


def _origin(spec: Spec, bound: BoundTable, column: ColumnMapping) -> tuple[str, str]:
    """How a column is made, and what a page says of it."""
    match column.origin:
        case Rename():
            how = "map" if column.values else "cast" if column.cast else "rename"
            return how, str(column.shape.native) if column.cast else ""
        case Expression(sql):
            return "expr", sql
        case Constant(value):
            return "const", str(plain(value))
        case LookUp() as lookup:
            asked = (spec.tables[bound.name].columns or {})[column.shape.name].lookup
            there = f"{asked.table}.{lookup.take}" if asked else lookup.take
            return "lookup", there
        case Function() as function:
            return "python", function.name
        case Identified(by=by):
            return "identity", ", ".join(by)
        case KeyUuid():
            return "generate", "uuid"


def _reconciled(bound: BoundTable, found: Reconciled) -> dict[str, Any]:
    apart = found.differences
    sides = {"source": found.source, "kept": found.kept, "target": found.target}
    names = list(dict.fromkeys(name for side in sides.values() for name in side.columns))
    return {
        "table": found.table,
        "equal": not apart,
        "afresh": found.afresh,
        "differences": [f"{column or 'table'}: {what}" for column, what in apart],
        "rows": {name: side.rows for name, side in sides.items()},
        "keys": {name: side.distinct_keys for name, side in sides.items()},
        "columns": [
            {
                "name": name,
                "equal": not any(column == name for column, _ in apart),
                **{side: _shown(bound, name, totals) for side, totals in sides.items()},
            }
            for name in names
        ],
    }


def _shown(bound: BoundTable, name: str, side: Totals) -> dict[str, Any]:
    totals = side.columns.get(name, ColumnTotals())
    kind = bound.schema.field(name).type if name in bound.schema.names else pa.string()
    return {
        "values": totals.values,
        "nulls": totals.nulls,
        "total": None if totals.total is None else number_text(totals.total),
        "least": _end(totals.least, kind),
        "most": _end(totals.most, kind),
        "odd": dict(totals.odd),
    }


@lru_cache(maxsize=4)  # both sides have the same sums, and one of 100,000 digits takes 5 ms
def number_text(number: Fraction) -> str:
    """A sum as people read it; what is not shown of it is marked."""
    with localcontext(prec=2000):
        exact = Decimal(number.numerator) / Decimal(number.denominator)
    whole, _, behind = format(exact, "f").partition(".")
    if len(whole) > LONGEST:
        return f"{whole[:LONGEST]}… ({len(whole):,} digits)"
    return f"{whole}.{behind[:PLACES]}{'…' if len(behind) > PLACES else ''}" if behind else whole


def _end(value: Any, kind: pa.DataType) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        text = value.decode(errors="backslashreplace") if not pa.types.is_binary(kind) else value.hex()
        return text if len(text) <= LONGEST else text[:LONGEST] + "…"
    if pa.types.is_temporal(kind):
        width = pa.int32() if kind.bit_width == 32 else pa.int64()
        return str(as_text(pa.array([value], width).view(kind))[0].as_py())
    return str(value)
