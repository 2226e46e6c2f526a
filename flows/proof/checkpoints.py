"""The two checkpoints around a load: rows about to be written, and the target afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import pyarrow as pa

from adapters.expectations import run
from adapters.expectations.run import Checked, Expected
from adapters.protocol import Snapshot
from adapters.store.plans import Plan
from flows.bind.rules import totals
from flows.bind.tables import BoundTable
from flows.plan.decide import written_rows
from flows.plan.order.interim import whole_changes
from flows.plan.written import written_changes
from flows.results.checkpoint import Checkpoint
from flows.results.tables import Report, TableReport
from flows.session.retry import retried
from flows.session.scan import readable
from flows.session.session import Session
from transforms import keys
from transforms.vocabulary import KeyRange, Notice, Relation

MASKS = "compiled rule"


def planned(plan: Plan, report: Report, session: Session) -> tuple[Checkpoint, ...]:
    """Check the rows that a plan would write, table by table. Nothing is written.

    Great Expectations looks at all of them up to `checkpoint.max_rows`; beyond, the compiled rules stand for it, and
    what does not compile is named in the notes. A table of which nothing is written has no checkpoint.
    """
    made = []
    for told in report.of_spec:
        bound = session.bound.table(told.name)
        rows = told.counts.insert + told.counts.update
        if not bound.checks.expect or not rows:
            continue
        limit = session.spec.checkpoint(told.name).max_rows
        if rows <= limit:
            written = _written(plan, bound)
            results = run.check_rows(
                written, bound.key, bound.checks.expect, totals(told.counts), f"{told.name}, rows about to be written"
            )
            made.append(Checkpoint("planned", told.name, written.num_rows, results))
        else:
            made.append(_by_masks(told, bound, rows, limit))
    return tuple(made)


def loaded(plan: Plan, report: Report, session: Session) -> tuple[Checkpoint, ...]:
    """Check the target after the load: whole tables in SQL, or the rows that the run wrote, as the spec says."""
    made = []
    for told in report.of_spec:
        bound = session.bound.table(told.name)
        if not bound.checks.loaded:
            continue
        named = f"{told.name}, after the load"
        if session.spec.checkpoint(told.name).loaded == "touched":
            rows = retried(partial(_touched, plan, bound, session), renewed=True)
            results = run.check_rows(rows, bound.key, bound.checks.loaded, totals(told.counts), named)
            made.append(Checkpoint("loaded", told.name, rows.num_rows, results))
            continue
        target = session.sides.target
        check = partial(run.check_table, target.address, bound.shape.name, bound.key, bound.checks.loaded)
        results = retried(partial(check, totals(told.counts), None, named, target.rls))
        made.append(Checkpoint("loaded", told.name, None, results))
    return tuple(made)


def told(checked: Checked) -> str:
    """One result in a line: `price: expect_column_values_to_be_between fails in 3 rows, such as [7], [9]`."""
    about = run.about(checked.arguments)
    count = (
        ""
        if checked.unexpected is None
        else f" in {checked.unexpected:,} {'row' if checked.unexpected == 1 else 'rows'}"
    )
    seen = f", such as {some_keys(checked)}" if checked.sample else ""
    found = f": found {checked.observed}" if checked.observed is not None and not checked.sample else ""
    return f"{about}{checked.type} fails{count}{seen}{found}"


def some_keys(checked: Checked) -> str:
    """Keys of failing rows in a line: `a=1, a=2`, and with several columns `(a=1, b=2), (a=1, b=3)`."""
    return ", ".join(f"({key})" if ", " in key else key for key in checked.sample)


def stopped(checkpoints: Sequence[Checkpoint]) -> str:
    """Why critical checks stop a run; empty where they do not."""
    lines = [f"{each.table}: {told(failed)}" for each in checkpoints for failed in each.critical]
    return "; ".join(lines)


def noticed(checkpoints: Sequence[Checkpoint]) -> Iterator[Notice]:
    """What else is to be reported: failed warnings, and what was not looked at."""
    for each in checkpoints:
        for failed in each.failed:
            if failed.severity != "critical":
                text = f"{each.table}, {each.name}: {told(failed)} ({failed.severity})."
                rule = {"checkpoint": each.name, "rule": failed.type, "severity": failed.severity}
                yield Notice("failed_check", text, each.table, rule)
        yield from (Notice("unchecked", note, each.table, {"checkpoint": each.name}) for note in each.notes)


def _written(plan: Plan, bound: BoundTable) -> pa.Table:
    parts = [written_rows(bound, changes) for changes in whole_changes(plan, bound.shape.name, plan.changes)]
    return pa.concat_tables([bound.schema.empty_table(), *(each for each in parts if each.num_rows)])


def _by_masks(told: TableReport, bound: BoundTable, rows: int, limit: int) -> Checkpoint:
    """The compiled rules in place of Great Expectations: what planning counted, window by window."""
    broken = {each.number: each for each in told.broken}
    aside = {each.rule.number for each in bound.checks.rows if each.rule.severity == "warning"}
    watched = {each.rule.number for each in bound.checks.watched}
    asked = {each.rule.number for each in bound.checks.rows if each.check is None}  # by Great Expectations, in planning
    results, left = [], []
    for each in bound.checks.expect:
        if each.number not in aside | watched:
            left.append(each)
            continue
        found = broken.get(each.number)
        results.append(
            Checked(
                number=each.number,
                type=each.type,
                arguments=each.arguments,
                severity=each.severity,
                passed=found is None,
                checked=rows,
                unexpected=found.rows if found else 0,
                sample=found.keys if found else (),
                by=run.GREAT_EXPECTATIONS if each.number in asked else MASKS,
            )
        )
    notes = [
        f"{told.name}: {rows:,} rows are about to be written, more than checkpoint.max_rows ({limit:,}): compiled rules "
        f"stood for Great Expectations{_left(left)}."
    ]
    return Checkpoint("planned", told.name, rows, tuple(results), tuple(notes))


def _left(left: Sequence[Expected]) -> str:
    if not left:
        return ""
    return f", and {', '.join(each.type for each in left)} {'was' if len(left) == 1 else 'were'} not looked at"


def _touched(plan: Plan, bound: BoundTable, session: Session) -> pa.Table:
    """The rows that the plan wrote, as they are in the target now."""
    key = bound.order or bound.key
    parts = [written_rows(bound, changes).select(list(key)) for changes in written_changes(plan, bound.shape.name)]
    if not bound.order and parts:
        parts = [pa.concat_tables(parts)]  # without an order, the target is read whole, and once
    found = [bound.shape.schema().empty_table()]
    with session.sides.target.adapter.snapshot() as snapshot:
        for rows in parts:
            if rows.num_rows:
                found += _of_keys(snapshot, bound, keys.ascending(rows, key))
    return pa.concat_tables(found)


def _of_keys(snapshot: Snapshot, bound: BoundTable, wanted: pa.Table) -> Iterator[pa.Table]:
    """The target's rows of some keys, which ascend."""
    first, last = (keys.key_at(wanted, bound.order or bound.key, row) for row in (0, wanted.num_rows - 1))
    within = KeyRange(first if bound.order else None, nulls=False)
    there = snapshot.scan(Relation(bound.shape.name), bound.shape.names, key=bound.order, within=within)
    for batch in readable(there, bound.shape.name, "target", bound.key):
        rows = keys.without_null_keys(pa.Table.from_batches([batch]), bound.key)
        if rows.num_rows:
            yield rows.filter(pa.array(keys.contained(rows, wanted, bound.key)))
        if bound.order and tuple(batch.column(name)[-1].as_py() for name in bound.order) > last:
            return
