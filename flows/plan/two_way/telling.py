"""What a plan of both sides says of what happens to the source, and of edits that lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from adapters.store.plans import Plan
from flows.plan.two_way.meeting import choices
from flows.plan.two_way.table import TableOfBoth
from flows.results.overruled import overruled_in
from flows.results.tables import Report, TableReport, table_report
from transforms.vocabulary import Counts


def told_of_both(
    report: Report, both: Sequence[TableOfBoth], back: Iterable[TableReport], entries: Mapping[str, str]
) -> Report:  # fmt: skip
    """The report of the target's plan, with what happens to the source: without deletes of rows that others there refer to."""
    tables = {each.name: each for each in report.tables}
    there = dict(_of_source(both, back, entries))
    for each in both:
        name = each.bound.name
        tables[name] = replace(
            tables[name],
            back=there[name].counts,
            back_table=there[name].target,
            back_differing=there[name].differing,
            back_samples=there[name].samples,
            merged=sum(window.merged for window in each.windows),
            overruled=sum(window.overruled for window in each.windows),
            meeting=choices(window.meeting for window in each.windows),
        )
    return replace(report, tables=tuple(tables.values()))


def _of_source(
    both: Sequence[TableOfBoth], back: Iterable[TableReport], entries: Mapping[str, str]
) -> Iterator[tuple[str, TableReport]]:
    """What happens to the source by each table: where several are made of one table of it, each tells of the rows that it changes there,
    and the first one of those, too, that go in in steps."""
    for told in back:
        first, *others = (each for each in both if entries[each.bound.name] == told.name)
        rest = told
        for each in others:
            mine = replace(table_report(each.bound, [window.source for window in each.windows]), target=told.target)
            yield each.bound.name, mine
            rest = _without(rest, mine)
        yield first.bound.name, rest


def with_lost(report: Report, folder: Path) -> Report:
    """The report of a plan that is written down, with the first edits that lost."""
    if not any(told.overruled for told in report.tables):
        return report
    plan = Plan.open(folder, only="overruled")
    lost = {each.name: overruled_in(plan, each.table, each.name) for each in plan.manifest.tables if each.overruled}
    return replace(
        report, tables=tuple(replace(told, overruled_edits=lost.get(told.name, ())) for told in report.tables)
    )


def _without(whole: TableReport, share: TableReport) -> TableReport:
    """What is left of a report without a part of its windows."""

    def less(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
        return {name: max(0, rows - other.get(name, 0)) for name, rows in one.items()}

    counts = Counts(**less(asdict(whole.counts), asdict(share.counts)))
    differing = {name: rows for name, rows in less(whole.differing, share.differing).items() if rows}
    samples = tuple(each for each in whole.samples if each not in share.samples)
    return replace(whole, counts=counts, differing=differing, samples=samples)
