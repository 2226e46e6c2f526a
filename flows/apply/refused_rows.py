"""Rows that the target refused while they were written: put into quarantine, counted, and told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.ledger.ledger import Ledger, RunPlan
from adapters.store.plans import QUARANTINE
from flows.apply.windows import Done
from flows.plan.thresholds import beyond
from flows.results.outcome import Outcome, Status
from flows.results.tables import Report, TableReport
from flows.spec.model import Spec
from transforms import expressions
from transforms.mapping.rejections import encoded, listed
from transforms.vocabulary import Notice, Reason, text_of

SAID = 3  # reasons of a table that are told in a line


def quarantine_rows(name: str, window: int, refused: pa.Table) -> pa.Table:
    """Refused rows of a window (`Sifted.refused`) in the QUARANTINE schema, the table by its name in the spec.

    The source image is not known any more: a row that is to be deleted has none, others have what was mapped of them.
    """
    keys = pa.Table.from_struct_array(refused["key"])
    image = pc.if_else(pc.is_valid(refused["after"]), refused["after"], refused["before"])
    count = refused.num_rows
    mapped = expressions.as_json(pa.Table.from_struct_array(image)).cast(pa.string())
    columns = {
        "table": pa.array([name] * count, pa.string()),
        "window": pa.array([window] * count, pa.int32()),
        "why": whys(refused),
        "key": expressions.as_json_keys(keys, tuple(keys.column_names)).cast(pa.string()),
        "mapped": mapped,
    }
    rows = listed(pa.table(columns))
    named = pc.if_else(pc.equal(rows["column"], ""), None, rows["column"])  # an engine may name none
    rows = rows.set_column(rows.column_names.index("column"), "column", named)
    arrays = [rows[each.name] if each.name in rows.column_names else pa.nulls(count, each.type) for each in QUARANTINE]
    return pa.table(arrays, schema=QUARANTINE)


def whys(refused: pa.Table) -> pa.ChunkedArray:
    """Why rows were refused, as JSON. A window that an earlier version left half done has the texts alone."""
    if "why" in refused.column_names:
        return refused["why"]
    named = zip(refused["reason"].to_pylist(), refused["column"].to_pylist(), strict=True)
    texts = [Reason("untyped", column, {"text": text}).as_json() for text, column in named]
    return pa.chunked_array([pa.array(texts, pa.string())])


def record(done: Iterable[Done], ledger: Ledger, plan: RunPlan) -> None:
    """Put the rows that windows did not get in into the quarantine."""
    for each in done:
        if each.refused is not None:
            rows = quarantine_rows(each.table, each.window, each.refused)
            ledger.record_quarantine(plan.migration, plan.side, rows, plan.run_id, plan.folder)


def told(report: Report, done: Iterable[Done]) -> Report:
    """The report with the reasons of refused rows, and a line for each table that has some."""
    found: dict[str, Counter[Reason]] = {}
    for each in done:
        if each.refused is not None:
            reasons, numbers = encoded(whys(each.refused))
            counted = dict(zip(reasons, np.bincount(numbers).tolist(), strict=True))
            found.setdefault(each.table, Counter()).update(counted)
    tables = tuple(_with_reasons(table, found.get(table.name, Counter())) for table in report.tables)
    lines = [_line(name, reasons) for name, reasons in found.items()]
    return replace(report, tables=tables, warnings=(*report.warnings, *lines))


def settled(outcome: Outcome, done: Iterable[Done], spec: Spec) -> Outcome:
    """The outcome of a run that wrote, with what the target refused: above the limits of quarantine it ends with status 4."""
    refused = sum(each.refused.num_rows for each in done if each.refused is not None)
    if not refused:
        return outcome
    many = f"{refused:,} {'row was' if refused == 1 else 'rows were'} refused by the target while the others were written, and set aside"
    message = f"{many}; `syncline quarantine SPEC list` has their reasons. {outcome.message}".strip()
    above = "" if outcome.report.chosen else beyond(spec, outcome.report.shares)
    if not above:
        return replace(outcome, message=message)
    status = max(outcome.status, Status.QUARANTINE)
    return replace(outcome, status=status, message=f"{above} {message}")


def _with_reasons(table: TableReport, reasons: Counter[Reason]) -> TableReport:
    both = Counter(table.reasons) + reasons
    return replace(table, reasons=dict(both)) if reasons else table


def _line(name: str, reasons: Counter[Reason]) -> Notice:
    shown = "; ".join(f"{text_of(reason)} ({count:,})" for reason, count in reasons.most_common(SAID))
    more = f"; and {len(reasons) - SAID} other reasons" if len(reasons) > SAID else ""
    total = sum(reasons.values())
    text = f"{name}: {total:,} {'row was' if total == 1 else 'rows were'} not written. {shown}{more}."
    return Notice("refused_rows", text, name, {"rows": total, "reasons": sorted({reason.code for reason in reasons})})
